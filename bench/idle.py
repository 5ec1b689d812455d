"""What the operator asks of the API when nothing happens, and in a hold whose verdicts stay.

Fifty Rollouts at rest, each with a pod that runs, and one in a long hold under load, for eleven
minutes: two sweeps and more.
Watches are left out; the sweep's lists are told beside the figure.
"""

from __future__ import annotations

import time

from bench.bed import (
    Requests,
    application,
    measured,
    moment,
    open_place,
    without_sweep,
)
from bench.fleet import fleet
from bench.rollback import Samples
from e2e.harness.app import App
from e2e.harness.audit import Request

ROLLOUTS = 50
MINUTES = 11
SETTLED = 30.0
"""Seconds after the weight: the stage has arrived and its guards have their verdicts."""


def run(boot: int, boots: int) -> Samples:
    """One long look."""
    del boots
    place = open_place()
    with (
        fleet(place, f"idle-{boot}", ROLLOUTS, replicas=1),
        application(place, f"hold-{boot}", hold="30m") as app,
        app.users(200, 0),
    ):
        measured(app, "v2", 1)
        time.sleep(SETTLED)
        requests = Requests(place)
        began = time.time()
        for _ in range(MINUTES):
            time.sleep(60)
        asked = requests.between(began, time.time())
    others, lists = without_sweep(asked)
    holding = [one for one in others if one.namespace == app.namespace]
    idle = [one for one in others if one.namespace != app.namespace]
    for one in asked:
        swept = " (sweep)" if one in lists else ""
        print("   ", f"{moment(one) - began:7.1f}", one.told().split(" ", 1)[1] + swept, flush=True)
    print(f"idle: {len(idle)} requests, {len(lists)} lists of the sweep in {MINUTES} minutes")
    minutes = [
        [one for one in holding if minute * 60 <= moment(one) - began < (minute + 1) * 60]
        for minute in range(MINUTES)
    ]
    return {
        "idle_api_requests_per_minute": [len(idle) / MINUTES],
        "hold_api_requests_per_minute": [float(len(one)) for one in minutes],
        "note:idle_api_requests_per_minute": [_lists(lists, app, inside=False)],
        "note:hold_api_requests_per_minute": [_lists(lists, app, inside=True)],
    }


def _lists(lists: list[Request], app: App, *, inside: bool) -> float:
    """How many of the sweep's lists were of the namespace of the hold, or of all others."""
    return float(sum((one.namespace == app.namespace) is inside for one in lists))
