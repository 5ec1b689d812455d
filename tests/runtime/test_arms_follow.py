"""Weights only: arms that serve at rest are there, and are the user's Service, at every moment."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from leadsman.ports import HTTPROUTE, ROLLOUT, SERVICE, Body, Ref
from tests.runtime.cached import CachedOperator
from tests.runtime.test_modes import arms_route, lost
from tests.runtime.worlds import NS, World, deployment, plan, rollout, route, service, source

SHOP = Ref(SERVICE, NS, "shop")
ARMS = ("shop-stable", "shop-canary")
PORT = {"op": "replace", "path": "/spec/ports/0/targetPort", "value": 8080}
ELSEWHERE = {"op": "replace", "path": "/spec/ports/0/targetPort", "value": 9090}


async def weights_only(users: Body | None = None, **spec: Any) -> CachedOperator:
    """A Rollout at rest whose route names both arms; its operator reads from caches."""
    world = World()
    for body in (deployment(), users or service(), arms_route(), source()):
        world.kube.user_apply(body)
    world.kube.advance(5)
    world.kube.user_create(rollout(serviceRefs=[{"name": "shop"}], **spec))
    operator = CachedOperator(world)
    assert await operator.run(20, lambda: world.ready == "Stable")
    await operator.run(5)
    return operator


def followed(world: World) -> bool:
    """Both arms have what the user's Service has, but for their own addresses and revision."""
    wanted = comparable(world.body(SERVICE, "shop"))
    return all(comparable(world.body(SERVICE, name)) == wanted for name in ARMS)


def comparable(body: Body) -> Body:
    spec = copy.deepcopy(body["spec"])
    for key in ("clusterIP", "clusterIPs", "type", "ipFamilies", "ipFamilyPolicy"):
        spec.pop(key, None)
    spec["selector"].pop("pod-template-hash", None)
    for port in spec["ports"]:
        port.pop("nodePort", None)
    return spec


STICKY = {"clientIP": {"timeoutSeconds": 60}}
EDITS: dict[str, list[Body]] = {
    "target port": [PORT],
    "one more port": [
        {
            "op": "add",
            "path": "/spec/ports/-",
            "value": {"name": "dns", "port": 53, "protocol": "UDP", "appProtocol": "dns"},
        }
    ],
    "selector": [{"op": "add", "path": "/spec/selector/tier", "value": "x"}],
    "affinity": [
        {"op": "replace", "path": "/spec/sessionAffinity", "value": "ClientIP"},
        {"op": "add", "path": "/spec/sessionAffinityConfig", "value": STICKY},
    ],
    "unready pods": [{"op": "add", "path": "/spec/publishNotReadyAddresses", "value": True}],
}


@pytest.mark.parametrize("edit", EDITS)
async def test_an_edit_of_the_service_at_rest_reaches_both_arms_with_one_write_each(
    edit: str,
) -> None:
    operator = await weights_only()
    world = operator.world
    writes = len(world.kube.operator_writes)
    world.kube.user_patch(SHOP, EDITS[edit])
    assert not followed(world)
    assert await operator.run(2, lambda: followed(world))
    await operator.run(30)
    names = [one.ref.name for one in world.kube.operator_writes[writes:] if one.ref.kind == SERVICE]
    assert names == list(ARMS)
    assert world.ready == "Stable"
    assert len(operator.informers) == 0
    await operator.close()


@pytest.mark.parametrize("name", ARMS)
async def test_an_arm_that_is_deleted_at_rest_is_made_anew_at_once(name: str) -> None:
    operator = await weights_only()
    world = operator.world
    world.kube.user_delete(Ref(SERVICE, NS, name))
    assert await operator.run(2, lambda: world.exists(SERVICE, name))
    await operator.run(3)
    assert lost(world) == 0
    assert world.ready == "Stable"
    assert len(operator.informers) == 0
    await operator.close()


async def test_an_arm_that_is_edited_at_rest_is_put_right() -> None:
    operator = await weights_only()
    world = operator.world
    narrowed = {"op": "add", "path": "/spec/selector/tier", "value": "none"}
    world.kube.user_patch(Ref(SERVICE, NS, "shop-stable"), [ELSEWHERE, narrowed])
    assert await operator.run(2, lambda: followed(world))
    await operator.close()


async def test_arms_at_rest_cost_no_request_no_write_and_no_cache() -> None:
    operator = await weights_only()
    world = operator.world
    await operator.run(80)
    assert (len(operator.informers), len(operator.lookouts)) == (0, 2)
    before, decisions = len(world.kube.requests), len(world.recorded.decisions)
    asked = len(operator.api.asked)
    await operator.run(150)
    assert len(world.kube.requests) == before
    assert len(world.recorded.decisions) == decisions
    assert len(operator.api.asked) == asked
    await operator.close()


