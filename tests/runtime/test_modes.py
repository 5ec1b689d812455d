"""Every way of shifting traffic, promoted once and rolled back once, and left as it was found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from leadsman.ports import (
    CONTROLLERREVISION,
    DEPLOYMENT,
    GRPCROUTE,
    HTTPROUTE,
    REPLICASET,
    ROLLOUT,
    SERVICE,
    Body,
    Ref,
)
from tests.runtime.worlds import (
    NS,
    World,
    deployment,
    plan,
    rollout,
    route,
    service,
    source,
)


def refs(*names: str, kind: str = "HTTPRoute") -> dict[str, Any]:
    return {"gatewayAPI": {"routeRefs": [{"kind": kind, "name": name} for name in names]}}


def arms_route() -> Body:
    body = route()
    body["spec"]["rules"][0]["backendRefs"] = [
        {"name": "shop-stable", "port": 80, "weight": 100},
        {"name": "shop-canary", "port": 80, "weight": 0},
    ]
    return body


def two_rules() -> Body:
    body = route()
    first = body["spec"]["rules"][0]
    body["spec"]["rules"] = [
        {**first, "matches": [{"path": {"type": "PathPrefix", "value": "/"}}]},
        {
            "name": "other",
            "matches": [{"path": {"type": "PathPrefix", "value": "/static"}}],
            "backendRefs": [{"name": "files", "port": 80}],
        },
        {
            "name": "api",
            "matches": [{"path": {"type": "PathPrefix", "value": "/api"}}],
            "filters": [
                {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}
            ],
            "backendRefs": [{"name": "shop", "port": 80, "weight": 7}],
        },
    ]
    return body


def second_service_route() -> Body:
    body = route("admin")
    body["spec"]["rules"][0]["backendRefs"][0]["name"] = "shop-admin"
    return body


def template() -> dict[str, Any]:
    body = route()
    return {
        "gatewayAPI": {
            "template": {"metadata": {"name": "owned", "labels": {"a": "b"}}, "spec": body["spec"]}
        }
    }


MODES: dict[str, tuple[list[Body], dict[str, Any]]] = {
    "adopt": ([service(), route()], {}),
    "adopt_by_rule_name": (
        [service(), service("files"), two_rules()],
        {"traffic": {"gatewayAPI": {"routeRefs": [{"name": "shop", "ruleName": "api"}]}}},
    ),
    "two_rules": ([service(), service("files"), two_rules()], {}),
    "two_routes": ([service(), route(), route("second")], {"traffic": refs("shop", "second")}),
    "two_services": (
        [service(), service("shop-admin"), route(), second_service_route()],
        {"traffic": refs("shop", "admin")},
    ),
    "grpc": ([service(), route(kind="GRPCRoute")], {"traffic": refs("shop", kind="GRPCRoute")}),
    "weights_only": ([service(), arms_route()], {"serviceRefs": [{"name": "shop"}]}),
    "managed": ([service()], {"traffic": template()}),
    "shared": ([service(), route()], {"inCluster": "Shared"}),
    "rolling_update": (
        [service(), route()],
        {"plan": plan((20, "5s"), (50, "5s"), promotion="RollingUpdate")},
    ),
    "immediate": ([service(), route()], {"plan": {"strategy": "Immediate", "settle": "1s"}}),
    "paused": ([service(), route()], {"hold": "Paused"}),
}


async def world_of(mode: str) -> World:
    bodies, spec = MODES[mode]
    world = World(policies=None if mode == "paused" else "hold+freeze")
    world.kube.user_apply(deployment())
    world.kube.user_apply(source())
    for body in bodies:
        if body["metadata"]["name"] == "files":
            body["spec"]["selector"] = {"app": "files"}
        world.kube.user_apply(body)
    world.kube.advance(5)
    world.kube.user_create(rollout(**spec))
    done = await world.run(20, lambda: world.ready == "Stable")
    assert done, (world.ready, world.status.conditions)
    await world.run(2)
    return world


def users_objects(world: World) -> dict[str, Any]:
    """What must be at rest what it was: specs of routes, Services and the Deployment's hold."""
    found: dict[str, Any] = {}
    for kind in (HTTPROUTE, GRPCROUTE, SERVICE):
        for body in world.all(kind):
            spec = dict(body["spec"])
            spec.pop("clusterIP", None)
            found[f"{kind.kind}/{body['metadata']['name']}"] = spec
    found["paused"] = world.body(DEPLOYMENT, "shop")["spec"].get("paused", False)
    return found


def highest(world: World) -> int:
    """The canary's highest weight on any rule of any route."""
    return max(
        (
            backend.get("weight", 1)
            for kind in (HTTPROUTE, GRPCROUTE)
            for body in world.all(kind)
            for rule in body["spec"]["rules"]
            for backend in rule["backendRefs"]
            if backend["name"].endswith("-canary")
        ),
        default=0,
    )


def ended(world: World) -> Callable[[], bool]:
    return lambda: world.status.attempt is None and bool(world.status.history)


