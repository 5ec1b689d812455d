"""Memory of the operator: empty, with 200 Rollouts of which 10 are active, and beside strangers.

Strangers are 10,000 pods, 3,000 ReplicaSets, 2,000 Deployments and as many Services that no Rollout
governs, with twenty changes a second among them. They are measured against the same process just
before they came.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Self

from bench import process
from bench.bed import open_place
from bench.fleet import create, fleet
from bench.rollback import Samples
from e2e.harness.api import Api, Body

ROLLOUTS, ACTIVE = 200, 10
PODS, SETS, DEPLOYMENTS, SERVICES = 10_000, 3_000, 2_000, 2_000
CHANGES = 20
"""Changes a second among the strangers."""
LOOK = 60.0
"""Seconds of one look at the process."""
STRANGERS = "strangers"


def run(boot: int, boots: int) -> Samples:
    """Empty, then strangers, then Rollouts, in one process from its start."""
    del boots
    place = open_place()
    time.sleep(15)
    found: Samples = {"rss_mib": _look("empty")[0]}
    quiet_rss, quiet_cpu = _look("empty again")
    with _strangers(place.api):
        rss, cpu = _look("strangers")
    found["unrelated_rss_mib"] = [max(rss) - min(quiet_rss)]
    found["unrelated_cpu_percent"] = [max(0.0, cpu - quiet_cpu)]
    with fleet(place, f"fleet-{boot}", ROLLOUTS, ACTIVE):
        time.sleep(20)
        found["rss_mib_200"] = _look("200 Rollouts, 10 active")[0]
    return found


def _look(what: str) -> tuple[list[float], float]:
    """Resident MiB, ten times, and the share of a core in percent meanwhile."""
    watched = process.pid()
    began, used = time.monotonic(), process.cpu_seconds(watched)
    rss: list[float] = []
    for _ in range(10):
        time.sleep(LOOK / 10)
        rss.append(process.rss_mib(watched))
    cpu = 100 * (process.cpu_seconds(watched) - used) / (time.monotonic() - began)
    print(f"{what}: {max(rss):.1f} MiB, {cpu:.2f} % of a core", flush=True)
    return rss, cpu


class _strangers:  # noqa: N801 (reads as a function in `with`)
    """The foreign objects exist and change inside the block."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._change, daemon=True)
        self.changes = 0

    def __enter__(self) -> Self:
        api = self._api
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STRANGERS}})
        bodies = list(_bodies())
        began = time.monotonic()
        for first in range(0, len(bodies), 500):
            create(api, STRANGERS, bodies[first : first + 500])
        print(f"{len(bodies)} strangers in {time.monotonic() - began:.0f} s", flush=True)
        self._thread.start()
        time.sleep(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5)
        print(f"{self.changes} changes were made", flush=True)

    def _change(self) -> None:
        """Labels of Deployments, Services, ReplicaSets and pods in turn."""
        kinds = ("Deployment", "Pod", "Service", "ReplicaSet")
        due = time.monotonic()
        while not self._ended.is_set():
            kind = kinds[self.changes % len(kinds)]
            name = f"stranger-{self.changes % 1000:05}"
            note = {"metadata": {"annotations": {"changed": str(self.changes)}}}
            self._api.patch(kind, name, STRANGERS, note)
            self.changes += 1
            due += 1 / CHANGES
            self._ended.wait(max(0.0, due - time.monotonic()))


def _bodies() -> Iterator[Body]:
    for number in range(PODS):
        yield _pod(number)
    for number in range(SETS):
        yield _workload("ReplicaSet", number)
    for number in range(DEPLOYMENTS):
        yield _workload("Deployment", number)
    for number in range(SERVICES):
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"stranger-{number:05}"},
            "spec": {"clusterIP": "None", "selector": {"app": "nobody"}, "ports": [{"port": 80}]},
        }


def _spec() -> Body:
    # A scheduler that nobody runs: the pods exist and never start.
    return {
        "schedulerName": "nobody",
        "containers": [{"name": "app", "image": "leadsman.dev/demo:1"}],
    }


def _pod(number: int) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"stranger-{number:05}", "labels": {"app": "stranger"}},
        "spec": _spec(),
    }


def _workload(kind: str, number: int) -> Body:
    labels = {"app": f"stranger-{kind.lower()}-{number}"}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": f"stranger-{number:05}"},
        "spec": {
            "replicas": 0,
            **({"paused": True} if kind == "Deployment" else {}),
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _spec()},
        },
    }
