"""The demo without a cluster: the operator's own passes on the cluster in memory.

Reconciler, sampler and core are the real ones; Kubernetes, gateway and Prometheus are those of
`leadsman.testing`, in virtual time. It shows what the operator does and proves nothing about a real
cluster; everything it prints says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import yaml

from e2e.demo.frames import NAME, Frame, example_plan, frame, weight_of
from e2e.demo.screen import Screen, interactive
from e2e.demo.script import NAMESPACE, RPS, DemoError, Outcome
from e2e.harness.objects import ROOT
from e2e.harness.reading import ready_pods, version_of
from e2e.harness.users import Report
from leadsman.ports import (
    DEPLOYMENT,
    HTTPROUTE,
    METRICSSOURCE,
    POD,
    ROLLOUT,
    Body,
    Kind,
    Listing,
    Ref,
)
from leadsman.runtime.reader import DirectReader
from leadsman.runtime.reconciler import Reconciler
from leadsman.runtime.sampler import Sampler
from leadsman.runtime.store import OWN, OwnStore
from leadsman.testing import FakeClock, FakeKube, FakeMetrics, FakeNotifier

STEP = 0.25
"""Virtual seconds between two passes."""

VERSIONS = ("v1", "v2", "v3")


class Simulation:
    """One application, one Rollout and one operator, in memory."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.clock = FakeClock()
        self.kube = FakeKube(self.clock)
        self.metrics = FakeMetrics(self.kube)
        self.outcome = Outcome(self.clock.now(), simulated=True)
        self._tell = tell
        self._plan = example_plan()
        self._store = OwnStore()
        sampler = Sampler(self.clock, lambda _name: self.metrics, lambda _key: None)
        self._sampler = sampler
        reader, events = DirectReader(self.kube), FakeNotifier(self.clock)
        self._reconciler = Reconciler(self.kube, self.clock, self._store, reader, sampler, events)
        self._seconds: list[dict[str, Any]] = []
        self._before: dict[tuple[str, bool], int] = {}
        self._next_second = self.clock.now() + 1

    def tell(self, text: str, mark: str = "") -> None:
        """A line of the story; with `mark` also a mark in the picture."""
        self._tell(f"({self.clock.now() - self.outcome.started:5.1f} s virtual) {text}")
        if mark:
            self.outcome.moments.append((self.clock.now(), mark))

    def frame(self) -> Frame | None:
        """What there is to show now."""
        rollout = self._peek(ROLLOUT, NAME)
        if not rollout:
            return None
        pods = self.kube.peek_all(POD, NAMESPACE)
        return frame(rollout, self._peek(HTTPROUTE, NAME), pods, self._plan)

    async def play(self) -> Outcome:
        """Both releases."""
        self.tell("SIMULATED: examples/app.yaml and examples/rollout.yaml in memory")
        for file in ("app.yaml", "metrics-source.yaml", "rollout.yaml"):
            for body in yaml.safe_load_all((ROOT / "examples" / file).read_text()):
                if body["kind"] != METRICSSOURCE.kind:
                    body["metadata"]["namespace"] = NAMESPACE
                self.kube.user_apply(body)
        self.metrics.route_load(NAMESPACE, NAME, RPS)
        await self._until("the Deployment is adopted", lambda: self._now().ready == "True")
        await self._run(5)
        writes = len(self.kube.operator_writes)
        self.tell("version v2, a good one", "v2 applied")
        began = self.clock.now()
        self._release("v2")
        await self._until("v2 has all traffic", lambda: self._now().weight == 100, 300)
        before = self._pods("v2")
        await self._until("v2 is promoted", lambda: self._now().reason == "Promoted", 300)
        await self._until("v1 is gone", lambda: not self._pods("v1"), 60)
        self.outcome.promotion_seconds = self.clock.now() - began
        self.outcome.canary_pods = len(before)
        self.outcome.canary_pods_kept = len(before & self._pods("v2"))
        self.tell("v2 promoted with the pods that were tried", "v2 promoted")
        await self._run(4)
        self.tell("version v3, which fails 30 % of its requests", "v3 applied")
        self._release("v3", ERROR_RATE="0.3")
        await self._until("v3 gets traffic", lambda: (self._now().weight or 0) > 0)
        await self._until("v3 is taken off", lambda: self._now().weight == 0, 120)
        self.tell("v3 rolled back", "v3 rolled back")
        await self._run(6)
        self.outcome.writes = len(self.kube.operator_writes) - writes
        self.outcome.report = self._report()
        await self._sampler.close()
        return self.outcome

    # --- time -------------------------------------------------------------------------------

    async def _run(self, seconds: float) -> None:
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            await self._pass()

    async def _until(self, what: str, met: Callable[[], bool], seconds: float = 60.0) -> None:
        end = self.clock.now() + seconds
        while not met():
            if self.clock.now() > end:
                raise DemoError(f"not within {seconds:g} virtual seconds: {what}")
            await self._pass()

    async def _pass(self) -> None:
        revision = str(self.kube.cluster.store.revision)
        for kind in OWN:
            bodies = tuple(self.kube.peek_all(kind))
            self._store.observe_list(kind, "", Listing(bodies, revision))
        for key in self._store.targets():
            self._store.put_target(*key, self.kube.peek(Ref(DEPLOYMENT, *key)))
        if self._peek(ROLLOUT, NAME):
            await self._reconciler.reconcile((NAMESPACE, NAME))
        weight = weight_of(self._peek(HTTPROUTE, NAME))
        weights = self.outcome.weights
        if not weights or weights[-1][1] != weight:
            weights.append((self.clock.now(), weight))
        await self.kube.run(STEP)
        if self.clock.now() >= self._next_second:
            self._count()
            if interactive():
                await asyncio.sleep(0.05)  # for the eye: virtual time would rush past

    # --- looking ----------------------------------------------------------------------------

    def _peek(self, kind: Kind, name: str) -> Body:
        return self.kube.peek(Ref(kind, NAMESPACE, name)) or {}

    def _now(self) -> Frame:
        found = self.frame()
        if found is None:
            raise DemoError("the Rollout is gone")
        return found

    def _pods(self, version: str) -> set[str]:
        return {
            str(pod["metadata"]["uid"])
            for pod in ready_pods(self.kube.peek_all(POD, NAMESPACE))
            if version_of(pod) == version
        }

    def _release(self, version: str, **env: str) -> None:
        body = next(
            one
            for one in yaml.safe_load_all((ROOT / "examples" / "app.yaml").read_text())
            if one["kind"] == DEPLOYMENT.kind
        )
        body["metadata"]["namespace"] = NAMESPACE
        given = {"VERSION": version, **env}
        container = body["spec"]["template"]["spec"]["containers"][0]
        container["env"] = [{"name": key, "value": value} for key, value in given.items()]
        self.kube.user_apply(body)

    # --- counting ---------------------------------------------------------------------------

    def _count(self) -> None:
        """One second of the users' requests, by version, from what the pods counted."""
        at = self._next_second - 1
        self._next_second += 1
        for version in VERSIONS:
            ok = self._gained(version, failed=False)
            bad = self._gained(version, failed=True)
            if ok or bad:
                self._seconds.append({"t": at, "version": version, "ok": ok, "failed": bad})

    def _gained(self, version: str, *, failed: bool) -> int:
        # Counters of pods that are gone end; what they had counted was seen in earlier seconds.
        code = "500" if failed else "200"
        now = self.metrics.pod_count(version=version, code=code)
        before = self._before.get((version, failed), 0)
        self._before[version, failed] = now
        return max(0, now - before)

    def _report(self) -> Report:
        versions: dict[str, dict[str, int]] = {}
        for one in self._seconds:
            sums = versions.setdefault(one["version"], {"ok": 0, "failed": 0})
            sums["ok"] += one["ok"]
            sums["failed"] += one["failed"]
        failed = sum(one["failed"] for one in versions.values())
        planned = failed + sum(one["ok"] for one in versions.values())
        seconds = self._seconds
        return Report(
            {"planned": planned, "failed": failed, "versions": versions, "seconds": seconds}
        )


def play() -> Outcome:
    """The whole show in memory."""
    screen: Screen | None = None

    def tell(text: str) -> None:
        if screen is not None:
            screen.tell(text)

    simulation = Simulation(tell)
    screen = Screen(simulation.frame, "Leadsman, SIMULATED in memory", live=interactive())
    with screen:
        return asyncio.run(simulation.play())
