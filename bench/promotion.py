"""Promotions at 20-50-100 with three replicas under 200 rps, and what each stage asks of the API.

The overhead is what a promotion takes beyond what its plan asks for: holds, and the settle times
of the new arms, of each stage, and of the route's return. It ends when status says Promoted and
all is given back. Requests of a stage are those from one raise of the weight to the next.
"""

from __future__ import annotations

import time
from itertools import pairwise

from bench.bed import Requests, moment, open_place, template_version, without_sweep
from bench.rollback import Samples
from e2e.harness import objects
from e2e.harness.app import App
from e2e.harness.audit import Request
from e2e.harness.reading import version_of

RUNS = 3
WEIGHTS = (20, 50, 100)
HOLD, SETTLE = 10.0, 1.0


def run(boot: int, boots: int) -> Samples:
    """Three promotions in a row, each from the version that the one before has promoted."""
    del boots
    place = open_place()
    found: Samples = {}
    app = App(place, f"promotion-{boot}")
    try:
        app.install(replicas=3)
        plan = objects.plan(*WEIGHTS, hold=f"{HOLD:g}s", settle=f"{SETTLE:g}s")
        app.govern(plan=plan, contract=objects.contract(objects.guard(events=50)))
        with app.users(200, 0) as traffic:
            for number in range(1, RUNS + 1):
                for key, values in _round(app, f"v{number + 1}", number).items():
                    found.setdefault(key, []).extend(values)
                time.sleep(3)
    finally:
        app.close()
    found["promotion_failed_requests"] = [float(traffic.routed.failed)]
    found["promotion_requests"] = [float(traffic.routed.planned)]
    return found


def _round(app: App, version: str, number: int) -> Samples:
    requests = Requests(app.place)
    app.release(version)
    began = next(
        change.at
        for change in app.history.of("Deployment")
        if template_version(change.body) == version
    )
    app.finished("Promoted", number, 180)
    ended = time.time()
    app.rest()
    ever = {
        c.body["metadata"]["uid"] for c in app.history.of("Pod") if version_of(c.body) == version
    }
    kept = {pod["metadata"]["uid"] for pod in app.pods(version)} & ever
    overhead = ended - began - len(WEIGHTS) * (HOLD + SETTLE) - 2 * SETTLE
    asked, lists = without_sweep(requests.between(began, ended))
    for one in asked:
        print("   ", f"{moment(one) - began:7.2f}", one.told().split(" ", 1)[1], flush=True)
    stages = _stages(asked)
    print(
        f"{version}: overhead {overhead:.2f} s, requests {len(asked)}, of the stages {stages}",
        flush=True,
    )
    return {
        "promotion_overhead_seconds": [overhead],
        "promotion_pods_kept": [100.0 * len(kept) / max(1, len(ever))],
        "stage_api_requests": [float(one) for one in stages],
        "note:stage_api_requests": [float(len(lists))],
    }


def _stages(asked: list[Request]) -> list[int]:
    """Requests from each raise of the weight to the next one."""
    raises = [
        at for at, one in enumerate(asked) if (one.verb, one.resource) == ("patch", "httproutes")
    ]
    # The first write of the route brings the arms in; then one for each stage.
    raises = raises[1 : 1 + len(WEIGHTS)]
    return [last - first for first, last in pairwise(raises)]
