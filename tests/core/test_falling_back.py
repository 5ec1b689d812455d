"""Lowering traffic: what starts a rollback, and what it does not wait for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leadsman.core.actions import Emit, SetWeights
from leadsman.core.changed import changed
from leadsman.core.decision import Persist, Urgency
from leadsman.core.observation import Fault, Form
from leadsman.core.spec import (
    Absence,
    Contract,
    GuardSpec,
    Missing,
    OnFail,
    OnInconclusive,
    Problem,
    Stage,
    Terms,
    Trigger,
)
from leadsman.core.status import Direction, GuardStatus, Heading
from leadsman.guards.judges import Threshold
from leadsman.guards.windows import Reading, Window

from .worlds import (
    CONTRACT,
    GUARD,
    NOW,
    PLAN,
    arms,
    canary_set,
    handing_over,
    kinds,
    middle,
    pods,
    reading,
    rolling_back,
    rule,
    stable_set,
    target,
)

BAD = (reading(0.30),)


def test_a_fail_writes_the_route_first_and_the_direction_second():
    decision = middle(readings=BAD).decide()
    assert decision.actions[0] == SetWeights(0, lowering=True)
    assert decision.persist is Persist.NOW
    assert decision.urgency is Urgency.ROLL_BACK
    attempt = decision.status.attempt
    assert attempt.direction.name is Heading.ROLLING_BACK
    assert attempt.direction.reason == "GuardFailed"
    assert "30.00%" in attempt.direction.message
    assert attempt.weight == 0
    assert [one.reason for one in decision.actions if isinstance(one, Emit)] == ["RolledBack"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (
            "stable is short",
            {"arms": arms(1, 1), "sets": (stable_set(ready=1, available=1), canary_set())},
        ),
        ("the gateway does not accept", {"rules": (rule(25, accepted=False, why_not="lags"),)}),
        ("a problem is reported", {"problems": (Problem("UnlistedRule", "x"),)}),
        ("something is unread", {"unread": (Problem("Pod", "timeout"),)}),
        ("the weight has not settled", {"measuring_since": None, "accepted_at": None}),
        ("the spec is invalid now", {"problems": (Problem("PlanInvalid", "x"),)}),
    ],
)
def test_lowering_weight_never_waits(name, changes):
    decision = middle(readings=BAD, **changes).decide()
    assert decision.actions[0] == SetWeights(0, lowering=True), name


def test_without_any_ready_stable_endpoint_the_weight_stays_until_there_is_one():
    world = middle(readings=BAD, arms=arms(0, 1))
    turned = world.decide()
    assert "SetWeights" not in kinds(turned)
    assert turned.status.attempt.direction.name is Heading.ROLLING_BACK
    waiting = world.but(status=turned.status).decide()
    assert waiting.why.reason == "NoHealthyArm"
    assert waiting.actions == ()
    one_ready = world.but(status=turned.status, arms=arms(1, 1)).decide()
    assert one_ready.actions == (SetWeights(0, lowering=True),)


@pytest.mark.parametrize(
    ("on_fail", "heading"),
    [
        (OnFail.ROLLBACK, Heading.ROLLING_BACK),
        (OnFail.HOLD, Heading.ADVANCING),
        (OnFail.WARN, Heading.ADVANCING),
    ],
)
def test_only_on_fail_rollback_rolls_back(on_fail, heading):
    terms = Terms(PLAN, Contract(guards=(replace(GUARD, on_fail=on_fail),)))
    decision = middle(readings=BAD, terms=terms).decide()
    assert decision.status.attempt.direction.name is heading


def test_consecutive_counts_readings_with_newer_samples():
    guard = GuardSpec("errors", Threshold(0.05, 15, 100), trigger=Trigger(consecutive=3))
    terms = Terms(PLAN, Contract(guards=(guard,)))
    bad, good = Window(NOW, 1000, 300), Window(NOW - 3, 1000, 0)
    two = Reading("errors", (good, replace(bad, at=NOW - 1), bad), (), "", NOW)
    three = Reading(
        "errors", (replace(bad, at=NOW - 2), replace(bad, at=NOW - 1), bad), (), "", NOW
    )
    assert (
        middle(readings=(two,), terms=terms).decide().status.attempt.direction.name
        is Heading.ADVANCING
    )
    assert middle(readings=(three,), terms=terms).decide().actions[0] == SetWeights(
        0, lowering=True
    )


def test_sustained_for_counts_sample_time_not_poll_time():
    guard = GuardSpec("errors", Threshold(0.05, 15, 100), trigger=Trigger(sustained_for=60))
    terms = Terms(PLAN, Contract(guards=(guard,)))
    failing = GuardStatus("errors", "Fail", "ThresholdBreached", NOW - 300, failing_since=NOW - 59)
    early = middle(readings=(reading(0.3, at=NOW),), terms=terms, guards=(failing,)).decide()
    assert early.status.attempt.direction.name is Heading.ADVANCING
    assert early.status.attempt.guards[0].failing_since == NOW - 59
    due = changed(failing, failing_since=NOW - 60)
    assert middle(readings=(reading(0.3, at=NOW),), terms=terms, guards=(due,)).decide().actions[
        0
    ] == SetWeights(0, lowering=True)


@pytest.mark.parametrize("fault", [Fault.EXITED, Fault.OUT_OF_MEMORY, Fault.CRASH_LOOP])
def test_a_canary_that_falls_by_its_own_fault_is_rolled_back(fault):
    decision = middle(pods=pods(1, fault)).decide()
    assert decision.actions[0] == SetWeights(0, lowering=True)
    assert decision.status.attempt.direction.reason == "CanaryCrashed"


def test_one_crashed_pod_of_twenty_is_not_the_versions_fault():
    one = (*pods(19), replace(pods(1, Fault.EXITED)[-1], name="new-x"))
    full = canary_set(replicas=20, ready=20, available=20)
    world = middle(
        pods=one,
        sets=(stable_set(replicas=80, ready=80, available=80), full),
        target=target(replicas=80),
        base_replicas=80,
        arms=arms(80, 20),
    )
    assert world.decide().status.attempt.direction.name is Heading.ADVANCING


def test_an_evicted_pod_lowers_the_weight_and_refuses_nothing():
    half = rule(50)
    world = middle(
        rules=(half,),
        weight=50,
        index=2,
        base_replicas=8,
        target=target(replicas=8),
        sets=(
            stable_set(replicas=8, ready=8, available=8),
            canary_set(replicas=4, ready=3, available=3),
        ),
        arms=arms(8, 3),
        pods=pods(3),
    )
    decision = world.decide()
    assert decision.actions[0] == SetWeights(37, lowering=True)
    attempt = decision.status.attempt
    assert attempt.direction.name is Heading.STEPPING_BACK
    assert attempt.stage.commanded_at is None
    assert decision.status.refused is None


def test_no_ready_canary_endpoint_means_weight_zero_at_once():
    assert middle(arms=arms(4, 0)).decide().actions[0] == SetWeights(0, lowering=True)


def test_fewer_pods_after_scaling_down_are_no_loss_when_more_are_asked_for_again():
    full = middle(
        rules=(rule(100),),
        weight=100,
        index=3,
        base_replicas=4,
        target=target(replicas=3),
        sets=(stable_set(replicas=3), canary_set(replicas=4, ready=4, available=4)),
        arms=arms(3, 4),
        pods=pods(4),
    )
    down = full.decide()
    assert kinds(down) == ["ScaleCanary"]
    assert down.status.attempt.base_replicas == 3
    up = full.but(
        status=down.status,
        target=target(replicas=6),
        sets=(stable_set(replicas=6), canary_set(replicas=3, ready=3, available=3)),
        arms=arms(3, 3),
        pods=pods(3),
    ).decide()
    assert kinds(up) == ["ScaleCanary"]
    assert up.status.attempt.base_replicas == 3


def test_doubling_the_replicas_is_not_a_loss():
    world = middle(
        target=target(replicas=8), sets=(stable_set(replicas=8, ready=4, available=4), canary_set())
    )
    decision = world.decide()
    assert kinds(decision) == ["ScaleCanary"]
    assert decision.actions[0].replicas == 2


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("deleted", {"deleting": True}, "Deleted"),
        (
            "reverted",
            {
                "target": target(template="old"),
                "sets": (stable_set(matches=True), canary_set(matches=False)),
            },
            "Reverted",
        ),
        (
            "newer",
            {"target": target(template="newer"), "sets": (stable_set(), canary_set(matches=False))},
            "Superseded",
        ),
        ("vanished", {"sets": (stable_set(),)}, "CanaryVanished"),
    ],
)
def test_other_reasons_roll_back_at_once(name, changes, reason):
    decision = middle(**changes).decide()
    assert decision.actions[0] == SetWeights(0, lowering=True), name
    assert decision.status.attempt.direction.reason == reason


def test_the_deadline_counts_only_while_pods_or_gateway_are_awaited():
    waiting = {
        "commanded_at": None,
        "accepted_at": None,
        "measuring_since": None,
        "rules": (rule(5),),
        "weight": 5,
        "arms": arms(4, 0),
        "sets": (stable_set(), canary_set(available=0)),
        "base_replicas": 0,
        "pods": pods(1, ready=False),
    }
    late = middle(**waiting, wait_since=NOW - 600).decide()
    assert late.status.attempt.direction.reason == "DeadlineExceeded"
    early = middle(**waiting, wait_since=NOW - 599).decide()
    assert early.status.attempt.direction.name is Heading.ADVANCING
    measuring = middle(wait_since=NOW - 9999).decide()
    assert measuring.status.attempt.direction.name is Heading.ADVANCING


def test_no_data_rolls_back_only_where_the_contract_says_so():
    blind = GuardStatus("errors", "NoData", "MetricsUnavailable", NOW - 70, no_data_since=NOW - 70)
    for action, heading in (
        (Absence.HOLD, Heading.ADVANCING),
        (Absence.ROLLBACK, Heading.ROLLING_BACK),
    ):
        terms = Terms(PLAN, Contract(guards=(GUARD,), no_data=Missing(60, action)))
        world = middle(readings=(reading(0, error="Timeout"),), guards=(blind,), terms=terms)
        assert world.decide().status.attempt.direction.name is heading


def test_max_hold_without_a_verdict_follows_on_inconclusive():
    stages = (*PLAN.stages[:1], Stage("quarter", 25, 5, max_hold=10), *PLAN.stages[2:])
    few = (reading(0, total=3),)
    outcomes = {}
    for choice in OnInconclusive:
        terms = Terms(replace(PLAN, stages=stages), replace(CONTRACT, on_inconclusive=choice))
        decision = middle(readings=few, terms=terms, due_at=NOW - 7).after_telling()
        outcomes[choice] = (decision.why.policy, decision.status.attempt.direction.name)
    assert outcomes == {
        OnInconclusive.HOLD: ("measure", Heading.ADVANCING),
        OnInconclusive.PROMOTE: ("advance", Heading.ADVANCING),
        OnInconclusive.ROLLBACK: ("breach", Heading.ROLLING_BACK),
    }


def test_a_weight_that_we_lowered_before_a_restart_is_never_raised_again():
    decision = middle(rules=(rule(0),)).decide()
    assert decision.why.policy == "breach"
    assert decision.status.attempt.direction.reason == "Interrupted"


def test_a_weight_that_we_raised_before_a_restart_is_remembered_without_a_write():
    decision = middle(rules=(rule(50),), arms=arms(4, 2)).decide()
    assert decision.actions == ()
    assert decision.why.policy == "caught_up"
    assert decision.status.attempt.weight == 50
    assert decision.status.attempt.stage.name == "half"


def foreign(weight, **changes):
    return rule(weight, ours=False, writer="kubectl-edit", **changes)


def test_somebody_elses_lower_weight_is_an_abort():
    decision = middle(rules=(foreign(10),)).decide()
    assert decision.status.attempt.direction.reason == "Aborted"
    assert decision.actions[0] == SetWeights(0, lowering=True)


def test_somebody_elses_higher_weight_is_put_back():
    decision = middle(rules=(foreign(90),)).decide()
    assert decision.actions[0] == SetWeights(25, lowering=True)
    assert decision.persist is Persist.FIRST
    assert decision.status.attempt.foreign_writes == 1


def test_a_reapplied_manifest_is_answered_twice_and_the_third_time_rolls_back():
    world = middle(rules=(foreign(None, backends='[{"name":"shop","port":81}]'),))
    first = world.decide()
    assert first.actions[0] == SetWeights(25, lowering=False)
    assert first.status.attempt.original[0].backends == '[{"name":"shop","port":81}]'
    again = world.but(status=first.status).decide()
    assert again.actions == first.actions, "a refused write is tried again, its event after it"
    assert again.status == first.status, "and the same foreign write is counted once"
    reapplied = foreign(None, backends='[{"name":"shop","port":81}]', generation=8)
    second = world.but(status=first.status, rules=(reapplied,)).decide()
    assert second.actions[0] == SetWeights(25, lowering=False)
    third = world.but(status=second.status, rules=(replace(reapplied, generation=9),)).decide()
    assert third.status.attempt.direction.reason == "ForeignWriter"
    assert "SetWeights" not in kinds(third)
    assert "kubectl-edit" in third.status.attempt.direction.message


def test_our_own_weight_is_never_taken_for_somebody_elses():
    assert middle(rules=(rule(25),)).decide().why.policy == "measure"


def test_half_a_picture_neither_raises_nor_deletes():
    unread = (Problem("ReplicaSet", "timeout"),)
    assert middle(unread=unread, sets=()).decide().actions == ()
    assert rolling_back(unread=unread, ago=99).decide().actions == ()
    assert handing_over(unread=unread).decide().actions == ()


def test_after_the_release_nothing_is_rolled_back():
    world = handing_over(readings=BAD, released_at=NOW - 0.1)
    assert "SetWeights" not in kinds(world.decide())


def test_traffic_off_repeats_until_the_route_shows_it():
    world = rolling_back(rules=(rule(25),))
    assert world.decide().actions == (SetWeights(0, lowering=True),)


def test_a_fight_during_the_rollback_ends_after_three_writes():
    world = rolling_back(rules=(foreign(25),), foreign_writes=2)
    decision = world.decide()
    assert decision.actions == (SetWeights(0, lowering=True),)
    given_up = world.but(status=decision.status).decide()
    assert "SetWeights" not in kinds(given_up)


def test_an_other_form_ends_the_attempt():
    decision = middle(rules=(foreign(0, form=Form.OTHER, canary=0, stable=0),)).decide()
    assert decision.status.attempt.direction.reason == "ForeignWriter"


def test_the_direction_is_dated():
    decision = middle(readings=BAD).decide()
    assert decision.status.attempt.direction == Direction(
        Heading.ROLLING_BACK, NOW, "GuardFailed", decision.status.attempt.direction.message
    )


def test_evidence_counts_while_the_next_stage_waits_for_its_pods():
    world = middle(readings=BAD, commanded_at=None, accepted_at=None, measuring_since=None, index=2)
    assert world.decide().actions[0] == SetWeights(0, lowering=True)
