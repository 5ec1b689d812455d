"""What happens during a release: edits, deletions, faults and restarts, told as whole stories."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from leadsman.errors import ForbiddenError, UnavailableError
from leadsman.ports import (
    CONTROLLERREVISION,
    DEPLOYMENT,
    HTTPROUTE,
    MUTATINGPOLICY,
    MUTATINGPOLICYBINDING,
    POD,
    REPLICASET,
    ROLLOUT,
    SERVICE,
    Ref,
)
from tests.runtime.worlds import NS, ROUTE, TARGET, World, adopted, deployment, plan, route

LRO = Ref(ROLLOUT, NS, "shop")


async def at(world: World, weight: int) -> None:
    assert await world.run(60, lambda: world.canary_weight() == weight), world.ready


def images(world: World) -> set[str]:
    """The images of all pods that are there."""
    return {pod["spec"]["containers"][0]["image"] for pod in world.all(POD)}


def snapshot(world: World) -> dict[str, Any]:
    found = {kind.kind: [b["spec"] for b in world.all(kind)] for kind in (HTTPROUTE, SERVICE)}
    return copy.deepcopy(found)


async def begun(weight: int) -> tuple[World, dict[str, Any]]:
    world = await adopted()
    before = snapshot(world)
    world.kube.user_apply(deployment("v2"))
    if weight >= 0:
        await at(world, weight)
        await world.run(1)
    return world, before


@pytest.mark.parametrize("weight", [-1, 0, 20, 100])
async def test_deleting_the_rollout_gives_everything_back(weight: int) -> None:
    world, before = await begun(weight)
    world.kube.user_delete(LRO)
    assert await world.run(90, lambda: not world.exists(ROLLOUT, "shop"))
    await world.run(5)
    assert snapshot(world) == before
    assert world.names(CONTROLLERREVISION) == []
    assert not world.body(DEPLOYMENT, "shop")["spec"].get("paused")
    assert await world.run(60, lambda: images(world) == {"shop:v2"})
    assert world.wake[(NS, "shop")].at is None


@pytest.mark.parametrize("weight", [-1, 20])
async def test_deleting_the_rollout_while_the_operator_is_down_is_made_good_later(
    weight: int,
) -> None:
    world, before = await begun(weight)
    world.kube.user_delete(LRO)
    world.kube.advance(30)
    assert world.exists(ROLLOUT, "shop")
    world.start()
    assert await world.run(90, lambda: not world.exists(ROLLOUT, "shop"))
    assert snapshot(world) == before


async def test_a_revert_during_an_attempt_ends_it_without_a_refusal() -> None:
    world, before = await begun(20)
    world.kube.user_apply(deployment("v1"))
    assert await world.run(60, lambda: world.status.attempt is None)
    await world.run(7)
    assert world.status.refused is None
    assert snapshot(world) == before
    assert world.ready == "Stable"
    assert not world.body(DEPLOYMENT, "shop")["spec"].get("paused")
    assert images(world) == {"shop:v1"}


async def test_a_newer_template_supersedes_and_stable_stays_the_base() -> None:
    world, _ = await begun(20)
    stable = world.status.stable
    world.kube.user_apply(deployment("v3"))
    assert await world.run(30, lambda: "Superseded" in world.notices.reasons)
    assert world.status.stable == stable
    assert await world.run(120, lambda: world.ready == "Promoted")
    assert images(world) == {"shop:v3"}


async def test_a_return_to_an_older_version_takes_its_set_over() -> None:
    world = await adopted()
    sets = len(world.all(REPLICASET))
    for version in ("v2", "v1", "v2"):
        world.kube.user_apply(deployment(version))
        assert await world.run(
            120, lambda v=version: images(world) == {f"shop:{v}"} and world.ready == "Promoted"
        )
    assert len(world.all(REPLICASET)) == sets + 1


async def test_a_refused_version_is_not_tried_again_but_a_third_one_is() -> None:
    world, _ = await begun(20)
    world.sampler.bad = 0.4
    assert await world.run(60, lambda: world.ready == "RolledBack")
    world.sampler.bad = 0.0
    await world.run(30)
    assert images(world) == {"shop:v1"}
    assert world.status.attempt is None
    world.kube.user_apply(deployment("v3"))
    assert await world.run(120, lambda: world.ready == "Promoted")
    assert images(world) == {"shop:v3"}


async def test_the_end_of_a_rollback_asks_for_no_policy() -> None:
    world = await adopted(plan=plan((20, "10m"), (100, "10s")))
    world.kube.user_apply(deployment("v2"))
    await at(world, 20)
    await world.run(150, step=5)
    world.sampler.bad = 0.4
    asked = len(world.kube.requests)
    assert await world.run(60, lambda: world.ready == "RolledBack")
    await world.run(30)
    kinds = {one.kind for one in world.kube.requests[asked:]}
    assert kinds
    assert kinds.isdisjoint({MUTATINGPOLICY, MUTATINGPOLICYBINDING})


async def test_a_refused_version_stays_held_when_somebody_resumes_it() -> None:
    world, _ = await begun(20)
    world.sampler.bad = 0.4
    assert await world.run(60, lambda: world.ready == "RolledBack")
    world.kube.policies.remove("leadsman-hold")
    world.kube.user_patch(TARGET, [{"op": "remove", "path": "/spec/paused"}])
    world.kube.settle()
    await world.run(30)
    assert world.body(DEPLOYMENT, "shop")["spec"]["paused"] is True
    assert images(world) == {"shop:v1"}
    assert len(world.all(POD)) == 4


async def test_without_policies_the_canary_is_caught_and_kept_from_traffic() -> None:
    world = await adopted(World(policies=None))
    world.kube.user_apply(deployment("v2"))
    world.kube.settle()
    assert await world.run(120, lambda: world.ready == "Promoted")
    assert images(world) == {"shop:v2"}


async def test_the_rollout_survives_the_deployments_deletion() -> None:
    world, before = await begun(20)
    world.kube.user_delete(TARGET)
    assert await world.run(60, lambda: world.status.attempt is None)
    await world.run(10)
    assert world.ready == "TargetMissing"
    assert snapshot(world) == before
    world.kube.user_apply(deployment("v4"))
    assert await world.run(60, lambda: world.ready == "Stable")


async def test_a_deleted_route_is_said_and_nothing_breaks() -> None:
    world, _ = await begun(20)
    world.kube.user_delete(ROUTE)
    await world.run(8)
    assert world.ready in ("RouteMissing", "RolledBack", "Progressing", "Holding")
    world.kube.user_apply(route())
    assert await world.run(200, lambda: world.status.attempt is None)


@pytest.mark.parametrize("weight", [0, 20, 100])
async def test_a_restart_at_any_stage_goes_on(weight: int) -> None:
    world, before = await begun(weight)
    world.start()
    assert await world.run(120, lambda: world.ready == "Promoted")
    assert snapshot(world) == before
    assert world.status.history[-1].number == 1


async def test_conflicts_are_answered_by_deciding_again() -> None:
    world = await adopted()
    world.kube.faults.conflict_every(3)
    world.kube.user_apply(deployment("v2"))
    assert await world.run(150, lambda: world.ready == "Promoted")


def fail_every_write(world: World, error: Exception, **how: Any) -> None:
    """The next write of each verb to each kind of object fails."""
    for kind in (SERVICE, HTTPROUTE, REPLICASET, ROLLOUT, DEPLOYMENT, CONTROLLERREVISION):
        for verb in ("create", "patch"):
            world.kube.fail_next(verb, kind, error, **how)


async def test_an_api_that_refuses_for_a_while_stops_nothing_for_good() -> None:
    world = await adopted()
    world.kube.user_apply(deployment("v2"))
    fail_every_write(world, UnavailableError(503, "ServiceUnavailable", "x"), times=2)
    assert await world.run(200, lambda: world.ready == "Promoted")


async def test_an_answer_that_was_lost_makes_no_second_step() -> None:
    world = await adopted()
    world.kube.user_apply(deployment("v2"))
    fail_every_write(world, UnavailableError(0, "Lost", "x"), after_applying=True)
    assert await world.run(200, lambda: world.status.attempt is None and world.status.history != ())
    assert world.status.history[-1].number == 1


async def test_a_rollback_whose_patch_is_refused_is_tried_again_within_a_second() -> None:
    world, _ = await begun(20)
    await world.run(3)
    world.kube.fail_next("patch", HTTPROUTE, UnavailableError(503, "X", "x"), times=3)
    world.sampler.bad = 0.5
    await world.passes()
    world.sampler.bad = 0.0
    assert world.canary_weight() == 20
    assert await world.run(4, lambda: world.canary_weight() == 0)
    assert "RolledBack" in world.notices.reasons


async def test_a_refused_write_is_said_in_the_condition_and_clears() -> None:
    world = await adopted()
    world.kube.fail_next("create", SERVICE, ForbiddenError(403, "Forbidden", "quota"), times=8)
    world.kube.user_apply(deployment("v2"))
    assert await world.run(120, lambda: world.ready == "Forbidden")
    assert await world.run(300, lambda: world.ready == "Promoted", step=1)


async def test_weight_zero_is_the_first_write_of_a_rollback() -> None:
    world, _ = await begun(20)
    await world.run(3)
    count = len(world.kube.operator_writes)
    reads = len(world.kube.requests)
    world.sampler.bad = 0.5
    await world.passes()
    first = world.kube.operator_writes[count]
    assert (first.ref, first.verb) == (ROUTE, "patch")
    assert world.kube.requests[reads:] != []
    assert sum(1 for one in world.kube.operator_writes[count:] if one.ref == ROUTE) == 1


async def test_a_rollback_until_rest_is_at_most_fifteen_requests_with_its_event() -> None:
    world, _ = await begun(20)
    await world.run(3)
    count = len(world.kube.operator_writes)
    told = len(world.notices.told)
    world.sampler.bad = 0.5
    assert await world.run(60, lambda: world.ready == "RolledBack")
    await world.run(100, step=1)
    writes = len(world.kube.operator_writes) - count
    assert writes + len(world.notices.told) - told <= 15


async def test_a_stage_is_at_most_four_requests_and_a_hold_at_most_one_a_minute() -> None:
    world = await adopted(
        plan={
            "stages": [
                {"name": "a", "weight": 20, "hold": "300s"},
                {"name": "b", "weight": 50, "hold": "300s"},
                {"name": "c", "weight": 100, "hold": "10s"},
            ],
            "settle": "2s",
        }
    )
    world.kube.user_apply(deployment("v2"))
    await at(world, 20)
    await world.run(120, step=1)
    count = len(world.kube.operator_writes)
    await world.run(120, step=1)
    assert len(world.kube.operator_writes) - count <= 2
    await world.run(60, lambda: (a := world.status.attempt) is not None and a.stage.name == "b")
    count, told = len(world.kube.operator_writes), len(world.notices.told)
    assert await world.run(200, lambda: world.canary_weight() == 50)
    await world.run(20)
    events = len(world.notices.told) - told
    assert len(world.kube.operator_writes) - count + events <= 5
