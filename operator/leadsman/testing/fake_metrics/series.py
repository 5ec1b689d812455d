"""The series of Traefik and of the demo application: their names, labels and buckets.

Forms as a real Traefik 3.7 and a Prometheus 3 show them; the demo application's histogram has no
label for the code.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leadsman.ports import Body, Sample
from leadsman.testing.fake_kube.trees import dig

Labels = tuple[tuple[str, str], ...]
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_FAST = 0.004
LOOKBACK = 300.0
"""Seconds for which an expression takes a series' newest sample."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How a pod answers: the share that fails, the share that is slow, and how slow (seconds)."""

    error_rate: float = 0.0
    slow: float = 0.0
    slow_seconds: float = 0.4


def quality_of_environment(pod: Body) -> Quality:
    """What the pod's template asks for, in the demo application's words."""
    container = (dig(pod, "spec", "containers") or [{}])[0]
    env = {item["name"]: item.get("value", "") for item in container.get("env") or ()}
    slow = float(env.get("LATENCY_MS") or 0) / 1000
    return Quality(
        error_rate=float(env.get("ERROR_RATE") or 0),
        slow=1.0 if slow else 0.0,
        slow_seconds=slow or Quality().slow_seconds,
    )


def version(pod: Body) -> str:
    """The value of VERSION in a pod's environment."""
    container = (dig(pod, "spec", "containers") or [{}])[0]
    for item in container.get("env") or ():
        if item["name"] == "VERSION":
            value: str = item.get("value", "")
            return value
    return ""


def pod_labels(pod: Body) -> dict[str, str]:
    """The target's labels that the samples of a pod carry."""
    return {
        "pod_template_hash": (pod["metadata"].get("labels") or {}).get("pod-template-hash", ""),
        "version": version(pod),
        "method": "GET",
        "job": "pods",
        "instance": f"{dig(pod, 'status', 'podIP')}:8080",
    }


def pod_series(pod: Body) -> list[Labels]:
    """The series that the demo application shows from its start."""
    meta = pod["metadata"]
    base = {"namespace": meta["namespace"], "pod": meta["name"], **pod_labels(pod)}
    flows: dict[Labels, float] = {}
    for code in ("200", "500"):
        add(flows, "demo_requests_total", {**base, "code": code}, 0.0)
    return list(flows)


def add(flows: dict[Labels, float], name: str, labels: Mapping[str, str], rate: float) -> None:
    """Let a series grow by `rate` events a second more."""
    key = (("__name__", name), *sorted(labels.items()))
    flows[key] = flows.get(key, 0.0) + rate


def spread(
    flows: dict[Labels, float],
    counter: str,
    histogram: str,
    rate: float,
    quality: Quality,
    labels: Mapping[str, str],
    *,
    grpc: bool = False,
    by_code: bool = True,
) -> None:
    """Share a pod's requests among codes and latency buckets."""
    good, bad = ("0", "13") if grpc else ("200", "500")
    for code, share in ((good, 1.0 - quality.error_rate), (bad, quality.error_rate)):
        if share <= 0:
            continue
        coded = {**labels, "code": code}
        add(flows, counter, coded, rate * share)
        if not by_code:
            coded = dict(labels)
        add(flows, f"{histogram}_count", coded, rate * share)
        for bound in BOUNDS:
            fast = (1.0 - quality.slow) * (bound >= _FAST)
            slow = quality.slow * (bound >= quality.slow_seconds)
            add(
                flows,
                f"{histogram}_bucket",
                {**coded, "le": str(bound)},
                rate * share * (fast + slow),
            )
        add(flows, f"{histogram}_bucket", {**coded, "le": "+Inf"}, rate * share)


def held(samples: Sequence[Sample], instants: Sequence[float]) -> tuple[Sample, ...]:
    """At each instant (Unix seconds) the newest sample's value, if it is not too old."""
    times = [sample.time for sample in samples]
    out = []
    for instant in instants:
        place = bisect_right(times, instant)
        if place and times[place - 1] > instant - LOOKBACK:
            out.append(Sample(instant, samples[place - 1].value))
    return tuple(out)
