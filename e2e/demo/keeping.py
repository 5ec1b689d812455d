"""KEEP=1: the demo on a cluster that stays, and what to try on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from e2e.cluster import beds, session
from e2e.cluster.backend import Kind
from e2e.cluster.existing import ExistingCluster
from e2e.cluster.kind import KindCluster

NAME = "demo"

TRY = """
The cluster is still up. {enter}

Things to try there:

  kubectl get lro -w                                        the Rollout, live
  kubectl set env deployment/shop VERSION=v4 ERROR_RATE-    a good version
  kubectl set env deployment/shop VERSION=v5 LATENCY_MS=400 a slow one
  kubectl describe lro shop                                 what happened, and why
  kubectl get lro shop -o yaml                              all that is remembered
{load}
End it with:

  {end}
"""

LOAD = """
Guards judge users' requests, so start some users first:

  loadgen --url http://10.78.0.1:8000/ --host shop.example.com --rps 200 --duration 10m &
"""


def run(kind: Kind, argv: Sequence[str]) -> int:
    """Boot a cluster that stays, run the demo on it, print the instructions."""
    bed = f".venv/bin/python -m e2e.cluster {{}} --name {NAME}"
    match kind:
        case "bare":
            if not beds.is_up(NAME):
                beds.up(NAME)
            code = beds.enter(NAME, argv)
            enter = f"A shell inside it:\n\n  {bed.format('exec')} -- bash"
            print(TRY.format(enter=enter, load=LOAD, end=bed.format("down")))
        case "kind":
            state = beds.state_root() / "kind" / NAME
            cluster = KindCluster.new(f"leadsman-{NAME}", state)
            cluster.up()
            env = {**cluster.env(), session.KIND_ENV: str(state)}
            code = subprocess.run(argv, env=env, check=False).returncode
            enter = f"In a shell of yours:\n\n  export KUBECONFIG={cluster.kubeconfig}"
            end = f"kind delete cluster --name leadsman-{NAME}"
            print(TRY.format(enter=enter, load="", end=end))
        case "existing":
            existing = ExistingCluster()
            existing.up()
            env = {**os.environ, **existing.env(), session.EXISTING_ENV: "1"}
            code = subprocess.run(argv, env=env, check=False).returncode
            print("Your cluster stays as the demo left it: namespaces default, leadsman-system.")
    return code
