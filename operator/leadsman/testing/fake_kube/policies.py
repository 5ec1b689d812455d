"""The admission policies that the operator's installation brings, as the API server applies them.

`leadsman-hold` pauses a governed Deployment whose template changes, and keeps it paused while an
attempt runs or a template is refused, unless the operator itself unpauses. `leadsman-freeze` puts
`spec.replicas` back during a hand-over. Each is in force while its policy and its binding exist.
"""

from __future__ import annotations

from collections.abc import Iterator

from leadsman.ports import (
    DEPLOYMENT,
    FIELD_MANAGER,
    MUTATINGPOLICY,
    MUTATINGPOLICYBINDING,
    ROLLOUT,
    Body,
    Ref,
)
from leadsman.testing.fake_kube.controllers import Cluster
from leadsman.testing.fake_kube.store import Change
from leadsman.testing.fake_kube.trees import dig, put

HOLD = "leadsman-hold"
FREEZE = "leadsman-freeze"


class Policies:
    """Both policies, evaluated natively instead of in CEL."""

    def __init__(self, cluster: Cluster) -> None:
        self._store = cluster.store
        self._server = cluster.server
        self._clock = cluster.clock
        self._parameters: dict[Ref, Body] = {}
        self.lag = 0.0
        """Seconds until a change of a Rollout counts: a real server reads them from a cache."""
        cluster.server.admission.append(self.admit)
        cluster.store.listeners.append(self._heard)

    def install(self, name: str) -> None:
        """Create a policy and its binding."""
        policy = {
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Ignore",
                "paramKind": {"apiVersion": ROLLOUT.api_version, "kind": ROLLOUT.kind},
            },
        }
        binding = {
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "paramRef": {"selector": {}, "parameterNotFoundAction": "Allow"},
            },
        }
        self._server.create(MUTATINGPOLICY, "", policy)
        self._server.create(MUTATINGPOLICYBINDING, "", binding)

    def remove(self, name: str) -> None:
        """Delete a policy and its binding."""
        self._server.delete(Ref(MUTATINGPOLICYBINDING, "", name))
        self._server.delete(Ref(MUTATINGPOLICY, "", name))

    def in_force(self, name: str) -> bool:
        """Whether both the policy and its binding exist."""
        return all(
            self._store.find(kind, "", name) is not None
            for kind in (MUTATINGPOLICY, MUTATINGPOLICYBINDING)
        )

    def admit(self, ref: Ref, subresource: str, old: Body, new: Body, manager: str) -> Body:
        """What is stored instead of `new`."""
        if ref.kind != DEPLOYMENT or subresource == "status" or not manager:
            return new
        for rollout in self._governing(ref):
            if subresource == "" and self.in_force(HOLD):
                new = self._hold(rollout, old, new, manager)
            if self.in_force(FREEZE):
                new = self._freeze(rollout, old, new)
        return new

    def _heard(self, change: Change) -> None:
        if change.kind != ROLLOUT:
            return
        ref = Ref(ROLLOUT, change.namespace, change.name)

        def see() -> None:
            if change.new is None:
                self._parameters.pop(ref, None)
            else:
                self._parameters[ref] = change.new

        if self.lag > 0:
            self._clock.call_later(self.lag, see)
        else:
            see()

    def _governing(self, ref: Ref) -> Iterator[Body]:
        for where, rollout in list(self._parameters.items()):
            if where.namespace != ref.namespace:
                continue
            target = dig(rollout, "spec", "targetRef") or {}
            if (
                target.get("kind", "Deployment") == "Deployment"
                and target.get("name") == ref.name
                and "deletionTimestamp" not in rollout["metadata"]
            ):
                yield rollout

    def _hold(self, rollout: Body, old: Body, new: Body, manager: str) -> Body:
        status = rollout.get("status") or {}
        changed = old["spec"].get("template") != new["spec"].get("template")
        unpaused = bool(old["spec"].get("paused")) and not new["spec"].get("paused")
        busy = bool(status.get("attempt")) or bool(status.get("refused"))
        if changed or (unpaused and busy and manager != FIELD_MANAGER):
            return put(new, ("spec", "paused"), True)
        return new

    def _freeze(self, rollout: Body, old: Body, new: Body) -> Body:
        attempt = dig(rollout, "status", "attempt") or {}
        handing_over = dig(attempt, "direction", "name") == "HandingOver"
        if handing_over and not attempt.get("released") and "releasedAt" not in attempt:
            replicas = old["spec"]["replicas"]
            if new["spec"].get("replicas") != replicas:
                return put(new, ("spec", "replicas"), replicas)
        return new
