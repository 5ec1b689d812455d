"""The Deployment controller of Kubernetes 1.36: which ReplicaSets are its own, and their sizes.

The hand-over of a canary rests on what this controller does with a ReplicaSet that it adopts, so
its decisions are kept case by case: the oldest set with an equal template is the new one; a
saturated new set empties all others at once, paused or not; otherwise sets are scaled in
proportion. It is compared with a real cluster by the write scripts of `tests/testing`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from leadsman.errors import AlreadyExistsError
from leadsman.ports import DEPLOYMENT, POD, REPLICASET, Body, Ref
from leadsman.testing.fake_kube import rolling
from leadsman.testing.fake_kube.controllers import Cluster, claim, ref_of
from leadsman.testing.fake_kube.deployment_status import (
    calculate,
    complete,
    paused_conditions,
    progress,
    progressing_condition,
    rolled,
)
from leadsman.testing.fake_kube.scaling import (
    DESIRED,
    MAXIMUM,
    active,
    desired_of,
    max_surge,
    plan_scale,
    size,
)
from leadsman.testing.fake_kube.selectors import matches
from leadsman.testing.fake_kube.server import pod_terminal
from leadsman.testing.fake_kube.store import Change
from leadsman.testing.fake_kube.trees import (
    controller_of,
    dig,
    safe_name,
    same_template,
    template_text,
)

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
_NOT_COPIED = (
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAXIMUM,
    "deprecated.deployment.rollback.to",
)


def created_order(obj: Body) -> tuple[str, str]:
    """Oldest first; the name decides between equal seconds."""
    return obj["metadata"]["creationTimestamp"], obj["metadata"]["name"]


def new_set(deployment: Body, sets: Sequence[Body]) -> Body | None:
    """The Deployment's new ReplicaSet: the oldest with its template."""
    template = deployment["spec"]["template"]
    for obj in sorted(sets, key=created_order):
        if same_template(obj["spec"]["template"], template):
            return obj
    return None


