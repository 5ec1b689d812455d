"""Simulated releases end as the plan, the contract and the traffic say, by the core's decisions."""

from __future__ import annotations

from dataclasses import replace
from math import fsum

import pytest

from leadsman.core.spec import (
    Contract,
    Family,
    GuardSpec,
    OnFail,
    OnInconclusive,
    Plan,
    Stage,
    Terms,
    Trigger,
)
from leadsman.guards.judges import (
    Absolute,
    JudgeSpec,
    NegativeControl,
    NonInferiority,
    Relative,
    SampleRatio,
    Sequential,
    SequentialMean,
    Threshold,
)
from leadsman.simulation import scrapes
from leadsman.simulation.many import outcomes, summarise
from leadsman.simulation.release import Ending, Outcome, Release, horizon
from leadsman.simulation.traffic import Traffic

STAGES = tuple(Stage(f"{weight}", weight, 120.0, 120.0) for weight in (10, 50))


SEQUENTIAL = Sequential(0.0, 0.01, 2)


def terms(judge: JudgeSpec = SEQUENTIAL, end: OnInconclusive = OnInconclusive.PROMOTE) -> Terms:
    return Terms(Plan(STAGES), Contract((GuardSpec("errors", judge),), on_inconclusive=end))


def ran(made: Terms, traffic: Traffic, runs: int = 12, seed: str = "t") -> list[Outcome]:
    return outcomes(made, traffic, runs, seed)


def test_a_release_that_fails_its_requests_is_rolled_back_by_the_guard() -> None:
    for one in ran(terms(), Traffic(rps=500, ratio=20.0)):
        assert (one.ending, one.reason, one.guard) == (Ending.ROLLED_BACK, "GuardFailed", "errors")
        assert one.weight == 10
        assert one.excess > 0


def test_a_good_release_is_promoted_when_its_stages_are_over() -> None:
    found = ran(terms(), Traffic(rps=50))
    assert {one.ending for one in found} == {Ending.PROMOTED}
    # Two stages of 120 s, each after 5 s of settling; the first samples of a weight only begin.
    assert all(250 <= one.seconds < 290 for one in found)


def test_a_release_with_too_little_evidence_is_held_and_says_by_what() -> None:
    found = ran(terms(end=OnInconclusive.HOLD), Traffic(rps=2), 3)
    assert [(one.ending, one.guard, one.reason) for one in found] == [
        (Ending.HELD, "errors", "InsufficientData")
    ] * 3


def test_a_threshold_guard_is_judged_by_its_windows() -> None:
    made = terms(Threshold(0.05, 30.0, 100), OnInconclusive.HOLD)
    traffic = Traffic(rps=100, interval=5.0)
    assert {one.ending for one in ran(made, traffic)} == {Ending.PROMOTED}
    bad = ran(made, replace(traffic, ratio=40.0))
    assert {(one.ending, one.guard) for one in bad} == {(Ending.ROLLED_BACK, "errors")}


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(rps=200, gaps=0.3),
        Traffic(rps=200, blackout=60.0),
        Traffic(rps=200, bursts=20.0),
        Traffic(rps=200, common_noise=0.5),
        Traffic(rps=200, resets=30.0, pods=2),
    ],
    ids=["gaps", "blackout", "bursts", "common noise", "restarts"],
)
def test_what_hits_both_arms_or_the_scrapes_is_no_harm(traffic: Traffic) -> None:
    found = ran(terms(), traffic, 8)
    assert {one.ending for one in found} == {Ending.PROMOTED}


def test_harm_is_found_in_spite_of_restarted_counters_and_failed_scrapes() -> None:
    found = ran(terms(), Traffic(rps=300, ratio=10.0, resets=30.0, pods=2, gaps=0.2), 6)
    assert {one.ending for one in found} == {Ending.ROLLED_BACK}


def test_a_mean_and_a_control_are_fed_with_what_they_look_at() -> None:
    made = terms(SequentialMean(0.01), OnInconclusive.PROMOTE)
    traffic = Traffic(rps=500, interval=2.0)
    assert {one.ending for one in ran(made, traffic, 4)} == {Ending.PROMOTED}
    assert {one.ending for one in ran(made, replace(traffic, ratio=1.5), 4)} == {Ending.ROLLED_BACK}
    control = terms(NegativeControl(), OnInconclusive.HOLD)
    assert {one.ending for one in ran(control, replace(traffic, ratio=9.0), 4)} == {Ending.PROMOTED}


def test_a_worsening_counts_only_for_the_guards_that_are_named() -> None:
    judge = Sequential(0.0, 0.005, 2)
    made = Terms(
        Plan(STAGES),
        Contract(
            (GuardSpec("errors", judge), GuardSpec("slow", judge)),
            on_inconclusive=OnInconclusive.PROMOTE,
        ),
    )
    found = ran(made, Traffic(rps=500, ratio=20.0, worse=("slow",)), 4)
    assert {one.guard for one in found} == {"slow"}


