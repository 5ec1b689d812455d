"""What every Workload must do: one class, subclassed for each kind.

It runs here on FakeKube with its controllers, and in e2e/ on a real API server with the real ones:
a subclass gives `ground`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from leadsman.adapters.workloads.factory import DEPLOYMENTS
from leadsman.core.observation import Owner, ReplicaSet
from leadsman.errors import ConflictError
from leadsman.ports import DEPLOYMENT, POD, REPLICASET, Body, JsonPatch, Kind, Ref, Workload
from tests.contract.ground import FakeGround, Ground, write

ROLLOUT: Body = {
    "apiVersion": "leadsman.dev/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "lro"},
    "spec": {
        # It owns sets here, and governs nothing: where an operator runs, it has nothing to do.
        "targetRef": {"kind": "Deployment", "name": "nobody"},
        "traffic": {"gatewayAPI": {"routeRefs": [{"name": "nobody"}]}},
        "plan": {"stages": [{"name": "all", "weight": 100, "hold": "1s"}]},
        "unguarded": "a contract test",
    },
}


class WorkloadContract:
    """A subclass gives the kinds, the workload and a manifest of it."""

    kind: Kind
    sets_kind: Kind
    workload: Workload

    @pytest.fixture
    def ground(self) -> Ground:
        """Where it is tried."""
        return FakeGround()

    def manifest(self, version: str) -> Body:
        """The user's workload with three pods of a version."""
        raise NotImplementedError

    async def running(self, ground: Ground) -> Body:
        """The workload, complete, and a Rollout to own sets."""
        self.rollout = await ground.create(ROLLOUT)
        self.uid = self.rollout["metadata"]["uid"]
        await ground.apply(self.manifest("v1"))

        async def done() -> bool:
            body = await self.now(ground)
            (*_, newest) = [None, *await self.facts(ground, body)]
            return (
                self.workload.target(body).complete and newest is not None and newest.available == 3
            )

        await ground.settle(done)
        return await self.now(ground)

    async def now(self, ground: Ground) -> Body:
        return await ground.kube.get(self.ref(ground))

    def ref(self, ground: Ground) -> Ref:
        return Ref(self.kind, ground.namespace, "shop")

    async def sets(self, ground: Ground) -> dict[str, Body]:
        listing = await ground.kube.list(self.sets_kind, ground.namespace)
        return {body["metadata"]["name"]: body for body in listing.items}

    async def facts(self, ground: Ground, body: Body) -> tuple[ReplicaSet, ...]:
        return self.workload.sets((await self.sets(ground)).values(), body, self.uid)

    async def living(self, ground: Ground) -> set[str]:
        """The uids of the pods that are not being deleted."""
        listing = await ground.kube.list(POD, ground.namespace)
        return {
            body["metadata"]["uid"]
            for body in listing.items
            if "deletionTimestamp" not in body["metadata"]
        }

    async def move(self, ground: Ground, move: Callable[[Body], JsonPatch]) -> Body:
        return await write(ground.kube, self.ref(ground), move)

    def pausing(self, *, paused: bool) -> Callable[[Body], JsonPatch]:
        def move(body: Body) -> JsonPatch:
            about = body["metadata"]
            version = about["resourceVersion"]
            return self.workload.pause(body, about["uid"], version, paused=paused)

        return move

    async def held(self, ground: Ground) -> Body:
        """Running v1, paused, with v2 in its template."""
        await self.running(ground)
        await self.move(ground, self.pausing(paused=True))
        await ground.apply(self.manifest("v2"))
        return await self.now(ground)

    async def with_canary(self, ground: Ground) -> ReplicaSet:
        """A canary of v2 at full strength beside v1."""
        held = await self.held(ground)
        manifest = self.workload.canary(held, self.rollout, "canary", 3)
        await ground.kube.create(self.sets_kind, ground.namespace, manifest)

        async def done() -> bool:
            facts = await self.facts(ground, await self.now(ground))
            return [one.available for one in facts if one.owner is Owner.ROLLOUT] == [3]

        await ground.settle(done)
        facts = await self.facts(ground, await self.now(ground))
        (ours,) = [one for one in facts if one.owner is Owner.ROLLOUT]
        return ours

    def test_it_is_a_workload(self) -> None:
        assert isinstance(self.workload, Workload)

    async def test_a_running_workload_is_complete_and_its_set_matches(self, ground: Ground) -> None:
        body = await self.running(ground)
        target = self.workload.target(body)
        assert (target.complete, target.replicas, target.paused) == (True, 3, False)
        (one,) = await self.facts(ground, body)
        assert (one.owner, one.matches, one.template) == (Owner.DEPLOYMENT, True, target.template)
        assert (one.replicas, one.ready, one.available) == (3, 3, 3)
        pods = self.workload.pods((await ground.kube.list(POD, ground.namespace)).items, [one])
        assert [pod.ready for pod in pods] == [True] * 3
        assert {pod.revision for pod in pods} == {one.revision}

    async def test_a_new_template_is_another_version_and_scaling_is_not(
        self, ground: Ground
    ) -> None:
        before = self.workload.target(await self.running(ground)).template
        await ground.scale("shop", 5)
        assert self.workload.target(await self.now(ground)).template == before
        await ground.apply(self.manifest("v2"))
        assert self.workload.target(await self.now(ground)).template != before

    async def test_pausing_and_unpausing_touch_nothing_else(self, ground: Ground) -> None:
        body = await self.running(ground)
        held = await self.move(ground, self.pausing(paused=True))
        assert self.workload.target(held).paused
        assert list(self.pausing(paused=True)(held)) == []
        free = await self.move(ground, self.pausing(paused=False))
        assert free["spec"] == body["spec"]
        assert list(self.pausing(paused=False)(free)) == []

    async def test_a_move_on_a_changed_object_is_refused(self, ground: Ground) -> None:
        body = await self.running(ground)
        await ground.scale("shop", 5)
        with pytest.raises(ConflictError):
            await ground.kube.patch(self.ref(ground), self.pausing(paused=True)(body))
        other = self.workload.pause(body, "another", "", paused=True)
        with pytest.raises(ConflictError):
            await ground.kube.patch(self.ref(ground), other)

    async def test_a_held_workload_starts_nothing_of_a_new_template(self, ground: Ground) -> None:
        held = await self.held(ground)
        target = self.workload.target(held)
        assert target.paused
        (one,) = await self.facts(ground, held)
        assert (one.matches, one.replicas) == (False, 3)
        assert one.template != target.template

    async def test_the_canary_stands_beside_stable(self, ground: Ground) -> None:
        ours = await self.with_canary(ground)
        assert (ours.matches, ours.available, ours.revision) == (True, 3, "canary")
        facts = await self.facts(ground, await self.now(ground))
        assert [one.available for one in facts if one.owner is Owner.DEPLOYMENT] == [3]

    async def test_the_canary_is_handed_over_without_a_restart(self, ground: Ground) -> None:
        """Hold, canary, release: the workload scales the old version away and keeps every pod."""
        ours = await self.with_canary(ground)
        before = await self.living(ground)

        def release(one: Body) -> JsonPatch:
            about = one["metadata"]
            version = about["resourceVersion"]
            return self.workload.release(one, self.rollout, about["uid"], version, 3)

        ref = Ref(self.sets_kind, ground.namespace, ours.name)
        await write(ground.kube, ref, release)

        async def handed_over() -> bool:
            body = await self.now(ground)
            facts = await self.facts(ground, body)
            claimed = {one.name: (one.owner, one.replicas) for one in facts if one.replicas}
            return (
                claimed == {ours.name: (Owner.DEPLOYMENT, 3)}
                and self.workload.target(body).complete
            )

        await ground.settle(handed_over)

        async def alone() -> bool:
            return len(await self.living(ground)) == 3

        await ground.settle(alone)
        assert await self.living(ground) < before

    async def test_a_set_is_taken_over_from_the_workload(self, ground: Ground) -> None:
        await self.running(ground)
        body = await self.move(ground, self.pausing(paused=True))
        ((name, _),) = (await self.sets(ground)).items()

        def take(one: Body) -> JsonPatch:
            about = one["metadata"]
            version = about["resourceVersion"]
            return self.workload.take_over(one, self.rollout, about["uid"], version)

        ref = Ref(self.sets_kind, ground.namespace, name)
        taken = await write(ground.kube, ref, take)
        (one,) = self.workload.sets([taken], body, self.uid)
        assert one.owner is Owner.ROLLOUT
        assert list(take(taken)) == []


class TestDeployment(WorkloadContract):
    kind = DEPLOYMENT
    sets_kind = REPLICASET
    workload = DEPLOYMENTS

    def manifest(self, version: str) -> Body:
        container: dict[str, Any] = {
            "name": "app",
            "image": "leadsman.dev/demo:1",
            "imagePullPolicy": "IfNotPresent",
            "env": [{"name": "VERSION", "value": version}],
        }
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop"},
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": {"app": "shop"}},
                "template": {
                    "metadata": {"labels": {"app": "shop"}},
                    "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
                },
            },
        }
