"""Adopting, holding, opening, shifting, measuring: what must be there before traffic is raised."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leadsman.core.actions import (
    CreateCanary,
    DeleteCanary,
    Emit,
    Pause,
    Pin,
    RecordTerms,
    ScaleCanary,
    SetArm,
    SetWeights,
    TakeOver,
    Unpause,
)
from leadsman.core.decision import Persist
from leadsman.core.observation import Form, Owner, Role, Service, Share
from leadsman.core.spec import (
    Absence,
    Contract,
    GuardSpec,
    HoldMode,
    InCluster,
    Missing,
    OnFail,
    Problem,
    Stage,
    Terms,
)
from leadsman.core.status import GuardStatus, Heading, Refused, Stable, Status
from leadsman.guards.judges import Unsupported

from .worlds import (
    CONTRACT,
    GUARD,
    NOW,
    ORIGINAL,
    PLAN,
    TERMS,
    arms,
    at_rest,
    canary_set,
    kinds,
    middle,
    pods,
    reading,
    rule,
    stable_set,
    target,
)

NEW = {"target": target(), "sets": (stable_set(),)}
REFUSED = Refused("new", "new", "RolledBack", "guard errors", NOW - 50)


def opening(**changes):
    """An attempt that has just started: nothing of it exists yet."""
    started = at_rest(**NEW).decide().status
    return at_rest(status=started, **NEW).but(**changes)


# --- adopting ------------------------------------------------------------------------------


def test_a_complete_deployment_is_adopted_with_its_own_revision():
    decision = at_rest(stable=None).decide()
    assert (decision.status.stable.uid, decision.status.stable.revision) == ("uid-shop", "old")
    assert decision.persist is Persist.NOW


def test_a_deployment_that_still_rolls_out_is_waited_for():
    decision = at_rest(
        stable=None, target=target(complete=False, paused=False, template="old")
    ).decide()
    assert decision.status.stable is None
    assert decision.why.reason == "Holding"


def test_the_finalizer_comes_before_anything_of_the_users_is_touched():
    assert kinds(at_rest(finalizer=False, **NEW).decide()) == ["AddFinalizer"]


def test_a_deployment_made_anew_is_adopted_by_its_own_set_and_not_by_one_of_ours():
    left = canary_set(template="old", created_at=NOW - 9e5)
    world = at_rest(sets=(left, stable_set(matches=True)), stable=None)
    assert world.decide().status.stable.revision == "old"


def test_a_recreated_deployment_ends_the_attempt_and_is_adopted_anew():
    decision = middle(target=target(uid="uid-other")).decide()
    assert decision.status.attempt.direction.reason == "TargetReplaced"
    assert "SetWeights" not in kinds(decision)


def test_at_rest_nothing_is_done():
    first = at_rest().decide()
    assert first.actions == ()
    again = at_rest(status=first.status).decide()
    assert (again.actions, again.persist, again.wake_at) == ((), Persist.NEVER, None)


# --- holding -------------------------------------------------------------------------------


def test_a_template_back_at_stable_lifts_the_hold_and_the_refusal():
    back = at_rest(target=target(template="old", complete=True), refused=REFUSED)
    decision = back.decide()
    assert decision.actions[0] == Unpause("uid-shop", "10")
    assert decision.status.refused is None


def test_hold_paused_keeps_the_deployment_paused_at_rest():
    decision = at_rest(hold=HoldMode.PAUSED).decide()
    assert decision.actions == (Pause("uid-shop", "10"),)


def test_the_refused_template_is_not_tried_again():
    world = at_rest(**NEW, refused=REFUSED)
    decision = world.decide()
    assert decision.actions == ()
    assert decision.why.reason == "RolledBack"
    assert "guard errors" in decision.why.message


def test_a_third_template_starts_a_new_attempt_from_the_same_stable():
    decision = at_rest(
        target=target(template="third"), sets=(stable_set(),), refused=REFUSED
    ).decide()
    assert decision.status.attempt.template == "third"
    assert decision.status.stable.revision == "old"


@pytest.mark.parametrize("refused", [None, REFUSED])
def test_a_template_that_was_not_held_is_paused_and_its_pods_taken(refused):
    new = canary_set(owner=Owner.DEPLOYMENT, replicas=1)
    decision = at_rest(
        target=target(paused=False), sets=(stable_set(replicas=3), new), refused=refused
    ).decide()
    assert decision.actions[:2] == (Pause("uid-shop", "10"), TakeOver("shop-new", "uid-new", "12"))


def test_resume_during_an_attempt_is_paused_again():
    assert kinds(middle(target=target(paused=False)).decide()) == ["Pause"]


SHARED = Problem("RuleShared", "rule main has another backend")


def test_a_problem_holds_and_is_named_and_told_once():
    world = at_rest(**NEW, problems=(SHARED,))
    first = world.decide()
    assert first.why.reason == "RuleShared"
    assert first.actions == (Emit("RuleShared", SHARED.message, warning=True),)
    assert world.but(status=first.status).decide().actions == ()


def test_another_problem_is_told_too_and_so_is_the_same_one_when_it_comes_again():
    world = at_rest(problems=(SHARED,))
    shared = world.decide().status
    gone = Problem("RouteMissing", "route shop does not exist")
    other = world.but(status=shared, problems=(gone,)).decide()
    assert [one.reason for one in other.actions] == ["RouteMissing"]
    mended = world.but(status=other.status, problems=()).decide()
    assert not mended.actions
    again = world.but(status=mended.status).decide()
    assert [one.reason for one in again.actions] == ["RuleShared"]


def test_a_problem_that_is_there_at_adoption_is_told_with_it():
    world = at_rest(problems=(SHARED,)).but(status=Status())
    told = [one.reason for one in world.decide().actions if isinstance(one, Emit)]
    assert told == ["Adopted", "RuleShared"]


def test_weights_of_the_users_own_rule_go_to_stable_before_an_arm_is_narrowed():
    wide = tuple(replace(one, revision="") for one in arms())
    own = {
        "arms": wide,
        "sets": (stable_set(),),
        "weight": 0,
        "max_weight": 0,
        "routed_at": None,
        "commanded_at": None,
        "measuring_since": None,
    }
    world = middle(**own, rules=(rule(10, permanent=True, ours=False, generation=1),))
    world = world.but(original=(replace(ORIGINAL, generation=1),))
    assert world.decide().actions == (SetWeights(0, lowering=True),)
    written = rule(0, permanent=True, generation=2)
    assert world.but(rules=(written,), now=world.status.attempt.started_at).decide().actions == ()
    assert kinds(world.but(rules=(written,)).decide()) == ["SetArm", "SetArm"]


def test_a_refused_revision_is_no_problem_that_is_told_again():
    refused = Refused("new", "new", "GuardFailed", "errors", NOW)
    world = at_rest(target=target(template="new", paused=True), refused=refused)
    first = world.decide()
    assert "Emit" not in kinds(first)


def test_a_broken_reference_does_not_disturb_the_running_attempt():
    world = middle()
    broken = replace(world.spec, terms=None, problems=(Problem("ReferenceMissing", "gone"),))
    assert world.but(spec=broken).decide().why.policy == "measure"


def test_stable_at_half_strength_stops_the_ramp():
    weak = stable_set(ready=2, available=2)
    stage = {"commanded_at": None, "accepted_at": None, "measuring_since": None}
    decision = middle(**stage, sets=(weak, canary_set()), arms=arms(2, 1)).decide()
    assert decision.why.policy == "stable_short"
    assert decision.actions == ()


# --- opening -------------------------------------------------------------------------------


def test_an_attempt_records_its_terms_and_the_users_backends_first():
    decision = at_rest(**NEW).decide()
    attempt = decision.status.attempt
    assert kinds(decision) == ["RecordTerms"]
    assert decision.actions[0] == RecordTerms(attempt.frozen)
    assert attempt.original[0].backends == '[{"name":"shop","port":80}]'
    assert decision.persist is Persist.NOW


def test_an_attempt_numbers_itself_after_the_last_one():
    assert at_rest(**NEW).decide().status.attempt.id == "new-1"


def test_each_step_waits_for_the_one_before():
    world = opening()
    assert kinds(world.decide()) == ["RecordTerms"]
    world = world.but(seen=replace(world.seen, terms=TERMS))
    made = world.decide()
    assert made.actions == (SetArm("shop", Role.STABLE, "old"), SetArm("shop", Role.CANARY, "new"))
    empty = world.but(arms=arms(0, 0))
    assert empty.decide().why.reason == "Holding"
    filled = world.but(arms=arms(4, 0))
    assert filled.decide().actions == ()
    assert filled.decide().wake_at == NOW + 1
    known = filled.but(now=NOW + 1)
    assert known.decide().actions == (SetWeights(0, lowering=False),)
    unaccepted = filled.but(rules=(rule(0, accepted=False, why_not="lags"),))
    assert "lags" in unaccepted.decide().why.message
    routed = filled.but(rules=(rule(0),))
    noted = routed.decide()
    assert noted.status.attempt.routed_at == NOW
    pinning = routed.but(status=noted.status).decide()
    assert pinning.actions == (Pin("shop", "old", "16"),)
    pinned = routed.but(
        status=pinning.status, services=(Service("shop", "17", pinned_to="old", ready_stable=4),)
    )
    assert pinned.decide().actions == (CreateCanary("new", 1),)


def test_a_version_that_takes_traffic_already_is_kept_from_it_without_delay():
    world = opening().but(arms=arms(4, 0), sets=(stable_set(), canary_set()))
    world = world.but(seen=replace(world.seen, terms=TERMS))
    assert world.decide().actions == (SetWeights(0, lowering=False),)


def test_a_version_that_starts_unheld_leaves_the_gateway_its_time_until_it_is_ready():
    starting = canary_set(ready=0, available=0)
    world = opening().but(arms=arms(4, 0), sets=(stable_set(), starting))
    world = world.but(seen=replace(world.seen, terms=TERMS))
    assert (world.decide().actions, world.decide().wake_at) == ((), NOW + 1)
    ready = world.but(sets=(stable_set(), canary_set()))
    assert ready.decide().actions == (SetWeights(0, lowering=False),)


def test_an_unpinned_service_lets_the_route_settle_before_the_first_canary_pod():
    shared = (Service("shop", "16", apply_owner="flux", ready_stable=4),)
    world = middle(
        services=shared,
        sets=(stable_set(),),
        pods=pods(0),
        arms=arms(4, 0),
        rules=(rule(0),),
        weight=0,
        pinned=False,
        commanded_at=None,
        accepted_at=None,
        measuring_since=None,
        routed_at=NOW - 1,
    )
    decision = world.decide()
    assert decision.actions == ()
    assert decision.wake_at == NOW + 4
    assert kinds(world.but(now=NOW + 4).decide()) == ["CreateCanary"]


def test_an_old_set_with_the_template_is_taken_over():
    old = canary_set(owner=Owner.DEPLOYMENT, replicas=0, ready=0, available=0, created_at=NOW - 9e5)
    started = at_rest(target=target(), sets=(stable_set(), old)).decide()
    assert started.status.attempt.revision == "new"
    assert started.status.attempt.took_over is True


def test_required_pin_refuses_to_start_where_somebody_owns_the_selector():
    services = (Service("shop", "16", apply_owner="flux", ready_stable=4),)
    decision = at_rest(**NEW, services=services, in_cluster=InCluster.REQUIRED).decide()
    assert decision.why.reason == "PinRequired"
    assert decision.status.attempt is None


def test_recreate_is_refused_with_a_reason_of_its_own():
    assert (
        at_rest(target=target(recreate=True), sets=(stable_set(),)).decide().why.reason
        == "Recreate"
    )


def test_scaled_to_nothing_holds_unless_unguarded():
    nothing = {
        "target": target(replicas=0),
        "sets": (stable_set(replicas=0, ready=0, available=0),),
    }
    assert at_rest(**nothing).decide().why.reason == "Holding"
    free = at_rest(**nothing, unguarded="dev cluster").decide()
    assert kinds(free) == ["Unpause"]


# --- shifting ------------------------------------------------------------------------------

ENTERED = {
    "commanded_at": None,
    "accepted_at": None,
    "measuring_since": None,
    "due_at": None,
    "weight": 5,
    "rules": (rule(5),),
    "base_replicas": 4,
}


def test_capacity_before_traffic():
    world = middle(
        **ENTERED,
        target=target(replicas=8),
        sets=(stable_set(replicas=8, ready=8, available=8), canary_set()),
        arms=arms(8, 1),
    )
    assert world.decide().actions == (ScaleCanary("shop-new", 2, "12"),)
    scaled = world.but(sets=(stable_set(replicas=8, ready=8, available=8), canary_set(replicas=2)))
    assert scaled.decide().why.policy == "capacity"
    ready = world.but(
        arms=arms(8, 2),
        sets=(
            stable_set(replicas=8, ready=8, available=8),
            canary_set(replicas=2, ready=2, available=2),
        ),
    )
    assert ready.decide().actions[0] == SetWeights(25, lowering=False)


def test_why_the_canarys_pods_cannot_be_made_is_told_while_it_waits_and_at_the_deadline():
    none = canary_set(ready=0, available=0, failure="exceeded quota: pods")
    world = middle(**{**ENTERED, "rules": (rule(0),), "weight": 0}, arms=arms(4, 0)).but(
        sets=(stable_set(), none), pods=pods(0)
    )
    assert "in the endpoints: exceeded quota: pods" in world.decide().why.message
    late = world.but(wait_since=NOW - 601).decide()
    assert late.status.attempt.direction.reason == "DeadlineExceeded"
    assert "after 600 s: exceeded quota: pods" in late.status.attempt.direction.message


def test_available_pods_without_endpoints_do_not_count():
    decision = middle(**{**ENTERED, "rules": (rule(0),), "weight": 0}, arms=arms(4, 0)).decide()
    assert decision.why.policy == "capacity"


def test_approval_before_traffic():
    stages = (PLAN.stages[0], replace(PLAN.stages[1], approvals=1), *PLAN.stages[2:])
    world = middle(**ENTERED, terms=Terms(replace(PLAN, stages=stages), CONTRACT))
    assert world.decide().actions == ()
    assert world.but(approvals=1).decide().actions[0] == SetWeights(25, lowering=False)


def test_a_raise_is_written_once_and_status_follows_at_arrival():
    raised = middle(**ENTERED).decide()
    assert raised.actions[0] == SetWeights(25, lowering=False)
    assert raised.persist is Persist.LAZY
    world = middle(status=raised.status)
    accepted = world.decide()
    assert (accepted.why.policy, accepted.persist) == ("arrival", Persist.LAZY)
    settling = world.but(status=accepted.status).decide()
    assert settling.wake_at == NOW + 5
    arrived = world.but(status=accepted.status, now=NOW + 5).decide()
    assert arrived.persist is Persist.NOW
    assert arrived.status.attempt.stage.due_at == NOW + 5 + 30


@pytest.mark.parametrize(
    ("share", "arrives"),
    [
        (Share(50, 199), True),
        (Share(60, 200), True),
        (Share(61, 200), False),
        (Share(0, 200), False),
        (Share(20, 100), True),
        (None, True),
    ],
)
def test_the_arrived_share_must_be_plausible_from_200_events_on(share, arrives):
    world = middle(measuring_since=None, accepted_at=NOW - 6, share=share, share_measurable=True)
    decision = world.decide()
    assert (decision.status.attempt.stage.measuring_since is not None) is arrives
    if not arrives:
        assert decision.why.reason == "SampleRatioMismatch"


def test_blind_for_too_long_steps_one_stage_back_intent_first():
    blind = GuardStatus(
        "errors", "NoData", "MetricsUnavailable", NOW - 601, no_data_since=NOW - 601
    )
    decision = middle(readings=(reading(0, error="Timeout"),), guards=(blind,)).decide()
    assert decision.persist is Persist.FIRST
    assert decision.actions[0] == SetWeights(5, lowering=True)
    assert decision.status.attempt.direction.name is Heading.STEPPING_BACK


# --- measuring -----------------------------------------------------------------------------

DUE = {"due_at": NOW - 1}


def test_a_stage_with_all_guards_passing_goes_on_when_its_time_is_over():
    assert middle().decide().why.policy == "measure"
    assert middle(**DUE).decide().why.policy == "advance"


@pytest.mark.parametrize(
    ("name", "readings"),
    [
        ("thin", (reading(0, total=99),)),
        ("empty", (reading(0, total=0),)),
        ("missing", ()),
        ("stale", (reading(0, error="Stale"),)),
        ("timeout", (reading(0, error="Timeout"),)),
        ("bad json", (reading(0, error="BadJSON"),)),
    ],
)
def test_no_data_is_never_success(name, readings):
    decision = middle(**DUE, readings=readings).decide()
    assert decision.why.policy == "measure", name
    assert decision.why.reason == "Holding"
    much_later = middle(**DUE, readings=readings, now=NOW + 300).decide()
    assert much_later.why.policy == "measure", name


def test_proceed_is_said_aloud():
    blind = GuardStatus("errors", "NoData", "MetricsUnavailable", NOW - 61, no_data_since=NOW - 61)
    terms = Terms(PLAN, Contract(guards=(GUARD,), no_data=Missing(60, Absence.PROCEED)))
    world = middle(**DUE, readings=(reading(0, error="Timeout"),), guards=(blind,), terms=terms)
    assert world.decide().why.policy == "advance"


def test_a_judge_that_is_not_there_yet_never_passes():
    terms = Terms(PLAN, Contract(guards=(GuardSpec("errors", Unsupported("sequential")),)))
    assert middle(**DUE, terms=terms).decide().why.policy == "measure"


def test_a_failing_hold_guard_holds_and_a_warning_does_not():
    for on_fail, policy in ((OnFail.HOLD, "measure"), (OnFail.WARN, "advance")):
        terms = Terms(PLAN, Contract(guards=(replace(GUARD, on_fail=on_fail),)))
        world = middle(**DUE, readings=(reading(0.3),), terms=terms)
        assert world.after_telling().why.policy == policy


def test_without_a_contract_time_alone_counts():
    assert (
        middle(**DUE, terms=Terms(PLAN, Contract()), readings=()).decide().why.policy == "advance"
    )


def test_the_last_stage_leads_to_the_hand_over():
    last = Terms(replace(PLAN, stages=(*PLAN.stages[:1], Stage("quarter", 25))), CONTRACT)
    decision = middle(**DUE, terms=last).decide()
    assert decision.status.attempt.direction.name is Heading.HANDING_OVER
    assert decision.persist is Persist.NOW


AT_FULL = {
    "index": 3,
    "name": "full",
    "weight": 100,
    "max_weight": 100,
    "rules": (rule(100),),
    "sets": (stable_set(), canary_set(replicas=4, ready=4, available=4)),
    "pods": pods(4),
    "arms": arms(4, 4),
}
"""A canary that has all traffic and is measured in the last stage."""


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("not due", {"due_at": NOW + 1}),
        ("not due, and blind", {"due_at": NOW + 1, "readings": ()}),
        ("blind", {**DUE, "readings": (reading(0, error="Timeout"),)}),
        ("stale", {**DUE, "readings": (reading(0, error="Stale"),)}),
        ("thin", {**DUE, "readings": (reading(0, total=99),)}),
        ("missing", {**DUE, "readings": ()}),
        ("not settled", {"accepted_at": NOW - 4, "measuring_since": None, "due_at": None}),
        ("not accepted", {"accepted_at": None, "measuring_since": None, "due_at": None}),
    ],
)
def test_at_full_weight_nothing_is_handed_over_before_its_time_and_evidence(name, changes):
    assert middle(**AT_FULL, **DUE).decide().status.attempt.direction.name is Heading.HANDING_OVER
    for later in (0, 0.5):
        decision = middle(**AT_FULL, **changes, now=NOW + later).decide()
        assert decision.status.attempt.direction.name is Heading.ADVANCING, name
        assert kinds(decision) == [], name


def test_the_same_world_gives_the_same_decision():
    world = middle(**DUE)
    assert world.decide() == world.decide()


def test_a_rule_that_names_something_else_is_not_taken():
    world = opening(
        seen=replace(
            opening().seen, terms=TERMS, arms=arms(4, 0), rules=(rule(0, form=Form.OTHER),)
        )
    )
    decision = world.decide()
    assert (decision.actions, decision.why.reason) == ((), "AmbiguousRule")
    told = {one.type: (one.status, one.reason) for one in decision.status.conditions}
    assert told["Stalled"] == ("True", "AmbiguousRule")
    assert told["Ready"] == ("False", "AmbiguousRule")
    assert told["Reconciling"][0] == "False"


def test_a_deployment_held_before_its_adoption_is_adopted_by_the_set_that_serves():
    held = at_rest(stable=None, target=target(), sets=(stable_set(),)).decide()
    assert held.status.stable.revision == "old"


@pytest.mark.parametrize(
    ("name", "sets"),
    [
        ("nothing serves yet", ()),
        ("two versions serve", (stable_set(replicas=2), canary_set(owner=Owner.DEPLOYMENT))),
    ],
)
def test_a_hold_that_came_before_there_was_anything_to_protect_is_lifted(name, sets):
    assert kinds(at_rest(stable=None, target=target(), sets=sets).decide()) == ["Unpause"], name


def test_a_set_that_is_not_ready_yet_is_waited_for():
    waiting = at_rest(stable=None, target=target(), sets=(stable_set(available=1),)).decide()
    assert waiting.actions == ()


@pytest.mark.parametrize(
    ("name", "bad", "total", "kept"),
    [
        ("near", 0.003, 1100, True),
        ("twice the events", 0.001, 2000, True),
        ("more than twice", 0.001, 2001, False),
        ("a tenth of the limit away", 0.008, 1000, False),
        ("a warning", 0.046, 1000, False),
    ],
)
def test_figures_that_are_no_news_are_not_written_again(name, bad, total, kept):
    world = middle()
    first = world.decide().status
    again = world.but(status=first, readings=(reading(bad, total=total),)).decide()
    assert (again.status.attempt.guards is first.attempt.guards) is kept, name


RIVAL = canary_set(name="shop-rival", uid="uid-rival", revision="rival", owner=Owner.DEPLOYMENT)


def test_a_second_set_of_the_same_template_is_taken_and_deleted():
    world = middle(target=target(paused=False), sets=(stable_set(), canary_set(), RIVAL))
    assert world.decide().actions[1] == TakeOver("shop-rival", "uid-rival", "12")
    taken = replace(RIVAL, owner=Owner.ROLLOUT)
    world = middle(sets=(stable_set(), canary_set(), taken))
    assert kinds(world.decide()) == ["DeleteCanary"]


def test_a_set_of_a_refused_template_is_deleted_and_one_to_be_tried_is_kept():
    caught = canary_set()
    refused = at_rest(target=target(), sets=(stable_set(), caught), refused=REFUSED)
    assert kinds(refused.decide()) == ["DeleteCanary"]
    fresh = at_rest(target=target(), sets=(stable_set(), caught))
    assert kinds(fresh.decide()) == ["RecordTerms"]


def test_a_set_of_the_stable_template_beside_stables_own_is_deleted():
    caught = canary_set(template="old")
    anew = at_rest(
        target=target(template="old", paused=False, complete=True),
        sets=(stable_set(matches=True), caught),
    )
    assert anew.decide().actions == (DeleteCanary("shop-new", "uid-new"),)
    not_adopted = anew.but(stable=Stable("uid-former", "old", "old", 4))
    assert "DeleteCanary" not in kinds(not_adopted.decide())


def test_the_next_stages_pods_start_before_the_hold_is_over():
    world = middle(due_at=NOW + 4)
    assert world.decide().actions == (ScaleCanary("shop-new", 2, "12"),)
    assert middle(due_at=NOW + 8).decide().wake_at == NOW + 3
    doubtful = middle(due_at=NOW + 4, readings=(reading(0, error="Stale"),))
    assert doubtful.decide().actions == ()


def test_pods_that_were_started_for_the_next_stage_are_kept():
    more = canary_set(replicas=2, ready=2, available=2)
    world = middle(sets=(stable_set(), more), arms=arms(4, 2), due_at=NOW + 20)
    assert world.decide().why.policy == "measure"


def test_what_only_people_read_is_not_written_in_a_hurry():
    blind = GuardStatus("errors", "NoData", "NoTraffic", NOW - 2, limit=0.05, no_data_since=NOW - 2)
    assert middle(guards=(blind,)).decide().persist is Persist.LAZY
    seen = middle().decide().status
    gone = middle(status=seen, readings=(reading(0, error="Timeout"),)).decide()
    assert gone.persist is Persist.SOON


@pytest.mark.parametrize(("ago", "reason"), [(4.9, "Progressing"), (5.0, "Holding")])
def test_blindness_is_told_after_a_few_seconds_and_then_soon(ago, reason):
    blind = GuardStatus(
        "errors", "NoData", "MetricsUnavailable", NOW - ago, limit=0.05, no_data_since=NOW - ago
    )
    decision = middle(readings=(reading(0, error="Timeout"),), guards=(blind,)).decide()
    assert decision.why.reason == reason
    if reason == "Holding":
        assert decision.persist is Persist.SOON
    else:
        assert decision.wake_at == NOW - ago + 5


def test_a_weight_waits_until_a_gateway_knows_the_endpoints_that_carry_it():
    fresh = tuple(replace(arm, ready_since=NOW - 0.4) for arm in arms(4, 1))
    world = middle(arms=fresh, rules=(rule(0),)).but(
        commanded_at=None, accepted_at=None, measuring_since=None, due_at=None, weight=0
    )
    early = world.decide()
    assert early.actions == ()
    assert early.wake_at == pytest.approx(NOW + 0.6)
    assert "SetWeights" in kinds(world.but(now=NOW + 0.7).decide())
