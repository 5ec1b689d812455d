"""FakeMetrics: what a Prometheus would have scraped from the cluster in memory.

Load on routes and Services is turned into counters by where the gateway really sends it: Traefik's
series by backend Service, and the pods' own. Samples lie a second apart, with a phase for each
target, and can be read a little after they were taken. Every way in which a source can be wrong
has a switch.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import floor

from leadsman.ports import (
    ENDPOINTSLICE,
    HTTPROUTE,
    POD,
    SERVICE,
    Answer,
    Body,
    Kind,
    Ref,
    Sample,
    Series,
)
from leadsman.testing.clock import FakeClock
from leadsman.testing.fake_kube import FakeKube
from leadsman.testing.fake_kube.store import Change
from leadsman.testing.fake_kube.trees import dig
from leadsman.testing.fake_metrics.counters import Counter
from leadsman.testing.fake_metrics.selectors import selector as parse
from leadsman.testing.fake_metrics.series import (
    LOOKBACK,
    Labels,
    Quality,
    add,
    held,
    pod_labels,
    pod_series,
    quality_of_environment,
    spread,
    version,
)

_WATCHED = (POD, ENDPOINTSLICE, SERVICE)


@dataclass(frozen=True, slots=True)
class _Load:
    ref: Ref
    rule: int
    rps: float


@dataclass(slots=True)
class MetricsFaults:
    """What is wrong with the source. All off at first.

    `error` is one of the errors of `ports.Answer`; `delay` how long an answer takes, in seconds;
    `skew` how far the source's clock is ahead; `frozen_at` the Unix time after which no sample was
    taken; `empty` answers without series; `nan` answers with NaN only.
    """

    error: str = ""
    empty: bool = False
    nan: bool = False
    delay: float = 0.0
    skew: float = 0.0
    frozen_at: float | None = None


@dataclass(slots=True)
class _Target:
    phase: float
    counters: dict[Labels, Counter] = field(default_factory=dict)
    restarts: int = 0


class FakeMetrics:
    """The `MetricsSource` and `Evaluator` ports over a FakeKube."""

    def __init__(self, kube: FakeKube, clock: FakeClock | None = None) -> None:
        self._kube = kube
        self._clock = clock or kube.clock
        self._loads: dict[Ref, list[_Load]] = {}
        self._qualities: dict[str, Quality] = {}
        self._targets: dict[str, _Target] = {}
        self._dirty = True
        self.faults = MetricsFaults()
        self.quality: Callable[[Body], Quality] = quality_of_environment
        self.readable_after = 0.02
        """Seconds from a scrape to its samples being readable."""
        self.traefik_phase = 0.35
        self.queries: list[tuple[float, str, float]] = []
        self.takes_expressions = True
        """Whether the source's administrator allows queries that users wrote."""
        self.expressions: dict[str, Callable[[float], float | None]] = {}
        """The value at a Unix time of each expression that is more than a selector."""
        kube.on_change(self._heard)
        kube.gateway.on_programmed.append(self._mark)
        self._clock.before_move.append(self._settle)

    # -- load and quality ---------------------------------------------------------------------

    def route_load(
        self, namespace: str, route: str, rps: float, rule: int = 0, kind: Kind = HTTPROUTE
    ) -> None:
        """Send `rps` requests a second to one rule of a route."""
        ref = Ref(kind, namespace, route)
        kept = [load for load in self._loads.get(ref, []) if load.rule != rule]
        self._loads[ref] = [*kept, _Load(ref, rule, rps)]
        self._mark()

    def service_load(self, namespace: str, service: str, rps: float) -> None:
        """Send `rps` requests a second to a Service's cluster IP, past any router."""
        ref = Ref(SERVICE, namespace, service)
        self._loads[ref] = [_Load(ref, 0, rps)]
        self._mark()

    def set_quality(self, which: str, **changes: float) -> None:
        """Change `error_rate`, `slow` or `slow_seconds` of pods from now on.

        `which` is a pod's name, a pod-template-hash, an image, or the value of VERSION.
        """
        known = self._qualities.get(which, Quality())
        self._qualities[which] = replace(known, **changes)
        self._mark()

    def reset_counters(self) -> None:
        """Let every target begin at 0, as after a restart."""
        self._settle()
        for target in self._targets.values():
            for counter in target.counters.values():
                counter.reset(self._clock.now())

    def count(self, **labels: str) -> int:
        """Events so far of all series of `traefik_service_requests_total` with these labels."""
        return self._sum("traefik_service_requests_total", labels)

    def pod_count(self, **labels: str) -> int:
        """Events so far of all living series of `demo_requests_total` with these labels."""
        return self._sum("demo_requests_total", labels)

    # -- the port -----------------------------------------------------------------------------

    async def range(self, selector: str, seconds: float) -> Answer:
        """The raw samples of the last `seconds` of all series that `selector` matches."""
        failed = await self._asked(selector, seconds)
        if failed is not None:
            return failed
        faults = self.faults
        try:
            match = parse(selector)
        except ValueError as error:
            return Answer(error="BadRequest", detail=str(error)[:200])
        if faults.empty:
            return Answer()
        self._settle()
        now = self._clock.now() + faults.skew
        found = []
        for target in self._targets.values():
            times = self._times(target.phase, now, seconds)
            for labels, counter in target.counters.items():
                named = dict(labels)
                if match(named):
                    samples = self._samples(counter, times)
                    if samples:
                        found.append(Series(named, samples))
        return Answer(series=tuple(found))

    async def evaluate(self, expression: str, seconds: float, step: float) -> Answer:
        """Values at the whole multiples of `step`: of a selector, or of one of `expressions`."""
        if not self.takes_expressions:
            return Answer(error="Refused", detail="the MetricsSource does not allow promQL")
        value = self.expressions.get(expression)
        if value is None:
            raw = await self.range(expression, seconds + LOOKBACK)
        else:
            failed = await self._asked(expression, seconds)
            if failed is not None:
                return failed
            raw = Answer()
        now = self._clock.now() + self.faults.skew
        numbers = range(floor((now - seconds) / step) + 1, floor(now / step) + 1)
        instants = [number * step for number in numbers]
        if value is None:
            series = [one._replace(samples=held(one.samples, instants)) for one in raw.series]
        else:
            known = [(at, None if self.faults.empty else value(at)) for at in instants]
            samples = [Sample(at, number) for at, number in known if number is not None]
            series = [Series({}, tuple(samples))]
        return replace(raw, series=tuple(one for one in series if one.samples))

    async def close(self) -> None:
        """Nothing to give back."""

    async def _asked(self, query: str, seconds: float) -> Answer | None:
        """Note a question; the answer where the source fails."""
        self.queries.append((self._clock.monotonic(), query, seconds))
        if self.faults.delay:
            await self._clock.sleep(self.faults.delay)
        if self.faults.error:
            return Answer(error=self.faults.error, detail="injected fault")
        return None

    def _times(self, phase: float, now: float, seconds: float) -> list[float]:
        last = now - self.readable_after
        if self.faults.frozen_at is not None:
            last = min(last, self.faults.frozen_at)
        newest = int(last - phase)
        oldest = int(now - seconds - phase) + 1
        return [second + phase for second in range(oldest, newest + 1)]

    def _samples(self, counter: Counter, times: list[float]) -> tuple[Sample, ...]:
        out = []
        for time in times:
            value = counter.value(time - self.faults.skew)
            if value is not None:
                number = float("nan") if self.faults.nan else float(value)
                out.append(Sample(round(time, 3), number))
        return tuple(out)

    # -- counting -----------------------------------------------------------------------------

    def _heard(self, change: Change) -> None:
        if change.kind in _WATCHED:
            self._dirty = True

    def _mark(self) -> None:
        # What flowed until now was counted at the old rates: rates change at the next settling.
        self._dirty = True

    def _settle(self) -> None:
        """Give every counter the rate that follows from the cluster as it is now."""
        if not self._dirty:
            return
        self._dirty = False
        now = self._clock.now()
        rates: dict[str, dict[Labels, float]] = {"traefik": {}}
        self._settle_pods(now, rates)
        for loads in self._loads.values():
            for load in loads:
                if load.ref.kind == SERVICE:
                    traffic = self._kube.service_traffic(load.ref.namespace, load.ref.name)
                    for name, share in traffic.pods.items():
                        self._pod_flow(rates, load.ref.namespace, name, load.rps * share)
                else:
                    self._route_flow(rates, load)
        for name, flows in rates.items():
            target = self._targets.setdefault(name, _Target(self.traefik_phase))
            for labels, rate in flows.items():
                if labels not in target.counters:
                    target.counters[labels] = Counter(now, visible=False)
                target.counters[labels].flow(now, rate)
            for labels, counter in target.counters.items():
                if labels not in flows:
                    counter.flow(now, 0.0)

    def _settle_pods(self, now: float, rates: dict[str, dict[Labels, float]]) -> None:
        living = set()
        for pod in self._kube.cluster.store.each(POD):
            if dig(pod, "status", "phase") != "Running":
                continue
            uid = pod["metadata"]["uid"]
            living.add(uid)
            target = self._targets.get(uid)
            restarts = (dig(pod, "status", "containerStatuses") or [{}])[0].get("restartCount", 0)
            if target is None:
                phase = zlib.crc32(uid.encode()) % 1000 / 1000
                target = self._targets[uid] = _Target(phase, restarts=restarts)
                for labels in pod_series(pod):
                    target.counters[labels] = Counter(now, visible=True)
            if restarts != target.restarts:
                target.restarts = restarts
                for counter in target.counters.values():
                    counter.reset(now)
            rates[uid] = {}
        for uid, target in self._targets.items():
            if uid != "traefik" and uid not in living:
                for counter in target.counters.values():
                    counter.end(now)

    def _quality(self, pod: Body) -> Quality:
        container = (dig(pod, "spec", "containers") or [{}])[0]
        names = [
            pod["metadata"]["name"],
            (pod["metadata"].get("labels") or {}).get("pod-template-hash", ""),
            container.get("image", ""),
            version(pod),
        ]
        for name in names:
            if name in self._qualities:
                return self._qualities[name]
        return self.quality(pod)

    def _pod_flow(
        self, rates: dict[str, dict[Labels, float]], namespace: str, name: str, rate: float
    ) -> Quality:
        pod = self._kube.cluster.store.find(POD, namespace, name)
        if pod is None:
            return Quality()
        quality = self._quality(pod)
        flows = rates.get(pod["metadata"]["uid"])
        if flows is not None:
            spread(
                flows,
                "demo_requests_total",
                "demo_request_duration_seconds",
                rate,
                quality,
                {
                    "namespace": namespace,
                    "pod": name,
                    **pod_labels(pod),
                },
                by_code=False,
            )
        return quality

    def _route_flow(self, rates: dict[str, dict[Labels, float]], load: _Load) -> None:
        namespace = load.ref.namespace
        grpc = load.ref.kind != HTTPROUTE
        backends = self._kube.gateway.backends(load.ref, load.rule)
        digest = self._digest(load)
        for number, (service, share, pods) in enumerate(backends):
            labels = {
                "service": (
                    f"{load.ref.kind.kind.lower()}-{namespace}-{load.ref.name}-gw-gateway-gateway"
                    f"-ep-web-{load.rule}-{digest}-svc-{namespace}-{service}-{number}"
                    "@kubernetesgateway"
                ),
                "protocol": "grpc" if grpc else "http",
                "method": "POST" if grpc else "GET",
                "namespace": "gateway",
                "pod": "traefik-0",
                "instance": "traefik-0:8082",
                "job": "pods",
            }
            names = ("traefik_service_requests_total", "traefik_service_request_duration_seconds")
            for pod in pods:
                rate = load.rps * share / len(pods)
                quality = self._pod_flow(rates, namespace, pod, rate)
                spread(rates["traefik"], *names, rate, quality, labels, grpc=grpc)
            if not pods and share:
                lost = {**labels, "code": "14" if grpc else "503"}
                add(rates["traefik"], names[0], lost, load.rps * share)

    def _digest(self, load: _Load) -> str:
        spec = self._kube.gateway.programmed(load.ref) or {}
        rules = spec.get("rules") or ()
        known = rules[load.rule].get("matches") if load.rule < len(rules) else None
        text = json.dumps([load.ref.name, load.rule, known], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def _sum(self, name: str, labels: Mapping[str, str]) -> int:
        self._settle()
        total = 0
        for target in self._targets.values():
            for key, counter in target.counters.items():
                named = dict(key)
                if named["__name__"] == name and all(
                    value in (named.get(label), None) for label, value in labels.items()
                ):
                    total += counter.value(self._clock.now()) or 0
        return total
