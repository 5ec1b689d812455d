"""A real Prometheus on this machine, with the series of thousands of Rollouts that do not exist.

`python -m bench.synthetic PORT ROLLOUTS` is the one target that it scrapes: Traefik's counters of
each Rollout's arms and the pods' own. Counters grow by a fixed number with each scrape, so that
nothing has to be drawn. `/fail` makes the canary of one of them fail from then on. Everything
listens on loopback only and ends with the one who started it.
"""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import httpx
from aiohttp import web

from e2e.cluster import build

SCRAPE = 5
"""Seconds between scrapes."""
FAILING = 1234
"""The Rollout whose canary can be made to fail."""
ARMS = ("stable", "canary")
_PODS = {"canary": ("x7k2p",), "stable": ("9wq4z", "b8d5m")}
_HASHES = {"canary": "6d4cf56db6", "stable": "5c9d8f7b6"}
_BOUNDS = ("0.1", "0.25", "0.5", "1", "+Inf")
_CONFIG = """
global: {{scrape_interval: {scrape}s, scrape_timeout: {scrape}s}}
scrape_configs:
- job_name: synthetic
  honor_labels: true
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Urls(NamedTuple):
    """Where Prometheus and its target answer."""

    prometheus: str
    target: str


def service_of(number: int, arm: str) -> str:
    """An arm's Service."""
    return f"app{number}-{arm}"


def replica_set_of(number: int, arm: str) -> str:
    """An arm's ReplicaSet."""
    return f"app{number}-{_HASHES[arm]}"


def backend_of(number: int, arm: str) -> str:
    """An arm's name in Traefik's series."""
    head = f"httproute-load-app{number}-gw-gateway-gateway-ep-web-0-9e39ccd620d0c6349293"
    return f"{head}-svc-load-{service_of(number, arm)}-{ARMS.index(arm)}@kubernetesgateway"


def _traefik(number: int) -> Iterator[str]:
    for arm in ARMS:
        labels = f'service="{backend_of(number, arm)}",method="GET",protocol="http"'
        bad = "@X" if (arm, number) == ("canary", FAILING) else "@B"
        yield f'traefik_service_requests_total{{{labels},code="200"}} @G'
        yield f'traefik_service_requests_total{{{labels},code="500"}} {bad}'
        name = "traefik_service_request_duration_seconds"
        yield f'{name}_count{{{labels},code="200"}} @G'
        for bound in _BOUNDS:
            yield f'{name}_bucket{{{labels},code="200",le="{bound}"}} @G'


def _pods(number: int) -> Iterator[str]:
    for arm in ARMS:
        for suffix in _PODS[arm]:
            pod = f"{replica_set_of(number, arm)}-{suffix}"
            labels = f'namespace="load",pod="{pod}",container="app"'
            yield f'http_requests_total{{{labels},code="200"}} @G'
            yield f'orders_total{{{labels},state="done"}} @G'
            yield f'orders_total{{{labels},state="lost"}} @B'
            name = "http_request_duration_seconds"
            yield f"{name}_count{{{labels}}} @G"
            for bound in _BOUNDS:
                yield f'{name}_bucket{{{labels},le="{bound}"}} @G'


class Target:
    """What is scraped."""

    def __init__(self, rollouts: int) -> None:
        lines = [line for number in range(rollouts) for line in (*_traefik(number), *_pods(number))]
        self._body = ("\n".join(lines) + "\n").encode()
        self._count = 0
        self._failing_since: int | None = None

    async def metrics(self, _: web.Request) -> web.Response:
        """One scrape: every counter has grown."""
        self._count += 1
        failed = self._count
        if self._failing_since is not None:
            failed += 500 * (self._count - self._failing_since)
        body = self._body
        for mark, value in ((b"@G", 1000 * self._count), (b"@B", self._count), (b"@X", failed)):
            body = body.replace(mark, str(value).encode())
        kind = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=body, headers=kind)

    async def pods(self, request: web.Request) -> web.Response:
        """Let the pods of one arm (`arm`) be those of another ReplicaSet (`set`)."""
        before = f'pod="{replica_set_of(FAILING, request.query["arm"])}-'
        after = f'pod="{request.query["set"]}-'
        self._body = self._body.replace(before.encode(), after.encode())
        return web.Response()

    async def fail(self, _: web.Request) -> web.Response:
        """Let the canary fail from the next scrape on."""
        self._failing_since = self._count
        return web.Response()


def serve(port: int, rollouts: int) -> None:
    """Serve until ended."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: not longer than who started it
    target = Target(rollouts)
    app = web.Application()
    app.router.add_get("/metrics", target.metrics)
    app.router.add_post("/fail", target.fail)
    app.router.add_post("/pods", target.pods)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


@contextmanager
def prometheus(rollouts: int) -> Iterator[Urls]:
    """A Prometheus that scrapes `rollouts` Rollouts, for as long as the context lasts."""
    program = build.build_go(build.MONITORING) / "prometheus"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="leadsman-bench-")))
        port, target_port = _free_port(), _free_port()
        urls = Urls(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{target_port}")
        (folder / "prometheus.yml").write_text(_CONFIG.format(scrape=SCRAPE, port=target_port))
        stack.enter_context(
            _running([sys.executable, "-m", "bench.synthetic", str(target_port), str(rollouts)])
        )
        stack.enter_context(
            _running(
                [
                    str(program),
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--storage.tsdb.retention.time=1h",
                    "--log.level=error",
                ]
            )
        )
        _until_scraped(urls, rollouts)
        yield urls


@contextmanager
def _running(argv: list[str]) -> Iterator[None]:
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


def _until_scraped(urls: Urls, rollouts: int) -> None:
    """Wait for four scrapes of everything. Raises TimeoutError after two minutes."""
    query = "min(count_over_time(traefik_service_requests_total[10m]))"
    several = f"count(traefik_service_requests_total) == {4 * rollouts} and {query} >= 4"
    for _ in range(120):
        time.sleep(1)
        try:
            asked = httpx.get(f"{urls.prometheus}/api/v1/query", params={"query": several})
            if asked.json()["data"]["result"]:
                return
        except (httpx.HTTPError, ValueError, KeyError):
            continue
    raise TimeoutError("the series were not scraped within two minutes")


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
