"""Keeps the process small: buffers of TLS connections, and how often rubbish is looked for.

asyncio gives every TLS connection a read buffer of 256 KiB, touched at once. A watch sends a few
kilobytes a minute and an attempt has seven of them: measured, a watch takes 292 KiB with that
buffer and 71 KiB with one of 32 KiB (two TLS records), and reads no slower.
"""

from __future__ import annotations

import asyncio.sslproto
import gc

TLS_BUFFER = 32 * 1024
GC_THRESHOLDS = (20_000, 20, 50)
"""Objects made before the youngest generation is looked at, and how often the older ones are."""


def small_buffers() -> None:
    """Give TLS connections that are opened from now on a small read buffer."""
    protocol = asyncio.sslproto.SSLProtocol
    if isinstance(getattr(protocol, "max_size", None), int):
        protocol.max_size = TLS_BUFFER


def settle() -> None:
    """Take what is there after the start for permanent: it is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
