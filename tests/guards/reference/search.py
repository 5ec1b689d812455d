"""Zeros and minima of functions of one number, by halving and by the golden section.

Plain on purpose: a reference must be right before it is fast, and these need no more than a sign
or an order. (scipy.optimize would do as well, and costs each test process a second to import.)
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

GOLDEN = (sqrt(5) - 1) / 2


def crossing(f: Callable[[float], float], low: float, high: float) -> float:
    """Return where `f` changes its sign between `low` and `high`, to the last bit."""
    rising = f(low) < 0
    if rising == (f(high) < 0):
        raise ValueError("the same sign at both ends")
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return middle
        low, high = (middle, high) if (f(middle) < 0) == rising else (low, middle)


def lowest(f: Callable[[float], float], low: float, high: float) -> float:
    """Return where `f`, which falls and then rises between the ends, is lowest (to about 1e-8)."""
    one, two = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_one, at_two = f(one), f(two)
    while high - low > 1e-9 * (abs(low) + abs(high)):
        if at_one <= at_two:
            high, two, at_two = two, one, at_one
            one = high - GOLDEN * (high - low)
            at_one = f(one)
        else:
            low, one, at_one = one, two, at_two
            two = low + GOLDEN * (high - low)
            at_two = f(two)
    return (low + high) / 2
