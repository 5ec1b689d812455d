"""Blocks: where they begin and end, and that only the samples decide it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from leadsman.guards.blocks import Block, blocks
from leadsman.guards.windows import ArmCounts


def arm(*increments):
    counts = ArmCounts(1e9)
    for at, total, bad in increments:
        counts.add(at, total, bad)
    return counts


def test_one_interval_of_the_slower_arm_is_one_block():
    canary = arm((101, 10, 1), (102, 10, 0), (103, 10, 0), (104, 10, 2))
    stable = arm((102, 90, 3), (104, 90, 4))
    assert blocks(canary, stable, 100, 0) == (
        Block(100, 102, 20, 1, 90, 3),
        Block(102, 104, 20, 2, 90, 4),
    )


def test_a_gap_makes_one_larger_block():
    canary = arm((101, 5, 0), (131, 150, 2), (132, 5, 0))
    stable = arm((101, 50, 0), (131, 1500, 9), (132, 50, 1))
    assert [b.at - b.start for b in blocks(canary, stable, 100, 0)] == [1, 30, 1]


def test_no_block_is_shorter_than_a_second():
    times = [100.4, 100.9, 101.3, 101.8, 102.4]
    both = arm(*((at, 1, 0) for at in times))
    assert [b.at for b in blocks(both, both, 100, 0)] == [101.3, 102.4]


def test_a_block_waits_for_the_arm_that_was_not_sampled():
    assert blocks(arm((101, 5, 0), (102, 5, 0)), arm(), 100, 0) == ()
    assert blocks(arm((101, 5, 0), (102, 5, 0)), arm((100, 5, 0)), 100, 0) == ()


def test_a_quiet_interval_is_a_block_of_nothing():
    assert blocks(arm((101, 0, 0)), arm((101.5, 7, 1)), 100, 0) == (Block(100, 101.5, 0, 0, 7, 1),)


def test_nothing_from_before_the_weight_arrived_is_counted():
    both = arm((99, 50, 50), (100, 50, 50), (101, 10, 1))
    assert blocks(both, both, 100, 0) == (Block(100, 101, 10, 1, 10, 1),)


def test_more_bad_events_than_events_count_as_all_bad():
    assert blocks(arm((101, 3, 5)), arm((101, 3, -1)), 100, 0) == (Block(100, 101, 3, 3, 3, 0),)


ARMS = st.lists(
    st.tuples(st.integers(1, 40_000), st.integers(0, 50), st.integers(0, 5)), max_size=40
).map(lambda rows: [(100 + ms / 1000, total + bad, bad) for ms, total, bad in rows])


@settings(max_examples=80, deadline=None)
@given(ARMS, ARMS, st.randoms(use_true_random=False))
def test_blocks_do_not_depend_on_the_order_of_samples(canary, stable, draw):
    once = blocks(arm(*sorted(canary)), arm(*sorted(stable)), 100, 0)
    draw.shuffle(canary)
    draw.shuffle(stable)
    assert blocks(arm(*canary), arm(*stable), 100, 0) == once


@settings(max_examples=80, deadline=None)
@given(ARMS, ARMS)
def test_looking_often_or_once_gives_the_same_blocks(canary, stable):
    whole = blocks(arm(*canary), arm(*stable), 100, 0)
    after, seen = 100.0, []
    for now in range(101, 142):
        so_far = [arm(*(s for s in side if s[0] <= now)) for side in (canary, stable)]
        fresh = blocks(*so_far, 100, after)
        seen += fresh
        after = fresh[-1].at if fresh else after
    assert tuple(seen) == whole


@settings(max_examples=80, deadline=None)
@given(ARMS, ARMS)
def test_blocks_touch_and_lose_no_event_before_the_last_end(canary, stable):
    found = blocks(arm(*canary), arm(*stable), 100, 0)
    assert all(one.at == two.start for one, two in pairwise(found))
    if found:
        end = found[-1].at
        assert sum(b.canary for b in found) == sum(total for at, total, _ in canary if at <= end)
        assert sum(b.stable_bad for b in found) == sum(bad for at, _, bad in stable if at <= end)
