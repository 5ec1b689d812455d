"""What the operator asks of the API when nothing happens, and in a hold whose verdicts stay.

Fifty Rollouts at rest, each with a pod that runs, and one in a long hold under load, for eleven
minutes: two sweeps and more.
Watches are left out; the sweep's lists are told beside the figure.
"""

from __future__ import annotations

import time

from bench.bed import Requests, application, measured, moment, open_place
from bench.fleet import fleet
from bench.rollback import Samples

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
    holding = [one for one in asked if one.namespace == app.namespace]
    idle = [one for one in asked if one.namespace != app.namespace]
    lists = [one for one in idle if one.verb == "list"]
    others = [one for one in idle if one.verb != "list"]
    for one in asked:
        print("   ", f"{moment(one) - began:7.1f}", one.told().split(" ", 1)[1], flush=True)
    print(f"idle: {len(others)} requests, {len(lists)} lists of the sweep in {MINUTES} minutes")
    minutes = [
        [one for one in holding if minute * 60 <= moment(one) - began < (minute + 1) * 60]
        for minute in range(MINUTES)
    ]
    return {
        "idle_api_requests_per_minute": [len(others) / MINUTES],
        "hold_api_requests_per_minute": [float(len(one)) for one in minutes],
        "note:idle_api_requests_per_minute": [float(len(lists))],
    }
