"""Applies the infrastructure's manifests (gateway, monitoring) in order and waits for them."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import trustme

from e2e.cluster.errors import BootError

FOLDER = Path(__file__).parent.parent / "manifests"
SLICE = 10
Run = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]


def apply(run: Run, files: Sequence[Path]) -> None:
    """Applies files in one kubectl call, server-side; raises BootError with kubectl's words."""
    argv = ["kubectl", "apply", "--server-side", "--force-conflicts", "--validate=false"]
    for file in files:
        argv += ["-f", str(file)]
    result = run(argv)
    if result.returncode != 0:
        raise BootError(f"kubectl apply failed: {result.stderr.strip()[-1500:]}")


def wait(run: Run, what: Sequence[str], seconds: float) -> None:
    """`kubectl wait` for `what`; raises BootError when it is not met in time.

    It waits in slices, so that a `run` that raises (a program of the cluster has ended) is heard.
    """
    until = time.monotonic() + seconds
    while (result := run(["kubectl", "wait", f"--timeout={SLICE}s", *what])).returncode != 0:
        if time.monotonic() > until:
            raise BootError(f"kubectl wait {' '.join(what)}: {result.stderr.strip()[-800:]}")


def wait_for_service_account(run: Run, seconds: float = 30.0) -> None:
    """Waits until the default ServiceAccount exists: before, no pod can be created."""
    until = time.monotonic() + seconds
    while run(["kubectl", "get", "serviceaccount", "default", "-n", "default"]).returncode != 0:
        if time.monotonic() > until:
            raise BootError("the controller manager made no default ServiceAccount")
        time.sleep(0.1)


def gateway_certificate() -> str:
    """A Secret with a certificate for the gateway, made anew each time; nobody speaks TLS to it.

    Without one Traefik makes itself a certificate, and a 2,048 bit RSA key for it, whenever a route
    or an endpoint changes: half of the processor time that it took, and so late with the change.
    """
    made = trustme.CA().issue_cert("gateway.example.com")
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "certificate", "namespace": "gateway"},
        "type": "kubernetes.io/tls",
        "stringData": {
            "tls.crt": "".join(pem.bytes().decode() for pem in made.cert_chain_pems),
            "tls.key": made.private_key_pem.bytes().decode(),
        },
    }
    return json.dumps(body)


def install(run: Run, crds: Sequence[Path], seconds: float = 120.0) -> None:
    """CRDs, then gateway and monitoring, then the objects that need the CRDs; waits for all."""
    folder = {path.name: path for path in sorted(FOLDER.glob("*.yaml"))}
    late = [path for name, path in folder.items() if name.startswith("30-")]
    early = [path for path in folder.values() if path not in late]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as certificate:
        certificate.write(gateway_certificate())
        certificate.flush()
        apply(run, [*crds, *early, Path(certificate.name)])
    wait(run, ["--for=condition=Established", "crd", "--all"], seconds)
    apply(run, late)
    wait(run, ["--for=condition=Programmed", "-n", "gateway", "gateway/gateway"], seconds)
    for namespace in ("gateway", "monitoring"):
        wait(run, ["--for=condition=Available", "-n", namespace, "deployment", "--all"], seconds)
