"""Gauges and differences: worked figures, the rule of 20 blocks, and their error rates."""

from __future__ import annotations

import math
import random
from functools import reduce

import pytest

from leadsman.guards import difference, gauges
from leadsman.guards.absolute import normal_scale
from leadsman.guards.blocks import Block
from leadsman.guards.difference import DifferenceSettings, DifferenceState
from leadsman.guards.gauges import MeanSettings, MeanState

VALUES = (0.1, 0.2, -0.05, 0.3, 0.15, 0.12, 0.02, 0.25, 0.18, 0.07)


def fed(values):
    state = MeanState()
    for at, value in enumerate(values, 1):
        state = gauges.update(state, float(at), value, 0.0)
    return state


def test_the_worked_example_of_the_asymptotic_bounds():
    state, scale = fed(VALUES), gauges.asymptotic_scale(20, 0.05)
    assert scale == pytest.approx(0.6299267657, abs=5e-11)
    assert state.mean == pytest.approx(0.134)
    two = gauges.asymptotic_radius(state, 0.05, scale)
    one = gauges.asymptotic_radius(state, 0.05, scale, one_sided=True)
    assert (two, one) == pytest.approx((0.0975305048, 0.0888019610), abs=5e-11)


def test_the_bound_on_a_sum_is_robbins_normal_mixture():
    scale = 1 / math.sqrt(normal_scale(100, 0.05))
    assert gauges.normal_radius(100, 0.05, scale, False) == pytest.approx(30.35209, abs=5e-6)


@pytest.mark.parametrize(
    ("g", "evidence", "radius"),
    [(1, 3.1842519948, 0.1290186873), (5, 2.2449592762, 0.1788703228)],
)
def test_the_worked_example_of_the_anytime_t(g, evidence, radius):
    state = fed(VALUES)
    assert gauges.t_log_evidence(state, g=g) == pytest.approx(evidence, abs=5e-11)
    assert gauges.t_radius(state, 0.05, g) == pytest.approx(radius, abs=5e-11)


def test_nothing_is_bounded_before_twenty_blocks():
    rules = MeanSettings(0.01)
    worse = [1 + value for value in VALUES] * 2
    early, late = fed(worse[:-1]), fed(worse)
    assert not gauges.is_harmful(rules, early)
    assert gauges.log_evidence(rules, early) == 0.0
    assert gauges.worsening_at_most(rules, early) == math.inf
    assert gauges.is_harmful(rules, late)
    assert gauges.log_evidence(rules, late) > math.log(100)
    assert gauges.asymptotic_radius(fed([1]), 0.01, 1.0) == math.inf
    assert gauges.t_radius(fed([1]), 0.01) == math.inf
    assert gauges.t_log_evidence(fed([1])) == 0.0


def test_which_way_is_worse_is_the_guards_word():
    better = fed([1 + value for value in VALUES] * 2)
    rules = MeanSettings(0.01, higher_is_worse=False)
    assert not gauges.is_harmful(rules, better)
    assert gauges.is_not_inferior(rules, better)
    assert gauges.is_harmful(rules, fed([-1 + value for value in VALUES] * 2))


def test_a_worsening_within_the_margin_is_neither_harm_nor_doubt():
    rules = MeanSettings(0.01, margin=1.0)
    state = fed(VALUES * 6)
    assert not gauges.is_harmful(rules, state)
    assert gauges.is_not_inferior(rules, state)


@pytest.mark.parametrize(
    ("margin", "ratio", "stable", "wanted"),
    [
        (0.02, 1.5, 0.1, 0.05),
        (0.02, 1.5, -0.1, 0.05),
        (0.02, 1.1, 0.1, 0.04),
        (0.02, 1.2, 0.1, 0.04),
        (0.02, 1.5, 0.0, 0.04),
        (0.0, 1.5, 0.0, 0.0),
    ],
    ids=[
        "half of stable's mean",
        "whatever its sign",
        "within the margin: twice the margin",
        "at the margin: twice the margin",
        "no mean: twice the margin",
        "nothing to go by",
    ],
)
def test_the_worsening_that_must_not_stay_hidden(margin, ratio, stable, wanted):
    rules = MeanSettings(0.01, margin)
    assert gauges.design(rules, ratio, stable) == pytest.approx(wanted, abs=1e-12)


def test_information_is_all_there_once_the_design_would_be_shown_and_never_early():
    rules, seen = MeanSettings(0.01, 0.05), [gauges.update(MeanState(), 1.0, 0.1, 0.0)]
    draw = random.Random(3)
    for at in range(2, 301):
        seen.append(gauges.update(seen[-1], float(at), draw.gauss(0.02, 0.2), 0.0))
    for state in seen:
        told = gauges.information(rules, state, 0.12)
        assert (told >= 1) == (gauges.detectable(rules, state) <= 0.12)
        assert 0 <= told <= 1
        # One pair tells as little of the radius as none.
        assert told == 0 or state.pairs > 1
    assert gauges.information(rules, seen[199], 0.09) < 1 == gauges.information(rules, seen[-1], 9)
    wide, narrow = (gauges.information(rules, seen[n], 0.06) for n in (74, 299))
    assert narrow / wide == pytest.approx(4, rel=0.35), "the radius goes with the root"