def revision_of(obj: Body) -> int:
    """The revision annotation as a number, 0 where there is none."""
    text = (obj["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def template_hash(template: Body, collisions: int) -> str:
    """The `pod-template-hash` of a template (the form of Kubernetes, not its function)."""
    text = f"{template_text(template)}#{collisions or ''}"
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return safe_name(number, 10)


class Deployments:
    """Rolls out, scales, and adopts, as kube-controller-manager does."""

    name = "deployments"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def heard(self, change: Change) -> None:
        """Deployments, their ReplicaSets, and pods that Recreate waits for."""
        if change.kind == DEPLOYMENT:
            if change.new is not None:
                self._cluster.enqueue(self.name, Ref(DEPLOYMENT, change.namespace, change.name))
        elif change.kind == REPLICASET:
            self._heard_set(change)
        elif change.kind == POD and change.new is None and change.old is not None:
            owner = self._cluster.owner(change.old, REPLICASET)
            if owner is not None:
                self._look_at_owner(owner)

    def _look_at_owner(self, obj: Body) -> None:
        owner = self._cluster.owner(obj, DEPLOYMENT)
        if owner is not None:
            self._cluster.enqueue(self.name, ref_of(DEPLOYMENT, owner))

    def _heard_set(self, change: Change) -> None:
        for obj in (change.old, change.new):
            if obj is not None:
                self._look_at_owner(obj)
        if change.new is not None and controller_of(change.new) is None:
            labels = change.new["metadata"].get("labels") or {}
            for found in self._cluster.store.each(DEPLOYMENT, change.namespace):
                if matches(found["spec"]["selector"], labels):
                    self._cluster.enqueue(self.name, ref_of(DEPLOYMENT, found))

    def sync(self, ref: Ref) -> None:
        """Look at one Deployment once."""
        found = self._cluster.store.get(ref)
        if found is not None:
            _Sync(self._cluster, ref, found).run()


class _Sync:
    """One look at one Deployment. `d` and the sets are the versions as last written."""

    def __init__(self, cluster: Cluster, ref: Ref, deployment: Body) -> None:
        self._cluster = cluster
        self._server = cluster.server
        self.ref = ref
        self.d = deployment

    def run(self) -> None:
        meta = self.d["metadata"]
        selector = self.d["spec"]["selector"]
        sets = claim(
            self._cluster,
            REPLICASET,
            DEPLOYMENT,
            self.d,
            list(self._cluster.store.each(REPLICASET, meta["namespace"])),
            lambda obj: matches(selector, obj["metadata"].get("labels") or {}),
        )
        if "deletionTimestamp" in meta:
            new, old = self._find(sets, create=False)
            self._write_status(calculate(self.d, new, old, self._cluster.clock.now()))
            return
        changed = paused_conditions(self.d, self._cluster.clock.now())
        if changed is not None:
            self._write_status(changed)
        if self.d["spec"].get("paused") or self._scaling_event(sets):
            self._scale_only(sets)
        elif self.d["spec"]["strategy"]["type"] == "Recreate":
            self._recreate(sets)
        else:
            self._roll(sets)

    # -- which set is which -------------------------------------------------------------------

    def _find(self, sets: list[Body], *, create: bool) -> tuple[Body | None, list[Body]]:
        sets = [self._fresh(obj) for obj in sets]
        new = new_set(self.d, sets)
        old = [obj for obj in sorted(sets, key=created_order) if obj is not new]
        revision = max((revision_of(obj) for obj in old), default=0) + 1
        if new is not None:
            return self._found(new, revision), old
        if not create:
            return None, old
        return self._create(old, revision), old

    def _fresh(self, obj: Body) -> Body:
        return self._cluster.store.get(ref_of(REPLICASET, obj)) or obj

    def _marks(self, obj: Body, revision: int) -> Body:
        """The new set's annotations: the Deployment's, and its revision and history."""
        marks = dict(obj["metadata"].get("annotations") or {})
        own = self.d["metadata"].get("annotations") or {}
        marks |= {key: value for key, value in own.items() if key not in _NOT_COPIED}
        known = marks.get(REVISION, "")
        if known and not known.isdigit():
            return marks
        if int(known or "0") < revision:
            marks[REVISION] = str(revision)
            if known:
                history = marks.get(REVISION_HISTORY)
                marks[REVISION_HISTORY] = f"{history},{known}" if history else known
        return marks

    def _found(self, obj: Body, revision: int) -> Body:
        marks = self._marks(obj, revision)
        wait = self.d["spec"].get("minReadySeconds") or 0
        if marks != (obj["metadata"].get("annotations") or {}) or wait != (
            obj["spec"].get("minReadySeconds") or 0
        ):
            spec = {**obj["spec"], "minReadySeconds": wait}
            if not wait:
                del spec["minReadySeconds"]
            meta = {**obj["metadata"], "annotations": marks}
            new = {**obj, "metadata": meta, "spec": spec}
            return self._server.put(ref_of(REPLICASET, obj), obj, new)
        status = None
        if progressing_condition(self.d) is None and self._has_deadline():
            status = self._progressing(
                "FoundNewReplicaSet", f'Found new replica set "{_name(obj)}"'
            )
        self._write_revision(marks.get(REVISION, ""), status)
        return obj

    def _create(self, old: list[Body], revision: int) -> Body:
        template = self.d["spec"]["template"]
        key = template_hash(template, dig(self.d, "status", "collisionCount") or 0)
        labels = {**(dig(template, "metadata", "labels") or {}), "pod-template-hash": key}
        selector = dict(self.d["spec"]["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), "pod-template-hash": key}
        meta = self.d["metadata"]
        spec: Body = {
            "replicas": 0,
            "selector": selector,
            "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
        }
        if self.d["spec"].get("minReadySeconds"):
            spec["minReadySeconds"] = self.d["spec"]["minReadySeconds"]
        body: Body = {
            "apiVersion": REPLICASET.api_version,
            "kind": REPLICASET.kind,
            "metadata": {
                "name": f"{meta['name']}-{key}",
                "namespace": meta["namespace"],
                "labels": labels,
                "ownerReferences": [
                    {
                        "apiVersion": DEPLOYMENT.api_version,
                        "kind": DEPLOYMENT.kind,
                        "name": meta["name"],
                        "uid": meta["uid"],
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "spec": spec,
        }
        spec["replicas"] = rolling.new_size(self.d, [*old, body], body)
        marks = self._marks(body, revision)
        replicas = self.d["spec"]["replicas"]
        marks[DESIRED] = str(replicas)
        marks[MAXIMUM] = str(replicas + max_surge(self.d))
        body["metadata"]["annotations"] = marks
        try:
            made = self._server.create(REPLICASET, meta["namespace"], body)
        except AlreadyExistsError:
            # The name is taken by a set that is not ours or not equal: another hash next time.
            count = (dig(self.d, "status", "collisionCount") or 0) + 1
            self._write_status({**(self.d.get("status") or {}), "collisionCount": count})
            self._cluster.enqueue("deployments", self.ref)
            raise
        status = None
        if self._has_deadline():
            told = f'Created new replica set "{_name(made)}"'
            status = self._progressing("NewReplicaSetCreated", told)
        self._write_revision(str(revision), status)
        return made

    # -- the four ways ------------------------------------------------------------------------

    def _scaling_event(self, sets: list[Body]) -> bool:
        new, old = self._find(sets, create=False)
        replicas = self.d["spec"]["replicas"]
        wanted = (desired_of(obj) for obj in active([*old, new]))
        return any(number is not None and number != replicas for number in wanted)

    def _scale_only(self, sets: list[Body]) -> None:
        new, old = self._find(sets, create=False)
        for obj, replicas, force in plan_scale(self.d, new, old):
            self._resize(obj, replicas, force=force)
        old = [self._fresh(obj) for obj in old]
        if self.d["spec"].get("paused"):
            old = self._clean_up(old)
        new = self._fresh(new) if new is not None else None
        self._write_status(calculate(self.d, new, old, self._cluster.clock.now()))

    def _roll(self, sets: list[Body]) -> None:
        new, old = self._find(sets, create=True)
        if new is None:
            return
        replicas = rolling.new_size(self.d, [*old, new], new)
        if not self._resize(new, replicas):
            shrunk = False
            for obj, count in rolling.shrink_old(self.d, new, old):
                shrunk |= self._resize(obj, count)
            if not shrunk and complete(self.d, self.d.get("status") or {}):
                old = self._clean_up(old)
        self._write_progress(new, old)

    def _recreate(self, sets: list[Body]) -> None:
        new, old = self._find(sets, create=False)
        shrunk = False
        for obj in active(old):
            shrunk |= self._resize(obj, 0)
        if shrunk or self._old_pods_running(old):
            self._write_progress(new, old)
            return
        if new is None:
            new, old = self._find(sets, create=True)
        if new is not None:
            self._resize(new, self.d["spec"]["replicas"])
        if complete(self.d, self.d.get("status") or {}):
            old = self._clean_up(old)
        self._write_progress(new, old)

    def _old_pods_running(self, old: list[Body]) -> bool:
        if any((dig(obj, "status", "replicas") or 0) > 0 for obj in old):
            return True
        store = self._cluster.store
        for obj in old:
            for ref in store.owned_by(obj["metadata"]["uid"]):
                pod = store.get(ref)
                if ref.kind == POD and pod is not None and not pod_terminal(pod):
                    return True
        return False

    def _resize(self, obj: Body, replicas: int, *, force: bool = False) -> bool:
        """Set a size and the annotations that remember for which Deployment size it was."""
        obj = self._fresh(obj)
        if not force and size(obj) == replicas:
            return False
        wanted = self.d["spec"]["replicas"]
        marks = dict(obj["metadata"].get("annotations") or {})
        marks[DESIRED] = str(wanted)
        marks[MAXIMUM] = str(wanted + max_surge(self.d))
        changed = size(obj) != replicas
        if changed or marks != (obj["metadata"].get("annotations") or {}):
            meta = {**obj["metadata"], "annotations": marks}
            spec = {**obj["spec"], "replicas": replicas} if changed else obj["spec"]
            new = {**obj, "metadata": meta, "spec": spec}
            self._server.put(ref_of(REPLICASET, obj), obj, new)
        return changed

    def _clean_up(self, old: list[Body]) -> list[Body]:
        limit = self.d["spec"].get("revisionHistoryLimit")
        alive = [obj for obj in old if "deletionTimestamp" not in obj["metadata"]]
        extra = 0 if limit is None else len(alive) - limit
        if extra <= 0:
            return old
        gone = set()
        for obj in sorted(alive, key=lambda each: (revision_of(each), *created_order(each)))[
            :extra
        ]:
            status = obj.get("status") or {}
            busy = status.get("replicas") or size(obj)
            if busy or obj["metadata"]["generation"] > status.get("observedGeneration", 0):
                continue
            self._server.delete(ref_of(REPLICASET, obj))
            gone.add(_name(obj))
        return [obj for obj in old if _name(obj) not in gone]

    # -- status -------------------------------------------------------------------------------

    def _has_deadline(self) -> bool:
        return self.d["spec"].get("progressDeadlineSeconds") not in (None, 2**31 - 1)

    def _progressing(self, reason: str, message: str) -> Body:
        return progress(
            self.d.get("status") or {}, "True", reason, message, self._cluster.clock.now()
        )

    def _write_revision(self, revision: str, status: Body | None) -> None:
        known = (self.d["metadata"].get("annotations") or {}).get(REVISION)
        if known == revision and status is None:
            return
        kept = self.d.get("status") or {}
        new = kept if status is None else status
        if known == revision or not revision:
            self.d = self._server.set_status(self.ref, self.d, new)
        else:
            self.d = self._server.set_status(self.ref, self.d, new, **{REVISION: revision})

    def _write_status(self, status: Body) -> None:
        if status != self.d.get("status"):
            self.d = self._server.set_status(self.ref, self.d, status)

    def _write_progress(self, new: Body | None, old: list[Body]) -> None:
        now = self._cluster.clock.now()
        new = self._fresh(new) if new is not None else None
        old = [self._fresh(obj) for obj in old]
        status, wait = rolled(self.d, new, old, now)
        self._write_status(status)
        if wait is not None:
            self._cluster.later(wait, "deployments", self.ref)


def _name(obj: Body) -> str:
    name: str = obj["metadata"]["name"]
    return name
