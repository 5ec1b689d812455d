"""The workload that a Rollout's target is; one class a kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leadsman.adapters.workloads import deployment, deployment_moves
from leadsman.core.observation import Pod, ReplicaSet, Target
from leadsman.ports import Body, JsonPatch, Workload


class DeploymentWorkload:
    """A Deployment and its ReplicaSets."""

    def target(self, body: Body) -> Target:
        """See `deployment.target`."""
        return deployment.target(body)

    def sets(
        self, bodies: Iterable[Body], body: Body | None, rollout: str
    ) -> tuple[ReplicaSet, ...]:
        """See `deployment.replica_sets`."""
        return deployment.replica_sets(bodies, body, rollout)

    def pods(
        self, bodies: Iterable[Body], sets: Sequence[ReplicaSet], revision: str = ""
    ) -> tuple[Pod, ...]:
        """See `deployment.pods`."""
        return deployment.pods(bodies, sets, revision)

    def canary(self, body: Body, rollout: Body, revision: str, replicas: int) -> Body:
        """See `deployment_moves.canary_replica_set`."""
        return deployment_moves.canary_replica_set(body, rollout, revision, replicas)

    def pause(self, body: Body, uid: str, version: str, *, paused: bool) -> JsonPatch:
        """See `deployment_moves.pause_patch` and `unpause_patch`."""
        move = deployment_moves.pause_patch if paused else deployment_moves.unpause_patch
        return move(body, uid, version)

    def take_over(self, one: Body, rollout: Body, uid: str, version: str) -> JsonPatch:
        """See `deployment_moves.take_over_patch`."""
        return deployment_moves.take_over_patch(one, rollout, uid, version)

    def release(self, one: Body, rollout: Body, uid: str, version: str, replicas: int) -> JsonPatch:
        """See `deployment_moves.release_patch`."""
        return deployment_moves.release_patch(one, rollout, uid, version, replicas)


DEPLOYMENTS: Workload = DeploymentWorkload()
"""The one workload of this version."""
