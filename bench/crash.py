"""Canary processes made to exit, again and again, at 20 % of 200 requests a second.

Three figures: from the exit to weight 0, from the pod's status in the API to weight 0 (which is the
operator's own part of it), and the user requests that failed.
"""

from __future__ import annotations

import threading
import time

from bench.bed import application, measured, open_place, weight_seen
from bench.rollback import Samples
from e2e.harness.app import App
from e2e.harness.objects import NAME
from e2e.harness.reading import version_of
from e2e.harness.users import Report

ROUNDS = 10
QUIET = 3.0


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
    told = _told(app, version, exited)
    app.finished("RolledBack", number)
    app.rest(held=True)
    print(
        f"{version}: exit to weight 0 {off - exited:.3f} s, status to weight 0 {off - told:.3f} s",
        flush=True,
    )
    return off - exited, off - told, (exited, time.time())


def _kill(app: App, version: str, ended: threading.Event) -> None:
    while not ended.is_set():
        app.behave(version, exit=1)
        ended.wait(0.2)


def _told(app: App, version: str, since: float) -> float:
    """When the API first said that a container of that version had ended."""
    for change in app.history.of("Pod"):
        if change.at < since or version_of(change.body) != version:
            continue
        for one in change.body["status"].get("containerStatuses", []):
            ended = one.get("state", {}).get("terminated") or one.get("lastState", {}).get(
                "terminated"
            )
            if ended:
                return change.at
    raise LookupError(f"no pod of {version} of {NAME} was seen to end")


def _failed(report: Report, first: float, last: float) -> float:
    return float(
        sum(one["failed"] for one in report.raw["seconds"] if int(first) <= one["t"] <= last)
    )
