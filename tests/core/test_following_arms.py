"""An arm that is no longer what the user's Service is is written anew: at rest, in an attempt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leadsman.core.actions import SetArm
from leadsman.core.observation import Arm, Role
from leadsman.core.record import decode, encode
from leadsman.core.status import Refused

from .worlds import NOW, World, arms, at_rest, middle, rule, stable_set, target

OPEN = (
    Arm("shop", Role.STABLE, "shop-stable", "14", "", 4),
    Arm("shop", Role.CANARY, "shop-canary", "15", "", 4),
)
SERVING = rule(0, permanent=True, ours=False)


def weights_only(*stale: Role) -> World:
    """At rest with a rule that names the arms for good; these of them are stale."""
    found = tuple(replace(arm, stale=arm.role in stale) for arm in OPEN)
    return at_rest(rules=(SERVING,), arms=found)


def test_arms_that_are_as_their_service_is_are_left_alone_at_rest() -> None:
    assert weights_only().decide().actions == ()


@pytest.mark.parametrize("role", Role)
def test_an_arm_follows_its_service_at_rest(role: Role) -> None:
    decision = weights_only(role).decide()
    assert decision.why.policy == "rest_arms"
    assert "follows its Service" in decision.why.message
    assert decision.actions == (SetArm("shop", role, ""),)


def test_what_is_told_at_rest_stays_the_same_while_an_arm_is_put_right() -> None:
    refused = Refused("new", "new", "RolledBack", "bad", NOW - 50)
    held = {"target": target(paused=True), "sets": (stable_set(),), "refused": refused}
    decision = weights_only(Role.STABLE).but(**held).decide()
    assert decision.actions == (SetArm("shop", Role.STABLE, ""),)
    assert decision.why.reason == "RolledBack"


def test_arms_that_no_rule_names_for_good_are_not_written_at_rest() -> None:
    found = tuple(replace(arm, stale=True) for arm in OPEN)
    assert not any(isinstance(one, SetArm) for one in at_rest(arms=found).decide().actions)


def test_arms_follow_their_service_in_an_attempt_without_another_revision() -> None:
    stable, canary = arms()
    decision = middle(arms=(replace(stable, stale=True), canary)).decide()
    assert decision.actions == (SetArm("shop", Role.STABLE, "old"),)
    both = middle(arms=(replace(stable, stale=True), replace(canary, stale=True))).decide()
    assert both.actions == (SetArm("shop", Role.STABLE, "old"), SetArm("shop", Role.CANARY, "new"))


def test_an_older_record_of_an_arm_is_one_that_follows() -> None:
    tree = encode(OPEN[0])
    del tree["stale"]
    assert decode(Arm, tree) == OPEN[0]
