"""The e-process: published figures, the bound on false alarms, and the laws it must keep."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from math import comb, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadsman.guards.blocks import Block
from leadsman.guards.eprocess import (
    RatioSettings,
    decode,
    divergence,
    empty,
    encode,
    log_evidence,
    mh_ratio,
    p_value,
    update,
)

FIRST = ((150, 1, 2850, 14), (150, 3, 2850, 13), (150, 2, 2850, 16), (150, 4, 2850, 12))
SECOND = ((300, 4, 2700, 14), (300, 6, 2700, 12))
FOUR = RatioSettings(0.01, stages=4)


def row(at, canary, canary_bad, stable, stable_bad):
    return Block(float(at), at + 1.0, canary, canary_bad, stable, stable_bad)


def fed(rules, rows, stage=0, state=None):
    state = empty(rules) if state is None else state
    begin = max(1, round(state.at))
    for at, counts in enumerate(rows, begin):
        state = update(rules, state, row(at, *counts), stage)
    return state


def test_the_worked_example_of_one_stage():
    state = fed(FOUR, FIRST)
    assert state.sums[0] == pytest.approx(
        (1.1764440625, 2.4496312627, 3.7601111346, 4.7909611994, 3.4132638569, -13.4515864819),
        abs=5e-11,
    )
    assert state.log_e == pytest.approx(3.2040527693, abs=5e-11)
    assert mh_ratio(state) == pytest.approx(3.0769230769, abs=5e-11)
    assert state.log_e < FOUR.limit
    assert p_value(state) == pytest.approx(math.exp(-3.2040527693))


def test_the_worked_example_goes_on_in_a_second_stage_and_rolls_back():
    state = fed(FOUR, SECOND, 1, fed(FOUR, FIRST))
    assert state.log_e == pytest.approx(7.2806004971, abs=5e-11)
    assert mh_ratio(state) == pytest.approx(3.2478632479, abs=5e-11)
    assert state.log_e > FOUR.limit == pytest.approx(4.605170186)
    assert len(state.sums) == 2


@pytest.mark.parametrize("ratio", [Fraction(12, 10), Fraction(2), Fraction(6), Fraction(20)])
@pytest.mark.parametrize("arms", [(1, 19), (5, 15), (10, 10)])
def test_the_expectation_of_a_blocks_evidence_is_at_most_one_whatever_the_base_rate(arms, ratio):
    canary, stable = arms
    for theta in (Fraction(1, 1000), Fraction(1, 20), Fraction(3, 10), Fraction(9, 10)):
        mean = sum(
            chance(canary, x, theta) * chance(stable, y, theta) * likelihood(arms, x, y, ratio)
            for x in range(canary + 1)
            for y in range(stable + 1)
        )
        assert mean <= 1


@pytest.mark.parametrize("ratio", [1.2, 2.0, 6.0, 20.0])
@pytest.mark.parametrize("margin", [1.0, 1.25])
@pytest.mark.parametrize("arms", [(1, 19), (5, 15), (10, 10), (30, 70)])
def test_the_engines_evidence_for_a_block_has_expectation_at_most_one(arms, ratio, margin):
    rules = RatioSettings(0.01, tolerance=margin - 1, grid=(ratio,))
    canary, stable = arms
    table = {
        (x, y): math.exp(update(rules, empty(rules), row(1, canary, x, stable, y), 0).log_e)
        for x in range(canary + 1)
        for y in range(stable + 1)
    }
    for theta in (0.001, 0.01, 0.1, 0.3, 0.7, 0.9 if margin == 1 else 0.79):
        ours = [float(chance(canary, x, theta * margin)) for x in range(canary + 1)]
        theirs = [float(chance(stable, y, theta)) for y in range(stable + 1)]
        mean = math.fsum(ours[x] * theirs[y] * e for (x, y), e in table.items())
        assert mean <= 1 + 1e-12
        if (arms, ratio, margin, theta) == ((5, 15), 20.0, 1.0, 0.001):
            assert mean == pytest.approx(0.99997955, abs=5e-9)


def chance(n, x, theta):
    return comb(n, x) * theta**x * (1 - theta) ** (n - x)


def likelihood(arms, x, y, ratio):
    canary, stable = arms
    base = Fraction(canary + stable) / (ratio * canary + stable)
    return ratio**x * base ** (x + y)


def test_base_errors_that_jump_in_both_arms_are_no_evidence():
    quiet, storm = (100, 1, 900, 9), (100, 10, 900, 90)
    state = fed(RatioSettings(0.01, stages=4), [quiet] * 10 + [storm] * 30)
    assert state.max_log_e < 0.5


def test_the_order_of_shares_between_blocks_cannot_fake_a_difference():
    # Simpson: pooled, the canary looks 1.36 times worse; in each block both arms are alike.
    state = fed(FOUR, [(200, 1, 1800, 9), (900, 9, 900, 9)] * 20)
    assert state.log_e < 0.5
    assert mh_ratio(state) == pytest.approx(1.0, abs=0.07)


def test_a_block_without_requests_in_one_arm_says_nothing_but_its_time_has_passed():
    state = fed(FOUR, [(0, 0, 500, 5)])
    assert (state.log_e, state.blocks, state.at) == (0.0, 0, 2.0)
    assert fed(FOUR, [(500, 5, 0, 0)]).log_e == 0.0


@pytest.mark.parametrize(
    "counts",
    [
        (math.nan, 1, 10, 1),
        (10, math.inf, 10, 1),
        (10, -1, 10, 1),
        (10, 11, 10, 1),
        (10, 1, 1e300, 1),
    ],
)
def test_a_block_that_is_not_sound_changes_nothing(counts):
    state = fed(FOUR, FIRST)
    assert update(FOUR, state, row(9, *counts), 0) is state
    assert update(FOUR, state, Block(9, math.nan, 10, 1, 10, 1), 0) is state


def test_a_block_counts_once_and_an_overlapping_one_not_at_all():
    state = fed(FOUR, FIRST)
    assert update(FOUR, state, row(4, *FIRST[3]), 0) is state
    assert update(FOUR, state, Block(4.5, 5.5, 10, 10, 10, 0), 0) is state


def test_overwhelming_evidence_in_either_direction_stays_a_number():
    worse = fed(FOUR, [(1e6, 1e6, 1e6, 0)] * 50)
    better = fed(RatioSettings(0.01), [(1e6, 0, 1e6, 1e6)] * 50)
    assert worse.log_e > 1e6
    assert p_value(worse) == 0.0
    assert better.log_e < -1e6
    assert math.isfinite(better.log_e)


@pytest.mark.parametrize(("stages", "restarts", "size"), [(30, 8, 700), (30, 4, 450), (4, 8, 700)])
def test_the_state_stays_small_with_any_number_of_stages(stages, restarts, size):
    rules = RatioSettings(0.01, stages=stages, restarts=restarts)
    state = empty(rules)
    for stage in range(stages):
        state = fed(rules, FIRST, stage, state)
    assert len(state.sums) == min(stages, restarts)
    assert len(encode(state)) <= size
    assert decode(encode(state)) == state


def test_late_harm_is_found_sooner_by_the_evidence_that_starts_with_the_stage():
    good, bad = [(50, 0, 950, 10)] * 60, [(250, 5, 750, 7)] * 12
    restarting = RatioSettings(0.01, stages=4)
    fixed = RatioSettings(0.01, stages=4, global_weight=1.0)
    late = [fed(rules, bad, 1, fed(rules, good)).log_e for rules in (restarting, fixed)]
    assert late[0] > late[1] + 1


@pytest.mark.parametrize("text", ["", "r1", "r1AAAA", "r2" + "A" * 160, "r1" + "/" * 160, "r1é"])
def test_text_that_is_no_state_is_refused(text):
    assert decode(text) is None


def test_tempering_weakens_evidence_and_none_means_none():
    plain = fed(FOUR, FIRST).log_e
    assert fed(RatioSettings(0.01, stages=4, tau2=0.3), FIRST).log_e < plain
    assert fed(RatioSettings(0.01, stages=4, phi=1.33), FIRST).log_e < plain


def test_the_control_of_stable_against_itself_sees_both_directions():
    rules = RatioSettings(0.05, two_sided=True)
    up = fed(rules, [(500, 8, 500, 2)] * 10)
    down = fed(rules, [(500, 2, 500, 8)] * 10)
    assert up.log_e == pytest.approx(down.log_e)
    assert up.log_e > rules.limit
    assert fed(rules, [(500, 5, 500, 5)] * 10).log_e < 0


def test_information_is_the_evidence_that_the_design_ratio_would_bring():
    state = fed(FOUR, FIRST)
    q, p = 1.5 * 0.05 / (1.5 * 0.05 + 0.95), 0.05
    each = q * log(q / p) + (1 - q) * log((1 - q) / (1 - p))
    assert state.information == pytest.approx(65 * each)
    assert divergence(1.5, 0.05) == pytest.approx(each)
    assert fed(RatioSettings(0.01, tolerance=0.5), FIRST).information == pytest.approx(0, abs=1e-12)


COUNTS = st.tuples(
    st.integers(0, 400), st.integers(0, 40), st.integers(0, 4000), st.integers(0, 400)
).map(lambda c: (c[0] + c[1], c[1], c[2] + c[3], c[3]))
RULES = st.builds(
    RatioSettings,
    st.sampled_from([0.01, 0.05]),
    tolerance=st.sampled_from([0.0, 0.1, 0.25]),
    stages=st.integers(1, 12),
    tau2=st.sampled_from([0.0, 0.07]),
)


@settings(max_examples=60, deadline=None)
@given(RULES, COUNTS.filter(lambda c: c[1] > 0 and c[2] > c[3]))
def test_an_error_moved_from_canary_to_stable_never_raises_the_evidence(rules, counts):
    canary, canary_bad, stable, stable_bad = counts
    here = fed(rules, [counts]).log_e
    there = fed(rules, [(canary, canary_bad - 1, stable, stable_bad + 1)]).log_e
    assert there <= here + 1e-9


@settings(max_examples=60, deadline=None)
@given(RULES, st.lists(COUNTS, min_size=1, max_size=8), st.integers(0, 8))
def test_a_restart_after_any_block_gives_the_same_bits(rules, rows, stop):
    whole = stopped = empty(rules)
    for index, counts in enumerate(rows):
        block = row(index + 1, *counts)
        whole = update(rules, whole, block, index)
        if index == stop:
            back = decode(encode(stopped))
            assert back == stopped
            stopped = back
            for old in range(index):
                stopped = update(rules, stopped, row(old + 1, *rows[old]), old)
        stopped = update(rules, stopped, block, index)
    assert stopped == whole
    assert log_evidence(rules, whole) == whole.log_e


def test_good_releases_are_hardly_ever_called_bad():
    rules = RatioSettings(0.05, stages=4)
    alarms = 0
    for seed in range(300):
        draw = random.Random(seed)
        state = empty(rules)
        for index in range(40):
            canary, stable = (30, 270) if index < 20 else (150, 150)
            bad = [sum(draw.random() < 0.02 for _ in range(n)) for n in (canary, stable)]
            block = row(index + 1, canary, bad[0], stable, bad[1])
            state = update(rules, state, block, index // 10)
        alarms += state.max_log_e >= rules.limit
    assert alarms <= 300 * 0.05
