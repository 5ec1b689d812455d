"""Scrape targets that count what a test tells them to, and a way to Prometheus that can be closed.

Where a suite asks what becomes of numbers, users' load is the wrong source: nobody knows exactly
how many requests there were. These targets count by command, so that a test can say to the unit
what must come out of a restart, a gap, or a new name.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from e2e.cluster.backend import Backend
from e2e.cluster.operator_image import OPERATOR
from e2e.harness.api import Body
from e2e.harness.pods import PodProxy, pod_proxy
from leadsman.adapters.presets.arms import ArmNames, Arms

METRIC = "shop_requests_total"

PROGRAM = r"""
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlsplit

counts = {"200": 0}
shown = {"metric": "shop_requests_total", "value": ""}


class Target(BaseHTTPRequestHandler):
    def do_GET(self):
        lines = [
            '%s{code="%s"} %s' % (shown["metric"], code, shown["value"] or count)
            for code, count in counts.items()
        ]
        self.answer("\n".join([*lines, ""]))

    def do_POST(self):
        for name, value in parse_qsl(urlsplit(self.path).query, keep_blank_values=True):
            if name == "exit":
                os._exit(int(value))
            elif name in shown:
                shown[name] = value
            else:
                counts[name] = counts.get(name, 0) + int(value)
        self.answer("")

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *told):
        pass


HTTPServer(("", 8080), Target).serve_forever()
"""
"""A process that shows the counters that it is told: POST /?200=98&500=2 adds to them, metric=NAME
renames them, value=NaN shows that instead of numbers, exit=1 ends the process. Its first error is
the first that anybody hears of a series for errors, as with most clients of Prometheus."""


class Target:
    """One arm: a Deployment of the program above."""

    def __init__(self, cluster: Backend, namespace: str, name: str) -> None:
        self._cluster = cluster
        self.proxy = pod_proxy(cluster.kubeconfig)
        self.namespace = namespace
        self.name = name
        labels = {"arm": name}
        container = {
            "name": "target",
            "image": OPERATOR,
            "imagePullPolicy": "IfNotPresent",
            "command": ["/usr/bin/python3", "-c", PROGRAM],
            "ports": [{"name": "metrics", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/", "port": "metrics"}, "periodSeconds": 1},
        }
        template = {
            "metadata": {"labels": labels},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
        }
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        }
        self.kubectl("create", "-f", "-", stdin=json.dumps(body))

    def kubectl(self, *argv: str, stdin: str | None = None) -> str:
        """Run kubectl and return what it printed."""
        answer = self._cluster.run(["kubectl", "-n", self.namespace, *argv], stdin=stdin)
        assert answer.returncode == 0, answer.stderr
        return str(answer.stdout)

    def ready(self) -> None:
        """Return when all of its pods are."""
        self.kubectl("rollout", "status", "deployment", self.name, "--timeout=60s")

    def scale(self, replicas: int) -> None:
        """Give it so many pods."""
        self.kubectl("scale", "deployment", self.name, f"--replicas={replicas}")

    def names(self) -> ArmNames:
        """The arm as the operator knows it: by its ReplicaSet, so that pods may come and go."""
        found = json.loads(self.kubectl("get", "replicaset", "-l", f"arm={self.name}", "-o=json"))
        return ArmNames(replica_sets=tuple(one["metadata"]["name"] for one in found["items"]))

    def pods(self) -> dict[str, Body]:
        """Its ready pods by name."""
        found = json.loads(self.kubectl("get", "pods", "-l", f"arm={self.name}", "-o=json"))
        return {
            str(pod["metadata"]["name"]): pod
            for pod in found["items"]
            if "deletionTimestamp" not in pod["metadata"]
            and any(one["ready"] for one in pod["status"].get("containerStatuses", []))
        }

    def restarts(self) -> int:
        """How often its containers were started again."""
        found = json.loads(self.kubectl("get", "pods", "-l", f"arm={self.name}", "-o=json"))
        statuses = [pod["status"].get("containerStatuses", []) for pod in found["items"]]
        return sum(one["restartCount"] for several in statuses for one in several)

    def tell(self, **parameters: Any) -> None:
        """POST these parameters to all of its pods."""
        _tell(self.proxy, list(self.pods().values()), parameters)

    def count(self, good: int, bad: int = 0) -> None:
        """Count requests in each pod, at once; without a bad one nothing is said of errors."""
        self.tell(**_counts(good, bad))

    def crash(self) -> None:
        """End the process of each pod; the kubelet starts it again in the same pod."""
        # It ends without an answer, so nobody has taken it.
        self.proxy.post(list(self.pods().values()), "", {"exit": 1})

    def scraped(self, wanted: bool) -> None:
        """Have Prometheus scrape it, or not."""
        note = "prometheus.io/scrape=" + ("true" if wanted else "false")
        self.kubectl("annotate", "pod", "-l", f"arm={self.name}", note, "--overwrite")


@dataclass(frozen=True, slots=True)
class Shop:
    """Both arms, and where their metrics are."""

    canary: Target
    stable: Target
    url: str

    def arms(self) -> Arms:
        """The arms as the sampler wants them."""
        return Arms(self.canary.namespace, canary=self.canary.names(), stable=self.stable.names())

    async def trade(self, good: int, bad: int, times: int) -> None:
        """Count requests in both arms together, so many times, a moment apart.

        Arms are compared within a block, and each has scrapes of its own: what was counted all at
        once would now and then lie in two blocks, and say nothing.
        """
        pods = [*self.canary.pods().values(), *self.stable.pods().values()]
        for _ in range(times):
            _tell(self.canary.proxy, pods, _counts(good, bad))
            await asyncio.sleep(0.3)

    def samples(self, seconds: float = 60.0) -> dict[str, list[float]]:
        """What Prometheus has of the canary's good requests, by pod, without the operator."""
        labels = f'namespace="{self.canary.namespace}",pod=~"{self.canary.name}-.*",code="200"'
        query = f"{METRIC}{{{labels}}}[{seconds:g}s]"
        url = f"{self.url}/api/v1/query"
        answer = httpx.get(url, params={"query": query}, trust_env=False).json()
        found = answer["data"]["result"]
        return {
            series["metric"]["pod"]: [float(value) for _, value in series["values"]]
            for series in found
        }


def _counts(good: int, bad: int) -> dict[str, int]:
    return {"200": good, **({"500": bad} if bad else {})}


def _tell(proxy: PodProxy, pods: Sequence[Body], parameters: Mapping[str, Any]) -> None:
    """Once and to all, since what counts twice or in one pod only would be believed."""
    took = proxy.post(pods, "", parameters)
    assert took == len(pods), f"{took} of {len(pods)} targets took {dict(parameters)}"


class Forwarder:
    """A way to Prometheus that can be closed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._to = (parts.hostname, parts.port or 80)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Let everybody through."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse connections and cut those that are open."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._to)
        self._writers |= {writer, far_writer}
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        self._writers -= {writer, far_writer}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
