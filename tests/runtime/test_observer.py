"""Observing: nothing at rest, everything during an attempt, and errors as facts."""

from __future__ import annotations

from typing import Any

import pytest

from leadsman.errors import ForbiddenError, UnavailableError
from leadsman.ports import (
    DEPLOYMENT,
    ENDPOINTSLICE,
    HTTPROUTE,
    MUTATINGPOLICY,
    MUTATINGPOLICYBINDING,
    POD,
    REPLICASET,
    ROLLOUT,
    SERVICE,
    Kind,
    Ref,
)
from tests.runtime.worlds import (
    NS,
    World,
    adopted,
    deployment,
    promql_contract,
    rollout,
    route,
    service,
    source,
)


async def world_with(*bodies: Any, **spec: Any) -> World:
    """A world in which the Rollout meets these objects on its first visit."""
    world = World()
    for body in (deployment(), source(), *bodies):
        world.kube.user_apply(body)
    world.kube.advance(5)
    world.kube.user_create(rollout(**spec))
    await world.run(8)
    return world


def lone(route_name: str, **backend: Any) -> Any:
    body = route(route_name)
    body["spec"]["rules"][0]["backendRefs"][0] |= backend
    return body


async def test_at_rest_nothing_is_read_and_nothing_written() -> None:
    world = await adopted()
    await world.run(70, step=5)
    count = len(world.kube.requests)
    await world.run(600, step=10)
    assert len(world.kube.requests) == count


async def test_a_new_process_at_rest_asks_for_the_policies_once_and_nothing_else() -> None:
    world = await adopted()
    await world.run(70, step=5)
    world.start()
    count = len(world.kube.requests)
    await world.run(300, step=10)
    asked = {one.kind for one in world.kube.requests[count:]}
    assert asked == {MUTATINGPOLICY, MUTATINGPOLICYBINDING}
    assert len(world.kube.requests) - count <= 4


PROBLEMS: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "no_route": ([service()], {}, "RouteMissing"),
    "no_rule": ([service(), lone("shop", name="other")], {}, "RuleMissing"),
    "no_service": ([route()], {"serviceRefs": [{"name": "shop"}]}, "ServiceMissing"),
    "external": (
        [
            {
                **service(),
                "spec": {"type": "ExternalName", "externalName": "x", "ports": [{"port": 80}]},
            },
            route(),
        ],
        {"serviceRefs": [{"name": "shop"}]},
        "ServiceUnsuitable",
    ),
    "arm_taken": ([service(), service("shop-stable"), route()], {}, "ArmNameTaken"),
    "plan": ([service(), route()], {"plan": None, "planRef": {"name": "x"}}, "ReferenceMissing"),
    "source": (
        [service(), route()],
        {
            "contract": {
                "guards": [
                    {
                        "name": "e",
                        "guard": {
                            "sourceRef": {"name": "none"},
                            "errors": {"preset": "Traefik"},
                            "judge": {"threshold": {"max": "5%", "minEvents": 5}},
                        },
                    }
                ]
            }
        },
        "SourceMissing",
    ),
    "measure": (
        [service(), route()],
        {"contract": promql_contract()},
        "SourceForbidden",
    ),
    "strategy": (
        [service(), route()],
        {"plan": {"strategy": "BlueGreen", "stages": [{"name": "a", "weight": 100}]}},
        "StrategyUnsupported",
    ),
    "target": (
        [service(), route()],
        {"targetRef": {"kind": "Deployment", "name": "none"}},
        "TargetMissing",
    ),
}


@pytest.mark.parametrize("case", PROBLEMS)
async def test_what_only_the_operator_sees_is_said_at_the_first_visit(case: str) -> None:
    bodies, spec, reason = PROBLEMS[case]
    world = await world_with(*bodies, **spec)
    stalled = [one for one in world.status.conditions if one.type == "Stalled"]
    assert (world.ready, stalled[0].status) == (reason, "True")


async def test_a_problem_that_is_solved_is_seen_without_another_edit() -> None:
    world = await world_with(service())
    assert world.ready == "RouteMissing"
    world.kube.user_apply(route())
    assert await world.run(70, lambda: world.ready == "Stable")


