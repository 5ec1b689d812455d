"""The kind backend: kind's own commands, the same images and manifests as the bare bed.

What is said to kind is made by pure functions (configuration, command lines), so that it is tested
on machines without docker as well. The caller may set KIND (the binary), KIND_NODE_IMAGE and
DOCKER_HOST. Ports of the gateway and of Prometheus are published on loopback only.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from e2e.cluster import build, catalog, manifests
from e2e.cluster.backend import Kind, run_with
from e2e.cluster.errors import BootError

GATEWAY_NODE_PORT = 8000  # Traefik runs on the node's own network
PROMETHEUS_NODE_PORT = 30090


@dataclass(frozen=True, slots=True)
class KindOptions:
    """What makes one kind cluster; written beside its kubeconfig, so that others can attach."""

    name: str
    kind: str
    gateway_port: int
    prometheus_port: int
    node_image: str = ""


def config(options: KindOptions) -> str:
    """The document for `kind create cluster --config` (JSON is YAML)."""
    ports = [
        (GATEWAY_NODE_PORT, options.gateway_port),
        (PROMETHEUS_NODE_PORT, options.prometheus_port),
    ]
    mappings = [
        {"containerPort": inside, "hostPort": outside, "listenAddress": "127.0.0.1"}
        for inside, outside in ports
    ]
    node: dict[str, object] = {"role": "control-plane", "extraPortMappings": mappings}
    if options.node_image:
        node["image"] = options.node_image
    document = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": options.name,
        "nodes": [node],
    }
    return json.dumps(document, indent=1)


def create_argv(options: KindOptions, config_file: Path, kubeconfig: Path) -> list[str]:
    """Makes the cluster; its kubeconfig goes to a file of its own, never into the user's."""
    return [
        options.kind,
        "create",
        "cluster",
        "--name",
        options.name,
        "--config",
        str(config_file),
        "--kubeconfig",
        str(kubeconfig),
        "--wait",
        "120s",
    ]


def load_argv(options: KindOptions, tar: Path) -> list[str]:
    """Loads an image archive into the cluster's node."""
    return [options.kind, "load", "image-archive", str(tar), "--name", options.name]


def delete_argv(options: KindOptions, kubeconfig: Path) -> list[str]:
    """Removes the cluster."""
    argv = [options.kind, "delete", "cluster", "--name", options.name]
    return [*argv, "--kubeconfig", str(kubeconfig)]


def kind_program(env: Mapping[str, str] = os.environ) -> str:
    """The kind binary: KIND, or the one on PATH, or built from its Go module."""
    found = env.get("KIND") or shutil.which("kind")
    return found or str(build.build_go(build.KIND) / "kind")


def free_port() -> int:
    """A TCP port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class KindCluster:
    """A cluster made by kind, with its files below `state`."""

    name: Kind = "kind"

    def __init__(self, options: KindOptions, state: Path) -> None:
        self.options = options
        self.state = state
        self.kubeconfig = state / "kubeconfig"

    @classmethod
    def new(cls, name: str, state: Path) -> KindCluster:
        """A cluster yet to be made, on free ports."""
        image = os.environ.get("KIND_NODE_IMAGE", "")
        return cls(KindOptions(name, kind_program(), free_port(), free_port(), image), state)

    @classmethod
    def attach(cls, state: Path) -> KindCluster:
        """A cluster that another process made."""
        return cls(KindOptions(**json.loads((state / "kind.json").read_text())), state)

    @property
    def gateway_url(self) -> str:
        """The gateway's published port."""
        return f"http://127.0.0.1:{self.options.gateway_port}"

    @property
    def prometheus_url(self) -> str:
        """Prometheus' published port."""
        return f"http://127.0.0.1:{self.options.prometheus_port}"

    def up(self) -> None:
        """Creates the cluster, loads the images, installs gateway and monitoring."""
        images = [a for a in catalog.infrastructure() if a.name != catalog.PAUSE]
        self.state.mkdir(parents=True, exist_ok=True)
        config_file = self.state / "kind-config.json"
        config_file.write_text(config(self.options))
        (self.state / "kind.json").write_text(json.dumps(asdict(self.options)))
        self._kind(create_argv(self.options, config_file, self.kubeconfig))
        try:
            for image in images:
                self.load_image(image.tar)
            manifests.install(self.run, build.gateway_crds())
        except BaseException:
            self.down()
            raise

    def load_image(self, tar: Path) -> None:
        """`kind load image-archive`."""
        self._kind(load_argv(self.options, tar))

    def run(
        self, argv: Sequence[str], *, stdin: str | None = None, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command with this cluster's KUBECONFIG."""
        return run_with(self.env(), argv, stdin, timeout)

    def env(self) -> dict[str, str]:
        """The environment for commands that use this cluster."""
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        if shutil.which("kubectl") is None:
            env["PATH"] = f"{build.kube()}:{env['PATH']}"
        return env

    def down(self) -> None:
        """`kind delete cluster`."""
        self._kind(delete_argv(self.options, self.kubeconfig))

    def _kind(self, argv: Sequence[str]) -> None:
        result = subprocess.run(argv, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise BootError(f"`{' '.join(argv)}` failed:\n{result.stderr.strip()[-3000:]}")
