"""At rest: hands off what somebody older has, a managed route that is kept, arms that stay open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leadsman.core.actions import DropFinalizer, KeepRoute, SetArm
from leadsman.core.observation import Role, Service
from leadsman.core.spec import Problem

from .worlds import arms, at_rest, kinds, middle, rolling_back, rule, stable_set, target

TAKEN = (Problem("Conflicted", "Rollout elder has Deployment shop"),)
NEW = {"target": target(), "sets": (stable_set(),)}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("a first visit", {"finalizer": False}),
        ("nothing adopted yet", {"stable": None}),
        ("a new template", NEW),
        ("a new template that is not held", {**NEW, "target": target(paused=False)}),
        ("a held template that is stable's", {"target": target(template="old", complete=True)}),
        ("a managed route", {"route_drift": "missing"}),
        ("arms that are narrowed", {"rules": (rule(0, permanent=True),), "arms": arms()}),
        ("gone before it took anything", {"deleting": True, "finalizer": False}),
    ],
)
def test_what_an_older_rollout_has_is_not_touched(name, changes):
    world = at_rest(**changes)
    other = world.but(spec=replace(world.spec, problems=TAKEN)).decide()
    assert (kinds(other), other.why.policy, other.why.reason) == ([], "conflicted", "Conflicted")
    told = {one.type: (one.status, one.reason) for one in other.status.conditions}
    assert told["Stalled"] == ("True", "Conflicted"), name


def test_nothing_is_given_back_that_an_older_rollout_has():
    world = at_rest(deleting=True, target=target(), arms=arms())
    assert kinds(world.decide()) == ["Unpause"]
    other = world.but(spec=replace(world.spec, problems=TAKEN)).decide()
    assert other.actions == (DropFinalizer(),)


@pytest.mark.parametrize(
    ("name", "world"),
    [
        ("at rest", at_rest()),
        ("before adoption", at_rest(stable=None)),
        ("in an attempt", middle()),
    ],
)
def test_a_managed_route_that_is_missing_is_made(name, world):
    assert KeepRoute() not in world.decide().actions
    decision = world.but(route_drift="missing").decide()
    assert (decision.why.policy, decision.actions) == ("keep_route", (KeepRoute(),)), name
    assert "missing" in decision.why.message


@pytest.mark.parametrize("world", [at_rest(deleting=True), rolling_back()])
def test_a_managed_route_is_not_made_for_a_rollout_that_goes_nor_in_a_rollback(world):
    assert KeepRoute() not in world.but(route_drift="missing").decide().actions


PERMANENT = {"rules": (rule(0, permanent=True, ours=False),)}


def test_arms_that_the_users_rules_name_are_there_and_open_at_rest():
    narrow = arms()
    wide = tuple(replace(one, revision="") for one in narrow)
    for found, role in (
        ((), Role.STABLE),
        ((wide[0],), Role.CANARY),
        (narrow, Role.STABLE),
        ((wide[0], narrow[1]), Role.CANARY),
    ):
        decision = at_rest(**PERMANENT, arms=found).decide()
        assert decision.why.policy == "rest_arms"
        assert decision.actions == (SetArm("shop", role, ""),)
    assert at_rest(**PERMANENT, arms=wide).decide().actions == ()


def test_every_services_arms_are_opened():
    wide = tuple(replace(one, revision="") for one in arms())
    services = (Service("shop", "16", ready_stable=4), Service("shop-grpc", "17", ready_stable=4))
    rules = (*PERMANENT["rules"], rule(0, permanent=True, ours=False, service="shop-grpc"))
    decision = at_rest(rules=rules, services=services, arms=wide).decide()
    assert decision.actions == (SetArm("shop-grpc", Role.STABLE, ""),)


def test_a_rule_that_names_the_service_needs_no_arms_at_rest():
    assert at_rest(arms=()).decide().actions == ()
    assert at_rest(arms=arms()).decide().actions == ()
