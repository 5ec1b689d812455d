"""Judges: a verdict for every reading, and never a Pass without evidence."""

from __future__ import annotations

import math
import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsman.guards.judges import Threshold, Unsupported, breaches, judge, judge_threshold
from leadsman.guards.verdict import Judged, Level, Reason, Verdict, level_of
from leadsman.guards.windows import Reading, Window

LIMIT = Threshold(0.05, 30.0, 50)


def reading(*windows, error=""):
    last = windows[-1].at if windows else None
    return Reading("errors", tuple(windows), (), error, last)


ROWS = {
    "below the limit passes": (reading(Window(9, 100, 4)), "Pass", "WithinLimit"),
    "exactly at the limit passes": (reading(Window(9, 100, 5)), "Pass", "WithinLimit"),
    "above the limit fails": (reading(Window(9, 100, 6)), "Fail", "ThresholdBreached"),
    "too few events are inconclusive, also when all failed": (
        reading(Window(9, 49, 49)),
        "Inconclusive",
        "InsufficientData",
    ),
    "no event is no traffic": (reading(Window(9, 0, 0)), "NoData", "NoTraffic"),
    "no window is no traffic": (reading(), "NoData", "NoTraffic"),
    "only the newest window is judged": (
        reading(Window(8, 100, 90), Window(9, 100, 0)),
        "Pass",
        "WithinLimit",
    ),
    "a time-out is no data": (reading(error="Timeout"), "NoData", "MetricsUnavailable"),
    "a wrong type is no data": (reading(error="WrongType"), "NoData", "MetricsUnavailable"),
    "an unknown error is no data": (reading(error="Whatever"), "NoData", "MetricsUnavailable"),
    "stale is no data": (reading(error="Stale"), "NoData", "Stale"),
    "an error outweighs good windows": (
        reading(Window(9, 100, 0), error="Stale"),
        "NoData",
        "Stale",
    ),
    "nothing asked yet is no data": (reading(error="Pending"), "NoData", "InsufficientData"),
    "no series is no traffic": (reading(error="Empty"), "NoData", "NoTraffic"),
    "a missing bucket is no data": (reading(error="NoSuchBucket"), "NoData", "NoSuchBucket"),
    "a wrong question is no data": (reading(error="QueryInvalid"), "NoData", "QueryInvalid"),
}


@pytest.mark.parametrize(("seen", "verdict", "reason"), ROWS.values(), ids=ROWS)
def test_threshold(seen, verdict, reason):
    judged = judge(LIMIT, seen)
    assert (judged.verdict, judged.reason) == (verdict, reason)


@pytest.mark.parametrize("percent", range(1, 100))
def test_a_share_equal_to_a_limit_in_whole_percent_passes(percent):
    spec = Threshold(percent / 100, 30.0, 1)
    assert judge_threshold(spec, (Window(1, 100, percent),)).verdict is Verdict.PASS
    assert judge_threshold(spec, (Window(1, 100, percent + 1),)).verdict is Verdict.FAIL


def test_a_judge_that_is_not_built_holds_whatever_the_evidence():
    judged = judge(Unsupported("sequential"), reading(Window(9, 100, 0)))
    assert (judged.verdict, judged.reason) == (Verdict.INCONCLUSIVE, Reason.JUDGE_UNSUPPORTED)


def test_a_fail_needs_as_many_windows_in_a_row_as_are_asked_for():
    bad, good = Window(1, 100, 90), Window(1, 100, 0)
    assert judge(LIMIT, reading(bad, bad, bad), 3).verdict is Verdict.FAIL
    judged = judge(LIMIT, reading(bad, good, bad), 2)
    assert (judged.verdict, judged.reason) == (Verdict.INCONCLUSIVE, Reason.UNCONFIRMED)
    assert judge(LIMIT, reading(bad, bad, good), 3).verdict is Verdict.PASS
    thin = Window(1, 10, 10)
    assert breaches(LIMIT, (bad, thin, bad, bad)) == 2


def test_a_judgement_names_value_limit_events_and_time():
    expected = Judged(Verdict.FAIL, Reason.THRESHOLD_BREACHED, 0.5, 0.05, 200, 9)
    assert judge(LIMIT, reading(Window(9, 200, 100))) == expected


def test_levels_say_how_bad_it_is():
    def level(bad):
        return level_of(judge(LIMIT, reading(Window(9, 1000, bad))))

    assert [level(0), level(44), level(46), level(50), level(51)] == [
        Level.NONE,
        Level.NONE,
        Level.WARNING,
        Level.WARNING,
        Level.CRITICAL,
    ]
    assert level_of(judge(LIMIT, reading(error="Stale"))) is Level.NONE
    zero = Threshold(0.0, 30.0, 1)
    assert level_of(judge(zero, reading(Window(9, 100, 0)))) is Level.NONE


counts = st.floats(0, 1e12)


@given(
    st.lists(st.tuples(st.floats(0, 1e10), counts, counts), max_size=4),
    st.sampled_from(["", "", "Stale", "Timeout", "odd"]),
    st.floats(0, 1),
    st.integers(1, 100),
    st.integers(1, 4),
)
def test_law_every_reading_has_a_verdict_and_only_enough_good_evidence_passes(
    raw, error, limit, least, at_least
):
    windows = [Window(at, max(a, b), min(a, b)) for at, a, b in raw]
    judged = judge(Threshold(limit, 5.0, least), reading(*windows, error=error), at_least)
    if judged.verdict is Verdict.PASS:
        assert error == ""
        assert windows[-1].total >= least
        assert windows[-1].bad / windows[-1].total <= limit
    if judged.verdict is Verdict.FAIL:
        assert len(windows) >= at_least
        assert all(w.bad / w.total > limit for w in windows[-at_least:])
    assert judged.value is None or math.isfinite(judged.value)


def test_five_guards_are_judged_in_fifteen_microseconds():
    seen = reading(Window(9, 1000, 10))
    best = min(timeit.repeat(lambda: [judge(LIMIT, seen) for _ in range(5)], number=2000, repeat=9))
    assert best / 2000 < 15e-6
