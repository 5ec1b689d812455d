"""When the evidence against a canary could be read, found out without the operator.

The guard's question is asked here in PromQL of our own, every 50 ms, of the same Prometheus: the
canary Service's failed share of what the gateway counted in the guard's window, nothing from before
the present weight. The first answer that is over the limit is the moment; it is counted from when
that question was sent, so that our own slowness makes nobody look faster.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import httpx

EVERY = 0.05
"""Seconds between two questions."""


@dataclass(frozen=True, slots=True)
class Question:
    """A guard on the share of failed requests: `limit` as a share, `window` in seconds."""

    namespace: str
    service: str
    limit: float = 0.05
    window: float = 5.0
    min_events: int = 50
    route: str = "shop"
    kind: str = "httproute"

    def promql(self, since: float, now: float) -> str:
        """Non-empty when the share since `since` (Unix seconds), or in the window, is too high."""
        start = f"{max(since, now - self.window):.3f}"
        name = (
            f"{self.kind}-{self.namespace}-{self.route}-gw-.+"
            f"-svc-{self.namespace}-{self.service}-canary-[0-9]+@kubernetesgateway"
        )
        series = f'traefik_service_requests_total{{service=~"{name}"'

        def gained(selector: str) -> str:
            # A code that was never counted before has no sample at the start: it began at 0.
            return f"(sum({selector}) - (sum({selector} @ {start}) or vector(0)))"

        total = gained(f"{series}}}")
        failed = gained(f'{series},code=~"5.."}}')
        return f"({failed} / {total} > {self.limit}) and ({total} >= {self.min_events})"


class Probe:
    """Asks until the answer is yes. Start it when the canary has its weight."""

    def __init__(self, prometheus_url: str, question: Question, since: float) -> None:
        self.at: float | None = None
        """When the question was sent whose answer was yes, Unix seconds."""
        self.value: float | None = None
        self.asked = 0
        self.problem = ""
        self._question = question
        self._since = since
        self._stop = threading.Event()
        self._found = threading.Event()
        self._http = httpx.Client(base_url=prometheus_url, timeout=2.0, trust_env=False)
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def start(self) -> Probe:
        """Begin to ask."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join(5)
        self._http.close()

    def wait(self, seconds: float) -> float | None:
        """The moment of the evidence; None when there is none within `seconds`."""
        self._found.wait(seconds)
        return self.at

    def _ask(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            sent = time.time()
            try:
                found = self._query(self._question.promql(self._since, sent))
            except (httpx.HTTPError, ValueError, KeyError) as error:
                self.problem = f"{type(error).__name__}: {error}"
                found = []
            self.asked += 1
            if found:
                self.at, self.value = sent, float(found[0]["value"][1])
                self._found.set()
                return
            due = max(due + EVERY, time.monotonic())
            self._stop.wait(due - time.monotonic())

    def _query(self, promql: str) -> list[dict[str, Any]]:
        answer = self._http.get("/api/v1/query", params={"query": promql})
        answer.raise_for_status()
        body = answer.json()
        if body["status"] != "success":
            raise ValueError(str(body))
        found: list[dict[str, Any]] = body["data"]["result"]
        return found
