"""Power and band: planning figures against simulation, and the interval for the ratio."""

from __future__ import annotations

import math
import random
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadsman.guards import band
from leadsman.guards.blocks import Block
from leadsman.guards.eprocess import RatioSettings, empty, update
from leadsman.guards.power import (
    detectable_ratio,
    information_fraction,
    minutes_to_detect,
    overdispersion,
    plannable_ratio,
    target,
)

RULES = RatioSettings(0.01, stages=4)
WORKED = (
    (150, 1, 2850, 14),
    (150, 3, 2850, 13),
    (150, 2, 2850, 16),
    (150, 4, 2850, 12),
    (300, 4, 2700, 14),
    (300, 6, 2700, 12),
)


def rows(*counts):
    return [Block(float(at), at + 1.0, *row) for at, row in enumerate(counts, 1)]


@pytest.mark.parametrize(
    ("requests", "weight", "minutes"),
    [
        (2, 0.05, (2260, 637, 99, 18.8)),
        (2, 0.50, (457, 136, 23.9, 5.4)),
        (50, 0.05, (90, 25.5, 3.95, 0.75)),
        (50, 0.25, (23.6, 6.8, 1.1, 0.24)),
        (2000, 0.05, (2.3, 0.64, 0.10, 0.02)),
    ],
)
def test_the_table_of_minutes_to_detect(requests, weight, minutes):
    found = [minutes_to_detect(RULES, r, requests, 0.005, weight) for r in (1.5, 2, 4, 10)]
    assert found == pytest.approx(minutes, rel=0.035, abs=0.0051)


def test_the_planner_turned_round_gives_the_ratio_back():
    minutes = minutes_to_detect(RULES, 2.0, 50, 0.005, 0.05)
    assert plannable_ratio(RULES, 50, 0.005, 0.05, minutes) == pytest.approx(2.0)
    noisy = RatioSettings(0.01, tolerance=0.1, tau2=0.08, phi=1.3)
    minutes = minutes_to_detect(noisy, 2.0, 50, 0.005, 0.05)
    assert minutes > 25.5
    assert plannable_ratio(noisy, 50, 0.005, 0.05, minutes) == pytest.approx(2.0)


def test_what_is_tolerated_or_has_no_traffic_is_never_detected():
    tolerant = RatioSettings(0.01, tolerance=0.5)
    assert minutes_to_detect(tolerant, 1.5, 50, 0.005, 0.05) == math.inf
    assert minutes_to_detect(RULES, 2, 0, 0.005, 0.05) == math.inf
    assert minutes_to_detect(RULES, 2, 50, 0.0, 0.05) == math.inf
    assert minutes_to_detect(RULES, 2, 50, 0.005, 1.0) == math.inf
    assert plannable_ratio(RULES, 0.01, 0.001, 0.05, 10) is None
    assert detectable_ratio(RULES, empty(RULES)) is None


def test_enough_information_and_the_design_ratio_detectable_are_the_same_thing():
    state = empty(RULES)
    for block in rows(*[(500, 5, 1500, 15)] * 400):
        state = update(RULES, state, block, 0)
        ratio = detectable_ratio(RULES, state)
        enough = information_fraction(RULES, state) >= 1
        assert ratio is None or enough == (ratio <= RULES.design_ratio * (1 + 1e-9))
    assert information_fraction(RULES, state) > 1


def test_the_information_needed_is_the_limit_and_the_price_of_the_grid():
    assert target(RULES) == pytest.approx(math.log(100) + math.log(6 / 0.6))


def test_noise_that_is_only_that_of_counting_needs_no_tempering():
    draw = random.Random(7)
    halves = [(sum(draw.random() < 0.5 for _ in range(60)), 60, 0.5) for _ in range(200)]
    assert overdispersion(halves, 5) == 0.0
    wild = [(bad + (12 if index % 2 else -12), 60, 0.5) for index, (bad, _, _) in enumerate(halves)]
    assert 2 < overdispersion(wild, 5) < 5
    assert overdispersion([], 5) == 0.0


def test_tempering_does_not_depend_on_how_long_blocks_are():
    rules = RatioSettings(0.01, tau2=0.5)
    short, long = empty(rules), empty(rules)
    for at in range(60):
        short = update(rules, short, Block(at + 1, at + 2, 10, 2, 90, 9), 0)
    long = update(rules, long, Block(1, 61, 600, 120, 5400, 540), 0)
    assert short.log_e == pytest.approx(long.log_e)


