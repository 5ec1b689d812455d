"""A small synchronous client of the Kubernetes API for the suites.

The suites ask often and want every change in its order, so they speak HTTP themselves and keep
kubectl for what people do with it. It must not be the operator's own adapter: a test that shares
code with what it tries would share its mistakes.
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

Body = dict[str, Any]

_CORE = "/api/v1"
_APPS = "/apis/apps/v1"
_GATEWAY = "/apis/gateway.networking.k8s.io/v1"
_OURS = "/apis/leadsman.dev/v1alpha1"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"

KINDS: Mapping[str, tuple[str, str]] = {
    "Namespace": (_CORE, "namespaces"),
    "Node": (_CORE, "nodes"),
    "Pod": (_CORE, "pods"),
    "Service": (_CORE, "services"),
    "ServiceAccount": (_CORE, "serviceaccounts"),
    "ConfigMap": (_CORE, "configmaps"),
    "Event": ("/apis/events.k8s.io/v1", "events"),
    "PersistentVolume": (_CORE, "persistentvolumes"),
    "PersistentVolumeClaim": (_CORE, "persistentvolumeclaims"),
    "Deployment": (_APPS, "deployments"),
    "ReplicaSet": (_APPS, "replicasets"),
    "ControllerRevision": (_APPS, "controllerrevisions"),
    "Job": ("/apis/batch/v1", "jobs"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "HTTPRoute": (_GATEWAY, "httproutes"),
    "GRPCRoute": (_GATEWAY, "grpcroutes"),
    "Rollout": (_OURS, "rollouts"),
    "RolloutPlan": (_OURS, "rolloutplans"),
    "ReleaseContract": (_OURS, "releasecontracts"),
    "Guard": (_OURS, "guards"),
    "MetricsSource": (_OURS, "metricssources"),
    "MutatingAdmissionPolicy": (_ADMISSION, "mutatingadmissionpolicies"),
    "MutatingAdmissionPolicyBinding": (_ADMISSION, "mutatingadmissionpolicybindings"),
}

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


class ApiError(Exception):
    """Raised when the API server refuses a request; `status`, `reason` and `message` say why."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where a kubeconfig's current context points, and as whom."""

    server: str
    tls: ssl.SSLContext
    token: str


def _material(folder: Path, entry: Mapping[str, Any], name: str) -> Path | None:
    """The file of a key or certificate that a kubeconfig names or carries."""
    if entry.get(name):
        return Path(entry[name])
    if entry.get(f"{name}-data"):
        path = folder / name
        path.write_bytes(base64.b64decode(entry[f"{name}-data"]))
        return path
    return None


