"""Levels, families, hysteresis and darkness: what each does to a stage, and to its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from leadsman.core.changed import changed
from leadsman.core.decision import Persist
from leadsman.core.evidence import place, weigh
from leadsman.core.exhibits import exposure, snapshot
from leadsman.core.observation import Share
from leadsman.core.policies.shifting import PREPARE_SECONDS
from leadsman.core.spec import (
    Absence,
    Contract,
    Family,
    GuardSpec,
    Missing,
    OnFail,
    OnInconclusive,
    Problem,
    Stage,
    Terms,
    Trigger,
)
from leadsman.core.status import GuardStatus, Heading, Past
from leadsman.guards.judges import JudgeSpec, NegativeControl, Relative, Sequential, Threshold
from leadsman.guards.memory import Place
from leadsman.guards.verdict import Reason, Verdict
from leadsman.guards.windows import Block, Reading, Window
from tests.core.worlds import (
    CONTRACT,
    NOW,
    PLAN,
    arms,
    canary_set,
    kinds,
    middle,
    rule,
    stable_set,
)

LIMIT = Threshold(max=0.05, window=15.0, min_events=100)


def guards(*families: Family, on_fail: OnFail = OnFail.ROLLBACK) -> Contract:
    return Contract(
        guards=tuple(
            GuardSpec(f"g{n}", LIMIT, on_fail, family=family) for n, family in enumerate(families)
        )
    )


def readings(*shares: float) -> tuple[Reading, ...]:
    return tuple(
        Reading(f"g{n}", (Window(NOW, 1000, 1000 * share),), (), "", NOW)
        for n, share in enumerate(shares)
    )


def world(contract: Contract, *shares: float, **more: Any) -> Any:
    return middle().but(terms=Terms(PLAN, contract), readings=readings(*shares), **more)


# --- levels ---------------------------------------------------------------------------------


def test_one_guard_close_to_its_limit_freezes_the_ramp_and_says_so() -> None:
    over = {"due_at": NOW - 1}
    decision = world(guards(Family.ERRORS), 0.048, **over).after_telling()
    assert (decision.why.policy, decision.why.reason) == ("measure", "Holding")
    assert "close to its limit" in decision.why.message
    calm = world(guards(Family.ERRORS), 0.03, **over).decide()
    assert calm.why.policy == "advance"


def test_a_warning_of_a_guard_that_only_warns_freezes_nothing() -> None:
    contract = guards(Family.ERRORS, on_fail=OnFail.WARN)
    assert world(contract, 0.048, due_at=NOW - 1).decide().why.policy == "advance"


def test_a_warning_waits_no_longer_than_max_hold_where_the_contract_promotes() -> None:
    stages = tuple(replace(stage, max_hold=60.0) for stage in PLAN.stages)
    contract = replace(guards(Family.ERRORS), on_inconclusive=OnInconclusive.PROMOTE)
    terms = Terms(replace(PLAN, stages=stages), contract)
    late = middle().but(
        terms=terms, readings=readings(0.048), due_at=NOW - 90, measuring_since=NOW - 120
    )
    assert late.decide().why.policy == "advance"


@pytest.mark.parametrize(
    ("families", "level"),
    [
        ((Family.ERRORS, Family.LATENCY), "Emergency"),
        ((Family.LATENCY, Family.LATENCY), "Critical"),
    ],
)
def test_two_families_together_are_an_emergency(families: Any, level: str) -> None:
    decision = world(guards(*families), 0.2, 0.2).decide()
    attempt = decision.status.attempt
    assert kinds(decision) == ["SetWeights"]
    assert attempt.direction.name is Heading.ROLLING_BACK
    assert [guard.level for guard in attempt.guards] == [level, level]
    assert ("emergency" in attempt.direction.message) == (level == "Emergency")


def test_a_guard_that_does_not_roll_back_makes_no_emergency() -> None:
    contract = guards(Family.ERRORS, Family.LATENCY)
    hold = replace(
        contract, guards=(contract.guards[0], replace(contract.guards[1], on_fail=OnFail.HOLD))
    )
    attempt = world(hold, 0.2, 0.2).decide().status.attempt
    assert {guard.level for guard in attempt.guards} == {"Critical"}


@pytest.mark.parametrize(("families", "waits"), [(2, False), (1, True)])
def test_an_emergency_does_not_wait_for_the_scale_down_delay(families: int, waits: bool) -> None:
    names = (Family.ERRORS, Family.LATENCY)[:families]
    before = world(guards(*names), *([0.2] * families)).decide().status
    attempt = before.attempt
    later = middle().but(status=before, now=NOW + PLAN.settle + 1)

    decision = later.but(rules=(rule(0),), terms=Terms(PLAN, guards(*names))).decide()
    assert attempt is not None
    assert decision.why.policy == "unwind"
    assert (decision.actions == ()) is waits


# --- what is kept of it ----------------------------------------------------------------------


def test_exposure_is_that_of_the_guard_that_counted_most() -> None:
    found = weigh(guards(Family.ERRORS, Family.LATENCY), readings(0.1, 0.2), (), NOW)
    assert exposure(found.guards) == (1000, 200)
    assert exposure(()) == (0, 0)


def test_a_snapshot_has_the_figures_and_not_the_evidence() -> None:
    contract = Contract(guards=(GuardSpec("g0", Sequential()),))
    block = Block(NOW - 1, NOW, 100, 50, 100, 1)
    reading = replace(readings(0.5)[0], blocks=(block,))
    found = weigh(contract, (reading,), (), NOW)
    assert found.guards[0].evidence is not None
    (kept,) = snapshot(found.guards)
    assert kept.evidence is None
    assert kept.figures == found.guards[0].figures


def test_tries_of_the_same_revision_are_counted_and_promotions_are_not() -> None:
    status = middle().status
    revision = status.attempt.revision
    history = tuple(
        Past(one, n, outcome, NOW, NOW, 5)
        for n, (one, outcome) in enumerate(
            [
                (revision, "RolledBack"),
                ("other", "RolledBack"),
                (revision, "Promoted"),
                (revision, "Aborted"),
            ]
        )
    )
    assert place(replace(status, history=history)) == Place(status.attempt.stage.index, 2, 25)


# --- hysteresis --------------------------------------------------------------------------------


def test_within_the_hysteresis_a_failing_guard_is_neither_well_nor_starts_anew() -> None:
    trigger = Trigger(sustained_for=60.0, hysteresis=0.2)
    contract = Contract(guards=(GuardSpec("g0", LIMIT, trigger=trigger),))
    failing = weigh(contract, readings(0.06), (), NOW).guards
    assert failing[0].failing_since == NOW
    dip = weigh(contract, readings(0.045), failing, NOW + 30)
    assert (dip.guards[0].verdict, dip.guards[0].reason) == ("Inconclusive", "Unconfirmed")
    assert dip.guards[0].failing_since == NOW
    again = tuple(
        replace(one, canary=(Window(NOW + 61, 1000, 60),), last_sample=NOW + 61)
        for one in readings(0.06)
    )
    assert len(weigh(contract, again, dip.guards, NOW + 61).fired) == 1
    well = weigh(contract, readings(0.03), dip.guards, NOW + 40)
    assert well.guards[0].failing_since is None
    assert weigh(contract, again, well.guards, NOW + 61).fired == ()


HARM = Sequential(0.0, 0.01, 1, 2.0, slice_alpha=0.01)
COURSE = ((8, 2), (5, 2), (0, 3), (6, 2), (8, 2), (8, 2))
"""Bad events of 100 of the canary and of 200 of stable, second by second.

