"""Two arms, one look or one block: score intervals, Turner's e-value, ranks, Simpson's paradox."""

from __future__ import annotations

from fractions import Fraction
from math import comb, exp, fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadsman.guards.blocks import Block
from leadsman.guards.eprocess import RatioSettings, empty, mh_ratio, update
from leadsman.guards.intervals import newcombe
from leadsman.guards.share import log_evidence_of_counts
from tests.guards.reference import ranks, tables
from tests.guards.reference.observations import FIRST_FIFTEEN, NINETY


def evidence(counts, ratio, tolerance=0.0):
    rules = RatioSettings(0.01, tolerance=tolerance, grid=(ratio,))
    return update(rules, empty(rules), Block(1.0, 2.0, *counts), 0).log_e


@pytest.mark.parametrize(
    ("corrected", "low", "high"), [(True, 0.0528297, 0.3381729), (False, 0.0533338, 0.3377295)]
)
def test_score_intervals(corrected, low, high):
    # Miettinen and Nurminen; Mee. The example is row (a) of Newcombe's table.
    found = tables.score_interval(56, 70, 48, 80, corrected=corrected)
    assert found == pytest.approx((low, high), abs=5e-8)


@pytest.mark.parametrize("gap", [-0.4, -0.1, 0.0, 0.05, 0.3])
@pytest.mark.parametrize("counts", [(56, 70, 48, 80), (9, 10, 3, 10), (5, 56, 0, 29)])
def test_the_closed_form_of_the_constrained_shares_is_where_the_likelihood_is_highest(counts, gap):
    e1, n1, e2, n2 = counts

    def likelihood(p2):
        one = tables.xlogy(e1, p2 + gap) + tables.xlog1py(n1 - e1, -p2 - gap)
        return one + tables.xlogy(e2, p2) + tables.xlog1py(n2 - e2, -p2)

    p1, p2 = tables.constrained(e1, n1, e2, n2, gap)
    assert p1 - p2 == pytest.approx(gap)
    least, most = max(0.0, -gap), min(1.0, 1 - gap)
    others = [least + (most - least) * step / 400 for step in range(1, 400)]
    assert likelihood(p2) >= max(map(likelihood, others)) - 1e-9


@pytest.mark.parametrize("counts", [(56, 70, 48, 80), (9, 10, 3, 10), (5, 56, 2, 29)])
def test_the_engines_interval_for_a_difference_is_close_to_the_score_interval(counts):
    found, score = newcombe(*counts), tables.score_interval(*counts)
    assert found == pytest.approx(score, abs=0.045)
    assert found[0] < counts[0] / counts[1] - counts[2] / counts[3] < found[1]


def test_turners_e_value_of_a_block():
    found = tables.block_log_e_value((150, 3, 2850, 13), (0.02, 0.005))
    assert found == pytest.approx(1.939832041, abs=5e-10)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 10_000),
    st.integers(1, 10_000),
    st.integers(0, 30),
    st.integers(0, 30),
    st.sampled_from([1.2, 2.0, 6.0, 20.0]),
)
def test_for_rare_errors_the_engines_evidence_of_a_block_is_turners(n_c, n_b, e_c, e_b, ratio):
    # A million times the requests at a millionth of the rate: the engine's evidence does not
    # change (it knows shares only), and the growth-optimal e-value becomes the same number.
    many = 1_000_000
    counts = (n_c * many, e_c, n_b * many, e_b)
    rate = 1e-6 / many
    turner = tables.block_log_e_value(counts, (ratio * rate, rate))
    assert evidence(counts, ratio) == pytest.approx(turner, abs=1e-6)


@pytest.mark.parametrize("arms", [(1, 19), (5, 15), (10, 10), (30, 70)])
@pytest.mark.parametrize("ratio", [1.2, 2.0, 6.0, 20.0])
def test_turners_e_value_and_the_engines_both_have_expectation_at_most_one(arms, ratio):
    canary, stable = arms
    guess = 0.04
    cells = [(x, y) for x in range(canary + 1) for y in range(stable + 1)]
    turner, ours = (
        {cell: exp(log_e(cell)) for cell in cells}
        for log_e in (
            lambda c: tables.block_log_e_value(
                (canary, c[0], stable, c[1]), (ratio * guess, guess)
            ),
            lambda c: evidence((canary, c[0], stable, c[1]), ratio),
        )
    )
    for theta in (0.001, 0.04, 0.3, 0.9):
        chance = {
            (x, y): comb(canary, x)
            * comb(stable, y)
            * theta ** (x + y)
            * (1 - theta) ** (canary + stable - x - y)
            for x, y in cells
        }
        assert fsum(chance[cell] * turner[cell] for cell in cells) <= 1 + 1e-12
        assert fsum(chance[cell] * ours[cell] for cell in cells) <= 1 + 1e-12


