"""Where write scripts run: the cluster in memory, or a real one through kubectl."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from leadsman.ports import DEPLOYMENT, REPLICASET, Ref
from leadsman.testing import FakeKube

Body = dict[str, Any]
KINDS = {"deployment": DEPLOYMENT, "replicaset": REPLICASET}


class FakePlace:
    """FakeKube without the operator's policies: scripts act as the operator and as users."""

    def __init__(self, kube: FakeKube | None = None) -> None:
        self.kube = kube or FakeKube(policies="")

    def create(self, manifest: Body) -> Body:
        return self.kube.user_create(manifest)

    def patch(self, kind: str, name: str, operations: Sequence[Mapping[str, Any]]) -> None:
        self.kube.user_patch(Ref(KINDS[kind], "default", name), operations)

    def scale(self, name: str, replicas: int) -> None:
        self.kube.user_scale("default", name, replicas)

    def undo(self, name: str) -> None:
        self.kube.user_undo("default", name)

    def get(self, kind: str, name: str) -> Body:
        found = self.kube.peek(Ref(KINDS[kind], "default", name))
        assert found is not None
        return found

    def all(self, kind: str) -> list[Body]:
        return self.kube.peek_all(KINDS[kind], "default")

    def settle(self) -> None:
        self.kube.advance(30)


class KubectlPlace:
    """A namespace of a real cluster."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def _run(self, *arguments: str, body: Body | None = None) -> str:
        told = None if body is None else json.dumps(body)
        done = subprocess.run(
            ["kubectl", "-n", self._namespace, *arguments],
            input=told,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ,
        )
        if done.returncode:
            raise AssertionError(f"kubectl {arguments}: {done.stderr}")
        return done.stdout

    def create(self, manifest: Body) -> Body:
        made: Body = json.loads(self._run("create", "-f", "-", "-o", "json", body=manifest))
        return made

    def patch(self, kind: str, name: str, operations: Sequence[Mapping[str, Any]]) -> None:
        self._run("patch", kind, name, "--type=json", "-p", json.dumps(list(operations)))

    def scale(self, name: str, replicas: int) -> None:
        self._run("scale", "deployment", name, f"--replicas={replicas}")

    def undo(self, name: str) -> None:
        self._run("rollout", "undo", f"deployment/{name}")

    def get(self, kind: str, name: str) -> Body:
        found: Body = json.loads(self._run("get", kind, name, "-o", "json"))
        return found

    def all(self, kind: str) -> list[Body]:
        listed: list[Body] = json.loads(self._run("get", kind, "-o", "json"))["items"]
        return listed

    def settle(self) -> None:
        """Wait until no workload object has changed for three seconds."""
        deadline = time.monotonic() + 90
        before, since = "", time.monotonic()
        while time.monotonic() < deadline:
            shown = "jsonpath={range .items[*]}{.metadata.uid}={.metadata.resourceVersion} {end}"
            now = self._run("get", "deployments,replicasets,pods", "-o", shown)
            if now != before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > 3:
                return
            time.sleep(0.3)
        raise AssertionError("the cluster does not come to rest")


@contextmanager
def own_namespace(name: str) -> Iterator[str]:
    """A namespace made by kubectl, deleted at the end; its name."""
    namespace = f"scripts-{name}"
    subprocess.run(["kubectl", "create", "namespace", namespace], check=True, capture_output=True)
    try:
        yield namespace
    finally:
        gone = ["kubectl", "delete", "namespace", namespace, "--wait=false"]
        subprocess.run(gone, check=True, capture_output=True)


@contextmanager
def kubectl_place(name: str) -> Iterator[KubectlPlace]:
    """A namespace of its own, deleted at the end."""
    with own_namespace(name) as namespace:
        yield KubectlPlace(namespace)