def test_seconds_with_hardly_a_bad_event_are_not_tempered_as_if_each_were_a_storm():
    rules = RatioSettings(0.01, tau2=0.5)
    short, long = empty(rules), empty(rules)
    for minute in range(20):
        start = 1 + 60 * minute
        for second in range(60):
            bad = (1, 1) if second % 20 == 0 else (0, 0)
            at = start + second
            short = update(rules, short, Block(at, at + 1, 10, bad[0], 30, bad[1]), 0)
        long = update(rules, long, Block(start, start + 60, 600, 3, 1800, 3), 0)
    assert short.information == pytest.approx(long.information, rel=0.05)
    assert short.log_e == pytest.approx(long.log_e, rel=0.05)


def test_the_band_is_tempered_as_the_test_is():
    counts = [(60, 3, 540, 12), (0, 0, 9, 1), (60, 0, 540, 0), (60, 2, 540, 12)]
    plain, noisy = band.RatioBand(), band.RatioBand()
    rules = RatioSettings(0.01, tau2=0.5)
    state = empty(rules)
    for block in rows(*counts):
        plain = band.update(RULES, plain, block)
        noisy = band.update(rules, noisy, block)
        state = update(rules, state, block, 0)
    assert noisy.won < plain.won
    assert (noisy.recent_bad, noisy.recent_minutes) == (state.recent_bad, state.recent_minutes)
    assert band.decode(band.encode(noisy)) == noisy


def fed(blocks, rules=RULES):
    seen = band.RatioBand()
    for block in blocks:
        seen = band.update(rules, seen, block)
    return seen


def test_the_worked_example_of_the_interval():
    assert band.interval(fed(rows(*WORKED))) == pytest.approx((1.5422108, 7.3360323), abs=5e-8)


def test_without_data_the_interval_is_open_at_both_ends():
    assert band.interval(band.RatioBand()) == (0.0, math.inf)


COUNTS = st.tuples(
    st.integers(1, 300), st.integers(0, 20), st.integers(1, 300), st.integers(0, 20)
).map(lambda c: (c[0] + c[1], c[1], c[2] + c[3], c[3]))


@settings(max_examples=25, deadline=None)
@given(st.lists(COUNTS, min_size=1, max_size=30))
def test_the_interval_from_nodes_is_that_of_the_whole_likelihood(counts):
    blocks = rows(*counts)
    grid = [math.exp(math.log(32) * (i / 40 - 1)) for i in range(81)]
    logs = [
        math.fsum(
            b.canary_bad * math.log(r)
            - (b.canary_bad + b.stable_bad)
            * math.log((r * b.canary + b.stable) / (b.canary + b.stable))
            for b in blocks
        )
        for r in grid
    ]
    prior = [math.exp(-(math.log(r) ** 2) / 2) for r in grid]
    top = max(logs)
    mean = math.fsum(p * math.exp(v - top) for p, v in zip(prior, logs, strict=True)) / sum(prior)
    edge = math.log(mean) + top - math.log(20)  # as logarithms: hundreds of them are no float
    inside = [r for r, v in zip(grid, logs, strict=True) if v > edge]
    low, high = band.interval(fed(blocks))
    assert low in (0.0, pytest.approx(inside[0]))
    assert high in (math.inf, pytest.approx(inside[-1]))


def test_a_band_restored_in_the_middle_gives_the_same_bits():
    blocks = rows(*WORKED)
    states = list(
        accumulate(blocks, lambda s, b: band.update(RULES, s, b), initial=band.RatioBand())
    )
    text = band.encode(states[3])
    assert len(text) <= 310
    back = band.decode(text)
    for block in blocks:
        back = band.update(RULES, back, block)
    assert back == states[-1]
    assert band.decode(text[:-8]) is None
    assert band.decode("r1" + text[2:]) is None
    assert band.update(RULES, back, Block(50, 51, math.nan, 0, 1, 0)) is back


def test_the_interval_covers_the_truth_at_all_times():
    missed = 0
    for seed in range(100):
        draw, seen, out = random.Random(seed), band.RatioBand(), False
        for at in range(1, 41):
            bad = [sum(draw.random() < p for _ in range(40)) for p in (0.1, 0.05)]
            seen = band.update(RULES, seen, Block(at, at + 1, 40, bad[0], 40, bad[1]))
            if at % 8 == 0:
                low, high = band.interval(seen)
                out = out or not low <= 2.0 <= high
        missed += out
    assert missed <= 100 * 0.05
