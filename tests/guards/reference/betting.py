"""Bounded means by betting, Waudby-Smith and Ramdas (2024), JRSS B; compared and not used.

Both sequences bet on each observation of [0, 1] with a stake that the observations before it
chose. Blocks of error rates move by parts of a percent, so stakes cannot be small enough: doubled
errors were never found at 50 requests a second. That is why the engine compares counts.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]


def stakes(x: Series, alpha: float, most: float = np.inf) -> Series:
    """Return the predictable plug-in stakes: one fake observation, 1/2 and 1/4."""
    t = np.arange(1, len(x) + 1)
    mean = (0.5 + np.cumsum(x)) / (t + 1)
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (t + 1)
    before = np.concatenate(([0.25], variance[:-1]))
    return np.minimum(most, np.sqrt(2 * log(1 / alpha) / (t * np.log(1 + t) * before)))


def empirical_bernstein(x: Series, alpha: float) -> tuple[Series, Series]:
    """Return lower and upper bounds after each observation, stakes at most 1/2."""
    low = _bernstein_below(x, alpha / 2)
    return np.maximum(low, 0.0), np.minimum(1 - _bernstein_below(1 - x, alpha / 2), 1.0)


def _bernstein_below(x: Series, alpha: float) -> Series:
    t = np.arange(1, len(x) + 1)
    guess = np.concatenate(([0.0], (np.cumsum(x) / t)[:-1]))
    bets = stakes(x, alpha, 0.5)
    cost = np.cumsum((x - guess) ** 2 * (-np.log1p(-bets) - bets))
    total = np.cumsum(bets)
    lower: Series = (np.cumsum(bets * x) - cost - log(1 / alpha)) / total
    return lower


def capital_interval(x: Series, alpha: float, breaks: int = 1000) -> tuple[float, float]:
    """Return the means that the hedged capital process has not refuted after `x`.

    Half of the capital bets on more, half on less, with stakes of at most half of what may be
    lost; a mean is out once either half has won 1/alpha. Read on a grid of `breaks` steps, and
    wider by a step on each side, which the true ends lie in.
    """
    means = np.arange(breaks + 1) / breaks
    bets = stakes(x, alpha / 2)[:, None]
    with np.errstate(divide="ignore"):
        up, down = np.minimum(bets, 0.5 / means), np.minimum(bets, 0.5 / (1 - means))
    away = x[:, None] - means
    with np.errstate(divide="ignore", invalid="ignore"):
        richer = np.sum(np.log1p(up * away), axis=0)
        poorer = np.sum(np.log1p(-down * away), axis=0)
    inside = means[np.log(0.5) + np.maximum(richer, poorer) <= log(1 / alpha)]
    return max(0.0, float(inside[0] - 1 / breaks)), min(1.0, float(inside[-1] + 1 / breaks))
