"""The write path of the API server: patch, defaults, admission, validation, versions, deletion.

Everybody writes through here, users and the operator with a field manager, controllers without
one. Faults are not here: they hit the operator's requests only (see `kube.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leadsman.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError
from leadsman.ports import (
    CONTROLLERREVISION,
    DEPLOYMENT,
    ENDPOINTSLICE,
    EVENT,
    MUTATINGPOLICY,
    MUTATINGPOLICYBINDING,
    POD,
    REPLICASET,
    SERVICE,
    Body,
    Clock,
    Kind,
    Ref,
)
from leadsman.testing.fake_kube import managed_fields
from leadsman.testing.fake_kube.defaults import check, defaulted, invalid
from leadsman.testing.fake_kube.store import Store
from leadsman.testing.fake_kube.trees import clone, dig, put, stamp, without_nulls

Admission = Callable[[Ref, str, Body, Body, str], Body]
"""(ref, subresource, old, new, manager) -> what is stored instead of new."""

_NO_STATUS = (
    CONTROLLERREVISION,
    ENDPOINTSLICE,
    EVENT,
    MUTATINGPOLICY,
    MUTATINGPOLICYBINDING,
)
_NO_GENERATION = (CONTROLLERREVISION, EVENT, SERVICE)
_SCALABLE = (DEPLOYMENT, REPLICASET)
_SERVER_OWNED = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "name",
    "namespace",
)


def missing(ref: Ref) -> NotFoundError:
    """The API server's 404."""
    group = f".{ref.kind.group}" if ref.kind.group else ""
    return NotFoundError(404, "NotFound", f'{ref.kind.plural}{group} "{ref.name}" not found')


def changed_object(ref: Ref) -> ConflictError:
    """The API server's 409 for an object that is not the version asked for."""
    return ConflictError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {ref.kind.plural} "{ref.name}": '
        "the object has been modified; please apply your changes to the latest version",
    )


def scale_of(obj: Body) -> Body:
    """The `scale` sub-resource of a Deployment or ReplicaSet."""
    meta = obj["metadata"]
    keys = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = (dig(obj, "spec", "selector", "matchLabels") or {}).items()
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {key: meta[key] for key in keys if key in meta},
        "spec": {"replicas": obj["spec"]["replicas"]},
        "status": {
            "replicas": dig(obj, "status", "replicas") or 0,
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels)),
        },
    }


