"""The rollback figures: a canary at 20 % of 200 requests a second begins to fail 30 % of them.

The moment of the fault walks evenly through the second, so that it meets every phase of the scrapes
and of the operator's polls. Polls of the bench's own would be counted by Prometheus too, so the
operator's query rate is read in the quiet part of each round, before the fault.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import httpx

from bench.bed import (
    Requests,
    application,
    is_write,
    measured,
    open_place,
    question,
    weight_seen,
    without_sweep,
)
from e2e.harness.app import App
from e2e.harness.evidence import Probe

ROUNDS = 7
QUIET = 6.0
"""Seconds of an undisturbed stage before the fault: a window of the guard, and one more."""

Samples = dict[str, list[float]]


def run(boot: int, boots: int) -> Samples:
    """The rounds of one boot; boots share the phases of a second among themselves."""
    place = open_place()
    found: Samples = {}
    failed: dict[str, float] = {}
    with application(place, f"rollback-{boot}") as app, app.users(200, 0) as traffic:
        for number in range(1, ROUNDS + 1):
            phase = ((number - 1) * boots + boot) / (ROUNDS * boots)
            version = f"v{number + 1}"
            for key, value in _round(app, version, number, phase).items():
                found.setdefault(key, []).append(value)
            failed[version] = 0.0
    for version in failed:
        failed[version] = traffic.routed.reached(version) - traffic.routed.served(version)
    found["rollback_failed_requests"] = list(failed.values())
    return found


def _round(app: App, version: str, number: int, phase: float) -> dict[str, float]:
    raised = measured(app, version, number)
    requests = Requests(app.place)
    quiet_from, asked = time.time(), queries(app.place.cluster.prometheus_url)
    time.sleep(QUIET)
    rate = (queries(app.place.cluster.prometheus_url) - asked) / (time.time() - quiet_from)
    probe = Probe(app.place.cluster.prometheus_url, question(app), raised).start()
    time.sleep(-(time.time() - phase) % 1.0)
    broken = time.time()
    app.behave(version, errorRate=0.3)
    try:
        app.wait("the canary is taken off", lambda: app.weight() in (0, None), 30)
        off = weight_seen(app, 0, broken)
        evidence = probe.wait(3)
    finally:
        probe.stop()
    if evidence is None:
        raise LookupError(f"the bench found no evidence ({probe.problem}, {probe.asked} asked)")
    app.finished("RolledBack", number)
    app.rest(held=True)
    rested = time.time()
    # A patch is on its way for some milliseconds before anybody sees the weight.
    turned = min(evidence, off) - 0.2
    before = requests.between(quiet_from, turned)
    after, lists = without_sweep(requests.between(turned, rested))
    for one in [*before, *after]:
        print("   ", one.told(), flush=True)
    print(
        f"{version}: phase {phase:.2f}, evidence {evidence - broken:.2f} s after the fault,"
        f" weight 0 {off - evidence:.3f} s after the evidence, {len(after)} requests,"
        f" {rate:.1f} queries/s",
        flush=True,
    )
    return {
        "rollback_seconds": off - evidence,
        "rollback_query_rate": rate,
        "rollback_writes_before": sum(map(is_write, before)),
        "rollback_api_requests": len(after),
        "note:rollback_api_requests": len(lists),
    }


def queries(prometheus_url: str) -> float:
    """Prometheus' own count of queries that it was asked."""
    answer = httpx.get(f"{prometheus_url}/metrics", timeout=5, trust_env=False)
    return count(answer.text.splitlines())


def count(lines: Sequence[str]) -> float:
    """The sum of `prometheus_http_requests_total` over the handlers that answer queries."""
    total = 0.0
    for line in lines:
        if line.startswith("prometheus_http_requests_total{") and "/api/v1/query" in line:
            total += float(line.rsplit(" ", 1)[1])
    return total