async def test_a_shared_service_is_refused() -> None:
    world = World()
    other = deployment()
    other["metadata"]["name"] = "other"
    other["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    other["spec"]["template"]["metadata"]["labels"] = {"app": "other", "tier": "web"}
    mine = deployment()
    mine["spec"]["template"]["metadata"]["labels"] = {"app": "shop", "tier": "web"}
    shared = service()
    shared["spec"]["selector"] = {"tier": "web"}
    for body in (mine, other, shared, route(), source()):
        world.kube.user_apply(body)
    world.kube.advance(5)
    world.kube.user_create(rollout())
    await world.run(3)
    assert world.ready == "ServiceShared"


async def test_an_unlisted_rule_forbids_an_attempt_only_where_nothing_is_pinned() -> None:
    for shared, held in (("Shared", True), ("Stable", False)):
        world = await adopted(inCluster=shared)
        world.kube.user_apply(route("unlisted"))
        world.kube.user_apply(deployment("v2"))
        await world.run(8)
        assert (world.status.attempt is None) == held
        assert (world.ready == "UnlistedRule") == held


async def test_the_older_of_two_rollouts_wins_and_the_other_touches_nothing() -> None:
    world = await adopted()
    world.kube.advance(2)
    second = rollout("a-second")
    world.kube.user_create(second)
    world.kube.user_apply(deployment("v2"))
    assert await world.run(90, lambda: world.ready == "Promoted")
    await world.run(10)
    body = world.body(ROLLOUT, "a-second")
    (ready,) = [c for c in body["status"]["conditions"] if c["type"] == "Ready"]
    assert ready["reason"] == "Conflicted"
    assert "attempt" not in body["status"]
    assert "stable" not in body["status"]
    assert not world.body(DEPLOYMENT, "shop")["spec"].get("paused")


UNREADABLE = [POD, REPLICASET, ENDPOINTSLICE, SERVICE, HTTPROUTE]


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_what_cannot_be_read_holds_and_never_raises(kind: Kind) -> None:
    world = await adopted()
    await world.opened()
    verb = "get" if kind in (SERVICE, HTTPROUTE) else "list"
    world.kube.fail_next(verb, kind, UnavailableError(503, "ServiceUnavailable", "x"), times=99)
    writes = len(world.kube.operator_writes)
    await world.run(8)
    assert len(world.kube.operator_writes) <= writes + 1
    assert world.recorded.decisions[-1].why.policy == "unread"
    assert world.canary_weight() == 20


@pytest.mark.parametrize("kind", [POD, REPLICASET, ENDPOINTSLICE])
async def test_a_breach_needs_nothing_but_the_route(kind: Kind) -> None:
    world = await adopted()
    await world.opened()
    await world.run(3)
    world.kube.fail_next("list", kind, ForbiddenError(403, "Forbidden", "x"), times=999)
    world.sampler.bad = 0.5
    await world.passes()
    assert world.canary_weight() == 0


async def test_the_terms_of_an_attempt_stay_as_they_were_at_its_start() -> None:
    world = await adopted()
    await world.opened()
    ref = Ref(ROLLOUT, NS, "shop")
    world.kube.user_patch(
        ref, [{"op": "replace", "path": "/spec/plan/stages/0/hold", "value": "1h"}]
    )
    world.start()
    assert await world.run(90, lambda: world.ready == "Promoted")


async def test_evidence_counts_from_the_present_weight_on_and_not_after_the_rollback() -> None:
    world = await adopted()
    await world.opened()
    await world.run(1)
    guards, arms, since = world.sampler.subscriptions[(NS, "shop")]
    assert guards[0].query == '{"errors":{"preset":"Traefik"}}'
    assert arms.canary.services == ("shop-canary",)
    assert arms.canary.revision != arms.stable.revision
    assert arms.routes == (("HTTPRoute", "shop"),)
    attempt = world.status.attempt or world.recorded.decisions[-1].status.attempt
    assert attempt is not None
    assert since == world.recorded.decisions[-1].status.attempt.stage.commanded_at  # type: ignore[union-attr]
    world.sampler.bad = 0.5
    await world.run(1)
    assert world.sampler.subscriptions == {}