def test_even_gauges_wait_for_twenty_pairs():
    state = MeanState(19.0, 19, 0.0, 0.0)
    assert gauges.information(MeanSettings(0.01, 0.1), state, 1.0) == 19 / 20
    assert gauges.detectable(MeanSettings(0.01, 0.1), state) == math.inf


def test_nothing_is_ever_enough_where_no_worsening_is_named():
    state = fed(VALUES * 50)
    assert gauges.information(MeanSettings(0.01), state, 0.0) == 0.0


def test_gauges_that_are_always_equal_are_no_harm():
    state = MeanState()
    for at in range(1, 31):
        state = gauges.update(state, float(at), 0.1 + 0.2, 0.3)
    assert not gauges.is_harmful(MeanSettings(0.01), state)
    assert gauges.is_not_inferior(MeanSettings(0.01), state)
    assert gauges.t_log_evidence(state) < 0 < gauges.t_log_evidence(state, 1.0)


def test_a_restored_mean_goes_on_with_the_same_bits_and_old_pairs_do_not_count():
    state = fed(VALUES)
    back = gauges.decode(gauges.encode(state))
    assert back == state
    assert gauges.update(back, 10.0, 5, 0) is back
    assert gauges.update(back, 11.0, math.nan, 0) is back
    assert gauges.update(back, math.inf, 1, 0) is back
    assert gauges.update(back, 11.0, 0.4, 0.1) == gauges.update(state, 11.0, 0.4, 0.1)
    assert gauges.decode("") is None
    assert gauges.decode("r1" + gauges.encode(state)[2:]) is None


def test_even_gauges_are_hardly_ever_called_worse():
    rules = MeanSettings(0.05)
    alarms = 0
    for seed in range(300):
        draw, state, harmful = random.Random(seed), MeanState(), False
        for at in range(1, 101):
            state = gauges.update(state, float(at), draw.gauss(3, 1), draw.gauss(3, 1))
            harmful = harmful or gauges.is_harmful(rules, state)
        alarms += harmful
    assert alarms <= 300 * 0.05


MARGIN = DifferenceSettings(0.025, 0.005)


def compared(rows):
    blocks = [Block(float(at), at + 1.0, *row) for at, row in enumerate(rows, 1)]
    return reduce(difference.update, blocks, DifferenceState())


def drawn(seed, count, canary, stable, requests=(500, 500)):
    draw = random.Random(seed)
    bad = [
        [sum(draw.random() < p for _ in range(n)) for n, p in zip(requests, rates, strict=True)]
        for rates in [(canary, stable)] * count
    ]
    return [(requests[0], b[0], requests[1], b[1]) for b in bad]


def test_the_estimate_of_a_difference_is_not_fooled_by_changing_weights():
    state = compared([(200, 1, 1800, 9), (900, 9, 900, 9)] * 10)
    assert difference.estimate(state) == pytest.approx(0.0)
    assert difference.estimate(DifferenceState()) is None


def test_a_canary_like_stable_is_not_inferior_once_there_is_enough():
    state = compared(drawn(1, 40, 0.005, 0.005))
    low, high = difference.bounds(MARGIN, state)
    assert low < 0 < high < 0.005
    assert difference.is_not_inferior(MARGIN, state)
    assert not difference.is_harmful(MARGIN, state)


def test_a_canary_beyond_the_margin_is_harmful_and_never_not_inferior():
    state = compared(drawn(2, 40, 0.03, 0.005))
    assert difference.is_harmful(MARGIN, state)
    assert not difference.is_not_inferior(MARGIN, state)


def test_no_error_at_all_in_few_requests_proves_nothing():
    quiet = compared([(2, 0, 20, 0)] * 30)
    assert not difference.is_not_inferior(MARGIN, quiet)
    assert difference.is_not_inferior(MARGIN, compared([(500, 0, 500, 0)] * 30))


def test_a_difference_bounds_nothing_before_twenty_blocks():
    assert difference.bounds(MARGIN, compared([(500, 50, 500, 0)] * 19)) == (-math.inf, math.inf)


def test_a_canary_at_the_margin_is_hardly_ever_called_not_inferior():
    rules = DifferenceSettings(0.05, 0.01)
    wrong = 0
    for seed in range(100):
        state, passed = DifferenceState(), False
        for at, row in enumerate(drawn(seed, 60, 0.02, 0.01, (40, 80)), 1):
            state = difference.update(state, Block(float(at), at + 1.0, *row))
            passed = passed or difference.is_not_inferior(rules, state)
        wrong += passed
    assert wrong <= 100 * 0.05


def test_a_restored_difference_goes_on_with_the_same_bits():
    rows = drawn(3, 25, 0.01, 0.01)
    state = compared(rows)
    back = difference.decode(difference.encode(state))
    assert back == state
    assert difference.update(back, Block(3.0, 4.0, *rows[2])) is back
    assert difference.update(back, Block(40.0, 41.0, 0, 0, 5, 0)) == state._replace(at=41.0)
    assert difference.decode("") is None


def test_the_sample_that_proves_half_a_point():
    assert difference.sample_size(0.005, 0.005) == pytest.approx(4180, rel=0.001)
    assert difference.sample_size(0.0, 0.005) == math.inf
