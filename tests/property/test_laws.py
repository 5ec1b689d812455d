"""The laws as a state machine: whatever users, nodes, networks and crashes do, in any order.

Each example is one Rollout's life on the cluster in memory. After it the faults end, and the state
must come to rest within 120 s, with users served and nothing of ours left (I6, I11). During it the
oracles look at every stored change (I1, I2, I4), traffic raised in the dark among them (I7), and
after each pass that no fault disturbed at a rollback that waits (I9). An exception fails the
example (I10).
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from leadsman.errors import ConflictError, UnavailableError
from leadsman.ports import DEPLOYMENT, HTTPROUTE, REPLICASET, ROLLOUT, SERVICE
from leadsman.testing import Killed

from .cluster import Lab
from .machine import EXAMPLES, PLAN, Releases, shards
from .manifests import (
    LRO,
    ROUTE,
    ROUTE_MANIFEST,
    SECOND,
    SECOND_MANIFEST,
    TARGET,
    deployment,
    rollout,
)
from .oracles import watch


class Life(Releases):
    """One Rollout, everything that can happen to it, and the laws."""

    def __init__(self) -> None:
        super().__init__()
        self.lab: Lab | None = None
        self.foreign = 0

    def go(self, seconds: float) -> None:
        """Let time pass."""
        assert self.lab is not None
        self.runner.run(self.lab.run(seconds))
        if self.lab.kube.faults.any_left:
            return
        self.oracle.observed()
        if not self.foreign:
            self.oracle.passed()

    def do(self, what: Callable[[Lab], object]) -> None:
        """Something happens in the one lab that there is."""
        what(self.lab)

    @initialize(
        policies=st.sampled_from(["hold+freeze", "hold+freeze", "hold+freeze", "", None]),
        paused=st.booleans(),
    )
    def start(self, policies: str | None, paused: bool) -> None:
        """A team with a Deployment, a Service and a route applies a Rollout."""
        spec = {"hold": "Paused"} if paused and policies is None else {}
        self.lab = Lab(policies=policies, plan=PLAN, **spec)
        self.oracle = watch(self.lab)
        self.go(2)

    # --- users -----------------------------------------------------------------------------

    @rule(replicas=st.sampled_from([1, 2, 3, 5, 8]))
    def scale(self, replicas: int) -> None:
        """A person or an autoscaler scales."""
        if self.lab.kube.peek(TARGET):
            self.lab.scale(replicas)

    @rule()
    def resume(self) -> None:
        """`kubectl rollout resume`, at any time."""
        if self.lab.kube.peek(TARGET):
            self.lab.kube.user_patch(TARGET, {"spec": {"paused": None}}, "kubectl-rollout")

    @rule(weight=st.sampled_from([0, 10, 60, 100]))
    def edit_route(self, weight: int) -> None:
        """Somebody sets weights by hand while the arms are there."""
        if self.lab.set_weight(weight):
            self.foreign += 1

    @rule()
    def reapply_route(self) -> None:
        """A pipeline applies the route's manifest again."""
        self.foreign += 1
        self.lab.kube.user_apply(ROUTE_MANIFEST)

    @rule()
    def delete_route(self) -> None:
        """The route is deleted; `reapply_route` brings it back."""
        if self.lab.kube.peek(ROUTE):
            self.lab.kube.user_delete(ROUTE)

    @rule()
    def drop_rule(self) -> None:
        """Somebody takes the shifted rule out of the route."""
        rules = self.lab.rules()
        if rules and rules[0]["name"] == "main":
            self.foreign += 1
            self.lab.kube.user_patch(ROUTE, [{"op": "remove", "path": "/spec/rules/0"}])

    @rule(there=st.booleans())
    def second_route(self, there: bool) -> None:
        """Another route names the same Service, or does no longer."""
        if there:
            self.lab.kube.user_apply(SECOND_MANIFEST)
        elif self.lab.kube.peek(SECOND):
            self.lab.kube.user_delete(SECOND)

    @rule()
    def delete_rollout(self) -> None:
        """The Rollout is deleted, and applied again later."""
        if self.lab.kube.peek(LRO):
            self.lab.kube.user_delete(LRO)

    @rule()
    def apply_rollout(self) -> None:
        """The Rollout is applied (again)."""
        self.lab.kube.user_apply(rollout(plan=PLAN))

    @rule()
    def recreate_deployment(self) -> None:
        """The Deployment is deleted and created anew."""
        self.lab.kube.user_delete(TARGET)
        self.go(0.5)
        self.lab.kube.user_apply(deployment(f"v{self.version}", 2))

    # --- nodes -----------------------------------------------------------------------------

    @rule(which=st.integers(0, 9), ready=st.booleans())
    def readiness(self, which: int, ready: bool) -> None:
        """A pod's readiness changes."""
        for name in self.pod(which):
            self.lab.kube.kubelet.set_ready("default", name, ready)

    @rule(which=st.integers(0, 9))
    def evict(self, which: int) -> None:
        """A node is drained."""
        for name in self.pod(which):
            self.lab.kube.kubelet.evict("default", name)

    def pod(self, which: int) -> list[str]:
        """The name of one pod that stays; none where there is no such pod."""
        pods = [one["metadata"] for one in self.lab.kube.pods("default")]
        names = [one["name"] for one in pods if "deletionTimestamp" not in one]
        return names[which % len(names) :][:1] if names else []

    # --- metrics ---------------------------------------------------------------------------

    @rule(mode=st.sampled_from(["good", "Timeout", "Stale", "thin", "BadJSON", "Empty"]))
    def metrics(self, mode: str) -> None:
        """Prometheus has its moods."""
        self.lab.metrics.turn(mode)

    # --- the operator and its way to the API -----------------------------------------------

    @rule(writes=st.integers(1, 4), after=st.booleans())
    def kill_at_write(self, writes: int, after: bool) -> None:
        """The operator is killed before or after one of its next writes."""
        faults = self.lab.kube.faults
        left = [writes]

        def hook(_write) -> None:
            left[0] -= 1
            if left[0] == 0:
                faults.before_write = faults.after_write = None
                raise Killed

        faults.before_write, faults.after_write = (None, hook) if after else (hook, None)

    @rule(
        verb=st.sampled_from(["patch", "create", "delete", "get", "list"]),
        kind=st.sampled_from([None, DEPLOYMENT, REPLICASET, SERVICE, HTTPROUTE, ROLLOUT]),
        error=st.sampled_from(
            [UnavailableError(500, "InternalError", "x"), ConflictError(409, "Conflict", "x")]
        ),
        times=st.integers(1, 3),
        after=st.booleans(),
    )
    def fail(self, verb, kind, error, times, after) -> None:
        """Some requests fail, or succeed with their answers lost."""
        lost = after and isinstance(error, UnavailableError)
        self.lab.kube.fail_next(verb, kind, error, times, after_applying=lost)

    @precondition(lambda self: self.lab is not None)
    @rule(frozen=st.booleans())
    def gateway(self, frozen: bool) -> None:
        """The gateway's conditions lag."""
        self.lab.kube.gateway.status_frozen = frozen
        if not frozen:
            self.lab.kube.gateway.thaw()

    # --- the laws --------------------------------------------------------------------------

    @invariant()
    def oracles(self) -> None:
        """I1, I2, I4 over every change so far."""
        if self.lab is not None:
            self.oracle.check()

    def teardown(self) -> None:
        """I6 and I11: when the faults end, all comes to rest, and then nothing is written."""
        if self.lab is None:
            return
        try:
            lab = self.lab
            lab.kube.faults.clear()
            lab.metrics.turn("good")
            lab.kube.gateway.status_frozen = False
            lab.kube.gateway.thaw()
            for pod in lab.kube.pods("default"):
                lab.kube.kubelet.set_ready("default", pod["metadata"]["name"], True)
            if [one["name"] for one in lab.rules()] != ["main", "other"]:
                lab.kube.user_apply(ROUTE_MANIFEST)
            taken = self.runner.run(lab.until_rest(120))
            assert taken <= 120
            self.runner.run(lab.run(65))  # what only people read may be a minute late
            writes = len(lab.kube.operator_writes)
            self.runner.run(lab.run(300))
            assert len(lab.kube.operator_writes) == writes, "writes at rest"
            lab.assert_given_back()
            self.oracle.check()
            self.served(lab)
        finally:
            self.runner.close()

    def served(self, lab: Lab) -> None:
        """Every request of the routes meets a ready pod of one version: the stable one."""
        for ref in (ROUTE, SECOND):
            if lab.kube.peek(ref):
                traffic = lab.kube.traffic("default", ref.name)
                assert traffic.lost == 0, f"{ref.name} lost {traffic.lost}"
        live = lab.kube.peek(TARGET)
        assert live is not None
        assert sum(lab.versions().values()) == live["spec"]["replicas"], lab.versions()
        assert len(lab.versions()) == 1, lab.versions()


globals().update(shards("the_laws_hold", Life, EXAMPLES, 8))