@pytest.mark.parametrize("mode", MODES)
async def test_a_promotion_leaves_everything_as_it_was(mode: str) -> None:
    world = await world_of(mode)
    before = users_objects(world)
    world.kube.user_apply(deployment("v2"))
    assert await world.run(150, ended(world)), (world.ready, world.status)
    await world.run(3)
    assert world.status.history[-1].outcome == "Promoted"
    assert users_objects(world) == before
    assert world.names(CONTROLLERREVISION) == []
    running = [one for one in world.all(REPLICASET) if one["spec"]["replicas"]]
    assert [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in running] == [
        "shop:v2"
    ]


@pytest.mark.parametrize("mode", MODES)
async def test_a_rollback_leaves_everything_as_it_was(mode: str) -> None:
    world = await world_of(mode)
    before = users_objects(world)
    world.kube.user_apply(deployment("v2"))
    first = 100 if mode == "immediate" else 20
    assert await world.run(30, lambda: highest(world) == first), (world.ready, world.status)
    world.sampler.bad = 0.4
    await world.run(1.5)
    assert highest(world) == 0
    assert await world.run(60, ended(world)), (world.ready, world.status)
    await world.run(3)
    after = users_objects(world)
    assert after.pop("paused") is True
    before.pop("paused")
    assert after == before
    assert world.ready == "RolledBack"
    running = [one for one in world.all(REPLICASET) if one["spec"]["replicas"]]
    assert [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in running] == [
        "shop:v1"
    ]
    assert running[0]["metadata"]["namespace"] == NS


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("during", [False, True])
async def test_deleting_the_rollout_leaves_a_way_in(mode: str, during: bool) -> None:
    world = await world_of(mode)
    before = users_objects(world)
    if during:
        world.kube.user_apply(deployment("v2"))
        first = 100 if mode == "immediate" else 20
        assert await world.run(30, lambda: highest(world) == first)
    world.kube.user_delete(Ref(ROLLOUT, NS, "shop"))
    assert await world.run(90, lambda: not world.exists(ROLLOUT, "shop"))
    world.kube.advance(20)
    after = users_objects(world)
    assert after.pop("paused") is False
    before.pop("paused")
    assert after == before
    for name in (name for name in after if name.startswith("HTTPRoute/")):
        traffic = world.kube.gateway.traffic(Ref(HTTPROUTE, NS, name.partition("/")[2]))
        assert traffic.lost == 0


def weighed(stable: int | None, canary: int | None) -> Body:
    """A rule that names both arms, with these weights or without any."""
    body = arms_route()
    for backend, weight in zip(
        body["spec"]["rules"][0]["backendRefs"], (stable, canary), strict=True
    ):
        del backend["weight"]
        if weight is not None:
            backend["weight"] = weight
    return body


def lost(world: World) -> float:
    return world.kube.gateway.traffic(Ref(HTTPROUTE, NS, "shop")).lost


@pytest.mark.parametrize("weights", [(None, None), (90, 10), (0, 5)])
@pytest.mark.parametrize("bad", [0.0, 0.4])
async def test_weights_of_the_users_own_are_no_traffic_of_a_canary(
    weights: tuple[int | None, int | None], bad: float
) -> None:
    world = World()
    for body in (deployment(), service(), source(), weighed(*weights)):
        world.kube.user_apply(body)
    world.kube.advance(5)
    world.kube.user_create(rollout(serviceRefs=[{"name": "shop"}]))
    assert await world.run(20, lambda: world.ready == "Stable")
    # Before the arms were there nobody was served; what counts is from here on.
    world.kube.advance(5)
    before = lost(world)
    world.sampler.bad = bad
    world.kube.user_apply(deployment("v2"))
    assert await world.run(150, ended(world))
    assert [one.outcome for one in world.status.history] == ["RolledBack" if bad else "Promoted"]
    assert not bad or world.status.history[-1].reason.startswith("GuardFailed")
    await world.run(10)
    assert world.weights() == {"shop-stable": 100, "shop-canary": 0}
    assert lost(world) == before


async def test_weights_edited_at_rest_do_not_keep_a_hand_over_from_its_end() -> None:
    world = await world_of("weights_only")
    world.kube.user_apply(weighed(90, 10))
    await world.run(5)
    for number, version in enumerate(("v2", "v1"), start=1):
        world.kube.user_apply(deployment(version))
        assert await world.run(150, lambda n=number: len(world.status.history) == n)
        assert world.status.history[-1].outcome == "Promoted"
        world.kube.user_apply(weighed(80, 20))
        await world.run(5)
    assert lost(world) == 0


async def test_a_rollout_made_anew_takes_the_arms_up_again() -> None:
    world = await world_of("weights_only")
    world.kube.user_delete(Ref(ROLLOUT, NS, "shop"))
    assert await world.run(30, lambda: not world.exists(ROLLOUT, "shop"))
    spec = MODES["weights_only"][1]
    world.kube.user_create(rollout(**spec))
    assert await world.run(20, lambda: world.ready == "Stable")
    world.kube.user_apply(deployment("v2"))
    assert await world.run(150, ended(world))
    assert world.status.history[-1].outcome == "Promoted"
    owners = world.body(SERVICE, "shop-canary")["metadata"]["ownerReferences"]
    assert [one["uid"] for one in owners] == [world.body(ROLLOUT, "shop")["metadata"]["uid"]]
