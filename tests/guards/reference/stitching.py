"""Stitched boundaries and the quantile test that rests on them; compared and not used.

Polynomial stitching is theorem 1 of Howard et al. (2021), Annals of Statistics 49(2). The bound
on the empirical distribution, double stitching and the two-sample test are theorems 2, 3 and 5 of
Howard and Ramdas (2022), Sequential estimation of quantiles, Bernoulli 28(3).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import exp, inf, log, sqrt

from scipy.special import expit, logit, zeta

from tests.guards.reference.mixtures import BetaBinomial, scale_at
from tests.guards.reference.search import crossing, lowest


def polynomial(
    v: float, alpha: float, v_min: float, c: float, s: float = 1.4, eta: float = 2.0
) -> float:
    """Return the stitched boundary at `v` for sums of scale `c`, stitched from `v_min` on."""
    k1 = (eta**0.25 + eta**-0.25) / sqrt(2)
    k2 = (sqrt(eta) + 1) / 2
    v = max(v, v_min)
    ell = s * log(log(eta * v / v_min)) + log(zeta(s) / (alpha * log(eta) ** s))
    linear = k2 * c * ell
    return sqrt(k1**2 * v * ell + linear**2) + linear


def empirical_process(t: float, alpha: float, t_min: float, a: float = 0.85) -> float:
    """Return the bound on sup |F_t - F| at every t from `t_min` on, with the best constant C."""
    if t < t_min:
        return inf
    c = crossing(lambda c: log(least_chance(c, a) / alpha), 5.0, 80.0)
    return a * sqrt((log(1 + log(t / t_min)) + c) / t)


def empirical_process_simple(t: float, alpha: float, m: float) -> float:
    """Return the same bound with the constants of the article's introduction."""
    return 0.85 * sqrt((log(log(exp(1) * t / m)) + 0.8 * log(1612 / alpha)) / t)


def least_chance(c: float, a: float = 0.85) -> float:
    """Return the chance of ever crossing the bound with the constant C, at the best eta."""

    def chance(eta: float) -> float:
        root = a - sqrt(2 * (eta - 1) / c)
        gamma = 2 / eta * root * root
        if gamma <= 1 or root <= 0:
            return inf
        return 4 * exp(-gamma * c) * (1 + 1 / ((gamma - 1) * log(eta)))

    # It is infinite from the eta on where gamma is 1: look below that only.
    last = crossing(lambda eta: sqrt(eta / 2) + sqrt(2 * (eta - 1) / c) - a, 1.0, 2 * a * a)
    return chance(lowest(chance, 1 + 1e-9, last - 1e-9))


def double(
    p: float,
    t: float,
    alpha: float,
    t_opt: float,
    delta: float = 0.5,
    s: float = 1.4,
    eta: float = 2.0,
) -> float:
    """Return the bound on t (F_t - p) at the p-quantile, for all p and t at once."""
    later = max(t, t_opt)
    r = p if p >= 0.5 else min(0.5, float(expit(logit(p) + 2 * delta * sqrt(t_opt * eta / later))))
    variance = r * (1 - r)
    steps = sqrt(later / t_opt) * abs(float(logit(p))) / (2 * delta) + 1
    z = float(zeta(s))
    ell = (
        s * log(log(eta * later / t_opt))
        + s * log(steps)
        + log(2 * z * (2 * z + 1) / (alpha * log(eta) ** s))
    )
    k1 = (eta**0.25 + eta**-0.25) / sqrt(2)
    linear = (sqrt(eta) + 1) / 2 * (1 - 2 * p) / 3 * ell
    return (
        delta * sqrt(eta * later * variance / t_opt)
        + sqrt(k1**2 * variance * later * ell + linear**2)
        + linear
    )


def quantile_p_value(
    one: list[float], other: list[float], p: float, t_opt: float, alpha: float = 0.05
) -> float:
    """Return the anytime p-value of "both arms have the same p-quantile" (theorem 5).

    The evidence against a common quantile x is the product of both arms' beta-binomial mixtures
    for the share of values below x; the least over all x counts. Between two neighbouring values
    of an arm, x may count as anywhere from below to above: an arm takes what speaks least.
    """
    mixture = BetaBinomial(scale_at(t_opt * p * (1 - p), alpha), p, 1 - p, False)

    def of_count(below: float, n: int) -> float:
        return mixture.log_value(below - n * p, n * p * (1 - p))

    def least(n: int) -> float:
        return lowest(lambda below: of_count(below, n), 0, n)

    arms = [(sorted(arm), least(len(arm))) for arm in (one, other)]

    def against(x: float) -> float:
        return sum(
            of_count(min(max(best, bisect_left(arm, x)), bisect_right(arm, x)), len(arm))
            for arm, best in arms
        )

    return min(1.0, exp(-min(against(x) for x in {*one, *other})))