def test_failed_requests_are_those_of_a_guard_on_errors_wherever_it_stands() -> None:
    slow = GuardSpec("slow", SEQUENTIAL, family=Family.LATENCY)
    control = GuardSpec("control", NegativeControl(), on_fail=OnFail.HOLD)
    mean = GuardSpec("mean", SequentialMean(0.01))
    errors = GuardSpec("errors", SEQUENTIAL)
    assert scrapes.counted(Contract((control, mean, slow, errors))) is errors
    assert scrapes.counted(Contract((mean, slow))) is slow
    assert scrapes.counted(Contract((control, mean))) is None
    made = Terms(Plan(STAGES), Contract((slow, errors), on_inconclusive=OnInconclusive.PROMOTE))
    found = ran(made, Traffic(rps=200, errors=0.0, slow=0.05), 2)
    assert [one.failed for one in found] == [0, 0]
    assert all(one.requests > 1000 for one in found)


def test_harm_in_one_slice_is_found() -> None:
    judge = Sequential(0.0, 0.005, 2, slice_alpha=0.0025)
    guard = GuardSpec("errors", judge, slices=("a", "b"))
    made = Terms(Plan(STAGES), Contract((guard,), on_inconclusive=OnInconclusive.PROMOTE))
    assert {one.ending for one in ran(made, Traffic(rps=400, ratio=20.0), 4)} == {
        Ending.ROLLED_BACK
    }


class InFull(Release):
    """Every reading is decided in full."""

    def _quiet(self, *_: object) -> float:
        return 0.0


def mixed() -> Contract:
    """Guards of many kinds, some of which hold or only warn."""
    return Contract(
        (
            GuardSpec("errors", Sequential(0.0, 0.01, 2)),
            GuardSpec("worse", NonInferiority(0.01), on_fail=OnFail.HOLD),
            GuardSpec("split", SampleRatio(), on_fail=OnFail.HOLD),
            GuardSpec("limit", Absolute(0.02, 0.01)),
            GuardSpec("now", Relative(3.0, 60.0, 100), on_fail=OnFail.WARN),
            GuardSpec("window", Threshold(0.05, 30.0, 100), trigger=Trigger(3, 30.0, 0.1)),
        ),
        on_inconclusive=OnInconclusive.PROMOTE,
    )


@pytest.mark.parametrize(
    ("contract", "traffic"),
    [
        (terms().contract, Traffic(rps=100, gaps=0.1)),
        (terms().contract, Traffic(rps=100, ratio=3.0, gaps=0.1)),
        (mixed(), Traffic(rps=100, ratio=1.4, gaps=0.1)),
        (replace(mixed(), freeze_after=20.0, step_back_after=40.0), Traffic(rps=100, blackout=70)),
    ],
    ids=["good", "bad", "mixed", "dark"],
)
def test_deciding_every_reading_in_full_comes_to_the_same_as_the_quick_way(
    contract: Contract, traffic: Traffic
) -> None:
    made = replace(terms(), contract=contract)
    for number in range(3):
        quick = Release(made, traffic, f"{number}", horizon(made))
        full = InFull(made, traffic, f"{number}", horizon(made))
        assert quick.run() == full.run()
        assert [one.evidence for one in quick.guards] == [one.evidence for one in full.guards]


def test_blocks_made_at_once_are_those_that_are_cut_from_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge = Sequential(0.0, 0.005, 2, slice_alpha=0.0025)
    guard = GuardSpec("errors", judge, slices=("a", "b"))
    made = Terms(Plan(STAGES), Contract((guard,), on_inconclusive=OnInconclusive.PROMOTE))
    traffic = Traffic(rps=100, ratio=2.0, gaps=0.2)

    def found() -> list[tuple[Outcome, object]]:
        releases = [Release(made, traffic, f"{number}", horizon(made)) for number in range(4)]
        return [(one.run(), one.guards[0].evidence) for one in releases]

    at_once = found()
    monkeypatch.setattr(scrapes, "is_plain", lambda *_: False)
    assert at_once == found()


def test_the_same_seed_gives_the_same_outcomes_however_many_processes() -> None:
    alone = ran(terms(), Traffic(rps=100, ratio=2.0), 10)
    assert alone == outcomes(terms(), Traffic(rps=100, ratio=2.0), 10, "t", workers=2)
    assert alone != ran(terms(), Traffic(rps=100, ratio=2.0), 10, "another")


def test_a_canary_as_good_as_stable_has_no_excess_on_average() -> None:
    found = ran(terms(), Traffic(rps=50), 40)
    mean = fsum(one.excess for one in found) / 40
    spread = (fsum(one.failed for one in found) / 40) ** 0.5 / 40**0.5
    assert abs(mean) < 5 * spread


def test_a_summary_counts_every_release_once() -> None:
    found = ran(terms(), Traffic(rps=300, ratio=3.0), 20)
    one = summarise(found)
    assert one.rolled_back.count + one.promoted.count + one.held.count == one.runs == 20
    assert one.rolled_back.low <= one.rolled_back.value <= one.rolled_back.high
    assert sum(count for _, count in one.culprits) == one.rolled_back.count
    uncounted = summarise(found, counted=False)
    assert (uncounted.failed, uncounted.excess, uncounted.lost) == (None, None, None)
    assert uncounted.rolled_back == one.rolled_back
    with pytest.raises(ValueError, match="nothing"):
        summarise([])
