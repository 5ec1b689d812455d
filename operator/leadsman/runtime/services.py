"""Writes on Services: the arms, which are ours, and the pin, which is on the user's."""

from __future__ import annotations

from collections.abc import Iterable

from leadsman.adapters.workloads import arms as facts
from leadsman.adapters.workloads.managed_fields import apply_owner
from leadsman.core.observation import Role
from leadsman.core.spec import InCluster
from leadsman.ports import SERVICE, Body, Ref
from leadsman.runtime.sight import Sight
from leadsman.runtime.writing import Writer


class Services:
    """Makes, narrows and deletes arms; pins and unpins. All methods may raise ApiError."""

    def __init__(self, writer: Writer) -> None:
        """Writes through `writer`."""
        self._writer = writer

    async def set_arm(
        self, service: Body, role: Role, revision: str, sight: Sight, *, in_cluster: InCluster
    ) -> None:
        """Create an arm, or let it select `revision` ("" for the user's own selector)."""
        # The pin comes after the arms and before the first canary pod, so what counts is whether
        # there will be one.
        pinned = in_cluster is not InCluster.SHARED and not apply_owner(service, "spec", "selector")
        wanted = facts.arm_service(service, role, revision, sight.rollout, pinned=pinned)
        arm = sight.arms.get((service["metadata"]["name"], role))
        if arm is None:
            arm = await self._writer.create(SERVICE, wanted, sight.rollout)
        stored = await self._writer.patch(SERVICE, arm, facts.arm_patch(arm, wanted))
        sight.differing.stored(stored, service)

    async def drop_arms(self, services: Iterable[str], sight: Sight) -> None:
        """Delete both arms of the Services, and of any other that an attempt left behind."""
        names = dict.fromkeys([*services, *(service for service, _ in sight.arms)])
        for name in names:
            for role in (Role.CANARY, Role.STABLE):
                arm = sight.arms.get((name, role))
                if arm is None:
                    continue
                about = arm["metadata"]
                ref = Ref(SERVICE, about["namespace"], about["name"])
                await self._writer.delete(ref, uid=str(about.get("uid", "")))

    async def keep_arms(self, sight: Sight) -> None:
        """Take our reference off every arm, so that it outlives the Rollout."""
        uid = str(sight.rollout["metadata"]["uid"])
        for _, arm in sorted(sight.arms.items()):
            await self._writer.patch(SERVICE, arm, facts.let_go_patch(arm, uid))

    async def pin(self, service: Body, revision: str, resource_version: str) -> None:
        """Pin the user's Service to a revision."""
        patch = facts.pin_patch(service, revision, resource_version)
        await self._writer.patch(SERVICE, service, patch)

    async def unpin(self, service: Body, canary_arm: Body | None, resource_version: str) -> None:
        """Take the pin away, and with it the user's labels off the canary arm."""
        patch = facts.unpin_patch(service, resource_version)
        if not patch:
            return
        if canary_arm is not None:
            labels = facts.plain_labels_patch(canary_arm, service)
            await self._writer.patch(SERVICE, canary_arm, labels)
        answer = await self._writer.patch(SERVICE, service, patch)
        await self._writer.disown(SERVICE, answer, "spec", "selector")
