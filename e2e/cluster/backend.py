"""What a test cluster offers, whichever way it was made, and how one is chosen.

`existing` is only taken when it is named: the suites delete things, so an ambient KUBECONFIG must
never be enough. `kind` is the default where docker answers, `bare` where this is root on Linux.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol, cast

from e2e.cluster import namespace
from e2e.cluster.errors import MissingToolError

Kind = Literal["existing", "kind", "bare"]
CHOICES = ("auto", "existing", "kind", "bare")


class Backend(Protocol):
    """One cluster for the suites. Addresses and paths are valid once `up` has returned."""

    name: Kind
    kubeconfig: Path

    @property
    def gateway_url(self) -> str:
        """Where the gateway listens, reachable for the test process."""
        ...

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus answers, reachable for the test process."""
        ...

    def up(self) -> None:
        """Makes the cluster and its infrastructure ready; raises BootError."""
        ...

    def load_image(self, tar: Path) -> None:
        """Makes the image of an OCI archive available to pods (`imagePullPolicy: IfNotPresent`)."""
        ...

    def run(
        self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command (kubectl, mostly) with this cluster's KUBECONFIG; `timeout` in seconds.

        Failure is an exit code (124 for a time-out), not an exception.
        """
        ...

    def env(self) -> dict[str, str]:
        """The environment for commands that use this cluster (KUBECONFIG, PATH)."""
        ...

    def down(self) -> None:
        """Removes what `up` made."""
        ...


def run_with(
    env: Mapping[str, str], argv: Sequence[str], stdin: str | None, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Runs a command with an environment; a time-out becomes exit code 124, as `timeout` has it."""
    try:
        return subprocess.run(
            argv,
            env=dict(env),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        said = f"no answer within {timeout:g} s: {' '.join(argv)}"
        return subprocess.CompletedProcess(late.cmd, 124, "", said)


def docker_answers() -> bool:
    """Whether a docker engine can be reached (DOCKER_HOST is respected)."""
    if shutil.which("docker") is None:
        return False
    try:
        probe = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=10,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return probe.returncode == 0


def choose(env: Mapping[str, str] = os.environ) -> Kind:
    """The backend that E2E_CLUSTER asks for; raises MissingToolError when none fits."""
    asked = env.get("E2E_CLUSTER", "auto") or "auto"
    if asked not in CHOICES:
        raise MissingToolError(f"E2E_CLUSTER={asked!r}: must be one of {', '.join(CHOICES)}")
    if asked == "existing" and not env.get("E2E_KUBECONFIG"):
        raise MissingToolError(
            "E2E_CLUSTER=existing also needs E2E_KUBECONFIG: the suites delete things"
        )
    if asked != "auto":
        return cast("Kind", asked)
    if docker_answers():
        return "kind"
    reason = namespace.why_not()
    if reason is None:
        return "bare"
    raise MissingToolError(f"no real cluster can be had: no docker engine answers, and {reason}")