class Server:
    """Writes on a Store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.admission: list[Admission] = []
        self.schemas: dict[Kind, Callable[[Body], Body]] = {}
        self._addresses = 0

    def must(self, ref: Ref) -> Body:
        """The stored object. Raises NotFoundError."""
        found = self.store.get(ref)
        if found is None:
            raise missing(ref)
        return found

    # -- create -------------------------------------------------------------------------------

    def create(
        self, kind: Kind, namespace: str, body: Body, manager: str = "", operation: str = "Update"
    ) -> Body:
        """Store a new object. Raises AlreadyExistsError, InvalidError."""
        meta = dict(body.get("metadata") or {})
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = f"{meta['generateName']}{self.store.counter:05d}"
        if not meta.get("name"):
            raise invalid(kind, "", "metadata.name: Required value: name or generateName")
        if kind.namespaced:
            if meta.get("namespace", namespace) != namespace or not namespace:
                raise InvalidError(400, "BadRequest", "the namespace of the object does not match")
            meta["namespace"] = namespace
        if meta.get("resourceVersion"):
            raise InvalidError(400, "BadRequest", "resourceVersion should not be set on creation")
        ref = Ref(kind, meta.get("namespace", ""), meta["name"])
        if self.store.get(ref) is not None:
            raise AlreadyExistsError(
                409, "AlreadyExists", f'{kind.plural} "{ref.name}" already exists'
            )
        for key in ("uid", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"):
            meta.pop(key, None)
        if manager:
            body = clone(body)
        new = without_nulls({**body, "apiVersion": kind.api_version, "kind": kind.kind})
        if kind not in _NO_STATUS and manager:
            new.pop("status", None)
        applied = new
        new["metadata"] = without_nulls(meta)
        new = self._shaped(kind, new)
        new = self._allocate(kind, new)
        check(kind, new, None)
        now = stamp(self.clock.now())
        if manager and operation == "Apply":
            new = managed_fields.applied_by(kind, None, new, applied, manager, now)
        elif manager:
            new = managed_fields.updated(kind, None, new, manager, now)
        # Nothing below can refuse the object: only now is a uid used up.
        meta = {**new["metadata"], "uid": self.store.next_uid(), "creationTimestamp": now}
        if kind not in _NO_GENERATION:
            meta["generation"] = 1
        return self.store.insert(kind, {**new, "metadata": meta})

    def _shaped(self, kind: Kind, body: Body) -> Body:
        schema = self.schemas.get(kind)
        return defaulted(kind, schema(body) if schema else body)

    def _allocate(self, kind: Kind, body: Body) -> Body:
        if kind == SERVICE and body["spec"]["type"] != "ExternalName":
            spec = body["spec"]
            if not spec.get("clusterIP"):
                self._addresses += 1
                high, low = divmod(self._addresses, 250)
                address = f"10.96.{high}.{low + 1}"
                body = {**body, "spec": {**spec, "clusterIP": address, "clusterIPs": [address]}}
        return body

    # -- update -------------------------------------------------------------------------------

    def update(
        self,
        ref: Ref,
        change: Callable[[Body], Body],
        *,
        manager: str = "",
        subresource: str = "",
        dry_run: bool = False,
        applied: Body | None = None,
    ) -> Body:
        """Change an object and return what is stored (the Scale for that sub-resource).

        `change` gets the stored tree and must not alter it in place. With `applied`, the write is
        a server-side apply of that manifest.
        """
        old = self.must(ref)
        if subresource == "scale":
            if ref.kind not in _SCALABLE:
                raise missing(ref)
            scale = scale_of(old)
            wanted = change(scale)
            self._check_version(ref, old, wanted)
            replicas = dig(wanted, "spec", "replicas") or 0
            new = {**old, "spec": {**old["spec"], "replicas": replicas}}
        elif subresource == "status":
            if ref.kind in _NO_STATUS:
                raise missing(ref)
            new = change(old)
            self._check_version(ref, old, new)
            new = put(old, ("status",), without_nulls(new.get("status")))
        elif subresource == "":
            new = change(old)
            self._check_version(ref, old, new)
            new = self._main_resource(ref, old, new)
        else:
            raise missing(ref)
        if new is not old:
            new = self._shaped(ref.kind, new)
        now = stamp(self.clock.now())
        if applied is not None:
            new = managed_fields.applied_by(ref.kind, old, new, applied, manager, now)
        admitted = new
        for admit in self.admission:
            admitted = admit(ref, subresource, old, admitted, manager)
        check(ref.kind, admitted, old)
        if manager and applied is None and subresource != "status":
            admitted = managed_fields.updated(ref.kind, old, admitted, manager, now, subresource)
        stored = self._store(ref, old, admitted, dry_run)
        return scale_of(stored) if subresource == "scale" else stored

    def _check_version(self, ref: Ref, old: Body, new: Body) -> None:
        meta = new.get("metadata") or {}
        version = meta.get("resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            raise changed_object(ref)
        if meta.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
            raise changed_object(ref)
        if meta.get("name", ref.name) != ref.name:
            raise InvalidError(400, "BadRequest", "the name of the object does not match")

    def _main_resource(self, ref: Ref, old: Body, new: Body) -> Body:
        meta, before = new.get("metadata") or {}, old["metadata"]
        kept = {key: before[key] for key in _SERVER_OWNED if key in before}
        kept["resourceVersion"] = before["resourceVersion"]
        meta = {**meta, **kept}
        for key in _SERVER_OWNED:
            if key not in before:
                meta.pop(key, None)
        if "deletionTimestamp" in before:
            added = set(meta.get("finalizers") or ()) - set(before.get("finalizers") or ())
            if added:
                raise invalid(
                    ref.kind,
                    ref.name,
                    "metadata.finalizers: Forbidden: no new finalizers can be added "
                    "if the object is being deleted",
                )
        if not meta.get("finalizers"):
            meta.pop("finalizers", None)
        if not meta.get("ownerReferences"):
            meta.pop("ownerReferences", None)
        new = without_nulls({**new, "metadata": meta})
        if ref.kind not in _NO_STATUS and new.get("status") is not old.get("status"):
            new = put(new, ("status",), old.get("status"))
        if new.get("apiVersion") != old["apiVersion"] or new.get("kind") != old["kind"]:
            new = {**new, "apiVersion": old["apiVersion"], "kind": old["kind"]}
        return new

    def _store(self, ref: Ref, old: Body, new: Body, dry_run: bool) -> Body:
        meta = new["metadata"]
        if ref.kind not in _NO_GENERATION and self._desired_changed(old, new):
            meta = {**meta, "generation": meta.get("generation", 1) + 1}
            new = {**new, "metadata": meta}
        if dry_run:
            return new
        if "deletionTimestamp" in meta and not meta.get("finalizers") and ref.kind != POD:
            self.store.remove(ref.kind, new)
            return new
        return self.store.replace(ref.kind, old, new)

    @staticmethod
    def _desired_changed(old: Body, new: Body) -> bool:
        skip = ("metadata", "status", "apiVersion", "kind")
        return any(
            old.get(key) is not new.get(key) and old.get(key) != new.get(key)
            for key in {**old, **new}
            if key not in skip
        )

    # -- what controllers use -----------------------------------------------------------------

    def set_status(self, ref: Ref, old: Body, status: Body, **annotations: str) -> Body:
        """Store a status as a controller does, with annotations beside it if given."""
        new = {**old, "status": status}
        if annotations:
            marks = {**(old["metadata"].get("annotations") or {}), **annotations}
            new["metadata"] = {**old["metadata"], "annotations": marks}
        return self.store.replace(ref.kind, old, new)

    def put(self, ref: Ref, old: Body, new: Body) -> Body:
        """Store a controller's new version of an object; generation follows the spec."""
        check(ref.kind, new, old)
        return self._store(ref, old, new, dry_run=False)

    # -- delete -------------------------------------------------------------------------------

    def delete(
        self,
        ref: Ref,
        *,
        uid: str = "",
        resource_version: str = "",
        orphan: bool = False,
        grace: float | None = None,
    ) -> None:
        """Delete with preconditions. Raises NotFoundError, ConflictError.

        A pod gets its grace period, an object with finalizers a deletion timestamp; `orphan` adds
        the finalizer that makes the garbage collector free the dependents first.
        """
        old = self.must(ref)
        meta = old["metadata"]
        if (uid and meta["uid"] != uid) or (
            resource_version and meta["resourceVersion"] != resource_version
        ):
            raise changed_object(ref)
        finalizers = list(meta.get("finalizers") or ())
        if orphan and "orphan" not in finalizers and self.store.owned_by(meta["uid"]):
            finalizers.append("orphan")
        graceful = ref.kind == POD and bool(dig(old, "spec", "nodeName")) and grace != 0
        if not finalizers and not graceful:
            self.store.remove(ref.kind, old)
            return
        if "deletionTimestamp" in meta:
            return
        meta = {**meta, "deletionTimestamp": stamp(self.clock.now())}
        if finalizers:
            meta["finalizers"] = finalizers
        if ref.kind == POD:
            period = dig(old, "spec", "terminationGracePeriodSeconds")
            meta["deletionGracePeriodSeconds"] = period if grace is None else int(grace)
        if "generation" in meta:
            meta["generation"] += 1
        self.store.replace(ref.kind, old, {**old, "metadata": meta})


def pod_terminal(pod: Body) -> bool:
    """Whether a pod has ended (Failed or Succeeded)."""
    return dig(pod, "status", "phase") in ("Failed", "Succeeded")


def condition(obj: Body, kind: str) -> Body | None:
    """The condition of this type in an object's status."""
    items: list[Any] = dig(obj, "status", "conditions") or []
    for item in items:
        if item.get("type") == kind:
            found: Body = item
            return found
    return None


def pod_ready(pod: Body) -> bool:
    """Whether the pod's Ready condition is True."""
    ready = condition(pod, "Ready")
    return ready is not None and ready["status"] == "True"
