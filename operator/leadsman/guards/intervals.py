"""Intervals for one look: a share, the difference of two shares, a quantile from buckets.

They hold for a single look at data whose amount was settled beforehand. Nothing here may decide on
its own while a release is watched: looking every minute at a 95 % interval raises one false alarm
in five good releases. They serve thresholds that are asked for with a confidence, and reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import inf, sqrt
from statistics import NormalDist


@lru_cache(maxsize=64)
def z_of(level: float) -> float:
    """Return the normal quantile of a two-sided interval with confidence `level` in 0..1."""
    return NormalDist().inv_cdf((1 + level) / 2)


def wilson(bad: float, total: float, level: float = 0.95) -> tuple[float, float]:
    """Return the interval for a share (Wilson 1927); (0, 1) without events."""
    if total <= 0:
        return 0.0, 1.0
    z = z_of(level)
    share, square = min(max(bad / total, 0.0), 1.0), z * z
    middle = share + square / (2 * total)
    half = z * sqrt(share * (1 - share) / total + square / (4 * total * total))
    scale = 1 + square / total
    low = 0.0 if bad <= 0 else max(0.0, (middle - half) / scale)
    high = 1.0 if bad >= total else min(1.0, (middle + half) / scale)
    return low, high


def newcombe(
    bad: float, total: float, other_bad: float, other_total: float, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval for the first share less the other (Newcombe 1998, method 10)."""
    if total <= 0 or other_total <= 0:
        return -1.0, 1.0
    one, two = bad / total, other_bad / other_total
    low1, high1 = wilson(bad, total, level)
    low2, high2 = wilson(other_bad, other_total, level)
    between = one - two
    return (
        between - sqrt((one - low1) ** 2 + (high2 - two) ** 2),
        between + sqrt((high1 - one) ** 2 + (two - low2) ** 2),
    )


def bucket_quantile(bounds: Sequence[float], cumulative: Sequence[float], q: float) -> float | None:
    """Return the quantile `q` (0..1) of a histogram, linear inside a bucket.

    `bounds` are the buckets' upper ends in rising order, the last one infinity, `cumulative` the
    events up to each. None without events; infinity in the last bucket, where nothing is known.
    """
    if not cumulative or cumulative[-1] <= 0:
        return None
    return _crossing(bounds, [value / cumulative[-1] for value in cumulative], q)


def bucket_quantile_interval(
    bounds: Sequence[float], cumulative: Sequence[float], q: float, level: float = 0.95
) -> tuple[float, float] | None:
    """Return the interval for a quantile: Wilson's for the share at each bound, turned round.

    It knows the noise of counting, not the error of drawing a straight line through a bucket.
    """
    if not cumulative or cumulative[-1] <= 0:
        return None
    shares = [wilson(value, cumulative[-1], level) for value in cumulative]
    return (
        _crossing(bounds, [high for _, high in shares], q),
        _crossing(bounds, [low for low, _ in shares], q),
    )


def bucket_width(bounds: Sequence[float], value: float) -> float:
    """Return the width of the bucket that a value is in: what is smaller cannot be resolved."""
    low = 0.0
    for bound in bounds:
        if value <= bound:
            return bound - low
        low = bound
    return inf


def bucket_density(bounds: Sequence[float], cumulative: Sequence[float], q: float) -> float | None:
    """Return the share of events per unit at the quantile `q`; None where it is not known.

    Times a margin in that unit it is the share that a shift of the quantile by the margin moves,
    which a test of shares can judge where the quantile itself cannot be tested.
    """
    if not cumulative or cumulative[-1] <= 0:
        return None
    low = below = 0.0
    for bound, value in zip(bounds, cumulative, strict=True):
        share = value / cumulative[-1]
        if share >= q and share > below:
            return None if bound == inf else (share - below) / (bound - low)
        low, below = bound, share
    return None


def quantile_sample_size(
    q: float, density: float, margin: float, alpha: float = 0.05, power: float = 0.9
) -> float:
    """Return about how many events an arm needs to see a quantile shift by `margin` in one look.

    `density` is the share of events per unit at the quantile, `margin` is in that unit; one-sided.
    """
    if density <= 0 or margin <= 0:
        return inf
    deviations = z_of(1 - 2 * alpha) + z_of(2 * power - 1)
    return deviations**2 * 2 * q * (1 - q) / (density * margin) ** 2


def _crossing(bounds: Sequence[float], shares: Sequence[float], q: float) -> float:
    low = below = 0.0
    for bound, share in zip(bounds, shares, strict=True):
        if share >= q:
            if bound == inf:
                return inf
            return (
                bound
                if share <= below
                else low + (bound - low) * max(q - below, 0.0) / (share - below)
            )
        low, below = bound, share
    return inf
