"""Whole releases through resolver, observer, core and executor, on a cluster in memory."""

from __future__ import annotations

from leadsman.ports import CONTROLLERREVISION, DEPLOYMENT, HTTPROUTE, POD, REPLICASET, SERVICE
from tests.runtime.worlds import NS, World, adopted, deployment, plan


async def test_a_good_release_is_promoted_and_everything_is_as_it_was() -> None:
    world = await adopted()
    before = world.body(HTTPROUTE, "shop")["spec"]
    await world.opened()
    canary = {p["metadata"]["uid"] for p in world.all(POD) if "v2" in str(p["spec"])}
    assert await world.run(90, lambda: world.ready in ("Promoted", "Stable"))
    assert world.body(HTTPROUTE, "shop")["spec"] == before
    assert world.names(SERVICE) == ["shop"]
    assert world.names(CONTROLLERREVISION) == []
    assert "pod-template-hash" not in world.body(SERVICE, "shop")["spec"]["selector"]
    target = world.body(DEPLOYMENT, "shop")
    assert not target["spec"].get("paused")
    kept = {p["metadata"]["uid"] for p in world.all(POD)}
    assert canary <= kept
    assert len(kept) == 4
    owners = {o["kind"] for s in world.all(REPLICASET) for o in s["metadata"]["ownerReferences"]}
    assert owners == {"Deployment"}


async def test_a_bad_release_is_rolled_back_and_stays_refused() -> None:
    world = await adopted()
    await world.opened()
    await world.run(3)
    world.sampler.bad = 0.3
    await world.passes()
    assert world.canary_weight() == 0
    assert await world.run(60, lambda: world.status.attempt is None)
    assert world.ready == "RolledBack"
    assert world.names(SERVICE) == ["shop"]
    assert world.body(DEPLOYMENT, "shop")["spec"]["paused"] is True
    assert world.notices.reasons[-1] == "RolledBack"
    (guard,) = world.status.refused.guards
    assert [(one.canary_bad, one.canary, one.stable) for one in guard.recent] == [(60, 200, 800)]
    count = len(world.kube.operator_writes)
    await world.run(120, step=5)
    assert len(world.kube.operator_writes) <= count + 1


async def test_a_split_that_is_off_for_a_whole_hold_is_told_and_written_once_a_minute() -> None:
    world = await adopted(plan=plan((20, "10m"), (100, "10s")))
    world.sampler.share = (2000, 10000)
    await world.opened()
    await world.run(90)
    due = world.status.attempt.stage.due_at
    world.sampler.share = (4000, 10000)
    assert await world.run(6, lambda: world.ready == "SampleRatioMismatch")
    before = len(world.kube.operator_writes)
    for step in range(60):
        world.sampler.share = (4000 + 10 * step, 10000)
        await world.run(5)
    assert len(world.kube.operator_writes) - before <= 5
    assert world.status.attempt.stage.due_at == due
    assert world.canary_weight() == 20
    world.sampler.share = (2000, 10000)
    assert await world.run(due - world.clock.now() + 20, lambda: world.canary_weight() == 100)


async def test_a_canary_whose_containers_end_well_and_start_again_is_told_once() -> None:
    world = await adopted(plan=plan((50, "60s"), (100, "10s")))
    world.kube.user_apply(deployment("v2"))
    assert await world.run(20, lambda: world.canary_weight() == 50)
    await world.run(10)
    canary = [p["metadata"]["name"] for p in world.all(POD) if "v2" in str(p["spec"])]
    assert len(canary) == 2
    for name in canary:
        world.kube.kubelet.crash(NS, name, exit_code=0, reason="Completed")
    assert await world.run(120, lambda: world.ready == "Promoted")
    assert world.notices.reasons.count("CandidateRestarting") == 1
    assert "RolledBack" not in world.notices.reasons


def show(world: World) -> None:
    for one in world.recorded.decisions:
        print(one.why, [type(a).__name__ for a in one.actions])