async def test_arms_are_attended_to_by_a_new_process_and_after_a_release() -> None:
    operator = await weights_only()
    world = operator.world
    await operator.close()
    world.kube.user_patch(SHOP, [PORT])
    operator = CachedOperator(world)
    assert await operator.run(3, lambda: followed(world))
    world.kube.user_apply(deployment("v2"))
    assert await operator.run(90, lambda: world.ready == "Promoted")
    await operator.run(10)
    assert (len(operator.informers), len(operator.lookouts)) == (0, 2)
    world.kube.user_patch(SHOP, [ELSEWHERE])
    assert await operator.run(2, lambda: followed(world))
    assert world.ready == "Promoted"
    await operator.close()


async def test_arms_are_attended_to_while_a_version_is_refused_and_it_stays_refused() -> None:
    operator = await weights_only()
    world = operator.world
    world.kube.user_apply(deployment("v2"))
    assert await operator.run(30, lambda: world.canary_weight() == 20)
    world.sampler.bad = 0.4
    assert await operator.run(60, lambda: world.ready == "RolledBack")
    await operator.run(10)
    decisions = len(world.recorded.decisions)
    world.kube.user_patch(SHOP, [PORT])
    world.kube.user_delete(Ref(SERVICE, NS, "shop-stable"))
    assert await operator.run(2, lambda: world.exists(SERVICE, "shop-stable") and followed(world))
    await operator.run(5)
    assert {one.why.reason for one in world.recorded.decisions[decisions:]} == {"RolledBack"}
    assert len(operator.informers) == 0
    await operator.close()


@pytest.mark.parametrize("own_arms", [True, False])
async def test_an_edit_of_the_service_reaches_the_arms_of_a_running_attempt(own_arms: bool) -> None:
    operator = await weights_only(plan=plan((20, "20s"), (100, "10s")))
    world = operator.world
    if not own_arms:
        world.kube.user_apply(route())
        for name in ARMS:
            world.kube.user_delete(Ref(SERVICE, NS, name))
        await operator.run(3)
    world.kube.user_apply(deployment("v2"))
    assert await operator.run(30, lambda: world.canary_weight() == 20)
    world.kube.user_patch(SHOP, [PORT])
    assert await operator.run(2, lambda: followed(world))
    writes = len(world.kube.operator_writes)
    await operator.run(5)
    assert [one for one in world.kube.operator_writes[writes:] if one.ref.kind == SERVICE] == []
    assert await operator.run(90, lambda: world.ready == "Promoted")
    assert lost(world) == 0
    await operator.close()


NOTHING_GIVEN = {"selector": {"app": "shop"}, "ports": [{"port": 80}]}
EVERYTHING_GIVEN = {
    "type": "NodePort",
    "selector": {"app": "shop"},
    "sessionAffinity": "ClientIP",
    "sessionAffinityConfig": STICKY,
    "internalTrafficPolicy": "Cluster",
    "trafficDistribution": "PreferClose",
    "publishNotReadyAddresses": False,
    "ports": [
        {"name": "http", "port": 80, "targetPort": "http", "nodePort": 30080},
        {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053},
        {"name": "grpc", "port": 90, "targetPort": 9090, "appProtocol": "kubernetes.io/h2c"},
    ],
}


@pytest.mark.parametrize("spec", [NOTHING_GIVEN, EVERYTHING_GIVEN])
async def test_what_the_api_server_fills_in_is_no_difference(spec: Body) -> None:
    operator = await weights_only({**service(), "spec": spec})
    world = operator.world
    assert followed(world)
    written = [one.ref.name for one in world.kube.operator_writes if one.ref.kind == SERVICE]
    assert written == list(ARMS)
    await operator.close()


async def test_what_the_cluster_stores_otherwise_than_asked_is_asked_for_once() -> None:
    operator = await weights_only()
    world = operator.world

    def webhook(body: Body) -> Body:
        """Every Service that is written from now on prefers what is near."""
        return {**body, "spec": {**body["spec"], "trafficDistribution": "PreferClose"}}

    users = world.body(SERVICE, "shop")
    world.kube.serve(SERVICE, webhook)
    writes = len(world.kube.operator_writes)
    world.kube.user_delete(Ref(SERVICE, NS, "shop-stable"))
    assert await operator.run(3, lambda: world.exists(SERVICE, "shop-stable"))
    await operator.run(30)
    assert "trafficDistribution" not in users["spec"]
    assert world.body(SERVICE, "shop-stable")["spec"]["trafficDistribution"] == "PreferClose"
    tried = [one for one in world.kube.operator_writes[writes:] if one.ref.kind == SERVICE]
    assert [one.verb for one in tried] == ["create", "patch"]
    assert len(operator.informers) == 0
    # Its Service changes, and the arm follows in all else.
    world.kube.user_patch(SHOP, [PORT])
    assert await operator.run(2, lambda: followed(world))
    await operator.close()


async def test_the_weights_of_a_rule_that_names_the_arms_are_the_users_at_rest() -> None:
    operator = await weights_only()
    world = operator.world
    writes = len(world.kube.operator_writes)
    weight = {"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 10}
    world.kube.user_patch(Ref(HTTPROUTE, NS, "shop"), [weight])
    await operator.run(10)
    assert world.canary_weight() == 10
    assert {one.ref.kind for one in world.kube.operator_writes[writes:]} <= {ROLLOUT}
    assert len(operator.informers) == 0
    await operator.close()
