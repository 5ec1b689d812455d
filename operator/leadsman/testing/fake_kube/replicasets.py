"""The ReplicaSet controller: claims pods, makes and deletes them, counts them.

Pods are deleted in the order of Kubernetes: not yet bound, pending, not ready, cheap, ready for
a shorter time, restarted more often, younger. All pods are on one node, so that the spreading
over nodes has no say.
"""

from __future__ import annotations

import zlib

from leadsman.errors import ApiError, ForbiddenError
from leadsman.ports import POD, REPLICASET, Body, Ref
from leadsman.testing.fake_kube.controllers import Cluster, claim, ref_of
from leadsman.testing.fake_kube.selectors import matches
from leadsman.testing.fake_kube.server import condition, pod_ready, pod_terminal
from leadsman.testing.fake_kube.store import Change
from leadsman.testing.fake_kube.trees import controller_of, dig, safe_name, unstamp

_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def deletion_order(pod: Body) -> tuple[object, ...]:
    """The key by which pods are chosen when there are too many: smallest goes first."""
    meta = pod["metadata"]
    ready = pod_ready(pod)
    since = unstamp(condition(pod, "Ready")["lastTransitionTime"]) if ready else 0.0  # type: ignore[index]
    restarts = max(
        (item.get("restartCount", 0) for item in dig(pod, "status", "containerStatuses") or ()),
        default=0,
    )
    return (
        bool(dig(pod, "spec", "nodeName")),
        _PHASES.get(dig(pod, "status", "phase") or "Pending", 1),
        ready,
        int((meta.get("annotations") or {}).get(_COST, "0")),
        -since,
        -restarts,
        -unstamp(meta["creationTimestamp"]),
        meta["name"],
    )


