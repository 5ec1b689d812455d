"""A Rollout at rest holds no cache: one watch a kind tells when what it names has changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from leadsman.errors import GoneError, UnavailableError
from leadsman.ports import HTTPROUTE, ROLLOUT, SERVICE, Body, Ref
from tests.runtime.cached import CachedOperator
from tests.runtime.worlds import (
    NS,
    World,
    adopted,
    deployment,
    rollout,
    route,
    service,
    source,
)


def managed() -> dict[str, Any]:
    body = route()
    template = {"kind": "HTTPRoute", "metadata": {"name": "shop"}, "spec": body["spec"]}
    return {"traffic": {"gatewayAPI": {"template": template}}}


async def broken(*bodies: Body, **spec: Any) -> CachedOperator:
    """A Rollout that meets these objects beside its Deployment, and has been told so."""
    world = World()
    for body in (deployment(), source(), *bodies):
        world.kube.user_apply(body)
    world.kube.advance(5)
    world.kube.user_create(rollout(**spec))
    operator = CachedOperator(world)
    await operator.run(10)
    return operator


def wrong_rule() -> Body:
    body = route()
    body["spec"]["rules"][0]["backendRefs"][0]["name"] = "other"
    return body


CASES: dict[str, tuple[list[Body], dict[str, Any], str, list[Body]]] = {
    "no_route": ([service()], {}, "RouteMissing", [route()]),
    "no_rule": ([service(), wrong_rule()], {}, "RuleMissing", [route()]),
    "no_service": ([route()], {"serviceRefs": [{"name": "shop"}]}, "ServiceMissing", [service()]),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_is_missing_wakes_a_rollout_that_holds_no_cache(case: str) -> None:
    bodies, spec, reason, remedy = CASES[case]
    operator = await broken(*bodies, **spec)
    world = operator.world
    assert world.ready == reason
    assert len(operator.informers) == 0
    assert 1 <= len(operator.lookouts) <= 2
    before = len(world.kube.requests)
    await operator.run(60)
    assert len(world.kube.requests) == before
    for body in remedy:
        world.kube.user_apply(body)
    assert await operator.run(10, lambda: world.ready == "Stable")
    await operator.run(5)
    assert (len(operator.informers), len(operator.lookouts)) == (0, 0)
    await operator.close()


async def test_twenty_rollouts_without_their_routes_share_one_watch_a_kind() -> None:
    world = World()
    names = [f"team-{number:02}" for number in range(20)]
    for name in names:
        body = deployment()
        body["metadata"]["name"] = name
        body["spec"]["selector"] = {"matchLabels": {"app": name}}
        body["spec"]["template"]["metadata"]["labels"] = {"app": name}
        about = {"targetRef": {"kind": "Deployment", "name": name}}
        traffic = {"gatewayAPI": {"routeRefs": [{"name": name}]}}
        world.kube.user_apply(body)
        world.kube.user_create(rollout(name, **about, traffic=traffic))
    world.kube.user_apply(source())
    world.kube.advance(5)
    operator = CachedOperator(world)
    await operator.run(10)
    reasons = {
        one["reason"]
        for body in world.all(ROLLOUT)
        for one in body["status"]["conditions"]
        if one["type"] == "Ready"
    }
    assert reasons == {"RouteMissing"}
    assert (len(operator.informers), len(operator.lookouts)) == (0, 1)
    await operator.close()


async def test_a_service_in_the_way_of_an_arm_is_noticed_when_it_goes() -> None:
    operator = await broken(service(), route(), service("shop-stable"))
    world = operator.world
    assert world.ready == "ArmNameTaken"
    assert len(operator.informers) == 0
    world.kube.user_delete(Ref(SERVICE, NS, "shop-stable"))
    assert await operator.run(10, lambda: world.ready == "Stable")
    await operator.close()


async def test_other_peoples_objects_wake_nobody() -> None:
    operator = await broken(service())
    for name in ("another", "third"):
        operator.world.kube.user_apply(route(name))
    decisions = len(operator.world.recorded.decisions)
    await operator.run(10)
    assert len(operator.world.recorded.decisions) == decisions
    await operator.close()


async def test_a_release_starts_while_something_is_wrong_and_goes_on_when_it_is_right() -> None:
    operator = await broken(service())
    world = operator.world
    world.kube.user_apply(deployment("v2"))
    await operator.run(5)
    assert world.ready == "RouteMissing"
    world.kube.user_apply(route())
    assert await operator.run(90, lambda: world.ready == "Promoted")
    await operator.run(5)
    assert (len(operator.informers), len(operator.lookouts)) == (0, 0)
    await operator.close()


async def test_a_route_that_came_in_a_gap_of_the_watch_is_found() -> None:
    operator = await broken(service())
    world = operator.world
    operator.api.lost = [UnavailableError(0, "Lost", ""), GoneError(410, "Expired", "")]
    world.kube.user_apply(route())
    assert await operator.run(30, lambda: world.ready == "Stable")
    await operator.close()


async def test_a_route_whose_event_was_lost_is_found_by_a_comparison() -> None:
    operator = await broken(service())
    world = operator.world
    for followers in operator.lookouts._followers.values():
        for follower in followers:
            await follower.stop()
    world.kube.user_apply(route())
    await operator.run(5)
    assert world.ready == "RouteMissing"
    await operator.lookouts.compare()
    assert await operator.run(10, lambda: world.ready == "Stable")
    await operator.close()


async def managed_at_rest() -> CachedOperator:
    world = await adopted()
    world.kube.user_delete(Ref(HTTPROUTE, NS, "shop"))
    world.kube.user_patch(
        Ref(ROLLOUT, NS, "shop"),
        [{"op": "replace", "path": "/spec/traffic", "value": managed()["traffic"]}],
    )
    operator = CachedOperator(world)
    assert await operator.run(20, lambda: world.exists(HTTPROUTE, "shop"))
    await operator.run(80)
    return operator


async def test_a_managed_route_that_somebody_edits_at_rest_is_put_right_in_seconds() -> None:
    operator = await managed_at_rest()
    world = operator.world
    before = json.dumps(world.body(HTTPROUTE, "shop")["spec"])
    assert (len(operator.informers), len(operator.lookouts)) == (0, 1)
    hostnames = [{"op": "add", "path": "/spec/hostnames", "value": ["else.example"]}]
    world.kube.user_patch(Ref(HTTPROUTE, NS, "shop"), hostnames)
    world.kube.user_patch(
        Ref(HTTPROUTE, NS, "shop"),
        [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/name", "value": "other"}],
    )

    def right() -> bool:
        spec = world.body(HTTPROUTE, "shop")["spec"]
        return bool(spec["rules"][0]["backendRefs"][0]["name"] == "shop")

    assert await operator.run(3, right)
    assert json.dumps(world.body(HTTPROUTE, "shop")["spec"]) == before
    await operator.run(5)
    assert (len(operator.informers), len(operator.lookouts)) == (0, 1)
    await operator.close()


async def test_a_managed_route_that_is_deleted_at_rest_comes_back() -> None:
    operator = await managed_at_rest()
    world = operator.world
    world.kube.user_delete(Ref(HTTPROUTE, NS, "shop"))
    assert await operator.run(3, lambda: world.exists(HTTPROUTE, "shop"))
    await operator.close()


async def test_a_managed_route_at_rest_costs_no_request_and_no_write() -> None:
    operator = await managed_at_rest()
    world = operator.world
    before, decisions = len(world.kube.requests), len(world.recorded.decisions)
    asked = len(operator.api.asked)
    world.kube.gateway.thaw()
    await operator.run(150)
    assert len(world.kube.requests) == before
    assert len(world.recorded.decisions) == decisions
    assert len(operator.api.asked) == asked
    await operator.close()


async def test_a_managed_route_that_was_edited_while_the_operator_was_down_is_put_right() -> None:
    operator = await managed_at_rest()
    world = operator.world
    await operator.close()
    world.kube.user_patch(
        Ref(HTTPROUTE, NS, "shop"),
        [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/name", "value": "other"}],
    )
    operator = CachedOperator(world)
    assert await operator.run(
        3,
        lambda: (
            world.body(HTTPROUTE, "shop")["spec"]["rules"][0]["backendRefs"][0]["name"] == "shop"
        ),
    )
    await operator.close()


async def test_a_new_process_looks_at_a_managed_route_once_and_holds_no_cache() -> None:
    operator = await managed_at_rest()
    world = operator.world
    await operator.close()
    writes = len(world.kube.operator_writes)
    operator = CachedOperator(world)
    await operator.run(5)
    assert (len(operator.informers), len(operator.lookouts)) == (0, 1)
    assert len(world.kube.operator_writes) == writes
    await operator.close()


async def test_a_rollout_in_anothers_way_looks_at_nothing() -> None:
    world = await adopted()
    world.kube.advance(2)
    world.kube.user_create(rollout("a-second"))
    operator = CachedOperator(world)
    operator.due.add((NS, "a-second"))
    await operator.run(10)
    second = world.body(ROLLOUT, "a-second")
    reasons = [one["reason"] for one in second["status"]["conditions"] if one["type"] == "Ready"]
    assert reasons == ["Conflicted"]
    assert (len(operator.informers), len(operator.lookouts)) == (0, 0)
    await operator.close()


async def test_a_first_version_that_still_rolls_out_is_waited_for_without_caches() -> None:
    world = World()
    for body in (deployment(READY_AFTER_MS="30000"), service(), route(), source()):
        world.kube.user_apply(body)
    world.kube.user_create(rollout())
    operator = CachedOperator(world)
    await operator.run(10)
    assert world.ready == "Holding"
    assert (len(operator.informers), len(operator.lookouts)) == (0, 0)
    assert await operator.run(60, lambda: world.ready == "Stable")
    await operator.run(5)
    assert len(operator.informers) == 0
    await operator.close()
