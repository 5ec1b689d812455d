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
The cluster is still up. Things to try{shell}:

  {run}kubectl get lro -w                                     the Rollout, live
  {run}kubectl set env deployment/shop VERSION=v4 ERROR_RATE- another version, a good one
  {run}kubectl set env deployment/shop VERSION=v5 LATENCY_MS=400
  {run}kubectl get lro shop -o yaml                           what it remembers, and why
  {run}kubectl describe lro shop                              its events
{load}
End it with:
  {end}
"""


def run(kind: Kind, argv: Sequence[str]) -> int:
    """Boot a cluster that stays, run the demo on it, print the instructions."""
    match kind:
        case "bare":
            if not beds.is_up(NAME):
                beds.up(NAME)
            code = beds.enter(NAME, argv)
            inside = f".venv/bin/python -m e2e.cluster exec --name {NAME} -- "
            load = (
                f"  {inside}loadgen --url http://10.78.0.1:8000/ --host shop.example.com --rps 200"
            )
            end = f".venv/bin/python -m e2e.cluster down --name {NAME}"
            shell = f" (or first `{inside}bash`, then the part after `--`)"
            print(
                TRY.format(run=inside, load=f"{load} --duration 5m   users\n", end=end, shell=shell)
            )
        case "kind":
            state = beds.state_root() / "kind" / NAME
            cluster = KindCluster.new(f"leadsman-{NAME}", state)
            cluster.up()
            env = {**cluster.env(), session.KIND_ENV: str(state)}
            code = subprocess.run(argv, env=env, check=False).returncode
            prefix = f"KUBECONFIG={cluster.kubeconfig} "
            end = f"kind delete cluster --name leadsman-{NAME}"
            print(TRY.format(run=prefix, load="", end=end, shell=""))
        case "existing":
            existing = ExistingCluster()
            existing.up()
            env = {**os.environ, **existing.env(), session.EXISTING_ENV: "1"}
            code = subprocess.run(argv, env=env, check=False).returncode
            print(
                "Your own cluster stays as the demo left it: namespaces default, leadsman-system."
            )
    return code
