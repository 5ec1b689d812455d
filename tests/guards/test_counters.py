"""Counters: what each odd thing in raw samples is worth, and laws that hold for all of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadsman.guards.counters import Counted, Counts, windows
from leadsman.guards.windows import Window

NAN, INF = math.nan, math.inf


def one(samples, *, since=0.0, key="a", target="t", total=1, bad=0, arm="canary"):
    return Counted(key, target, arm, total, bad, samples)


def counted(*items, since=0.0, width=1000.0):
    counts = Counts(since, 10_000.0)
    counts.feed(items)
    found = counts.windows("canary", width, 1)
    return (found[-1].total, found[-1].bad) if found else None


ROWS = {
    "growth is the difference": ([one([(1, 5), (2, 9), (3, 9)])], (4, 0)),
    "one sample alone is no increment": ([one([(1, 5)])], None),
    "a reset counts what came after it": ([one([(1, 50), (2, 3), (3, 5)])], (5, 0)),
    "a reset of one series is not hidden by the growth of another": (
        [one([(1, 50), (2, 2)]), one([(1, 10), (2, 99)], key="b")],
        (91, 0),
    ),
    "NaN is dropped, the growth over it stays": ([one([(1, 5), (2, NAN), (3, 9)])], (4, 0)),
    "infinity is dropped": ([one([(1, 5), (2, INF), (3, 9), (4, -INF), (5, 11)])], (6, 0)),
    "a negative counter is dropped": ([one([(1, 5), (2, -3), (3, 9)])], (4, 0)),
    "nothing but NaN is no data": ([one([(1, NAN), (2, NAN)])], None),
    "a time that goes back is dropped": ([one([(1, 5), (3, 9), (2, 7), (4, 10)])], (5, 0)),
    "a duplicate is dropped": ([one([(1, 5), (2, 9), (2, 9), (3, 10)])], (5, 0)),
    "a series that its target showed later counts its first value": (
        [one([(1, 10), (2, 20), (3, 30)]), one([(3, 4)], key="err", total=0, bad=1)],
        (20, 4),
    ),
    "the first series of a target counts from its first sample": (
        [one([(1, 10), (2, 20)]), one([(2, 40), (3, 50)], key="b", target="u")],
        (20, 0),
    ),
    "without a known target nothing proves that a counter was absent": (
        [
            one([(1, 10), (2, 20), (3, 30)], target=""),
            one([(3, 4)], key="err", target="", total=0, bad=1),
        ],
        (20, 0),
    ),
    "no error series at all is no error": ([one([(1, 10), (2, 20)])], (10, 0)),
    "a first value that is NaN proves that the counter existed": (
        [one([(1, 10), (2, 20)]), one([(1, NAN), (2, 40)], key="err", total=0, bad=1)],
        (10, 0),
    ),
    "bad is never more than all": (
        [one([(1, 10), (2, 12)]), one([(1, 0), (2, 9)], key="err", total=0, bad=1)],
        (2, 2),
    ),
    "slow is the count less the bucket": (
        [
            one([(1, 100), (2, 200)], total=1, bad=1),
            one([(1, 90), (2, 175)], key="bucket", total=0, bad=-1),
        ],
        (100, 15),
    ),
    "bad is never less than nothing": (
        [
            one([(1, 100), (2, 110)], total=1, bad=1),
            one([(1, 90), (2, 175)], key="bucket", total=0, bad=-1),
        ],
        (10, 0),
    ),
    "a gap is one larger increment": ([one([(1, 5), (601, 95)])], (90, 0)),
}


@pytest.mark.parametrize(("items", "expected"), ROWS.values(), ids=ROWS)
def test_what_samples_are_worth(items, expected):
    assert counted(*items) == expected


def test_the_increment_that_crosses_since_is_dropped():
    series = one([(8, 100), (9, 150), (10.5, 190), (11.5, 200)])
    assert counted(series, since=10.0) == (10, 0)


def test_errors_of_the_version_before_never_count():
    total = one([(t, 40.0 * t) for t in range(20)])
    error = one([(t, 500.0) for t in range(20)], key="err", total=0, bad=1)
    assert counted(total, error, since=8.5) == (400, 0)


def test_a_counter_that_vanished_and_was_made_anew_counts_in_full():
    """The router forgets a removed Service's counters; the next version's begin at zero."""
    stable = one([(t, 100.0 * t) for t in range(20)], key="stable", arm="stable")
    canary = one([(1, 400), (2, 500), (12, 7), (13, 10)])
    assert counted(stable, canary, since=10.0) == (10, 0)


def test_dropped_samples_and_resets_are_counted():
    counts = Counts(0.0, 100.0)
    counts.feed([one([(1, 5), (2, NAN), (2, 6), (3, 1)])])
    assert (counts.dropped, counts.resets) == (2, 1)


def test_samples_read_again_change_nothing():
    counts = Counts(0.0, 100.0)
    samples = [(1, 5), (2, NAN), (3, 9)]
    assert counts.feed([one(samples)])
    before = counts.windows("canary", 10, 5)
    assert not counts.feed([one(samples)])
    assert counts.windows("canary", 10, 5) == before
    assert counts.dropped == 1


def test_a_window_holds_what_ended_in_it_and_ends_at_a_sample():
    found = windows([[(t, 10.0 * t) for t in range(10)]], [], 0.0, 3.0, 2)
    assert found == (Window(8, 30, 0), Window(9, 30, 0))


def test_milliseconds_do_not_move_a_sample_over_a_windows_edge():
    samples = [(1_700_000_000.123 + n * 0.1, float(n)) for n in range(100)]
    assert {w.total for w in windows([samples], [], 0.0, 0.5, 50)} == {5.0}


def test_the_arms_are_counted_apart():
    counts = Counts(0.0, 100.0)
    counts.feed([one([(1, 5), (2, 9)]), one([(1, 5), (2, 25)], key="s", arm="stable")])
    assert counts.windows("canary", 10, 1) == (Window(2, 4, 0),)
    assert counts.windows("stable", 10, 1) == (Window(2, 20, 0),)


def test_memory_is_bounded_and_sums_are_not_forgotten():
    counts = Counts(0.0, 60.0)
    for t in range(5_000):
        counts.feed([one([(t, t * 3.0)]), one([(t, 1.0)], key=f"gone-{t // 100}", total=0, bad=1)])
    arm = counts.arms["canary"]
    assert len(arm._times) <= 200
    assert len(counts._series) <= 70
    assert all(len(times) <= 200 for times in counts._scrapes.values())
    assert arm.events == 4_999 * 3
    assert counts.windows("canary", 60.0, 1)[0].total == 180


# Laws


@st.composite
def histories(draw):
    """Series of up to three targets, scraped at whole seconds with their own phases."""
    found = []
    for target in range(draw(st.integers(1, 3))):
        phase = draw(st.sampled_from([0.0, 0.25, 0.613]))
        for series in range(draw(st.integers(1, 3))):
            born = draw(st.integers(0, 12))
            value, samples = draw(st.integers(0, 50)), []
            for second in range(born, 25):
                kind = draw(st.sampled_from(["grow"] * 6 + ["reset", "nan", "gap"]))
                if kind == "gap":
                    continue
                value = draw(st.integers(0, 5)) if kind == "reset" else value
                value += draw(st.integers(0, 20))
                samples.append((second + phase, NAN if kind == "nan" else float(value)))
            total, bad = draw(st.sampled_from([(1, 0), (1, 1), (0, 1), (0, -1)]))
            found.append(Counted(f"{target}-{series}", f"t{target}", "canary", total, bad, samples))
    return found


def read(counts):
    return counts.windows("canary", 5.0, 100), counts.arms["canary"].events


@given(histories(), st.randoms(), st.floats(0, 20))
@settings(max_examples=200, deadline=None)
def test_law_the_order_of_series_does_not_matter(history, random, since):
    one_way, other = Counts(since, 1000.0), Counts(since, 1000.0)
    one_way.feed(history)
    shuffled = list(history)
    random.shuffle(shuffled)
    other.feed(shuffled)
    assert read(one_way) == read(other)


@given(histories(), st.lists(st.floats(0, 26), max_size=8), st.floats(0, 20), st.floats(0, 6))
@settings(max_examples=300, deadline=None)
def test_law_many_overlapping_polls_are_worth_one_big_query(history, polls, since, overlap):
    whole, pieces = Counts(since, 1000.0), Counts(since, 1000.0)
    whole.feed(history)
    before = -1.0
    for now in [*sorted(polls), 30.0]:
        part = [
            Counted(
                item.key,
                item.target,
                item.arm,
                item.total,
                item.bad,
                [(t, v) for t, v in item.samples if before - overlap < t <= now],
            )
            for item in history
        ]
        pieces.feed(part)
        before = now
    assert read(pieces) == read(whole)


@given(histories(), histories(), st.integers(2, 20))
@settings(max_examples=200, deadline=None)
def test_law_nothing_before_since_counts(history, other, since):
    """Whatever happened before `since`: the windows are the same."""

    def cut(items, keep):
        return {i.key: [s for s in i.samples if keep(s[0])] for i in items}

    earlier = cut(other, lambda t: t < since)
    plain, haunted = Counts(since, 1000.0), Counts(since, 1000.0)
    plain.feed(history)
    haunted.feed(
        Counted(
            i.key,
            i.target,
            i.arm,
            i.total,
            i.bad,
            earlier.get(i.key, []) + [s for s in i.samples if s[0] >= since],
        )
        for i in history
    )
    assert read(plain) == read(haunted)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), min_size=1, max_size=60))
def test_law_windows_do_not_depend_on_the_order_of_increments(increments):
    from leadsman.guards.windows import ArmCounts

    one_way, other = ArmCounts(1e9), ArmCounts(1e9)
    for at, events in increments:
        one_way.add(float(at), float(events), 0.0)
    for at, events in sorted(increments, reverse=True):
        other.add(float(at), float(events), 0.0)
    assert one_way.windows(7.0, 99) == other.windows(7.0, 99)
    for window in one_way.windows(7.0, 99):
        assert window.total == sum(e for at, e in increments if window.at - 7 < at <= window.at)
