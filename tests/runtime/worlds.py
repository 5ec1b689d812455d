"""A whole small world for the runtime's tests: FakeKube, store, reconciler, and a clock of ours.

The store is filled by listing before each pass, as the watches and the sweep would fill it, so a
test sees what a pass does and not how events travel.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from leadsman.core.decision import Decision
from leadsman.core.spec import GuardSpec
from leadsman.core.status import Status
from leadsman.guards.windows import Block, Reading, Window
from leadsman.ports import DEPLOYMENT, HTTPROUTE, ROLLOUT, Body, Kind, Listing, Notice, Ref
from leadsman.runtime.codec import decode_status
from leadsman.runtime.reader import DirectReader, Reader
from leadsman.runtime.reconciler import Reconciler
from leadsman.runtime.scheduler import Wake
from leadsman.runtime.store import OWN, OwnStore
from leadsman.testing import FakeClock, FakeKube, FakeNotifier

NS = "default"
KEY = (NS, "shop")
ROUTE = Ref(HTTPROUTE, NS, "shop")
TARGET = Ref(DEPLOYMENT, NS, "shop")


def deployment(version: str = "v1", replicas: int = 4, **env: str) -> Body:
    pairs = {"VERSION": version, **env}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": NS},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {
                    "containers": [
                        {
                            "name": "app",
                            "image": f"shop:{version}",
                            "ports": [{"name": "http", "containerPort": 8080}],
                            "env": [{"name": k, "value": v} for k, v in pairs.items()],
                        }
                    ]
                },
            },
        },
    }


def service(name: str = "shop", **labels: str) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NS, "labels": labels},
        "spec": {
            "selector": {"app": "shop"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }


def route(name: str = "shop", kind: str = "HTTPRoute", **backend: Any) -> Body:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NS},
        "spec": {
            "parentRefs": [{"name": "gateway", "namespace": "gateway"}],
            "hostnames": ["shop.example.com"],
            "rules": [{"name": "main", "backendRefs": [{"name": "shop", "port": 80, **backend}]}],
        },
    }


def rollout(name: str = "shop", **spec: Any) -> Body:
    return {
        "apiVersion": "leadsman.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name, "namespace": NS},
        "spec": {
            "targetRef": {"kind": "Deployment", "name": "shop"},
            "traffic": {"gatewayAPI": {"routeRefs": [{"name": "shop"}]}},
            "plan": plan((20, "10s"), (100, "10s")),
            "contract": contract(),
            **spec,
        },
    }


def plan(*stages: tuple[int, str], **more: Any) -> dict[str, Any]:
    return {
        "stages": [
            {"name": f"s{weight}", "weight": weight, "hold": hold} for weight, hold in stages
        ],
        "settle": "2s",
        "scaleDownDelay": "5s",
        **more,
    }


def contract() -> dict[str, Any]:
    guard = {
        "errors": {"preset": "Traefik"},
        "judge": {"threshold": {"max": "5%", "window": "15s", "minEvents": 50}},
    }
    return {"guards": [{"name": "errors", "guard": guard}]}


def promql_contract() -> dict[str, Any]:
    """A contract whose guard brings a query of its own, which a team must be allowed to."""
    guard = {"promQL": {"query": "up"}, "judge": {"sequentialMean": {"margin": "0.1"}}}
    return {"guards": [{"name": "e", "guard": guard}]}


def source(name: str = "default") -> Body:
    return {
        "apiVersion": "leadsman.dev/v1alpha1",
        "kind": "MetricsSource",
        "metadata": {"name": name},
        "spec": {"prometheus": {"address": "http://prometheus.monitoring.svc:9090"}},
    }


class Sampler:
    """Readings as the test wants them: `bad` is the canary's share of failed requests."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.subscriptions: dict[Any, Any] = {}
        self.bad = 0.0
        self.error = ""
        self.share: tuple[int, int] | None = None

    def subscribe(
        self,
        key: Any,
        guards: tuple[GuardSpec, ...],
        arms: Any,
        since: float,
        false_rollback: float = 0.0,
    ) -> None:
        del false_rollback
        self.subscriptions[key] = (guards, arms, since)

    def unsubscribe(self, key: Any) -> None:
        self.subscriptions.pop(key, None)

    def readings(self, key: Any) -> tuple[Reading, ...]:
        guards = self.subscriptions.get(key, ((), None, 0.0))[0]
        at = self.clock.now()
        window = Window(at, 1000.0, 1000.0 * self.bad)
        windows = () if self.error else (window,)
        block = Block(round(at - 1, 3), round(at, 3), 200.0, 200.0 * self.bad, 800.0, 0.0)
        recent = (block,) if self.bad else ()
        return tuple(
            Reading(guard.name, windows, windows, self.error, at, recent=recent) for guard in guards
        )

    def shares(self, key: Any) -> tuple[int, int] | None:
        return self.share


