"""How long to wait after a failure: doubling, bounded, and spread without a random number.

The spread is a hash of what failed and how often, so that a thousand objects do not come back at
the same moment and a test still knows each delay.
"""

from __future__ import annotations

import zlib


def delay(name: str, failures: int, *, base: float, ceiling: float) -> float:
    """Seconds to wait after the `failures`-th failure in a row (1 is the first).

    Between half and the whole of `base * 2**(failures - 1)`, never above `ceiling`.
    """
    if failures < 1:
        return 0.0
    whole = min(ceiling, base * 2.0 ** min(failures - 1, 30))
    share = zlib.crc32(f"{name}/{failures}".encode()) / 0xFFFFFFFF
    return whole * (0.5 + share / 2)