class ReplicaSets:
    """Keeps as many pods as each ReplicaSet asks for."""

    name = "replicasets"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.quota: dict[str, int] = {}
        """Most pods that may exist in a namespace; creating more is forbidden."""

    def heard(self, change: Change) -> None:
        """A ReplicaSet's own changes, and those of its pods."""
        if change.kind == REPLICASET:
            if change.new is not None:
                self._cluster.enqueue(self.name, Ref(REPLICASET, change.namespace, change.name))
        elif change.kind == POD:
            self._heard_pod(change)

    def _heard_pod(self, change: Change) -> None:
        owners = set()
        for pod in (change.old, change.new):
            if pod is None:
                continue
            owner = self._cluster.owner(pod, REPLICASET)
            if owner is not None:
                owners.add(owner["metadata"]["name"])
        for name in sorted(owners):
            self._cluster.enqueue(self.name, Ref(REPLICASET, change.namespace, name))
        if change.new is not None and controller_of(change.new) is None:
            labels = change.new["metadata"].get("labels") or {}
            for found in self._cluster.store.each(REPLICASET, change.namespace):
                if matches(found["spec"]["selector"], labels):
                    self._cluster.enqueue(self.name, ref_of(REPLICASET, found))

    def sync(self, ref: Ref) -> None:
        """Claim, create or delete pods, and write the status."""
        obj = self._cluster.store.get(ref)
        if obj is None:
            return
        active = self._claimed(obj)
        failure: ApiError | None = None
        if "deletionTimestamp" not in obj["metadata"]:
            try:
                active = self._manage(obj, active)
            except ForbiddenError as error:
                failure = error
                active = self._claimed(obj)
                self._cluster.later(5.0, self.name, ref)
        self._count(ref, obj, active, failure)

    def _claimed(self, obj: Body) -> list[Body]:
        uid, selector = obj["metadata"]["uid"], obj["spec"]["selector"]
        candidates = []
        for pod in self._cluster.store.each(POD, obj["metadata"]["namespace"]):
            owner = controller_of(pod)
            if owner is not None and owner["uid"] != uid:
                continue
            if not pod_terminal(pod) and "deletionTimestamp" not in pod["metadata"]:
                candidates.append(pod)
        return claim(
            self._cluster,
            POD,
            REPLICASET,
            obj,
            candidates,
            lambda pod: matches(selector, pod["metadata"].get("labels") or {}),
        )

    def _manage(self, obj: Body, active: list[Body]) -> list[Body]:
        wanted = obj["spec"]["replicas"]
        if len(active) < wanted:
            made = [self._create(obj) for _ in range(wanted - len(active))]
            return active + made
        if len(active) > wanted:
            order = sorted(active, key=deletion_order)
            for pod in order[: len(active) - wanted]:
                self._cluster.server.delete(ref_of(POD, pod))
            return order[len(active) - wanted :]
        return active

    def _create(self, obj: Body) -> Body:
        meta = obj["metadata"]
        namespace = meta["namespace"]
        limit = self.quota.get(namespace)
        store = self._cluster.store
        if limit is not None and len(list(store.each(POD, namespace))) >= limit:
            raise ForbiddenError(
                403, "Forbidden", f"pods is forbidden: exceeded quota: limited: pods={limit}"
            )
        template = obj["spec"]["template"]
        number = store.counter * 2_654_435_761 + zlib.crc32(meta["name"].encode())
        name = f"{meta['name'][:58]}-{safe_name(number % 2**32, 5)}"
        while store.find(POD, namespace, name) is not None:
            number += 1
            name = f"{meta['name'][:58]}-{safe_name(number % 2**32, 5)}"
        owner = {
            "apiVersion": REPLICASET.api_version,
            "kind": REPLICASET.kind,
            "name": meta["name"],
            "uid": meta["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        pod_meta = {
            "name": name,
            "generateName": f"{meta['name']}-",
            "namespace": namespace,
            "ownerReferences": [owner],
        }
        for key in ("labels", "annotations"):
            if template.get("metadata", {}).get(key):
                pod_meta[key] = template["metadata"][key]
        body = {
            "metadata": pod_meta,
            "spec": template["spec"],
            "status": {"phase": "Pending", "qosClass": "BestEffort"},
        }
        return self._cluster.server.create(POD, namespace, body)

    def _count(self, ref: Ref, obj: Body, active: list[Body], failure: ApiError | None) -> None:
        spec, old = obj["spec"], obj.get("status") or {}
        wait = spec.get("minReadySeconds") or 0
        now = self._cluster.clock.now()
        labels = dig(spec, "template", "metadata", "labels") or {}
        ready = available = labelled = 0
        next_check: float | None = None
        for pod in active:
            own = pod["metadata"].get("labels") or {}
            labelled += all(own.get(key) == value for key, value in labels.items())
            if not pod_ready(pod):
                continue
            ready += 1
            since = unstamp(condition(pod, "Ready")["lastTransitionTime"])  # type: ignore[index]
            left = since + wait - now
            if wait == 0 or left <= 1e-6:
                available += 1
            else:
                next_check = left if next_check is None else min(left, next_check)
        status: Body = {"observedGeneration": obj["metadata"]["generation"]}
        status["replicas"] = len(active)
        for key, value in (
            ("fullyLabeledReplicas", labelled),
            ("readyReplicas", ready),
            ("availableReplicas", available),
        ):
            if value:
                status[key] = value
        terminating = self._terminating(obj)
        status["terminatingReplicas"] = terminating
        conditions = [
            item for item in old.get("conditions") or () if item["type"] != "ReplicaFailure"
        ]
        if failure is not None:
            known = condition(obj, "ReplicaFailure")
            conditions.append(known or self._failure(obj, active, failure))
        if conditions:
            status["conditions"] = conditions
        self._cluster.server.set_status(ref, obj, status)
        if next_check is not None:
            self._cluster.later(next_check, self.name, ref)

    def _failure(self, obj: Body, active: list[Body], failure: ApiError) -> Body:
        few = len(active) < obj["spec"]["replicas"]
        return {
            "type": "ReplicaFailure",
            "status": "True",
            "reason": "FailedCreate" if few else "FailedDelete",
            "message": failure.message,
            "lastTransitionTime": self._cluster.store.today(),
        }

    def _terminating(self, obj: Body) -> int:
        store = self._cluster.store
        count = 0
        for ref in store.owned_by(obj["metadata"]["uid"]):
            pod = store.get(ref)
            if pod is not None and ref.kind == POD:
                count += "deletionTimestamp" in pod["metadata"] and not pod_terminal(pod)
        return count
