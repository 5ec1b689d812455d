"""The query rate with fifty active Rollouts: their guards are the same, so one query serves all."""

from __future__ import annotations

import time

from bench.bed import open_place
from bench.fleet import fleet
from bench.rollback import Samples, queries

ACTIVE = 50
LOOKS, SECONDS = 5, 6.0


def run(boot: int, boots: int) -> Samples:
    """Five looks at Prometheus' own counter."""
    del boots
    place = open_place()
    url = place.cluster.prometheus_url
    rates: list[float] = []
    with fleet(place, f"crowd-{boot}", ACTIVE, ACTIVE):
        time.sleep(10)
        for _ in range(LOOKS):
            before, began = queries(url), time.time()
            time.sleep(SECONDS)
            rates.append((queries(url) - before) / (time.time() - began))
    print(f"{ACTIVE} active Rollouts: {max(rates):.2f} queries/s", flush=True)
    return {"crowd_query_rate": rates}
