"""Packing: the numbers that a guard remembers as a short string that gives the same bits back.

Evidence lives in a status, which is bounded: 1 kB a guard, 512 B a slice. Decimal text that
restores a float exactly takes up to 24 characters; eight bytes in base64 take 10.7. The string
opens with a letter for the kind of evidence and a digit for its layout, so that text of another
kind or of another version is refused, never misread.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from math import isfinite
from struct import pack as pack_bytes
from struct import unpack as unpack_bytes


def pack(kind: str, numbers: Sequence[float]) -> str:
    """Return `kind` (two characters) followed by the numbers."""
    return kind + b64encode(pack_bytes(f"<{len(numbers)}d", *numbers)).decode("ascii").rstrip("=")


def unpack(kind: str, text: str) -> tuple[float, ...] | None:
    """Return the numbers of a packed string; None if it is not of this kind, whole and finite."""
    if text[:2] != kind:
        return None
    body = text[2:]
    try:
        data = b64decode(body + "=" * (-len(body) % 4), validate=True)
    except ValueError:
        return None
    if len(data) % 8:
        return None
    numbers = unpack_bytes(f"<{len(data) // 8}d", data)
    return numbers if all(map(isfinite, numbers)) else None
