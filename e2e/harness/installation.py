"""The operator in the cluster, installed as a user would, and the ways in which suites hurt it.

It runs as a Pod from its own image with its own ServiceAccount. The suites add one thing to the
plain manifests: a volume for the decision records, so that the whole run can be replayed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster.backend import Backend
from e2e.cluster.operator_image import operator_image
from e2e.harness.api import Api, ApiError, Body
from e2e.harness.objects import ROOT, metrics_source
from e2e.harness.reading import condition, pod_ready
from e2e.harness.shared import forget, locked, seated, shared

IMAGE_NOTE = "e2e.leadsman.dev/image"
RECORDS = "leadsman-records"
MOUNT = "/records"
ENTRY = b"leadsman.shell.main"
SHARE = {"requests": {"cpu": "500m"}}
"""As much as the gateway: on a node that is always busy they would wait for each other."""
LOADS = 1 + (os.cpu_count() or 1)
"""Test processes that send at the same time: more of them, and the gateway answers late."""


class Installation:
    """The operator's Deployment in a cluster. Times are seconds."""

    def __init__(self, cluster: Backend, api: Api) -> None:
        self.cluster = cluster
        self.api = api
        self._folder = cluster.kubeconfig.parent
        manifests = [
            body
            for file in sorted((ROOT / "deploy").glob("*.yaml"))
            for body in yaml.safe_load_all(file.read_text())
            if body
        ]
        self.deployment = next(body for body in manifests if body["kind"] == "Deployment")
        self.policies = [body for body in manifests if body["kind"].startswith("Mutating")]
        self.name = str(self.deployment["metadata"]["name"])
        self.namespace = str(self.deployment["metadata"]["namespace"])
        labels = self.deployment["spec"]["selector"]["matchLabels"]
        self.selector = ",".join(f"{key}={value}" for key, value in labels.items())
        account = self.deployment["spec"]["template"]["spec"]["serviceAccountName"]
        self.user = f"system:serviceaccount:{self.namespace}:{account}"

    # --- installing -------------------------------------------------------------------------

    def install(self) -> None:
        """CRDs, image, manifests, MetricsSource; returns when the operator is ready."""
        with locked(self._folder / "install.lock"):
            forget(self._folder)
            tar = operator_image(ROOT)
            digest = hashlib.sha256(tar.read_bytes()).hexdigest()[:16]
            found = self.api.get("Deployment", self.name, self.namespace)
            if not self._runs(found, digest):
                self.cluster.load_image(tar)
            self._apply_files(digest)
            self.wait_ready()

    def _runs(self, found: Body | None, digest: str) -> bool:
        if found is None:
            return False
        notes = found["spec"]["template"]["metadata"].get("annotations", {})
        return bool(notes.get(IMAGE_NOTE) == digest)

    def _apply_files(self, digest: str) -> None:
        self._kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
        self._kubectl("wait", "--for=condition=Established", "-f", str(ROOT / "crds"))
        self._kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "deploy"))
        self.api.apply(metrics_source(), force=True)
        records = self.records()
        if records is not None:
            for body in _records_volume(records, self.namespace):
                self.api.apply(body, self.namespace if _namespaced(body) else None, force=True)
        self.api.apply(self._with_records(digest, records), self.namespace, force=True)

    def _with_records(self, digest: str, records: Path | None) -> Body:
        container: Body = {
            "name": self.deployment["spec"]["template"]["spec"]["containers"][0]["name"],
            "resources": SHARE,
        }
        spec: Body = {"containers": [container]}
        if records is not None:
            container["env"] = [{"name": "LEADSMAN_RECORDS", "value": MOUNT}]
            container["volumeMounts"] = [{"name": "records", "mountPath": MOUNT}]
            spec["volumes"] = [{"name": "records", "persistentVolumeClaim": {"claimName": RECORDS}}]
        template: Body = {"metadata": {"annotations": {IMAGE_NOTE: digest}}, "spec": spec}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.name},
            "spec": {"template": template},
        }

    def records(self) -> Path | None:
        """The folder of the decision records; None where the node's disk is not this machine's."""
        if self.cluster.name != "bare":
            return None
        folder = self._folder / "records"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        return folder

    def kept_records(self) -> list[Path]:
        """The record files of all operator processes so far.

        The operator keeps its latest files only and starts one with each process. Suites kill
        many, so every file is linked beside before it can be dropped.
        """
        folder = self.records()
        if folder is None:
            return []
        kept = folder.with_name("records-kept")
        kept.mkdir(exist_ok=True)
        for path in folder.iterdir():
            with contextlib.suppress(FileExistsError):
                (kept / f"{path.stat().st_ino}-{path.name}").hardlink_to(path)
        return sorted(kept.iterdir())

    def _kubectl(self, *argv: str) -> str:
        answer = self.cluster.run(["kubectl", *argv])
        if answer.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(argv)}: {answer.stderr.strip()[-1500:]}")
        return answer.stdout

    # --- looking ----------------------------------------------------------------------------

    def pods(self) -> list[Body]:
        """The operator's pods that are not being deleted."""
        return [
            pod
            for pod in self.api.list("Pod", self.namespace, self.selector)
            if not pod["metadata"].get("deletionTimestamp")
        ]

    def wait_ready(self, seconds: float = 90.0) -> None:
        """Returns when the Deployment is complete with a ready pod."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.api.get("Deployment", self.name, self.namespace) or {}
            status = found.get("status", {})
            current = status.get("observedGeneration") == found.get("metadata", {}).get(
                "generation"
            )
            complete = status.get("updatedReplicas") == status.get("availableReplicas") == 1
            if current and complete and len(self.pods()) == 1:
                return
            time.sleep(0.2)
        raise TimeoutError(f"the operator is not ready:\n{self.log(60)}")

    def log(self, last: int = 400, containing: str = "") -> str:
        """The last lines of the operator's log, of those that contain a text."""
        lines: list[str] = []
        for pod in self.api.list("Pod", self.namespace, self.selector):
            with contextlib.suppress(ApiError):
                lines += self.api.log_lines(self.namespace, pod["metadata"]["name"])
            problem = condition(pod, "Ready").get("message")
            if problem and not pod_ready(pod):
                lines.append(f"({pod['metadata']['name']}: {problem})")
        return "\n".join([line for line in lines if containing in line][-last:])

    # --- hurting ----------------------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL and a new pod (a restarted container would wait for its back-off).

        The pod goes first: the kubelet would start a process again that was killed before, and two
        operators would be at work for a moment. One that somebody else has just killed is waited
        for, so that there is a process to kill.
        """
        self.kept_records()
        until = time.monotonic() + 20
        while not (processes := self._processes()) and time.monotonic() < until:
            if self.cluster.name != "bare" or self._is_stopped():
                break
            time.sleep(0.05)
        names = [pod["metadata"]["name"] for pod in self.pods()]
        for name in names:
            options: dict[str, Any] = {"gracePeriodSeconds": 0}
            self.api.delete("Pod", name, self.namespace, **options)
        killed = self._sigkill(processes)
        if self.cluster.name == "bare" and not (killed or self._is_stopped()):
            raise RuntimeError("no process of the operator was found to kill")

    def _is_stopped(self) -> bool:
        """Whether a test has scaled the operator to nothing."""
        found = self.api.get("Deployment", self.name, self.namespace) or {"spec": {}}
        return bool(found["spec"].get("replicas") == 0)

    def _processes(self) -> list[int]:
        """The operator's processes on this machine: none where the node is not this machine."""
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or self.cluster.name != "bare":
                continue
            with contextlib.suppress(OSError):
                argv = (entry / "cmdline").read_bytes().split(b"\0")
                if ENTRY in argv and entry.stat().st_uid == 65532:
                    found.append(int(entry.name))
        return found

    @staticmethod
    def _sigkill(processes: Sequence[int]) -> int:
        killed = 0
        for process in processes:
            with contextlib.suppress(ProcessLookupError):  # the kubelet was faster
                os.kill(process, signal.SIGKILL)
            killed += 1
        return killed

    def stop(self) -> None:
        """Scales the operator to nothing and waits until its pod is gone."""
        self.kept_records()
        self._scale(0)
        until = time.monotonic() + 60
        while self.api.list("Pod", self.namespace, self.selector):
            if time.monotonic() > until:
                raise TimeoutError("the operator's pod does not end")
            time.sleep(0.1)

    def start(self) -> None:
        """Scales it to one again and waits until it is ready."""
        self._scale(1)
        self.wait_ready()

    def _scale(self, replicas: int) -> None:
        self.api.patch(
            "Deployment", self.name, self.namespace, {"spec": {"replicas": replicas}}, sub="scale"
        )

    def stopped(self) -> AbstractContextManager[None]:
        """The operator is down inside the block."""
        return shared(self._folder, "operator", self.stop, self.start)

    def sending(self) -> AbstractContextManager[None]:
        """A place among the test processes that load the cluster at the same time."""
        return seated(self._folder, "load", LOADS)

    def without_policies(self, word: str = "") -> AbstractContextManager[None]:
        """Admission policies whose name contains `word` are absent inside the block."""
        removed = [body for body in self.policies if word in body["metadata"]["name"]]
        if not removed:
            raise RuntimeError(f"deploy/ has no admission policy named {word!r}")

        def remove() -> None:
            for body in removed:
                self.api.delete(body["kind"], body["metadata"]["name"])
            time.sleep(1)  # admission plug-ins follow by a watch; nothing tells when

        def put_back() -> None:
            for body in removed:
                self.api.apply(body, force=True)
            time.sleep(1)

        return shared(self._folder, f"policies-{word}", remove, put_back)


def _namespaced(body: Body) -> bool:
    return str(body["kind"]) != "PersistentVolume"


def _records_volume(folder: Path, namespace: str) -> list[Body]:
    """A volume on the node's disk: it outlives the pod, and restricted pod security allows it."""
    size = {"storage": "1Gi"}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": RECORDS},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": size,
                "hostPath": {"path": str(folder)},
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "claimRef": {"namespace": namespace, "name": RECORDS},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": RECORDS},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": size},
                "storageClassName": "",
                "volumeName": RECORDS,
            },
        },
    ]
