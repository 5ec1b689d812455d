"""Poisson numbers follow their law: in the middle, in the tails, and at both ways of drawing."""

from __future__ import annotations

from math import exp, lgamma, log
from random import Random

import pytest

from leadsman.simulation.draw import SMALL, poisson


def chance(mean: float, count: int) -> float:
    return exp(count * log(mean) - mean - lgamma(count + 1))


@pytest.mark.parametrize("mean", [0.02, 0.7, 4.0, SMALL - 0.01, SMALL, 35.0, 150.0])
def test_the_numbers_have_the_chances_of_the_law(mean: float) -> None:
    random, draws = Random("law"), 20_000
    counts: dict[int, int] = {}
    for _ in range(draws):
        found = poisson(random.random, mean)
        counts[found] = counts.get(found, 0) + 1
    surprise, cells, rest, expected_rest = 0.0, 0, draws, float(draws)
    for count in range(int(mean * 3) + 30):
        expected = draws * chance(mean, count)
        if expected >= 8:
            surprise += (counts.get(count, 0) - expected) ** 2 / expected
            rest -= counts.get(count, 0)
            expected_rest -= expected
            cells += 1
    if expected_rest > 1:
        surprise += (rest - expected_rest) ** 2 / expected_rest
    # Chi-square of `cells` degrees: mean cells, deviation sqrt(2 cells); five of them are far out.
    assert surprise < cells + 5 * (2 * max(cells, 1)) ** 0.5 + 5


@pytest.mark.parametrize("mean", [3.0, 40.0])
def test_the_upper_tail_is_neither_thin_nor_fat(mean: float) -> None:
    random, draws = Random("tail"), 40_000
    edge = next(k for k in range(500) if sum(chance(mean, i) for i in range(k)) > 0.999)
    beyond = 1 - sum(chance(mean, i) for i in range(edge))
    found = sum(poisson(random.random, mean) >= edge for _ in range(draws))
    assert abs(found - draws * beyond) < 5 * (draws * beyond) ** 0.5


def test_no_rate_gives_nothing_and_the_same_seed_the_same_numbers() -> None:
    assert poisson(Random(1).random, 0.0) == 0
    one, other = Random("s"), Random("s")
    assert [poisson(one.random, 30.0) for _ in range(50)] == [
        poisson(other.random, 30.0) for _ in range(50)
    ]
