"""Gives the node's pods the processor before the processes of the test.

On the bare cluster pods are one control group beside everything else on the machine, pytest
included. A real node's pods do not compete with the test that looks at them, so the group gets the
greater weight. Where it cannot be set nothing is lost but that.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from e2e.cluster.backend import Backend

SHARES = {
    Path("/sys/fs/cgroup/cpu/k8s.io/cpu.shares"): "16384",
    Path("/sys/fs/cgroup/k8s.io/cpu.weight"): "2000",
}


def favour_pods(cluster: Backend) -> None:
    """Raises the weight of the pods' control group, on the bare cluster."""
    if cluster.name != "bare":
        return
    for path, value in SHARES.items():
        with suppress(OSError):
            if path.exists():
                path.write_text(value)
