"""What every Workload must do: one class, subclassed for each kind."""

from __future__ import annotations

from typing import Any

import pytest

from leadsman.adapters.workloads.factory import DEPLOYMENTS
from leadsman.core.observation import Owner
from leadsman.errors import ConflictError
from leadsman.ports import DEPLOYMENT, POD, REPLICASET, Body, JsonPatch, Kind, Ref, Workload
from leadsman.testing import FakeKube

ROLLOUT: Body = {
    "apiVersion": "leadsman.dev/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "lro", "namespace": "ns"},
    "spec": {"targetRef": {"kind": "Deployment", "name": "shop"}},
}


class WorkloadContract:
    """A subclass gives the kinds, the workload and a manifest of it."""

    kind: Kind
    sets_kind: Kind
    workload: Workload

    def manifest(self, version: str) -> Body:
        """The user's workload with three pods of a version."""
        raise NotImplementedError

    async def running(self) -> tuple[FakeKube, Body]:
        kube = FakeKube(policies="")
        self.rollout = kube.user_create(ROLLOUT)
        self.uid = self.rollout["metadata"]["uid"]
        kube.user_apply(self.manifest("v1"))
        kube.advance(5)
        return kube, await self.now(kube)

    async def now(self, kube: FakeKube) -> Body:
        return await kube.get(Ref(self.kind, "ns", "shop"))

    async def sets(self, kube: FakeKube) -> dict[str, Body]:
        listing = await kube.list(self.sets_kind, "ns")
        return {body["metadata"]["name"]: body for body in listing.items}

    async def write(self, kube: FakeKube, kind: Kind, name: str, patch: JsonPatch) -> Body:
        return await kube.patch(Ref(kind, "ns", name), patch)

    def test_it_is_a_workload(self) -> None:
        assert isinstance(self.workload, Workload)

    async def test_a_running_workload_is_complete_and_its_set_matches(self) -> None:
        kube, body = await self.running()
        target = self.workload.target(body)
        assert (target.complete, target.replicas, target.paused) == (True, 3, False)
        (one,) = self.workload.sets((await self.sets(kube)).values(), body, self.uid)
        assert (one.owner, one.matches, one.template) == (Owner.DEPLOYMENT, True, target.template)
        assert (one.replicas, one.ready, one.available) == (3, 3, 3)
        pods = self.workload.pods((await kube.list(POD, "ns")).items, [one])
        assert [pod.ready for pod in pods] == [True] * 3
        assert {pod.revision for pod in pods} == {one.revision}

    async def test_a_new_template_is_another_version_and_scaling_is_not(self) -> None:
        kube, body = await self.running()
        before = self.workload.target(body).template
        kube.user_scale("ns", "shop", 5)
        assert self.workload.target(await self.now(kube)).template == before
        kube.user_apply(self.manifest("v2"))
        assert self.workload.target(await self.now(kube)).template != before

    async def test_pausing_and_unpausing_touch_nothing_else(self) -> None:
        kube, body = await self.running()
        about = body["metadata"]
        pause = self.workload.pause(body, about["uid"], about["resourceVersion"], paused=True)
        held = await self.write(kube, self.kind, "shop", pause)
        assert self.workload.target(held).paused
        about = held["metadata"]
        back = self.workload.pause(held, about["uid"], about["resourceVersion"], paused=False)
        free = await self.write(kube, self.kind, "shop", back)
        assert free["spec"] == body["spec"]

    async def test_a_move_on_a_changed_object_is_refused(self) -> None:
        kube, body = await self.running()
        about = body["metadata"]
        pause = self.workload.pause(body, about["uid"], about["resourceVersion"], paused=True)
        kube.user_scale("ns", "shop", 5)
        with pytest.raises(ConflictError):
            await self.write(kube, self.kind, "shop", pause)
        other = self.workload.pause(body, "another", "", paused=True)
        with pytest.raises(ConflictError):
            await self.write(kube, self.kind, "shop", other)

    async def test_the_canary_is_handed_over_without_a_restart(self) -> None:
        """Hold, canary, release: the workload scales the old version away and keeps every pod."""
        kube, body = await self.running()
        about = body["metadata"]
        pause = self.workload.pause(body, about["uid"], about["resourceVersion"], paused=True)
        await self.write(kube, self.kind, "shop", pause)
        kube.user_apply(self.manifest("v2"))
        held = await self.now(kube)
        canary = await kube.create(
            self.sets_kind, "ns", self.workload.canary(held, self.rollout, "canary", 3)
        )
        kube.advance(5)
        facts = self.workload.sets((await self.sets(kube)).values(), held, self.uid)
        (ours,) = [one for one in facts if one.owner is Owner.ROLLOUT]
        assert (ours.matches, ours.available, ours.revision) == (True, 3, "canary")
        pods = {pod["metadata"]["uid"] for pod in (await kube.list(POD, "ns")).items}
        stored = (await self.sets(kube))[ours.name]
        release = self.workload.release(stored, self.rollout, ours.uid, ours.resource_version, 3)
        await self.write(kube, self.sets_kind, ours.name, release)
        kube.advance(5)
        held = await self.now(kube)
        facts = self.workload.sets((await self.sets(kube)).values(), held, self.uid)
        assert {one.name: (one.owner, one.replicas) for one in facts if one.replicas} == {
            canary["metadata"]["name"]: (Owner.DEPLOYMENT, 3)
        }
        left = {pod["metadata"]["uid"] for pod in (await kube.list(POD, "ns")).items}
        assert left < pods
        assert len(left) == 3
        assert self.workload.target(held).complete

    async def test_a_set_is_taken_over_from_the_workload(self) -> None:
        kube, body = await self.running()
        ((name, stored),) = (await self.sets(kube)).items()
        about = stored["metadata"]
        version = about["resourceVersion"]
        patch = self.workload.take_over(stored, self.rollout, about["uid"], version)
        await self.write(kube, self.sets_kind, name, patch)
        (one,) = self.workload.sets((await self.sets(kube)).values(), body, self.uid)
        assert one.owner is Owner.ROLLOUT


class TestDeployment(WorkloadContract):
    kind = DEPLOYMENT
    sets_kind = REPLICASET
    workload = DEPLOYMENTS

    def manifest(self, version: str) -> Body:
        container: dict[str, Any] = {"name": "app", "image": f"shop:{version}"}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop", "namespace": "ns"},
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": {"app": "shop"}},
                "template": {
                    "metadata": {"labels": {"app": "shop"}},
                    "spec": {"containers": [container]},
                },
            },
        }
