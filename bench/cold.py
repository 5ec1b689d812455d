"""`cold_start_seconds`: from nothing to the first answer of an application through the gateway.

The clock starts before the cluster does (the variable is set by `python -m bench`), with programs
and images in the cache; it ends with the first 200 by a route of the application's own.
"""

from __future__ import annotations

import os
import time

import httpx

from bench.rollback import Samples
from e2e.cluster import session
from e2e.harness import objects
from e2e.harness.api import Api

STARTED = "LEADSMAN_BENCH_STARTED"


def run(boot: int, boots: int) -> Samples:
    """One boot."""
    del boots
    cluster = session.attach()
    api = Api(cluster.kubeconfig)
    name = f"cold-{boot}"
    host = f"{name}.example.com"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for body in (objects.deployment("v1", 1), objects.service(), objects.route(host)):
        api.create(body, name)
    until = time.time() + 60
    while time.time() < until:
        try:
            found = httpx.get(cluster.gateway_url, headers={"Host": host}, trust_env=False)
        except httpx.HTTPError:
            continue
        if found.status_code == 200:
            return {"cold_start_seconds": [time.time() - float(os.environ[STARTED])]}
        time.sleep(0.02)
    raise TimeoutError("the application does not answer through the gateway")