class Notices(FakeNotifier):
    """Every notice, and the law that the Rollout it is about can be posted as JSON."""

    def notify(self, rollout: Body, notice: Notice) -> None:
        json.dumps(rollout)
        super().notify(rollout, notice)


@dataclass
class Recorded:
    """Decisions with what they were made from."""

    decisions: list[Decision] = field(default_factory=list)
    records: list[tuple[Any, ...]] = field(default_factory=list)

    def record(self, spec: Any, status: Any, seen: Any, now: float, decision: Decision) -> None:
        self.decisions.append(decision)
        self.records.append((spec, status, seen, now, decision))


class World:
    """A cluster with an operator in it."""

    def __init__(self, *, policies: str | None = "hold+freeze") -> None:
        self.clock = FakeClock()
        self.kube = FakeKube(self.clock, policies=policies)
        self.sampler = Sampler(self.clock)
        self.notices = Notices(self.clock)
        self.recorded = Recorded()
        self._seen: tuple[Any, ...] = ()
        self.start()

    def start(self, reader: Reader | None = None) -> None:
        """A new operator process, with empty memory."""
        self.store = OwnStore()
        self.wake: dict[Any, Wake] = {}
        self.reconciler = Reconciler(
            self.kube,
            self.clock,
            self.store,
            reader or DirectReader(self.kube),
            self.sampler,
            self.notices,
            recorder=self.recorded,
        )

    def all(self, kind: Kind) -> tuple[Body, ...]:
        return tuple(self.kube.cluster.store.all(kind, ""))

    def sync(self) -> None:
        """Bring the store up to date, as watches would."""
        revision = str(self.kube.cluster.store.revision)
        for kind in OWN:
            self.store.observe_list(kind, "", Listing(self.all(kind), revision))
        there = {
            (b["metadata"]["namespace"], b["metadata"]["name"]): b for b in self.all(DEPLOYMENT)
        }
        for key in self.store.targets():
            body = there.get(key)
            old = self.store.deployment(*key)
            if body is None and old is not None:
                self.store.observe(DEPLOYMENT, old, deleted=True)
            self.store.put_target(*key, body)

    async def passes(self) -> None:
        """One pass over each Rollout."""
        self.sync()
        keys = {(b["metadata"]["namespace"], b["metadata"]["name"]) for b in self.all(ROLLOUT)}
        for key in sorted(keys | set(self.wake)):
            self.wake[key] = await self.reconciler.reconcile(key)

    async def run(
        self, seconds: float, until: Callable[[], bool] | None = None, step: float = 0.5
    ) -> bool:
        """Let time go on, with a pass at each step; returns whether `until` came true."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            if self._due():
                await self.passes()
                self._seen = self._state()
            if until is not None and until():
                return True
            self.kube.advance(step)
        return until is None

    async def opened(self, version: str = "v2", seconds: float = 20) -> None:
        """Release a version; its canary has the first stage's weight within `seconds`."""
        self.kube.user_apply(deployment(version))
        assert await self.run(seconds, lambda: self.canary_weight() == 20)

    def _state(self) -> tuple[Any, ...]:
        store = self.kube.cluster.store
        sampler = self.sampler
        return store.revision, sampler.bad, sampler.error, sampler.share, id(self.reconciler)

    def _due(self) -> bool:
        """Whether an event or a wake time would make any Rollout due."""
        wakes = [wake.at for wake in self.wake.values() if wake.at is not None]
        return self._state() != self._seen or min(wakes, default=1e18) <= self.clock.now()

    def body(self, kind: Kind, name: str) -> Body:
        for body in self.all(kind):
            if body["metadata"]["name"] == name:
                return body
        raise AssertionError(f"no {kind.kind} {name}")

    def exists(self, kind: Kind, name: str) -> bool:
        return any(body["metadata"]["name"] == name for body in self.all(kind))

    def names(self, kind: Kind) -> list[str]:
        return [body["metadata"]["name"] for body in self.all(kind)]

    @property
    def status(self) -> Status:
        """The status as the API has it."""
        return decode_status(self.body(ROLLOUT, "shop").get("status")).status

    @property
    def ready(self) -> str:
        """The reason of condition Ready."""
        for one in self.status.conditions:
            if one.type == "Ready":
                return one.reason
        return ""

    def weights(self) -> dict[str, int]:
        rule = self.body(HTTPROUTE, "shop")["spec"]["rules"][0]
        return {one["name"]: one.get("weight", 1) for one in rule["backendRefs"]}

    def canary_weight(self) -> int:
        return self.weights().get("shop-canary", 0)


async def adopted(world: World | None = None, **spec: Any) -> World:
    """A world in which a Deployment is adopted and everything is at rest."""
    world = world or World()
    for body in (deployment(), service(), route(), source()):
        world.kube.user_apply(body)
    world.kube.advance(5)
    world.kube.user_create(rollout(**spec))
    assert await world.run(10, lambda: world.status.stable is not None and world.ready == "Stable")
    return world