def test_turners_e_value_has_expectation_one_where_its_guess_is_the_truth():
    # At the mean share of the block the bound is met; elsewhere below it something is given away.
    canary, stable, shares = 5, 15, (0.16, 0.04)
    mean = (canary * shares[0] + stable * shares[1]) / (canary + stable)
    total = fsum(
        comb(canary, x)
        * comb(stable, y)
        * mean ** (x + y)
        * (1 - mean) ** (canary + stable - x - y)
        * exp(tables.block_log_e_value((canary, x, stable, y), shares))
        for x in range(canary + 1)
        for y in range(stable + 1)
    )
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("counts", "shares", "log_e", "p_value"),
    [
        ((148, 62), (0.8, 0.2), 3.0882943342, 0.0455796318),
        ((10, 55), (0.05, 0.95), 1.826641185, None),
        ((40, 129, 233), (0.1, 0.4, 0.5), None, 0.048455911),
    ],
)
def test_lindon_and_maleks_examples_to_all_their_digits(counts, shares, log_e, p_value):
    found = log_evidence_of_counts(counts, shares)
    if log_e is not None:
        digits = len(str(log_e).split(".")[1])
        assert found == pytest.approx(log_e, abs=0.5 * 10**-digits)
    if p_value is not None:
        digits = len(str(p_value).split(".")[1])
        assert exp(-found) == pytest.approx(p_value, abs=0.5 * 10**-digits)


def test_lindon_and_maleks_example_crosses_five_percent_with_its_last_count():
    # 402 is its first crossing of 0.05: one count fewer of the third kind was not enough.
    counts, shares = (40, 129, 233), (0.1, 0.4, 0.5)
    assert sum(counts) == 402
    assert exp(-log_evidence_of_counts(counts, shares)) < 0.05
    assert exp(-log_evidence_of_counts((40, 129, 232), shares)) > 0.05


def test_ranks_of_fifteen_an_arm():
    found = ranks.standardised(*FIRST_FIFTEEN, 0.5)
    assert found == pytest.approx(-1.2245785611, abs=5e-11)


def test_the_shift_between_ninety_an_arm_as_r_finds_it():
    low, high, middle = ranks.shift_interval(*NINETY)
    # The ends are where R's search stops inside a step, so each digit is its search's.
    assert low == pytest.approx(-0.500002521696696, abs=1e-14)
    assert high == pytest.approx(-3.486287505871302e-05, abs=1e-14)
    assert middle == pytest.approx(-0.4999393907180323, abs=1e-14)


def test_ranks_call_a_release_better_in_which_one_request_of_nine_hangs():
    # Why they are not used: most values are a little lower, and how much worse the others are
    # does not enter.
    stable = np.repeat(2.0, 90)
    canary = np.concatenate((np.repeat(1.9, 80), np.repeat(500.0, 10)))
    assert ranks.standardised(canary, stable, 0.5) < -5
    assert float(np.mean(canary)) > 20 * float(np.mean(stable))


WEIGHTS = (Fraction(5, 100), Fraction(10, 100), Fraction(25, 100), Fraction(50, 100))
RATES = (Fraction(2, 1000), Fraction(4, 1000), Fraction(8, 1000), Fraction(12, 1000))


def test_pooled_over_stages_a_good_canary_looks_worse_by_two_thirds():
    # Weights 5-10-25-50 % while errors of both arms rise 0.2-0.4-0.8-1.2 %: Simpson's paradox.
    canary = sum(w * r for w, r in zip(WEIGHTS, RATES, strict=True)) / sum(WEIGHTS)
    stable = sum((1 - w) * r for w, r in zip(WEIGHTS, RATES, strict=True)) / (4 - sum(WEIGHTS))
    assert float(canary) == pytest.approx(0.009444, abs=5e-7)
    assert float(stable) == pytest.approx(0.005645, abs=5e-7)
    assert float(canary / stable) == pytest.approx(1.673, abs=5e-4)


def test_the_engine_is_not_fooled_by_the_same_traffic():
    rules = RatioSettings(0.01, stages=4)
    state = empty(rules)
    for stage, (weight, rate) in enumerate(zip(WEIGHTS, RATES, strict=True)):
        for _ in range(10):
            arms = (weight * 30_000, (1 - weight) * 30_000)
            counts = (float(arms[0]), float(arms[0] * rate), float(arms[1]), float(arms[1] * rate))
            at = state.at if state.at else 1.0
            state = update(rules, state, Block(at, at + 60, *counts), stage)
    pooled = (state.canary_bad / state.canary) / (state.stable_bad / state.stable)
    assert pooled == pytest.approx(1.673, abs=5e-4)
    assert mh_ratio(state) == pytest.approx(1.0)
    assert state.max_log_e < 0.5
