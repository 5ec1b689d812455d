"""The EndpointSlice controller: one slice for each Service with a selector.

Terminating pods stay in the slice as serving but not ready, as the real controller keeps them;
pods without an address, and pods that have ended, are left out.
"""

from __future__ import annotations

import zlib

from leadsman.ports import ENDPOINTSLICE, POD, SERVICE, Body, Ref
from leadsman.testing.fake_kube.controllers import Cluster
from leadsman.testing.fake_kube.selectors import selects
from leadsman.testing.fake_kube.server import pod_ready, pod_terminal
from leadsman.testing.fake_kube.store import Change
from leadsman.testing.fake_kube.trees import dig, safe_name


def slice_name(service: str) -> str:
    """The name of a Service's slice (a real one ends at random)."""
    return f"{service[:57]}-{safe_name(zlib.crc32(service.encode()), 5)}"


class Endpoints:
    """Keeps the slices."""

    name = "endpoints"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def heard(self, change: Change) -> None:
        """Services, pods, and slices that somebody removed."""
        if change.kind == SERVICE:
            if change.new is not None:
                self._cluster.enqueue(self.name, Ref(SERVICE, change.namespace, change.name))
        elif change.kind == POD:
            self._heard_pod(change)
        elif change.kind == ENDPOINTSLICE and change.new is None:
            service = (change.last["metadata"].get("labels") or {}).get(
                "kubernetes.io/service-name"
            )
            if service and self._cluster.store.find(SERVICE, change.namespace, service) is not None:
                self._cluster.enqueue(self.name, Ref(SERVICE, change.namespace, service))

    def _heard_pod(self, change: Change) -> None:
        sides = [pod["metadata"].get("labels") or {} for pod in (change.old, change.new) if pod]
        if len(sides) == 2 and sides[0] is sides[1]:
            sides.pop()
        for service in self._cluster.store.each(SERVICE, change.namespace):
            selector = service["spec"].get("selector")
            if any(selects(selector, labels) for labels in sides):
                name = service["metadata"]["name"]
                self._cluster.enqueue(self.name, Ref(SERVICE, change.namespace, name))

    def sync(self, ref: Ref) -> None:
        """Write the slice of one Service."""
        service = self._cluster.store.get(ref)
        if service is None:
            return
        selector = service["spec"].get("selector")
        name = slice_name(ref.name)
        old = self._cluster.store.find(ENDPOINTSLICE, ref.namespace, name)
        if not selector:
            return
        pods = [
            pod
            for pod in self._cluster.store.each(POD, ref.namespace)
            if selects(selector, pod["metadata"].get("labels") or {})
            and not pod_terminal(pod)
            and dig(pod, "status", "podIP")
        ]
        always = bool(service["spec"].get("publishNotReadyAddresses"))
        endpoints = [_endpoint(pod, always) for pod in pods]
        ports = [_port(port, pods) for port in service["spec"].get("ports") or ()]
        if old is None:
            body = {**_new(service, name), "endpoints": endpoints, "ports": ports}
            self._cluster.server.create(ENDPOINTSLICE, ref.namespace, body)
        elif old["endpoints"] != endpoints or old["ports"] != ports:
            new = {**old, "endpoints": endpoints, "ports": ports}
            self._cluster.store.replace(ENDPOINTSLICE, old, new)


def _endpoint(pod: Body, always: bool) -> Body:
    meta = pod["metadata"]
    ready = pod_ready(pod)
    leaving = "deletionTimestamp" in meta
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": always or (ready and not leaving),
            "serving": ready,
            "terminating": leaving,
        },
        "nodeName": dig(pod, "spec", "nodeName"),
        "targetRef": {
            "kind": "Pod",
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
        },
    }


def _port(port: Body, pods: list[Body]) -> Body:
    target = port.get("targetPort", port["port"])
    if isinstance(target, str):
        for pod in pods:
            for container in dig(pod, "spec", "containers") or ():
                for own in container.get("ports") or ():
                    if own.get("name") == target:
                        target = own["containerPort"]
    number = target if isinstance(target, int) else None
    return {"name": port.get("name", ""), "port": number, "protocol": port["protocol"]}


def _new(service: Body, name: str) -> Body:
    meta = service["metadata"]
    labels = {
        **(meta.get("labels") or {}),
        "kubernetes.io/service-name": meta["name"],
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    owner = {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "metadata": {
            "name": name,
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": [owner],
        },
        "addressType": "IPv4",
    }
