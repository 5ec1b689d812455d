"""One attempt on a cluster in memory: its objects, its way to a measured stage, its route's weight.

Half of the traffic goes to the canary, because the synthetic series count as much for each arm, and
the operator lets a stage begin only when the weight has arrived in the router's counters. The names
are given, since the series of thousands of Rollouts carry them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from leadsman.core.spec import GuardSpec
from leadsman.guards.judges import Threshold
from leadsman.ports import DEPLOYMENT, HTTPROUTE, REPLICASET, ROLLOUT, Body, Ref
from leadsman.testing import FakeKube
from leadsman.testing.fake_kube.store import Change

WEIGHT = 50
"""The canary's share in its first stage, percent."""

Weights = Callable[[int | None], None]


class Attempt:
    """A Deployment, its Service, route and Rollout, all of one name.

    `moved` is told each weight of the canary on the route, in the moment in which the API server
    has it; None while the route is the user's own.
    """

    def __init__(self, kube: FakeKube, namespace: str, name: str, moved: Weights) -> None:
        self.kube = kube
        self.namespace = namespace
        self.name = name
        self._moved = moved
        self._weight: int | None = None
        kube.on_change(self._changed)

    def install(self, guards: Sequence[GuardSpec], source: str) -> None:
        """The user's objects: the application, where its metrics are, and the Rollout."""
        for body in (self._deployment("v1"), self._service(), self._route()):
            self.kube.user_apply(body)
        self.kube.user_apply(
            {
                "apiVersion": "leadsman.dev/v1alpha1",
                "kind": "MetricsSource",
                "metadata": {"name": "default"},
                "spec": {"prometheus": {"address": source}},
            }
        )
        self.kube.user_apply(self._rollout(guards))

    def release(self) -> None:
        """The user's next version."""
        self.kube.user_apply(self._deployment("v2"))

    def adopted(self) -> bool:
        """Whether the Deployment's version is known as stable."""
        return bool(self._status().get("stable"))

    def measuring(self) -> bool:
        """Whether the first stage has arrived and counts."""
        stage = (self._status().get("attempt") or {}).get("stage") or {}
        return self._weight == WEIGHT and bool(stage.get("measuringSince"))

    def replica_sets(self) -> dict[str, str]:
        """The name of each version's ReplicaSet, by version."""
        return {
            str(_container(one)["env"][0]["value"]): str(one["metadata"]["name"])
            for one in self.kube.peek_all(REPLICASET, self.namespace)
        }

    def told(self) -> str:
        """How it is, for the message of a failure."""
        return json.dumps(self._status().get("conditions"))

    def _status(self) -> dict[str, Any]:
        found = self.kube.peek(Ref(ROLLOUT, self.namespace, self.name)) or {}
        return found.get("status") or {}

    def _changed(self, change: Change) -> None:
        if (change.kind, change.namespace, change.name) != (HTTPROUTE, self.namespace, self.name):
            return
        backends = (change.new or self._route())["spec"]["rules"][0]["backendRefs"]
        canary = f"{self.name}-canary"
        found = [int(one.get("weight", 1)) for one in backends if one["name"] == canary]
        weight = found[0] if found else None
        if weight != self._weight:
            self._weight = weight
            self._moved(weight)

    def _about(self) -> dict[str, str]:
        return {"name": self.name, "namespace": self.namespace}

    def _deployment(self, version: str) -> Body:
        labels = {"app": self.name}
        container = {
            "name": "app",
            "image": f"{self.name}:{version}",
            "ports": [{"name": "http", "containerPort": 8080}],
            "env": [{"name": "VERSION", "value": version}],
        }
        return {
            "apiVersion": DEPLOYMENT.api_version,
            "kind": DEPLOYMENT.kind,
            "metadata": self._about(),
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        }

    def _service(self) -> Body:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self._about(),
            "spec": {
                "selector": {"app": self.name},
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
            },
        }

    def _route(self) -> Body:
        return {
            "apiVersion": HTTPROUTE.api_version,
            "kind": HTTPROUTE.kind,
            "metadata": self._about(),
            "spec": {
                "parentRefs": [{"name": "gateway", "namespace": "gateway"}],
                "hostnames": [f"{self.name}.example.com"],
                "rules": [{"backendRefs": [{"name": self.name, "port": 80}]}],
            },
        }

    def _rollout(self, guards: Sequence[GuardSpec]) -> Body:
        stages = [
            {"name": f"s{weight}", "weight": weight, "hold": "1h"} for weight in (WEIGHT, 100)
        ]
        return {
            "apiVersion": ROLLOUT.api_version,
            "kind": ROLLOUT.kind,
            "metadata": self._about(),
            "spec": {
                "targetRef": {"kind": "Deployment", "name": self.name},
                "traffic": {"gatewayAPI": {"routeRefs": [{"name": self.name}]}},
                "plan": {"stages": stages, "settle": "2s"},
                "contract": {"guards": [_guard(one) for one in guards]},
            },
        }


def _guard(guard: GuardSpec) -> dict[str, Any]:
    judge = guard.judge
    if not isinstance(judge, Threshold):
        raise TypeError(f"{guard.name}: only thresholds are asked for here")
    limit = {
        "max": f"{100 * judge.max:g}%",
        "window": f"{judge.window:g}s",
        "minEvents": int(judge.min_events),
    }
    measure = json.loads(guard.query)
    return {"name": guard.name, "guard": {**measure, "judge": {"threshold": limit}}}


def _container(workload: Body) -> Body:
    found: Body = workload["spec"]["template"]["spec"]["containers"][0]
    return found