def credentials(kubeconfig: Path) -> Credentials:
    """Reads a kubeconfig: tokens and client certificates, as files or inline."""
    config = yaml.safe_load(kubeconfig.read_text())
    context = next(
        c["context"] for c in config["contexts"] if c["name"] == config["current-context"]
    )
    cluster = next(c["cluster"] for c in config["clusters"] if c["name"] == context["cluster"])
    user = next(u["user"] for u in config["users"] if u["name"] == context["user"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = _material(folder, cluster, "certificate-authority")
        tls = ssl.create_default_context(cafile=str(authority) if authority else None)
        certificate = _material(folder, user, "client-certificate")
        if certificate is not None:
            tls.load_cert_chain(certificate, _material(folder, user, "client-key"))
    return Credentials(cluster["server"], tls, user.get("token", ""))


def path(kind: str, namespace: str | None = None, name: str = "", sub: str = "") -> str:
    """The URL path of a kind, of an object, or of one of its sub-resources."""
    base, plural = KINDS[kind]
    place = f"/namespaces/{namespace}" if namespace else ""
    return "/".join(part for part in (f"{base}{place}/{plural}", name, sub) if part)


class Api:
    """The API server, as the user that the kubeconfig names. Safe to share between threads."""

    def __init__(self, kubeconfig: Path) -> None:
        found = credentials(kubeconfig)
        headers = {"User-Agent": "leadsman-suite"}
        if found.token:
            headers["Authorization"] = f"Bearer {found.token}"
        self._http = httpx.Client(
            base_url=found.server,
            headers=headers,
            verify=found.tls,
            timeout=httpx.Timeout(30.0, read=60.0),
            trust_env=False,
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=50),
        )

    def close(self) -> None:
        """Closes every connection; running watches end."""
        self._http.close()

    def request(
        self,
        verb: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        content_type: str = "application/json",
    ) -> Body:
        """One request; raises ApiError when the server refuses it."""
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type} if content is not None else {}
        answer = self._http.request(verb, url, params=params, content=content, headers=headers)
        if answer.is_success:
            found: Body = answer.json()
            return found
        try:
            told = answer.json()
            raise ApiError(answer.status_code, told.get("reason", ""), told.get("message", ""))
        except ValueError:
            raise ApiError(answer.status_code, "", answer.text[:300]) from None

    def get(self, kind: str, name: str, namespace: str | None = None) -> Body | None:
        """The object, or None."""
        try:
            return self.request("GET", path(kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: str, namespace: str | None = None, labels: str = "") -> list[Body]:
        """All objects of a kind, in a namespace or everywhere."""
        params = {"labelSelector": labels} if labels else None
        found: list[Body] = self.request("GET", path(kind, namespace), params=params)["items"]
        return found

    def create(self, body: Body, namespace: str | None = None) -> Body:
        """Creates the object; raises ApiError when it is there or refused."""
        return self.request("POST", path(body["kind"], namespace), body=body)

    def apply(
        self,
        body: Body,
        namespace: str | None = None,
        *,
        manager: str = "suite",
        force: bool = False,
    ) -> Body:
        """Server-side apply as `manager`; raises ApiError(409) on a conflict without `force`."""
        return self.request(
            "PATCH",
            path(body["kind"], namespace, body["metadata"]["name"]),
            params={"fieldManager": manager, "force": "true" if force else "false"},
            body=body,
            content_type=APPLY,
        )

    def patch(
        self,
        kind: str,
        name: str,
        namespace: str | None,
        patch: Body | Sequence[Body],
        *,
        sub: str = "",
        manager: str = "suite",
    ) -> Body:
        """A merge patch (a mapping) or a JSON patch (a list)."""
        return self.request(
            "PATCH",
            path(kind, namespace, name, sub),
            params={"fieldManager": manager},
            body=patch,
            content_type=MERGE if isinstance(patch, dict) else JSON_PATCH,
        )

    def delete(self, kind: str, name: str, namespace: str | None = None, **options: Any) -> None:
        """Deletes the object if it is there; `options` are DeleteOptions.

        A busy server is asked again: what a test leaves behind weighs on all that follow.
        """
        for last in (False, False, True):
            try:
                self.request("DELETE", path(kind, namespace, name), body=options or None)
            except ApiError as error:
                if error.status == 404:
                    return
                if error.status < 500 or last:
                    raise
            except httpx.TransportError:
                if last:
                    raise
            else:
                return
            time.sleep(2)

    def watch(self, kind: str, namespace: str, version: str) -> Iterator[tuple[str, Body]]:
        """Changes after a list's resourceVersion, until the connection ends."""
        params = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "600"}
        url = path(kind, namespace)
        limits = httpx.Timeout(30.0, read=None)
        with self._http.stream("GET", url, params=params, timeout=limits) as answer:
            if not answer.is_success:
                raise ApiError(answer.status_code, "Watch", answer.read().decode()[:300])
            for line in answer.iter_lines():
                event = json.loads(line)
                yield event["type"], event["object"]

    def log_lines(self, namespace: str, pod: str, *, follow: bool = False) -> Iterator[str]:
        """The lines of a pod's log; with `follow` until the container ends."""
        limits = httpx.Timeout(30.0, read=None)
        params = {"follow": "true"} if follow else None
        url = path("Pod", namespace, pod, "log")
        with self._http.stream("GET", url, params=params, timeout=limits) as answer:
            if not answer.is_success:
                raise ApiError(answer.status_code, "Log", answer.read().decode()[:300])
            yield from answer.iter_lines()
