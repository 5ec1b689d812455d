"""Poisson numbers, drawn exactly.

Requests that arrive by themselves and are routed one by one are four independent Poisson streams
(good and bad, canary and stable), so this one law is all that traffic needs. A normal approximation
would be faster and wrong exactly where guards live, in the tails: small means are drawn by
inversion, large ones by Hormann's transformed rejection with squeeze (PTRS, in "The transformed
rejection method for generating Poisson random variables", Insurance: Mathematics and Economics 12,
1993), which is exact up to the precision of floats.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, floor, lgamma, log, sqrt

SMALL = 12.0
"""Up to this mean, inversion is the faster of the two."""


def poisson(uniform: Callable[[], float], mean: float) -> int:
    """Draw one number of the given mean; `uniform` gives numbers in [0, 1)."""
    if mean <= 0:
        return 0
    return _inverted(uniform, mean) if mean < SMALL else _rejected(uniform, mean)


def _inverted(uniform: Callable[[], float], mean: float) -> int:
    left = uniform()
    chance = exp(-mean)
    count = 0
    # Beyond 200 the chance of a mean below 12 is under 1e-150: rounding must not loop for ever.
    while left >= chance and count < 200:
        left -= chance
        count += 1
        chance *= mean / count
    return count


def _rejected(uniform: Callable[[], float], mean: float) -> int:
    root = sqrt(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    squeeze = 0.9277 - 3.6224 / (b - 2)
    while True:
        u = uniform() - 0.5
        v = 1 - uniform()
        edge = 0.5 - abs(u)
        if edge <= 0:
            continue
        k = floor((2 * a / edge + b) * u + mean + 0.43)
        if edge >= 0.07 and v <= squeeze:
            return k
        if k < 0 or (edge < 0.013 and v > edge):
            continue
        hat = log(v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (edge * edge) + b))
        if hat <= k * log(mean) - mean - lgamma(k + 1):
            return k
