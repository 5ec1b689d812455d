"""The absolute limit: published figures, its bound on false alarms, and the interval."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from itertools import accumulate
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadsman.guards.absolute import (
    AbsoluteSettings,
    AbsoluteState,
    beta_prior,
    decode,
    encode,
    interval,
    log_beta,
    log_beta_below,
    log_evidence,
    normal_scale,
    update,
)
from leadsman.guards.blocks import Block

RULES = AbsoluteSettings(0.01, 0.05)


def blocks(*rows):
    return [Block(float(at), at + 1.0, *row, 0, 0) for at, row in enumerate(rows, 1)]


def test_the_incomplete_beta_integral():
    assert share_below(2, 3, 0.4) == pytest.approx(0.5248, abs=1e-12)
    assert share_below(500, 700, 0.42) == pytest.approx(0.5937664455, abs=5e-11)
    assert log_beta_below(2, 3, 0) == -math.inf
    assert log_beta_below(2, 3, 1) == log_beta(2, 3)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (3, 9), (40, 7), (12, 12)])
@pytest.mark.parametrize("x", [Fraction(1, 100), Fraction(1, 3), Fraction(9, 10)])
def test_the_incomplete_beta_integral_is_a_binomial_tail(a, b, x):
    n = a + b - 1
    tail = sum(comb(n, k) * x**k * (1 - x) ** (n - k) for k in range(a, n + 1))
    assert share_below(a, b, float(x)) == pytest.approx(float(tail), rel=1e-10)


def share_below(a, b, x):
    return math.exp(log_beta_below(a, b, x) - log_beta(a, b))


def test_the_mixtures_of_howard_et_al():
    assert normal_scale(100, 0.05) == pytest.approx(12.60056, abs=5e-6)
    total, theta = 625, 0.2
    bad = 10 + total * theta
    null = bad * math.log(theta) + (total - bad) * math.log(1 - theta)
    a, b = beta_prior(theta, 100, 0.05)
    both = log_beta(a + bad, b + total - bad) - log_beta(a, b) - null
    assert both == pytest.approx(-0.6941012, abs=5e-8)
    rules = AbsoluteSettings(0.05, theta, expected=125)
    assert log_evidence(rules, total, bad) == pytest.approx(-0.07134019, abs=5e-9)


@pytest.mark.parametrize(
    ("bad", "total", "alpha", "tuned", "low", "high"),
    [
        (700, 1000, 0.05, 100, 0.651629, 0.745949),
        (15, 50, 0.05, 50, 0.129556, 0.511896),
        (5, 50, 0.05, 50, 0.013021, 0.269264),
        (1, 50, 0.05, 50, 0, 0.13489),
        (100, 200, 0.05, 1, 0.328923, 0.671076),
        (5, 1000, 0.05, 1000, 0.000628030, 0.014676912),
        (12, 3000, 0.05, 1000, 0.001252200, 0.008540813),
        (50, 10000, 0.01, 1000, 0.002754440, 0.008052728),
    ],
)
def test_the_interval_that_holds_at_all_times(bad, total, alpha, tuned, low, high):
    # As many digits as the source gives: six, or nine for the small shares.
    digits = 9 if high < 0.1 else 6
    assert interval(total, bad, alpha, tuned) == pytest.approx((low, high), abs=1.6 * 10**-digits)


def test_an_interval_without_events_or_at_an_edge():
    assert interval(0, 0) == (0.0, 1.0)
    assert interval(50, 0)[0] == 0.0
    assert interval(50, 50)[1] == 1.0


@pytest.mark.parametrize("theta", [0.05, 0.04, 0.01, 0.0001])
def test_at_or_below_the_limit_the_evidence_has_expectation_at_most_one(theta):
    for total in (1, 10, 100):
        mean = math.fsum(
            comb(total, bad)
            * theta**bad
            * (1 - theta) ** (total - bad)
            * math.exp(log_evidence(RULES, total, bad))
            for bad in range(total + 1)
        )
        assert mean <= 1 + 1e-9
        if theta == 0.05:
            assert mean == pytest.approx(1.0)


def test_a_canary_at_twice_its_limit_fails_and_a_better_one_never():
    bad = update(RULES, AbsoluteState(), blocks((1000, 100))[0])
    good = update(RULES, AbsoluteState(), blocks((100_000, 100))[0])
    assert bad.log_e > RULES.bar
    assert good.log_e < 0
    assert math.isfinite(good.log_e)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5000), st.integers(0, 5000))
def test_one_more_bad_event_never_lowers_the_evidence(total, bad):
    bad = min(bad, total - 1)
    assert log_evidence(RULES, total, bad + 1) >= log_evidence(RULES, total, bad) - 1e-7


def test_a_state_restored_in_the_middle_gives_the_same_bits():
    rows = blocks((30, 1), (0, 0), (40, 3), (50, 2))
    states = list(accumulate(rows, lambda s, b: update(RULES, s, b), initial=AbsoluteState()))
    back = decode(encode(states[2]))
    for block in rows:
        back = update(RULES, back, block)
    assert back == states[-1]
    assert decode("") is None
    assert decode(encode(back)[:-11]) is None
    assert update(RULES, back, Block(9, 10, math.nan, 0, 0, 0)) is back
    assert update(RULES, back, Block(9, 10, 5, 6, 0, 0)) is back


def test_good_canaries_are_hardly_ever_called_bad():
    rules = AbsoluteSettings(0.05, 0.02)
    alarms = 0
    for seed in range(200):
        draw = random.Random(seed)
        state = AbsoluteState()
        for at in range(1, 31):
            bad = sum(draw.random() < 0.02 for _ in range(50))
            state = update(rules, state, Block(at, at + 1, 50, bad, 0, 0))
        alarms += state.max_log_e >= rules.bar
    assert alarms <= 200 * 0.05
