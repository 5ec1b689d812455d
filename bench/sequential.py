"""What users lose until a sequential guard acts: 30 % errors in a canary at 20 % of 200 requests/s.

The same fault as in the rollback figures, met by evidence instead of a threshold. The moment of the
fault walks evenly through the second, so that it meets every phase of the scrapes. A failed request
counts from the fault until the last one, whoever had already decided.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.bed import WEIGHT, measured, open_place, weight_seen
from e2e.harness import objects
from e2e.harness.app import App, Place

ROUNDS = 12
QUIET = 5.0
"""Seconds of an undisturbed stage before the fault."""
ERRORS = 0.3


def run(boot: int, boots: int) -> dict[str, list[float]]:
    """The rounds of one boot; boots share the phases of a second among themselves."""
    place = open_place()
    seconds: dict[str, float] = {}
    with _application(place, f"sequential-{boot}") as app, app.users(200, 0) as traffic:
        for number in range(1, ROUNDS + 1):
            phase = ((number - 1) * boots + boot) / (ROUNDS * boots)
            version = f"v{number + 1}"
            seconds[version] = _round(app, version, number, phase)
    failed: list[float] = []
    for version, took in seconds.items():
        failed.append(traffic.routed.reached(version) - traffic.routed.served(version))
        print(f"{version}: weight 0 after {took:.2f} s, {failed[-1]:g} requests failed", flush=True)
    return {"sequential_failed_requests": failed}


@contextmanager
def _application(place: Place, name: str) -> Iterator[App]:
    app = App(place, name)
    try:
        app.install()
        app.govern(
            plan=objects.plan(WEIGHT, 100, hold="10m"),
            contract=objects.contract(objects.sequential()),
        )
        yield app
    finally:
        app.close()


def _round(app: App, version: str, number: int, phase: float) -> float:
    """One bad release; the seconds from the fault to weight 0."""
    measured(app, version, number)
    time.sleep(QUIET)
    time.sleep(-(time.time() - phase) % 1.0)
    broken = time.time()
    app.behave(version, errorRate=ERRORS)
    app.wait("the canary is taken off", lambda: app.weight() in (0, None), 30)
    off = weight_seen(app, 0, broken)
    app.finished("RolledBack", number)
    app.rest(held=True)
    return off - broken
