"""Canary processes made to exit, again and again, at 20 % of 200 requests a second.

Three figures: from the exit to weight 0, from the pod's status in the API to weight 0 (which is the
operator's own part of it), and the user requests that failed.
"""

from __future__ import annotations

import threading
import time

from bench.bed import application, audit_log, measured, moment, open_place, weight_seen
from bench.rollback import Samples
from e2e.harness.app import App
from e2e.harness.audit import Audit
from e2e.harness.reading import version_of
from e2e.harness.users import Report

ROUNDS = 10
QUIET = 3.0
KUBELET = "system:node:bare"


def run(boot: int, boots: int) -> Samples:
    """The rounds of one boot."""
    place = open_place()
    found: Samples = {}
    spans: list[tuple[float, float]] = []
    with application(place, f"crash-{boot}") as app, app.users(200, 0) as traffic:
        for number in range(1, ROUNDS + 1):
            phase = ((number - 1) * boots + boot) / (ROUNDS * boots)
            took, reaction, span = _round(app, f"v{number + 1}", number, phase)
            found.setdefault("crash_rollback_seconds", []).append(took)
            found.setdefault("crash_reaction_seconds", []).append(reaction)
            spans.append(span)
    found["crash_failed_requests"] = [_failed(traffic.routed, *span) for span in spans]
    return found


def _round(
    app: App, version: str, number: int, phase: float
) -> tuple[float, float, tuple[float, float]]:
    measured(app, version, number)
    time.sleep(QUIET)
    time.sleep(-(time.time() - phase) % 1.0)
    audit = Audit(audit_log(app.place))
    ended = threading.Event()
    exited = time.time()
    # A crash loop has pauses that grow; to end each new process at once is the harder case.
    killer = threading.Thread(target=_kill, args=(app, version, ended), daemon=True)
    killer.start()
    try:
        app.wait("the canary is taken off", lambda: app.weight() in (0, None), 60)
    finally:
        ended.set()
        killer.join(10)
    off = weight_seen(app, 0, exited)
    app.finished("RolledBack", number)
    app.rest(held=True)
    reaction = _reaction(app, audit, version, exited)
    print(
        f"{version}: exit to weight 0 {off - exited:.3f} s,"
        f" the pod's status to the route's patch {reaction:.3f} s",
        flush=True,
    )
    return off - exited, reaction, (exited, time.time())


def _kill(app: App, version: str, ended: threading.Event) -> None:
    while not ended.is_set():
        app.behave(version, exit=1)
        ended.wait(0.2)


def _reaction(app: App, audit: Audit, version: str, exited: float) -> float:
    """From the first status that told of the exit to the route's patch, as the server saw both.

    The audit log is exact to the microsecond and knows no watch that lags.
    """
    time.sleep(1)  # the log is written in batches
    pods = {pod["metadata"]["name"] for pod in app.pods(version)}
    pods |= {c.name for c in app.history.of("Pod") if version_of(c.body) == version}
    told = [
        moment(one)
        for one in audit.requests(KUBELET, app.namespace)
        if (one.resource, one.subresource) == ("pods", "status")
        and one.name in pods
        and moment(one) >= exited
    ]
    patched = [
        moment(one)
        for one in audit.requests(app.operator.user, app.namespace)
        if one.resource == "httproutes" and moment(one) >= exited
    ]
    return min(patched) - min(told)


def _failed(report: Report, first: float, last: float) -> float:
    return float(
        sum(one["failed"] for one in report.raw["seconds"] if int(first) <= one["t"] <= last)
    )
