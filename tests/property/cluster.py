"""A cluster, its users and the operator in one process and in virtual time.

The operator is the real one from the resolver to the executor; the API server, the controllers,
the gateway and the clock are `leadsman.testing`. `Operator.crash()` forgets everything that was in
memory, as SIGKILL does. Readings are made from what the gateway sends where, so that a guard sees
the canary's errors only while the canary has traffic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from leadsman.core.spec import GuardSpec
from leadsman.guards.judges import Threshold
from leadsman.guards.windows import Reading, Window
from leadsman.ports import (
    CONTROLLERREVISION,
    DEPLOYMENT,
    REPLICASET,
    ROLLOUT,
    SERVICE,
    Body,
    Listing,
    Ref,
)
from leadsman.runtime.reader import DirectReader
from leadsman.runtime.reconciler import Reconciler
from leadsman.runtime.scheduler import Key
from leadsman.runtime.store import OWN, OwnStore
from leadsman.testing import Behaviour, FakeClock, FakeKube, FakeNotifier, Killed
from tests.core.chain import ChainChecked

from .manifests import (
    ELSEWHERE,
    KEY,
    LRO,
    ROUTE,
    ROUTE_MANIFEST,
    SERVICE_MANIFEST,
    SOURCE,
    STABLE_SHOP,
    TARGET,
    deployment,
    rollout,
    stored_rollout,
)


@dataclass
class Metrics:
    """What the guards read: the errors of each version, and whether anything can be read.

    `bad` holds the versions that fail 30 % of their requests; `mode` is "good" data, or the name
    of a reading's error, or "thin".
    """

    kube: FakeKube
    clock: FakeClock
    bad: set[str]
    mode: str = "good"
    good_until: float = 0.0

    def turn(self, mode: str) -> None:
        """Another mode from now on."""
        if self.mode == "good":
            self.good_until = self.clock.now()
        self.mode = mode

    def last_good(self) -> float:
        """When there was good data last."""
        return self.clock.now() if self.mode == "good" else self.good_until

    def __post_init__(self) -> None:
        self._subscribed: dict[Any, tuple[tuple[GuardSpec, ...], Any, float]] = {}

    @property
    def asked(self) -> bool:
        """Whether anything is measured now."""
        return bool(self._subscribed)

    def subscribe(
        self,
        key: Any,
        guards: tuple[GuardSpec, ...],
        arms: Any,
        since: float,
        false_rollback: float = 0.0,
    ) -> None:
        """Remember the question."""
        del false_rollback
        self._subscribed[key] = (guards, arms, since)

    def unsubscribe(self, key: Any) -> None:
        """Forget it."""
        self._subscribed.pop(key, None)

    def shares(self, key: Any) -> tuple[int, int] | None:
        """No router counters here."""
        del key

    def readings(self, key: Any) -> tuple[Reading, ...]:
        """One reading a guard, from the traffic that the gateway sends now."""
        guards, _, since = self._subscribed.get(key, ((), None, 0.0))
        return tuple(self._reading(guard, since) for guard in guards)

    def _reading(self, guard: GuardSpec, since: float) -> Reading:
        now = self.clock.now()
        if self.mode not in ("good", "thin"):
            return Reading(guard.name, (), (), self.mode, None)
        assert isinstance(guard.judge, Threshold)
        seconds = min(max(0.0, now - since), guard.judge.window)
        shares = self.kube.traffic("default", "shop").pods
        events = bad = 0.0
        for pod in self.kube.pods("default"):
            version = pod["spec"]["containers"][0]["image"].partition(":")[2]
            if pod["metadata"]["labels"].get("pod-template-hash") != self._canary():
                continue
            share = shares.get(pod["metadata"]["name"], 0.0) * 200 * seconds
            events += share
            bad += share * 0.3 if version in self.bad else 0.0
        if self.mode == "thin":
            events = min(events, 3.0)
            bad = min(bad, events)
        return Reading(guard.name, (Window(now, float(int(events)), bad),), (), "", now)

    def _canary(self) -> str:
        status = (self.kube.peek(LRO) or {}).get("status") or {}
        return str((status.get("attempt") or {}).get("revision", ""))


class Operator:
    """The operator's process: its memory, and nothing else.

    Where decisions are told and recorded outlives it: `notifier` keeps, `recorder` checks.
    """

    def __init__(
        self,
        kube: FakeKube,
        clock: FakeClock,
        metrics: Metrics,
        notifier: FakeNotifier,
        recorder: ChainChecked,
    ) -> None:
        self.kube = kube
        self.clock = clock
        self.metrics = metrics
        self.notifier = notifier
        self.recorder = recorder
        self.crash()

    def crash(self) -> None:
        """Lose all memory, and start again."""
        self.store = OwnStore()
        self.metrics._subscribed.clear()
        self.reconciler = Reconciler(
            self.kube,
            self.clock,
            self.store,
            DirectReader(self.kube),
            self.metrics,
            self.notifier,
            recorder=self.recorder,
        )

    def read(self) -> None:
        """What the watches would have brought."""
        version = str(self.kube.cluster.store.revision)
        for kind in OWN:
            self.store.observe_list(kind, "", Listing(tuple(self.kube.peek_all(kind)), version))
        for namespace, name in self.store.targets():
            self.store.put_target(namespace, name, self.kube.peek(Ref(DEPLOYMENT, namespace, name)))

    async def act(self) -> float | None:
        """Make passes until nothing is to do now; return when to look again."""
        for _ in range(60):
            idle, wake = await self.look_at(KEY)
            if idle:
                return wake
        return self.clock.now() + 0.05

    async def look_at(self, key: Key) -> tuple[bool, float | None]:
        """Make one pass over a Rollout; return whether that was all, and when to look again."""
        self.read()
        if self.store.rollout(key) is None:
            self.reconciler.forget(key)
            return True, None
        before = self.kube.cluster.store.revision
        wake = await self.reconciler.reconcile(key)
        self.kube.settle()
        later = wake.at is None or wake.at > self.clock.now()
        return later and self.kube.cluster.store.revision == before, wake.at


class Lab:
    """Everything together, and time."""

    def __init__(self, *, policies: str | None = "hold+freeze", **spec: Any) -> None:
        self.clock = FakeClock()
        self.kube = FakeKube(self.clock, policies=policies)
        # A status that the API server would refuse or cut must fail a law.
        self.kube.serve(ROLLOUT, stored_rollout())
        self.metrics = Metrics(self.kube, self.clock, set())
        self.smallest = 4
        self.killed = 0
        self.kube.user_apply(deployment("v1"))
        self.kube.user_apply(SERVICE_MANIFEST)
        self.kube.user_apply(ELSEWHERE)
        self.kube.user_apply(ROUTE_MANIFEST)
        self.kube.user_apply(SOURCE)
        self.kube.advance(5)
        self.route_at_rest = self.rules()
        self.service_at_rest = self.kube.peek(STABLE_SHOP)["spec"]
        self.kube.user_apply(rollout(**spec))
        self.operator = Operator(
            self.kube, self.clock, self.metrics, FakeNotifier(self.clock), ChainChecked()
        )

    async def run(self, seconds: float) -> None:
        """Let the operator work for so long. A Killed operator starts again."""
        end = self.clock.now() + seconds
        while True:
            self.kube.settle()
            try:
                wake = await self.operator.act()
            except Killed:
                self.killed += 1
                self.operator.crash()
                continue
            now = self.clock.now()
            if now >= end:
                return
            # While guards are asked, the sampler would wake the operator on a crossing.
            pause = 0.5 if self.metrics.asked else 5.0
            step = min(end, now + pause, wake if wake is not None else end, self.next_event())
            self.kube.advance(max(0.001, step - now))

    def next_event(self) -> float:
        """When the cluster moves by itself next: an event that the operator would see."""
        now, tick = self.clock.now(), self.clock.next_tick()
        if tick is None:
            return math.inf
        return max(now + tick / 1e6 - self.clock.monotonic(), now + 0.05)

    async def until_rest(self, limit: float = 400.0) -> float:
        """Run until nothing is written any more; return how long that took."""
        start = self.clock.now()
        while self.clock.now() < start + limit:
            before = len(self.kube.operator_writes)
            await self.run(10)
            attempt = self.status().get("attempt")
            if attempt is None and len(self.kube.operator_writes) == before:
                return self.clock.now() - start
        raise AssertionError(f"not at rest after {limit} s: {self.status()}")

    # --- what users do --------------------------------------------------------------------

    def release(self, version: str, **env: str) -> None:
        """Apply the Deployment at another version, its replicas as they are."""
        live = self.kube.peek(TARGET)
        replicas = live["spec"]["replicas"] if live else 4
        self.kube.user_apply(deployment(version, replicas, **env))

    def scale(self, replicas: int) -> None:
        """`kubectl scale`."""
        self.smallest = min(self.smallest, replicas)
        self.kube.user_patch(TARGET, [{"op": "add", "path": "/spec/replicas", "value": replicas}])

    def set_weight(self, weight: int) -> bool:
        """Set the canary's weight by hand where both arms are there; return whether they are."""
        rules = self.rules()
        if not rules or len(rules[0]["backendRefs"]) != 2:
            return False
        where = "/spec/rules/0/backendRefs"
        self.kube.user_patch(
            ROUTE,
            [
                {"op": "replace", "path": f"{where}/0/weight", "value": 100 - weight},
                {"op": "replace", "path": f"{where}/1/weight", "value": weight},
            ],
        )
        return True

    # --- what is ---------------------------------------------------------------------------

    def status(self) -> Body:
        """The Rollout's stored status."""
        return (self.kube.peek(LRO) or {}).get("status") or {}

    def ready(self) -> Body:
        """The condition Ready."""
        found = [c for c in self.status().get("conditions", ()) if c["type"] == "Ready"]
        return found[0] if found else {}

    def rules(self) -> list[Body]:
        """The route's rules as stored; none where there is no route."""
        return (self.kube.peek(ROUTE) or {"spec": {"rules": []}})["spec"]["rules"]

    def weight(self) -> int:
        """The canary's weight on the route, 0 at rest and where the route or its rule is gone."""
        backends = [b for rule in self.rules() for b in rule["backendRefs"]]
        found = [b.get("weight", 1) for b in backends if b["name"].endswith("-canary")]
        return found[0] if found else 0

    def versions(self) -> dict[str, int]:
        """Ready pods by version."""
        found: dict[str, int] = {}
        for pod in self.kube.pods("default"):
            conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
            if conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]:
                version = pod["spec"]["containers"][0]["image"].partition(":")[2]
                found[version] = found.get(version, 0) + 1
        return found

    def leftovers(self) -> list[str]:
        """What is ours and should not be there at rest."""
        found = [s["metadata"]["name"] for s in self.kube.peek_all(SERVICE, "default")]
        left = [name for name in found if name not in ("shop", "elsewhere")]
        left += [c["metadata"]["name"] for c in self.kube.peek_all(CONTROLLERREVISION, "default")]
        for one in self.kube.peek_all(REPLICASET, "default"):
            owners = one["metadata"].get("ownerReferences") or []
            left += [one["metadata"]["name"] for o in owners if o["kind"] == "Rollout"]
        return left

    def assert_given_back(self) -> None:
        """I11: route, Services and sets are the user's own again, and nothing is held in vain."""
        assert self.rules() == self.route_at_rest
        assert self.kube.peek(STABLE_SHOP)["spec"] == self.service_at_rest
        assert self.leftovers() == []
        lro, live = self.kube.peek(LRO), self.kube.peek(TARGET)
        assert lro is None or "deletionTimestamp" not in lro["metadata"], "deleted, and still there"
        if live is not None:
            kept = lro is not None and lro["spec"].get("hold") == "Paused"
            held = kept or bool(self.status().get("refused"))
            assert bool(live["spec"].get("paused")) == held, f"paused: {not held}"


def crashing(pods: str) -> Behaviour:
    """Pods that exit soon after they got ready."""
    del pods
    return Behaviour(crash_after=3.0)
