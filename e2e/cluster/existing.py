"""The existing backend: a cluster that the caller names, never one that merely happens to be there.

E2E_KUBECONFIG names it; E2E_GATEWAY_URL and E2E_PROMETHEUS_URL say how this process reaches its
gateway and Prometheus; E2E_LOAD_IMAGE is a command with `{tar}` that loads an image archive (for
instance `k3d image import {tar}`). With E2E_INSTALL=1 the gateway and Prometheus of e2e/manifests
are installed; otherwise they must be there.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from e2e.cluster import build, catalog, manifests
from e2e.cluster.backend import Kind, run_with
from e2e.cluster.errors import BootError, MissingToolError


class ExistingCluster:
    """A cluster that the caller named."""

    name: Kind = "existing"

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        if not env.get("E2E_KUBECONFIG"):
            raise MissingToolError("E2E_CLUSTER=existing also needs E2E_KUBECONFIG")
        self._env = dict(env)
        self.kubeconfig = Path(env["E2E_KUBECONFIG"])

    def _named(self, name: str) -> str:
        if not self._env.get(name):
            raise MissingToolError(f"E2E_CLUSTER=existing also needs {name}")
        return self._env[name]

    @property
    def gateway_url(self) -> str:
        """E2E_GATEWAY_URL."""
        return self._named("E2E_GATEWAY_URL").rstrip("/")

    @property
    def prometheus_url(self) -> str:
        """E2E_PROMETHEUS_URL."""
        return self._named("E2E_PROMETHEUS_URL").rstrip("/")

    def up(self) -> None:
        """Checks that the cluster answers; installs gateway and monitoring when asked to."""
        answer = self.run(["kubectl", "get", "--raw", "/readyz"])
        if answer.returncode != 0:
            raise BootError(f"{self.kubeconfig} does not answer: {answer.stderr.strip()[-600:]}")
        if self._env.get("E2E_INSTALL") == "1":
            for image in catalog.infrastructure():
                self.load_image(image.tar)
            manifests.install(self.run, build.gateway_crds())

    def load_image(self, tar: Path) -> None:
        """Runs E2E_LOAD_IMAGE with the archive's path in place of {tar}."""
        words = shlex.split(self._named("E2E_LOAD_IMAGE"))
        result = self.run([word.replace("{tar}", str(tar)) for word in words], timeout=600)
        if result.returncode != 0:
            raise BootError(f"E2E_LOAD_IMAGE failed for {tar}: {result.stderr.strip()[-600:]}")

    def run(
        self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command with this cluster's KUBECONFIG."""
        return run_with(self.env(), argv, stdin, timeout)

    def env(self) -> dict[str, str]:
        """The environment for commands that use this cluster."""
        return {**self._env, "KUBECONFIG": str(self.kubeconfig)}

    def down(self) -> None:
        """Leaves the cluster as it is: it is not ours."""
