"""An autoscaler that multiplies by the canary's pods is found and told; it caps the canary."""

from __future__ import annotations

from typing import Any

import pytest

from leadsman.errors import ForbiddenError, NotFoundError, UnavailableError
from leadsman.ports import DEPLOYMENT, HORIZONTALPODAUTOSCALER, REPLICASET, Body
from tests.runtime.cached import CachedOperator
from tests.runtime.worlds import NS, World, adopted, deployment, plan


def autoscaler(kind: str, target: str, *, deployment: str = "shop") -> Body:
    about: dict[str, Any] = {"metric": {"name": "depth"}, "target": {"type": target, "value": "9"}}
    if kind == "Object":
        about["describedObject"] = {"kind": "Service", "name": "shop"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "scaler", "namespace": NS},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
            "maxReplicas": 100,
            "metrics": [{"type": kind, kind.lower(): about}],
        },
    }


def told(world: World) -> str:
    for one in world.status.conditions:
        if one.type == "AutoscalingSafe":
            return f"{one.status} {one.reason} {one.message}"
    return ""


def canary(world: World) -> int:
    owned = [
        body
        for body in world.all(REPLICASET)
        if (body["metadata"].get("ownerReferences") or [{}])[0].get("kind") == "Rollout"
    ]
    return sum(int(body["spec"]["replicas"]) for body in owned)


async def at_twenty(*bodies: Body) -> World:
    world = await adopted()
    for body in bodies:
        world.kube.user_apply(body)
    await world.opened()
    return world


async def most_until_full(world: World) -> int:
    """The most pods that the canary had until all traffic was its own, within a minute."""
    most = 0

    def at_full() -> bool:
        nonlocal most
        most = max(most, canary(world))
        return world.canary_weight() == 100

    assert await world.run(60, at_full)
    return most


@pytest.mark.parametrize("kind", ["Object", "External"])
async def test_a_metric_of_type_value_caps_the_canary_and_is_told(kind: str) -> None:
    world = await at_twenty(autoscaler(kind, "Value"))
    assert await world.run(10, lambda: told(world) != "")
    assert told(world).startswith("False CanaryCounted HorizontalPodAutoscaler scaler")
    world.kube.user_scale(NS, "shop", 12)
    assert await most_until_full(world) == 4
    assert await world.run(60, lambda: world.ready == "Promoted")
    assert world.body(DEPLOYMENT, "shop")["status"]["availableReplicas"] == 12
    await world.run(5)
    assert told(world) == ""


@pytest.mark.parametrize(
    "other",
    [
        autoscaler("Object", "AverageValue"),
        autoscaler("External", "AverageValue"),
        autoscaler("Pods", "AverageValue"),
        autoscaler("Resource", "Utilization"),
        autoscaler("Object", "Value", deployment="another"),
    ],
    ids=["object-average", "external-average", "pods", "resource", "another"],
)
async def test_other_metrics_and_other_deployments_cap_nothing(other: Body) -> None:
    world = await at_twenty(other)
    assert told(world) == ""
    world.kube.user_scale(NS, "shop", 10)
    assert await world.run(20, lambda: canary(world) >= 5)


async def test_a_capped_canary_is_not_taken_for_one_that_lost_its_pods() -> None:
    world = await at_twenty(autoscaler("Object", "Value"))
    world.kube.user_scale(NS, "shop", 40)
    assert await world.run(90, lambda: world.ready == "Promoted")
    assert "CanaryNotReady" not in {one.why.reason for one in world.recorded.decisions}
    weights = [
        one.status.attempt.weight
        for one in world.recorded.decisions
        if one.status.attempt is not None
    ]
    assert weights == sorted(weights)


@pytest.mark.parametrize("error", [NotFoundError(404, "NotFound", ""), ForbiddenError(403, "", "")])
async def test_where_autoscalers_cannot_be_read_a_release_goes_on(error: Exception) -> None:
    world = await adopted()
    world.kube.fail_next("list", HORIZONTALPODAUTOSCALER, error, times=99)
    world.kube.user_apply(deployment("v2"))
    assert await world.run(90, lambda: world.ready == "Promoted")
    asked = [one for one in world.kube.requests if one.kind == HORIZONTALPODAUTOSCALER]
    assert len(asked) == 1


async def test_an_answer_that_failed_is_asked_for_again_and_a_new_process_asks_anew() -> None:
    world = await adopted()
    down = UnavailableError(503, "ServiceUnavailable", "x")
    world.kube.user_apply(autoscaler("External", "Value"))
    world.kube.fail_next("list", HORIZONTALPODAUTOSCALER, down)
    await world.opened()
    assert await world.run(20, lambda: told(world) != "")
    world.start()
    world.kube.user_scale(NS, "shop", 12)
    await world.run(2)
    assert canary(world) <= 2


def asked(world: World) -> int:
    return sum(1 for one in world.kube.requests if one.kind == HORIZONTALPODAUTOSCALER)


async def test_one_that_comes_during_the_attempt_is_met_at_its_first_scaling() -> None:
    world = await at_twenty(autoscaler("Object", "AverageValue"))
    world.kube.user_apply(autoscaler("Object", "Value"))
    await world.run(2)
    assert told(world) == ""
    world.kube.user_scale(NS, "shop", 20)
    assert await most_until_full(world) == 4
    assert told(world).startswith("False CanaryCounted HorizontalPodAutoscaler scaler")
    assert asked(world) == 2


async def test_one_that_goes_during_the_attempt_caps_nothing_any_more() -> None:
    world = await at_twenty(autoscaler("Object", "Value"))
    assert await world.run(10, lambda: told(world) != "")
    world.kube.user_apply(autoscaler("Object", "AverageValue"))
    world.kube.user_scale(NS, "shop", 10)
    assert await world.run(60, lambda: canary(world) == 10)


async def test_a_cap_that_comes_late_takes_no_pod_from_the_weight_that_it_carries() -> None:
    world = await adopted(plan=plan((50, "30s"), (100, "10s")))
    world.kube.user_apply(deployment("v2"))
    assert await world.run(20, lambda: world.canary_weight() == 50)
    world.kube.user_scale(NS, "shop", 12)
    assert await world.run(10, lambda: canary(world) == 6)
    assert await world.run(60, lambda: world.canary_weight() == 100)
    assert canary(world) == 12
    world.kube.user_apply(autoscaler("Object", "Value"))
    world.kube.user_scale(NS, "shop", 14)
    await world.run(5)
    assert canary(world) == 12


async def test_one_that_scales_nothing_is_told_after_the_sweep_and_costs_no_write_before() -> None:
    world = await adopted(plan=plan((20, "30m"), (100, "10s")))
    operator = CachedOperator(world)
    world.kube.user_apply(deployment("v2"))
    assert await operator.run(20, lambda: world.canary_weight() == 20)
    await operator.run(70)
    world.kube.user_apply(autoscaler("External", "Value"))
    await operator.lookouts.compare()
    assert await operator.run(65, lambda: told(world) != "")
    writes, decisions = len(world.kube.operator_writes), len(world.recorded.decisions)
    for _ in range(3):
        await operator.lookouts.compare()
        await operator.run(30)
    assert len(world.kube.operator_writes) == writes
    assert len(world.recorded.decisions) == decisions + 3
    assert asked(world) == 5
    world.kube.user_apply(deployment("v1"))
    assert await operator.run(60, lambda: world.status.attempt is None)
    await operator.run(5)
    await operator.lookouts.compare()
    await operator.run(30)
    assert asked(world) == 5
    await operator.close()
