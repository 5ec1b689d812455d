"""Mann and Whitney's test with R's interval, which a known canary judge uses; compared, not used.

It compares time series point by point as if they were independent draws, looks once, and says
nothing about how much worse a release is in the unit that users feel.
"""

from __future__ import annotations

from collections.abc import Callable
from math import copysign, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

EPSILON = float(np.finfo(float).eps)
TOLERANCE = 1e-4
"""The accuracy at which R stops to look for the ends of the interval."""

Values = NDArray[np.float64]


def shift_interval(x: Values, y: Values, level: float = 0.95) -> tuple[float, float, float]:
    """Return lower end, upper end and estimate of the shift of `x` against `y`, as R gives them.

    The statistic is a step function of the shift, so what is found is where Brent's search stops
    inside a step, to `TOLERANCE`. The estimate goes without the correction for continuity.
    """
    ends = float(np.min(x) - np.max(y)), float(np.max(x) - np.min(y))
    z = float(ndtri((1 + level) / 2))
    low, high, middle = (
        zero(lambda shift, aim=aim, half=half: standardised(x - shift, y, half) - aim, *ends)
        for aim, half in ((z, 0.5), (-z, 0.5), (0.0, 0.0))
    )
    return low, high, middle


def standardised(x: Values, y: Values, half: float) -> float:
    """Return the rank sum of `x` less its mean, over its standard deviation given the ties.

    `half` is the correction for continuity, drawn towards the mean.
    """
    both = np.concatenate((x, y))
    _, place, ties = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]
    n, m, all_ = len(x), len(y), len(both)
    away = float(np.sum(ranks[:n])) - n * (n + 1) / 2 - n * m / 2
    spread = sqrt(n * m / 12 * (all_ + 1 - float(np.sum(ties**3 - ties)) / (all_ * (all_ - 1))))
    return (away - (copysign(half, away) if away else 0.0)) / spread


def zero(f: Callable[[float], float], a: float, b: float) -> float:
    """Return a zero of `f` between `a` and `b` by the method of Brent (1973), chapter 4.

    Interpolated steps are taken while they stay inside and halve the step before; else bisection.
    """
    fa, fb = f(a), f(b)
    c, fc = a, fa
    while True:
        before = b - a
        if abs(fc) < abs(fb):
            a, b, c = b, c, b
            fa, fb, fc = fb, fc, fb
        least = 2 * EPSILON * abs(b) + TOLERANCE / 2
        half = (c - b) / 2
        if abs(half) <= least or fb == 0:
            return b
        step = half
        if abs(before) >= least and abs(fa) > abs(fb):
            step = _interpolated((a, b, c), (fa, fb, fc), before, least)
        if abs(step) < least:
            step = copysign(least, half)
        a, fa = b, fb
        b += step
        fb = f(b)
        if (fb > 0) == (fc > 0):
            c, fc = a, fa


def _interpolated(
    at: tuple[float, float, float], f: tuple[float, float, float], before: float, least: float
) -> float:
    (a, b, c), (fa, fb, fc) = at, f
    wide = c - b
    if a == c:
        ratio = fb / fa
        p, q = wide * ratio, 1 - ratio
    else:
        ratio, one, two = fb / fa, fb / fc, fa / fc
        p = ratio * (wide * two * (two - one) - (b - a) * (one - 1))
        q = (two - 1) * (one - 1) * (ratio - 1)
    p, q = (abs(p), -q) if p > 0 else (abs(p), q)
    inside = p < 0.75 * wide * q - abs(least * q) / 2 and p < abs(before * q / 2)
    return p / q if inside else wide / 2