The logarithm of the evidence is 0.77, 1.16 and 0.68 of its limit, and above it from then on.
"""


def fed(trigger: Trigger, slices: tuple[str, ...] = ()) -> list[tuple[str, bool]]:
    """What a gathering guard says after each second of the course, and whether it has fired.

    With slices the harm is in the first of them, and the whole is well.
    """
    contract = Contract(guards=(GuardSpec("g0", HARM, trigger=trigger, slices=slices),))
    remembered: tuple[GuardStatus, ...] = ()
    said = []
    for number, (canary, stable) in enumerate(COURSE):
        at = NOW + number
        block = Block(at - 1, at, 100, canary, 200, stable)
        whole = Block(at - 1, at, 9000, 90, 9000, 90) if slices else block
        window = (Window(at, 100, canary),)
        reading = Reading("g0", window, (), "", at, (whole,), ((block,),))
        found = weigh(contract, (reading,), remembered, at, Place(0, 0, 25))
        remembered = found.guards
        said.append((str(remembered[0].reason), bool(found.fired)))
    return said


@pytest.mark.parametrize(
    ("trigger", "fired"),
    [
        (Trigger(consecutive=3, hysteresis=0.5), 4),
        (Trigger(consecutive=3, hysteresis=0.1), 5),
        (Trigger(consecutive=3), 3),
        (Trigger(sustained_for=1.0, hysteresis=0.5), 3),
        (Trigger(sustained_for=3.0, hysteresis=0.5), 4),
        (Trigger(sustained_for=2.0, hysteresis=0.1), 5),
        (Trigger(sustained_for=1.0), 2),
        (Trigger(consecutive=3, sustained_for=4.0, hysteresis=0.5), 5),
    ],
    ids=[
        "a dip neither counts nor ends the row",
        "a dip that is deeper than the hysteresis ends the row",
        "without hysteresis shown harm stays shown",
        "a dip fires nothing itself",
        "time goes on in a dip",
        "time starts anew after a deeper one",
        "without hysteresis time goes on from the first crossing",
        "both must be met",
    ],
)
@pytest.mark.parametrize("slices", [(), ("a",)], ids=["the whole", "a slice"])
def test_triggers_of_a_guard_that_gathers(
    trigger: Trigger, fired: int, slices: tuple[str, ...]
) -> None:
    said = fed(trigger, slices)
    assert next(n for n, one in enumerate(said) if one[1]) == fired
    reasons = [one[0] for one in said]
    assert (reasons[2] == "Unconfirmed") == (trigger.hysteresis == 0.5)
    assert set(reasons[3:]) == {"HarmDetected"}


# --- darkness ----------------------------------------------------------------------------------


def blind(since: float, **more: Any) -> Any:
    contract = replace(CONTRACT, freeze_after=20.0, step_back_after=500.0, no_data=Missing(10.0))
    start = middle().but(
        terms=Terms(PLAN, contract), readings=(Reading("errors", (), (), "Timeout", None),), **more
    )
    status = start.decide().status
    dark = tuple(changed(guard, no_data_since=since) for guard in status.attempt.guards)
    return start.but(guards=dark)


def test_time_in_the_dark_beyond_freeze_after_is_no_time_of_the_hold() -> None:
    seen = blind(NOW - 50.0, due_at=NOW + 15).but(
        readings=(Reading("errors", (Window(NOW, 1000, 1),), (), "", NOW),)
    )
    decision = seen.decide()
    stage = decision.status.attempt.stage
    # Fifty seconds dark, twenty allowed: thirty are added to the hold.
    assert stage.due_at == NOW + 45
    assert decision.persist is Persist.SOON
    assert all(guard.no_data_since is None for guard in decision.status.attempt.guards)
    after = seen.but(status=decision.status).decide()
    assert after.status.attempt.stage.due_at == stage.due_at
    assert after.why.policy == "measure"


def test_a_short_darkness_costs_the_hold_nothing() -> None:
    seen = blind(NOW - 15.0, due_at=NOW + 5).but(
        readings=(Reading("errors", (Window(NOW, 1000, 1),), (), "", NOW),)
    )
    assert seen.decide().status.attempt.stage.due_at == NOW + 5


def test_darkness_that_may_proceed_is_frozen_all_the_same() -> None:

    seen = blind(NOW - 50.0, due_at=NOW - 1)
    contract = replace(seen.seen.terms.contract, no_data=Missing(10.0, Absence.PROCEED))
    assert seen.but(terms=Terms(PLAN, contract)).decide().why.policy == "measure"


# --- the split ---------------------------------------------------------------------------------


def test_a_split_that_breaks_in_the_middle_of_a_stage_holds_its_end() -> None:
    off = {"due_at": NOW - 1, "share_measurable": True, "share": Share(500, 1000)}
    decision = world(guards(Family.ERRORS), 0.01, **off).decide()
    assert (decision.why.policy, decision.why.reason) == ("measure", "SampleRatioMismatch")
    assert "50.0 % arrived" in decision.why.message


def test_a_broken_split_is_named_though_a_guard_still_waits_for_evidence() -> None:
    off = {"due_at": NOW - 1, "share_measurable": True}
    few = replace(readings(0.01)[0], canary=(Window(NOW, 50, 0),))
    seen = world(guards(Family.ERRORS), 0.01, **off).but(readings=(few,), share=Share(500, 1000))
    assert seen.decide().why.reason == "SampleRatioMismatch"
    assert seen.but(share=Share(250, 1000)).decide().why.reason == "Holding"


def test_a_guard_that_is_blind_is_named_before_a_broken_split() -> None:
    off = {"due_at": NOW - 1, "share_measurable": True, "share": Share(500, 1000)}
    seen = world(guards(Family.ERRORS), 0.01, **off)
    blinded = seen.but(readings=(Reading("g0", (), (), "Timeout", None),))
    assert blinded.decide().why.reason == "Holding"


def test_a_split_that_goes_on_drifting_is_written_at_leisure() -> None:
    off = {"due_at": NOW - 1, "share_measurable": True, "share": Share(500, 1000)}
    seen = world(guards(Family.ERRORS), 0.01, **off)
    first = seen.decide()
    assert first.persist is Persist.SOON
    again = seen.but(status=first.status, share=Share(520, 1000)).decide()
    assert "52.0 % arrived" in again.why.message
    assert again.persist is Persist.LAZY


def test_a_split_that_breaks_during_the_hold_is_told_at_once_and_moves_no_end() -> None:
    seen = world(guards(Family.ERRORS), 0.01, share_measurable=True, share=Share(250, 1000))
    calm = seen.but(now=NOW - 12).decide()
    broken = seen.but(status=calm.status, share=Share(500, 1000)).decide()
    assert (broken.why.policy, broken.why.reason) == ("measure", "SampleRatioMismatch")
    assert broken.why.message == "25 % commanded, 50.0 % arrived"
    assert broken.persist is Persist.SOON
    assert broken.wake_at == calm.wake_at == NOW + 18 - PREPARE_SECONDS
    assert broken.status.attempt.stage == calm.status.attempt.stage
    said = {one.type: one.reason for one in broken.status.conditions}
    assert said["TrafficInSync"] == said["Ready"] == "SampleRatioMismatch"


def test_a_split_that_heals_and_breaks_again_is_news_once_a_minute() -> None:
    broken, well = Share(500, 1000), Share(250, 1000)
    seen = world(guards(Family.ERRORS), 0.01, share_measurable=True, due_at=NOW + 900)
    status, told = seen.but(now=NOW - 12).decide().status, []
    for second in range(0, 180, 10):
        share = well if second % 20 else broken
        decision = seen.but(status=status, share=share, now=NOW + second).decide()
        status = decision.status
        if decision.persist is Persist.SOON:
            told.append(second)
    assert told == [0]
    again = seen.but(status=status, share=broken, now=NOW + 240).decide()
    assert again.persist is Persist.SOON


def test_no_pods_are_started_for_the_next_stage_while_the_split_is_broken() -> None:
    near = {"due_at": NOW + 3, "share_measurable": True}
    seen = world(guards(Family.ERRORS), 0.01, **near).but(share=Share(250, 1000))
    assert seen.decide().why.policy == "prepare"
    assert seen.but(share=Share(500, 1000)).decide().why.reason == "SampleRatioMismatch"


# --- what is unwise ----------------------------------------------------------------------------


def test_a_warning_about_the_contract_is_a_condition_and_stops_nothing() -> None:
    doubt = Problem("MinEventsLow", "too few")
    decision = world(guards(Family.ERRORS), 0.01, due_at=NOW - 1, warnings=(doubt,)).decide()
    assert decision.why.policy == "advance"
    (sound,) = [one for one in decision.status.conditions if one.type == "ContractSound"]
    assert (sound.status, sound.reason, sound.message) == ("False", "MinEventsLow", "too few")


def test_evidence_outlives_a_raise_and_windows_do_not() -> None:
    contract = Contract(guards=(GuardSpec("g0", LIMIT), GuardSpec("g1", Sequential())))
    block = Block(NOW - 1, NOW, 100, 1, 300, 3)
    seen = (readings(0.01)[0], replace(readings(0, 0.01)[1], blocks=(block,)))
    terms = Terms(replace(PLAN, stages=(Stage("a", 5), *PLAN.stages[1:])), contract)
    start = middle().but(terms=terms, readings=seen, commanded_at=None, measuring_since=None)
    decision = start.decide()
    assert decision.why.policy == "raise"
    (kept,) = decision.status.attempt.guards
    assert kept.name == "g1"
    assert kept.evidence is not None
    assert kept.evidence.at == NOW


# --- one verdict over all ------------------------------------------------------------------------


def two(worse: float, *, alpha: float = 0.005, trigger: Trigger = Trigger()) -> Any:  # noqa: B008
    judge = Sequential(0.0, alpha, 1, 2.0)
    contract = Contract(
        guards=tuple(GuardSpec(f"g{n}", judge, trigger=trigger) for n in range(2)),
        false_rollback=2 * alpha,
    )
    seen = tuple(
        replace(one, blocks=(Block(NOW - 100, NOW, 1000, worse, 3000, 30),))
        for one in readings(0.01, 0.01)
    )
    return weigh(contract, seen, (), NOW)


def evidence_of(worse: float) -> float:
    memory = two(worse).guards[0].evidence
    assert memory is not None
    return memory.state.log_e


def test_two_guards_that_are_nearly_harmed_are_harmed_together() -> None:
    nearly = next(n for n in range(10, 100) if evidence_of(n) >= 4.7)
    assert evidence_of(nearly) < 5.29
    found = two(nearly)
    # Each is below ln(200); their mean is above ln(100).
    assert [guard.name for guard in found.fired] == ["g0"]
    assert (found.guards[0].verdict, found.guards[1].verdict) == ("Fail", "Inconclusive")
    assert two(nearly - 8).fired == ()


def test_a_guard_with_a_trigger_of_its_own_takes_no_part_in_that() -> None:
    nearly = next(n for n in range(10, 100) if evidence_of(n) >= 4.7)
    assert two(nearly, trigger=Trigger(consecutive=2)).fired == ()


# --- nothing to compare with ----------------------------------------------------------------


@pytest.mark.parametrize(
    "judging", [Relative(2.0, 15.0, 20), NegativeControl()], ids=["relative", "negativeControl"]
)
def test_what_passed_against_stable_stands_where_stable_gets_no_requests(
    judging: JudgeSpec,
) -> None:
    contract = Contract(guards=(GuardSpec("errors", judging),))
    passed = GuardStatus("errors", Verdict.PASS, Reason.WITHIN_LIMIT, NOW - 60, value=0.01)
    alone = (Reading("errors", (Window(NOW - 1, 1000.0, 5.0),), (), "", NOW - 1),)

    def said(weight: int, *before: GuardStatus) -> tuple[str, float]:
        found = weigh(contract, alone, before, NOW, Place(1, 0, weight))
        return found.guards[0].verdict, found.guards[0].since

    assert said(100, passed) == (Verdict.PASS, NOW - 60)
    assert said(50, passed)[0] != Verdict.PASS
    assert said(100)[0] != Verdict.PASS  # nothing was ever compared: the stage waits


def test_at_full_weight_the_place_is_known_to_judges_that_only_look_at_windows() -> None:
    contract = Contract(guards=(GuardSpec("errors", Relative(2.0, 15.0, 20)),))
    passed = GuardStatus("errors", Verdict.PASS, Reason.WITHIN_LIMIT, NOW - 60, value=0.01)
    full = middle().but(
        terms=Terms(PLAN, contract),
        readings=(Reading("errors", (Window(NOW - 1, 1000.0, 5.0),), (), "", NOW - 1),),
        guards=(passed,),
        weight=100,
        rules=(rule(100),),
        sets=(stable_set(), canary_set(replicas=4, ready=4, available=4)),
        arms=arms(4, 4),
    )
    status = full.decide().status
    assert status.attempt is not None
    assert status.attempt.guards[0].verdict == Verdict.PASS
