"""Handing over, unwinding, giving back: the order in which things become the user's own again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leadsman.core.actions import (
    DeleteCanary,
    DropArms,
    DropFinalizer,
    DropTerms,
    GiveBack,
    Release,
    RestoreRules,
    ScaleCanary,
    SetArm,
    SetWeights,
    TakeOver,
    Unpause,
    Unpin,
)
from leadsman.core.decision import Persist
from leadsman.core.observation import Form, Owner, Role, Service
from leadsman.core.spec import HoldMode, Promotion, Terms

from .worlds import (
    CONTRACT,
    NOW,
    ORIGINAL,
    PLAN,
    arms,
    at_rest,
    canary_set,
    handing_over,
    kinds,
    middle,
    pods,
    rolling_back,
    rule,
    stable_set,
    target,
)

FULL = canary_set(replicas=4, ready=4, available=4)
TAKEN = replace(FULL, owner=Owner.DEPLOYMENT)
GONE = stable_set(replicas=0, ready=0, available=0)
OVER = {
    "released_at": NOW - 1.0,
    "sets": (GONE, TAKEN),
    "services": (Service("shop", "16", ready_canary=4),),
}


# --- handing over --------------------------------------------------------------------------


def test_the_release_waits_for_full_strength_unpinned_and_frozen():
    assert handing_over(sets=(stable_set(), canary_set(replicas=3))).decide().actions == (
        ScaleCanary("shop-new", 4, "12"),
    )
    thin = handing_over(sets=(stable_set(), replace(FULL, available=3)), arms=arms(4, 4))
    assert thin.decide().actions == ()
    pinned = handing_over(services=(Service("shop", "16", pinned_to="old", ready_stable=4),))
    assert pinned.decide().actions == (Unpin("shop", "16"),)
    assert handing_over(frozen_replicas=False).decide().actions == ()
    assert handing_over().decide().actions == (Release("shop-new", "uid-new", "12", 4),)


def test_without_the_freezing_policy_the_release_does_not_wait():
    assert kinds(handing_over(frozen_replicas=None, freeze_policy=False).decide()) == ["Release"]


def test_a_failing_guard_still_rolls_back_before_the_release():
    from .worlds import reading

    assert kinds(handing_over(readings=(reading(0.3),)).decide())[0] == "SetWeights"


def test_the_route_waits_for_the_endpoints_of_the_new_version():
    waiting = handing_over(
        **{**OVER, "services": (Service("shop", "16", ready_stable=1, ready_canary=4),)}
    )
    assert waiting.decide().actions == ()
    assert handing_over(**OVER).decide().actions == (RestoreRules((ORIGINAL,)),)


def test_the_route_waits_until_a_gateway_knows_those_endpoints():
    early = handing_over(**{**OVER, "released_at": NOW - 0.3}).decide()
    assert early.actions == ()
    assert early.wake_at == pytest.approx(NOW + 0.7)


def test_in_weights_only_the_arm_moves_at_once_and_the_weights_wait_for_it():
    own = {**OVER, "released_at": NOW - 0.3, "rules": (replace(rule(100), permanent=True),)}
    assert handing_over(**own).decide().actions == (SetArm("shop", Role.STABLE, "new"),)
    moved = handing_over(
        **own, arms=tuple(replace(arm, revision="new", ready=4) for arm in arms(4, 4))
    )
    assert moved.decide().actions == ()
    later = moved.but(released_at=NOW - 1.0).decide()
    assert later.actions == (RestoreRules((ORIGINAL,)),)


@pytest.mark.parametrize(
    ("name", "sets", "ago"),
    [
        ("shrunk", (stable_set(replicas=2), replace(TAKEN, replicas=2)), 0.1),
        ("stable not at 0 for long", (stable_set(), TAKEN), 30.0),
        (
            "not the new set, stable weak",
            (stable_set(available=1, ready=1), replace(TAKEN, matches=False)),
            1.0,
        ),
    ],
)
def test_a_release_that_did_not_take_is_reclaimed(name, sets, ago):
    decision = handing_over(sets=sets, released_at=NOW - ago).decide()
    assert decision.actions[0] == TakeOver("shop-new", "uid-new", "12"), name
    assert decision.status.attempt.released_at is None


@pytest.mark.parametrize("owner", [Owner.DEPLOYMENT, Owner.NONE])
def test_a_release_that_was_not_recorded_comes_before_every_reason_to_roll_back(owner):
    taken = replace(TAKEN, owner=owner)
    world = handing_over(sets=(GONE, taken), arms=arms(0, 4), deleting=True)
    found = world.decide()
    assert (found.why.policy, found.actions) == ("release_found", ())
    assert (found.status.attempt.released_at, found.persist) == (NOW, Persist.NOW)
    assert found.status.attempt.rested_at is None


def test_a_rolling_update_that_was_released_has_its_route_at_rest_already():
    terms = Terms(replace(PLAN, promotion=Promotion.ROLLING_UPDATE), CONTRACT)
    found = handing_over(terms=terms, sets=(GONE, TAKEN)).decide().status.attempt
    assert (found.released_at, found.rested_at) == (NOW, NOW)


def test_a_set_taken_back_before_a_restart_is_not_taken_for_released():
    ours = replace(TAKEN, owner=Owner.ROLLOUT, replicas=0)
    found = handing_over(sets=(stable_set(), ours), released_at=NOW - 5).decide()
    assert (found.actions, found.status.attempt.released_at) == ((), None)
    assert found.persist is Persist.NOW


@pytest.mark.parametrize(("template", "reason"), [("old", "Reverted"), ("newer", "Superseded")])
def test_a_set_scaled_down_for_another_template_loses_its_traffic_before_it_is_taken_back(
    template, reason
):
    shrunk = replace(TAKEN, replicas=0, matches=False)
    stable = stable_set(matches=template == "old")
    world = handing_over(
        target=target(template=template), sets=(stable, shrunk), released_at=NOW - 0.1
    )
    decision = world.decide()
    assert kinds(decision) == ["SetWeights", "TakeOver"]
    assert decision.actions[0] == SetWeights(0, lowering=True)
    attempt = decision.status.attempt
    assert (attempt.direction.reason, attempt.weight, attempt.released_at) == (reason, 0, None)
    # Killed after the first write: the same again, without a second write of the route.
    again = world.but(rules=(rule(0),)).decide()
    assert kinds(again) == ["TakeOver"]
    assert again.status.attempt.direction.reason == reason


@pytest.mark.parametrize("owner", [Owner.DEPLOYMENT, Owner.NONE])
def test_a_slow_deployment_controller_is_waited_for(owner):
    taken = replace(TAKEN, owner=owner)
    waiting = handing_over(sets=(stable_set(), taken), released_at=NOW - 29).decide()
    assert waiting.actions == ()
    assert waiting.wake_at == NOW + 1


def test_promotion_ends_at_rest_with_the_new_stable():
    rested = {**OVER, "rested_at": NOW - 1, "rules": (rule(None),)}
    assert handing_over(**rested).decide().actions == (Unpause("uid-shop", "10"),)
    open_ = {**rested, "target": target(paused=False)}
    assert handing_over(**open_).decide().wake_at == NOW + 4
    done = handing_over(**{**open_, "rested_at": NOW - 5}).decide()
    assert done.actions[:2] == (DropArms(("shop",)), DropTerms("shop-new-1"))
    assert done.status.attempt is None
    assert done.status.stable.revision == "new"
    assert done.status.history[-1].outcome == "Promoted"
    assert done.persist is Persist.NOW


def test_hold_paused_stays_paused_through_the_promotion():
    world = handing_over(
        **{**OVER, "rested_at": NOW - 9, "rules": (rule(None),)}, hold=HoldMode.PAUSED
    )
    assert "Unpause" not in kinds(world.decide())


def test_rolling_update_promotes_by_the_deployments_own_roll_out():
    terms = Terms(replace(PLAN, promotion=Promotion.ROLLING_UPDATE), CONTRACT)
    world = handing_over(terms=terms)
    assert world.decide().actions == (RestoreRules((ORIGINAL,)),)
    rested = world.but(rules=(rule(None),))
    assert kinds(rested.decide()) == ["Release"]
    rolling = rested.but(released_at=NOW, rested_at=NOW, sets=(stable_set(), TAKEN))
    assert rolling.decide().actions == (Unpause("uid-shop", "10"),)
    on = rolling.but(target=target(paused=False))
    assert on.decide().actions == ()
    complete = on.but(target=target(paused=False, complete=True), now=NOW + 5)
    assert complete.decide().status.stable.revision == "new"


# --- unwinding -----------------------------------------------------------------------------

EMPTY = {"pods": pods(0), "sets": (stable_set(),), "arms": arms(4, 0)}


def test_a_permanent_arm_that_selects_everybody_lists_no_endpoints_of_the_canary():
    stable, canary = arms(4, 4)
    own = {"rules": (replace(rule(0), permanent=True),)}
    listed = rolling_back(ago=40, **{**EMPTY, **own, "arms": (stable, canary)}).decide()
    assert "4 endpoints of the canary" in listed.why.message
    widened = (stable, replace(canary, revision=""))
    at_rest_again = rolling_back(ago=40, **{**EMPTY, **own, "arms": widened}).decide()
    assert "endpoints of the canary" not in at_rest_again.why.message


def test_traffic_off_before_scale_down():
    early = rolling_back(ago=29).decide()
    assert early.actions == ()
    assert early.wake_at == NOW + 1
    assert rolling_back(ago=30).decide().actions == (DeleteCanary("shop-new", "uid-new"),)


@pytest.mark.parametrize("reason", ["Superseded", "Reverted", "Deleted"])
def test_somebody_waiting_ends_the_delay_but_not_the_settling(reason):
    assert rolling_back(reason, ago=4).decide().actions == ()
    assert kinds(rolling_back(reason, ago=5).decide()) == ["DeleteCanary"]


def test_a_canary_that_never_had_traffic_goes_at_once():
    assert kinds(rolling_back(ago=0, max_weight=0).decide()) == ["DeleteCanary"]


def test_the_route_waits_for_the_canary_pods_to_leave():
    leaving = rolling_back(ago=31, **{**EMPTY, "pods": pods(1)})
    assert leaving.decide().actions == ()
    listed = rolling_back(ago=31, **{**EMPTY, "arms": arms(4, 1)})
    assert listed.decide().actions == ()
    decision = rolling_back(ago=31, **EMPTY).decide()
    assert decision.actions == (Unpin("shop", "16"), RestoreRules((ORIGINAL,)))


def test_a_set_that_was_taken_over_is_scaled_down_and_given_back():
    world = rolling_back(ago=31, took_over=True)
    assert world.decide().actions == (ScaleCanary("shop-new", 0, "12"),)
    empty = canary_set(replicas=0, ready=0, available=0)
    given = world.but(pods=pods(0), sets=(stable_set(), empty), arms=arms(4, 0))
    assert given.decide().actions == (GiveBack("shop-new", "uid-new", "12"),)


def test_a_refused_revision_is_remembered_and_a_superseded_one_is_not():
    rested = {**EMPTY, "rules": (rule(None),), "rested_at": NOW - 5}
    refused = rolling_back(ago=40, **rested).decide()
    assert refused.status.refused.template == "new"
    assert refused.status.history[-1].outcome == "RolledBack"
    free = rolling_back("Superseded", ago=40, **rested).decide()
    assert free.status.refused is None
    assert free.status.history[-1].outcome == "Superseded"


def test_the_arms_outlive_the_data_planes_switch():
    rested = {**EMPTY, "rules": (rule(None),), "rested_at": NOW - 4}
    assert rolling_back(ago=40, **rested).decide().wake_at == NOW + 1


def test_a_lost_target_restores_the_route_before_the_canary_goes():
    world = rolling_back(
        "TargetReplaced", ago=0, target=target(uid="uid-other"), rules=(rule(25),), weight=25
    )
    assert kinds(world.decide()) == ["Unpin", "RestoreRules"]
    rested = world.but(rules=(rule(None),), rested_at=NOW)
    assert kinds(rested.decide()) == ["DeleteCanary"]


def test_an_attempt_that_ends_without_a_target_says_so_and_is_never_ready():
    gone = {**EMPTY, "rules": (rule(None),), "arms": (), "rested_at": NOW - 9, "target": None}
    decision = rolling_back("TargetMissing", ago=40, **gone).decide()
    assert decision.status.attempt is None
    told = {one.type: (one.status, one.reason) for one in decision.status.conditions}
    assert told["Ready"] == ("False", "TargetMissing")
    assert told["Stalled"] == ("True", "TargetMissing")


def test_weights_only_rules_are_at_rest_at_weight_0_and_only_their_ownership_is_given_up():
    world = rolling_back(ago=31, **EMPTY, rules=(rule(0, permanent=True),))
    decision = world.decide()
    assert kinds(decision).count("RestoreRules") == 1
    theirs = world.but(rules=(rule(0, permanent=True, ours=False),))
    assert "RestoreRules" not in kinds(theirs.decide())
    assert kinds(decision).count("SetArm") == 2
    final = world.but(rested_at=NOW - 9).decide()
    assert "DropArms" not in kinds(final)


# --- giving back ---------------------------------------------------------------------------


def test_deleting_at_rest_only_drops_the_finalizer():
    assert kinds(at_rest(deleting=True).decide()) == ["DropFinalizer"]


def test_deleting_with_a_refused_template_lifts_the_hold_and_says_what_follows():
    decision = at_rest(deleting=True, target=target(), sets=(stable_set(),)).decide()
    assert kinds(decision) == ["Unpause"]
    assert "rolls out now" in decision.why.message


def test_deleting_after_the_release_finishes_forward():
    assert kinds(handing_over(**OVER, deleting=True).decide()) == ["RestoreRules"]


def test_deleting_during_an_attempt_starts_the_unwinding():
    decision = middle(deleting=True).decide()
    assert kinds(decision) == ["SetWeights"]
    assert decision.status.attempt.direction.reason == "Deleted"


def test_without_a_finalizer_nothing_is_left_to_do():
    assert at_rest(deleting=True, finalizer=False).decide().actions == ()
    assert DropFinalizer() in at_rest(deleting=True).decide().actions


def test_an_unowned_rest_form_counts_as_given_up():
    world = rolling_back("ForeignWriter", ago=31, **EMPTY, rules=(rule(None, form=Form.REST),))
    assert kinds(world.decide()) == ["Unpin"]


def test_pods_of_a_deployment_made_anew_with_the_same_template_are_its_own():
    anew = {"target": target(uid="uid-other"), "sets": (replace(FULL, owner=Owner.DEPLOYMENT),)}
    world = rolling_back("TargetReplaced", ago=40, rules=(rule(None),), rested_at=NOW - 9, **anew)
    decision = world.decide()
    assert decision.status.attempt is None
    assert decision.status.stable is None


NEWER = {"target": target(template="newer")}
OTHER_TEMPLATE = replace(FULL, matches=False)


def test_a_template_that_changed_at_the_release_is_never_released_again():
    weak = stable_set(available=1, ready=1)
    world = handing_over(**NEWER, sets=(weak, OTHER_TEMPLATE), arms=arms(1, 4))
    assert world.decide().actions == ()
    strong = handing_over(**NEWER, sets=(stable_set(), OTHER_TEMPLATE))
    assert strong.decide().status.attempt.direction.reason == "Superseded"


def test_a_template_that_changed_after_stable_was_gone_waits_for_the_end():
    taken = replace(TAKEN, matches=False)
    world = handing_over(**{**OVER, **NEWER, "sets": (GONE, taken), "released_at": NOW - 5})
    assert world.decide().actions == (RestoreRules((ORIGINAL,)),)


def test_pods_on_their_way_out_are_no_strength_to_go_back_to():
    leaving = tuple(replace(pod, deleting=True) for pod in pods(0)) + pods(4)[4:]
    world = handing_over(**NEWER, sets=(stable_set(), OTHER_TEMPLATE), pods=leaving)
    assert world.decide().actions == ()
    unseen = handing_over(**NEWER, sets=(stable_set(observed=False), OTHER_TEMPLATE), pods=pods(4))
    assert unseen.decide().actions == ()
