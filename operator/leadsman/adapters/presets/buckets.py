"""Histogram bounds: how a bucket's `le` is spelled.

Prometheus 3 writes bounds as floats ("1.0"), earlier versions and other collectors as the client
did ("1"). All spellings of the same number are asked for; only one of them exists.
"""

from __future__ import annotations

from decimal import Decimal


def bounds_of(seconds: float) -> tuple[str, ...]:
    """Return the spellings of one bucket bound, in seconds."""
    spellings = [repr(seconds), f"{seconds:g}", format(Decimal(repr(seconds)).normalize(), "f")]
    if seconds == int(seconds):
        spellings += [str(int(seconds)), f"{int(seconds)}.0"]
    return tuple(sorted(set(spellings)))
