"""Histogram bounds: how a bucket's `le` is spelled.

Prometheus 3 writes bounds as floats ("1.0"), earlier versions and other collectors as the client
did ("1"). All spellings of the same number are asked for; only one of them exists.
"""

from __future__ import annotations

from decimal import Decimal


def bounds_of(bound: float) -> tuple[str, ...]:
    """Return the spellings of one bucket bound, in the histogram's own unit."""
    spellings = [repr(bound), f"{bound:g}", format(Decimal(repr(bound)).normalize(), "f")]
    if bound == int(bound):
        spellings += [str(int(bound)), f"{int(bound)}.0"]
    return tuple(sorted(set(spellings)))


def milliseconds(seconds: float) -> tuple[str, ...]:
    """Return the spellings of a bound in a histogram whose unit is milliseconds."""
    return bounds_of(float(Decimal(repr(seconds)) * 1000))
