"""A Prometheus of one test's own, as a team may have it: stopping it disturbs nobody else.

It is the monitoring manifest of the bed in another namespace, and it scrapes the test's namespace
and the gateway's. The MetricsSource for it has its namespace's name, because sources have none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from e2e.harness.api import Api, Body
from e2e.harness.objects import ROOT, metrics_source

MANIFEST = ROOT / "e2e" / "manifests" / "20-monitoring.yaml"
NAME = "prometheus"
SERVES_WITHIN = 60.0
"""Seconds for a Prometheus to come or to go."""


class OwnPrometheus:
    """The Prometheus for what runs in namespace `watched`, and the MetricsSource that names it."""

    def __init__(self, api: Api, watched: str) -> None:
        self._api = api
        self._watched = watched
        self._namespace = f"{watched}-metrics"
        self.source = self._namespace
        bodies = [body for body in yaml.safe_load_all(MANIFEST.read_text()) if body]
        self._bodies = {body["kind"]: body for body in bodies}

    def install(self) -> None:
        """Returns when it answers."""
        bodies = self._bodies
        bodies["Namespace"]["metadata"]["name"] = self._namespace
        self._api.apply(bodies["Namespace"], force=True)
        binding = bodies["ClusterRoleBinding"]
        binding["metadata"]["name"] = self._namespace
        binding["subjects"][0]["namespace"] = self._namespace
        self._api.apply(binding, force=True)
        settings = yaml.safe_load(bodies["ConfigMap"]["data"]["prometheus.yml"])
        pods = next(job for job in settings["scrape_configs"] if job["job_name"] == "pods")
        names = {"names": [self._watched, "gateway"]}
        pods["kubernetes_sd_configs"] = [{"role": "pod", "namespaces": names}]
        bodies["ConfigMap"]["data"]["prometheus.yml"] = yaml.safe_dump(settings)
        ports = [{"name": "web", "port": 9090, "targetPort": "web"}]
        bodies["Service"]["spec"] = {"selector": {"app": NAME}, "ports": ports}
        for kind in ("ServiceAccount", "ConfigMap", "Deployment", "Service"):
            bodies[kind]["metadata"]["namespace"] = self._namespace
            self._api.apply(bodies[kind], self._namespace, force=True)
        source = metrics_source()
        source["metadata"]["name"] = self.source
        address = f"http://{NAME}.{self._namespace}.svc:9090"
        source["spec"]["prometheus"]["address"] = address
        self._api.apply(source, force=True)
        self._until(1)

    def remove(self) -> None:
        """Takes it away."""
        self._api.delete("MetricsSource", self.source)
        self._api.delete("ClusterRoleBinding", self._namespace)
        self._api.delete("Namespace", self._namespace)

    def judging(self, contract: Body) -> Body:
        """A contract's spec whose guards ask this Prometheus."""
        guards: list[dict[str, Any]] = [
            {**one, "guard": {**one["guard"], "sourceRef": {"name": self.source}}}
            for one in contract["guards"]
        ]
        return {**contract, "guards": guards}

    @contextmanager
    def down(self) -> Iterator[None]:
        """It is down inside the block, and has forgotten everything after it."""
        self._scale(0)
        try:
            yield
        finally:
            self._scale(1)

    def _scale(self, replicas: int) -> None:
        body = {"spec": {"replicas": replicas}}
        self._api.patch("Deployment", NAME, self._namespace, body, sub="scale")
        self._until(replicas)

    def _until(self, replicas: int) -> None:
        until = time.monotonic() + SERVES_WITHIN
        while True:
            pods = self._api.list("Pod", self._namespace, f"app={NAME}")
            found = self._api.get("Deployment", NAME, self._namespace) or {}
            ready = found.get("status", {}).get("availableReplicas", 0)
            if ready == replicas and len(pods) == replicas:
                return
            if time.monotonic() > until:
                raise TimeoutError(f"Prometheus does not come to {replicas} replicas")
            time.sleep(0.2)
