"""Shares and budgets: a broken split is seen, and the chances add up to one budget."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsman.guards import budget, share
from leadsman.guards.share import ShareSettings, ShareState, log_evidence_of_counts

RULES = ShareSettings(0.001)


def fed(rows, rules=RULES):
    state = ShareState()
    for at, (weight, canary, stable) in enumerate(rows, 1):
        state = share.update(rules, state, float(at), weight, canary, stable)
    return state


@pytest.mark.parametrize(
    ("counts", "shares", "evidence"),
    [
        ((148, 62), (0.8, 0.2), 3.0882943342),
        ((10, 55), (0.05, 0.95), 1.826641185),
        ((40, 129, 233), (0.1, 0.4, 0.5), -math.log(0.048455911)),
    ],
)
def test_the_published_examples(counts, shares, evidence):
    assert log_evidence_of_counts(counts, shares) == pytest.approx(evidence, abs=2e-8)


@pytest.mark.parametrize("weight", [Fraction(1, 20), Fraction(1, 2)])
def test_the_expectation_under_an_honest_split_is_one(weight):
    p = float(weight)
    mean = sum(
        comb(40, x)
        * p**x
        * (1 - p) ** (40 - x)
        * math.exp(log_evidence_of_counts((x, 40 - x), (p, 1 - p)))
        for x in range(41)
    )
    assert mean == pytest.approx(1.0)


def test_an_honest_router_raises_no_alarm():
    for seed in range(100):
        draw, rows = random.Random(seed), []
        for weight in (0.05, 0.25, 0.5):
            for _ in range(20):
                canary = sum(draw.random() < weight for _ in range(60))
                rows.append((weight, canary, 60 - canary))
        assert fed(rows).max_log_e < RULES.limit


def test_a_router_that_ignores_its_weight_is_seen_in_any_stage():
    honest = [(0.05, 50, 950)] * 20 + [(0.1, 100, 900)] * 20
    assert fed(honest).log_e < 0
    assert fed([*honest, *[(0.25, 100, 900)] * 3]).log_e > RULES.limit
    assert fed([(0.2, 0, 200)]).log_e > RULES.limit


def test_a_rounding_within_the_slack_is_honoured_and_beyond_it_is_not():
    lax = ShareSettings(0.001, slack=0.05)
    rounded = [(0.05, 520, 9480)] * 200
    assert fed(rounded).log_e > RULES.limit
    assert fed(rounded, lax).log_e < 0
    assert fed([(0.05, 600, 9400)] * 200, lax).log_e > lax.limit


def test_bursts_by_connection_weaken_the_evidence():
    rows = [(0.2, 130, 370)]
    assert fed(rows, ShareSettings(0.001, phi=10)).log_e < fed(rows).log_e


def test_what_says_nothing_about_a_split_changes_nothing_but_the_time():
    state = fed([(0.2, 20, 80)])
    assert share.update(RULES, state, 2.0, 1.0, 100, 0) == state._replace(at=2.0)
    assert share.update(RULES, state, 2.0, 0.2, 0, 0) == state._replace(at=2.0)
    for at, canary in ((1.0, 5), (math.nan, 5), (2.0, math.nan), (2.0, -1), (2.0, math.inf)):
        assert share.update(RULES, state, at, 0.2, canary, 5) is state


def test_a_restored_share_goes_on_with_the_same_bits():
    rows = [(0.1, 10, 90), (0.1, 12, 80), (0.2, 20, 70), (0.2, 25, 90), (0.1, 9, 99)]
    state = fed(rows[:3])
    back = share.decode(share.encode(state))
    assert back == state
    for at, row in enumerate(rows, 1):
        back = share.update(RULES, back, float(at), *row)
    assert back == fed(rows)
    assert share.decode("") is None
    assert share.decode("s1AAAA") is None


def test_a_budget_is_divided_and_retries_spend_it():
    assert budget.of_attempt(0.01, 0) == 0.01
    assert budget.of_attempt(0.01, 3) == 0.01 / 8
    assert budget.of_attempt(0.01, 10**9) > 0
    assert budget.of_guards(0.01, (1, 1, 2)) == pytest.approx((0.0025, 0.0025, 0.005))
    assert budget.of_guards(0.01, ()) == ()
    assert budget.of_slices(0.01, 0) == (0.01, 0.0)
    whole, each = budget.of_slices(0.01, 20)
    assert whole + 20 * each == pytest.approx(0.01)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=6))
def test_the_mean_evidence_lies_between_its_parts(logs):
    weights = [1 / len(logs)] * len(logs)
    mean = budget.mean_log_evidence(weights, logs)
    assert min(logs) - 1e-9 <= mean <= max(logs) + 1e-9
    assert logs[budget.offender(weights, logs)] == max(logs)


def test_several_guards_that_are_a_little_worse_add_up():
    assert budget.mean_log_evidence((0.5, 0.5), (4.0, 4.0)) == pytest.approx(4.0)
    assert budget.mean_log_evidence((), ()) == -math.inf
    assert budget.mean_log_evidence((0.0,), (4.0,)) == -math.inf
    assert budget.mean_log_evidence((0.5, 0.5), (1e5, 0)) == pytest.approx(1e5 + math.log(0.5))
    assert budget.offender((0.9, 0.1), (1.0, 2.0)) == 0
    assert budget.offender((), ()) is None
