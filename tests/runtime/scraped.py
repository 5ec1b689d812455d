"""A Prometheus in virtual time: targets scraped at fixed phases, samples readable a bit later."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from leadsman.core.spec import GuardSpec
from leadsman.guards.judges import Threshold
from leadsman.ports import Answer, Sample, Series
from leadsman.testing.clock import FakeClock

HEAD = "httproute-shop-web-gw-gateway-gateway-ep-web-0-9e39ccd620d0c6349293"
REQUESTS = "traefik_service_requests_total"


def traefik(service, code="200", *, pod="traefik-0", metric=REQUESTS, number=0, **more):
    return {
        "__name__": metric,
        "service": f"{HEAD}-svc-shop-{service}-{number}@kubernetesgateway",
        "code": code,
        "method": "GET",
        "protocol": "http",
        "job": "pods",
        "instance": f"{pod}:9100",
        "namespace": "gateway",
        "pod": pod,
        **more,
    }


def errors_guard(name="errors", source="default", limit=0.05, window=5.0, least=50):
    return GuardSpec(
        name=name,
        judge=Threshold(limit, window, least),
        source=source,
        query='{"errors":{"preset":"Traefik"}}',
    )


@dataclass
class Scraped:
    """Implements MetricsSource. `value` of a series is a function of Unix time, None is absence."""

    clock: FakeClock
    interval: float = 1.0
    delay: float = 0.02
    phases: dict[str, float] = field(default_factory=dict)
    series: list[tuple[Mapping[str, str], Callable[[float], float | None]]] = field(
        default_factory=list
    )
    started: float = 0.0
    error: str = ""
    skew: float = 0.0
    queries: list[tuple[float, str, float]] = field(default_factory=list)
    closed: bool = False

    def add(self, labels, value):
        self.series.append((labels, value))

    async def range(self, selector: str, seconds: float) -> Answer:
        now = self.clock.now() + self.skew
        self.queries.append((self.clock.monotonic(), selector, seconds))
        if self.error:
            return Answer(error=self.error)
        matchers = parsed(selector)
        return Answer(
            series=tuple(
                Series(labels, samples)
                for labels, value in self.series
                if matches(labels, matchers)
                and (samples := tuple(self._samples(labels, value, now, seconds)))
            )
        )

    async def close(self) -> None:
        self.closed = True

    def _samples(self, labels, value, now, seconds):
        phase = self.phases.get(labels["pod"], 0.0)
        first = int((now - seconds - phase) // self.interval)
        for number in range(first, first + int(seconds / self.interval) + 3):
            time = round(number * self.interval + phase, 3)
            if now - seconds < time <= now - self.delay and time >= self.started:
                seen = value(time)
                if seen is not None:
                    yield Sample(time, seen)


def parsed(selector: str) -> dict[str, str]:
    assert selector.startswith("{")
    assert selector.endswith("}")
    found = re.findall(r'(\w+)(=~|=)"((?:[^"\\]|\\.)*)"', selector)
    assert found
    return {
        label: re.sub(r"\\(.)", r"\1", text) if operator == "=~" else re.escape(text)
        for label, operator, text in found
    }


def matches(labels, matchers) -> bool:
    return all(re.fullmatch(text, labels.get(label, "")) for label, text in matchers.items())
