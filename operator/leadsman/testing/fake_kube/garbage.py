"""The garbage collector: dependents follow their owners, or are set free first.

Background deletion: once an object is gone, whatever named it as owner and has no other living
owner is deleted. Orphaning: the owner stays until its dependents no longer name it.
"""

from __future__ import annotations

from leadsman.ports import Body, Ref
from leadsman.testing.fake_kube.controllers import Cluster, ref_of
from leadsman.testing.fake_kube.store import Change


class Garbage:
    """Deletes what nobody owns any longer."""

    name = "garbage"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def heard(self, change: Change) -> None:
        """Removed owners, objects that wait to orphan, and dependents of nobody."""
        if change.new is None:
            for ref in self._cluster.store.owned_by(change.last["metadata"]["uid"]):
                self._cluster.enqueue(self.name, ref)
            return
        meta = change.new["metadata"]
        ref = ref_of(change.kind, change.new)
        if "deletionTimestamp" in meta and "orphan" in (meta.get("finalizers") or ()):
            self._cluster.enqueue(self.name, ref)
        owners = meta.get("ownerReferences")
        if owners and (
            change.old is None or owners is not change.old["metadata"].get("ownerReferences")
        ):
            living = self._cluster.store.of_uid
            if any(living(owner["uid"]) is None for owner in owners):
                self._cluster.enqueue(self.name, ref)

    def sync(self, ref: Ref) -> None:
        """Free, delete, or tidy the owner references of one object."""
        obj = self._cluster.store.get(ref)
        if obj is None:
            return
        meta = obj["metadata"]
        if "deletionTimestamp" in meta:
            if "orphan" in (meta.get("finalizers") or ()):
                self._orphan(ref, obj)
            return
        owners = meta.get("ownerReferences") or ()
        living = [o for o in owners if self._cluster.store.of_uid(o["uid"]) is not None]
        if not owners or len(living) == len(owners):
            return
        if living:
            self._own(ref, obj, living)
        else:
            self._cluster.server.delete(ref)

    def _orphan(self, ref: Ref, obj: Body) -> None:
        uid = obj["metadata"]["uid"]
        for dependent in self._cluster.store.owned_by(uid):
            found = self._cluster.store.get(dependent)
            if found is not None:
                owners = found["metadata"].get("ownerReferences") or ()
                self._own(dependent, found, [o for o in owners if o["uid"] != uid])
        rest = [each for each in obj["metadata"]["finalizers"] if each != "orphan"]
        meta = {**obj["metadata"], "finalizers": rest}
        if not rest:
            del meta["finalizers"]
        self._cluster.server.put(ref, obj, {**obj, "metadata": meta})

    def _own(self, ref: Ref, obj: Body, owners: list[Body]) -> None:
        meta = {**obj["metadata"], "ownerReferences": owners}
        if not owners:
            del meta["ownerReferences"]
        self._cluster.server.put(ref, obj, {**obj, "metadata": meta})
