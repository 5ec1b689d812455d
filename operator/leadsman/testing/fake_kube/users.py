"""People and tools beside the operator: kubectl apply in both ways, edit, scale, undo, delete.

They write through the same server with their own field managers, and no fault meets them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from leadsman.errors import ConflictError, InvalidError
from leadsman.ports import DEPLOYMENT, REPLICASET, Body, JsonPatch, Kind, Ref
from leadsman.testing.fake_kube import managed_fields
from leadsman.testing.fake_kube.controllers import Cluster
from leadsman.testing.fake_kube.deployments import created_order, new_set, revision_of
from leadsman.testing.fake_kube.faults import Write
from leadsman.testing.fake_kube.patches import (
    item_key,
    json_patch,
    merge_keys,
    merge_patch,
    three_way,
)
from leadsman.testing.fake_kube.trees import clone, controller_of, dig, put, stamp

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
CLIENT_SIDE = "kubectl-client-side-apply"
_LAST_APPLIED_PATH = ("f:metadata", "f:annotations", f"f:{LAST_APPLIED}")


def _plain(tree: Any) -> Any:
    return json.loads(json.dumps(tree))


class Users:
    """What a test does as somebody else. `FakeKube` has all of these methods."""

    cluster: Cluster
    writes: list[Write]
    kinds: dict[tuple[str, str], Kind]

    def after_users(self) -> None:
        """Called after each write of a user."""

    def kind_of(self, manifest: Mapping[str, Any]) -> Kind:
        """The Kind of a manifest. Raises InvalidError when it is not served."""
        found = self.kinds.get((manifest.get("apiVersion", ""), manifest.get("kind", "")))
        if found is None:
            raise InvalidError(400, "BadRequest", f"no matches for kind {manifest.get('kind')!r}")
        return found

    def _log(
        self, verb: str, ref: Ref, sub: str, manager: str, body: Any, *, changed: bool
    ) -> None:
        time = self.cluster.clock.now()
        self.writes.append(Write(0, time, verb, ref, sub, manager, body, changed))
        self.after_users()

    def user_create(self, manifest: Mapping[str, Any], manager: str = "kubectl-create") -> Body:
        """`kubectl create`. The namespace is the manifest's, or "default"."""
        body = _plain(manifest)
        kind = self.kind_of(body)
        namespace = (body["metadata"].get("namespace") or "default") if kind.namespaced else ""
        made = self.cluster.server.create(kind, namespace, body, manager)
        ref = Ref(kind, namespace, made["metadata"]["name"])
        self._log("create", ref, "", manager, body, changed=True)
        return clone(made)

    def user_apply(
        self,
        manifest: Mapping[str, Any],
        manager: str = "",
        *,
        server_side: bool = False,
        force: bool = False,
    ) -> Body:
        """`kubectl apply`, client-side (three-way merge) or server-side.

        Raises ConflictError server-side without `force` when another manager owns what changes.
        """
        body = _plain(manifest)
        kind = self.kind_of(body)
        namespace = (body["metadata"].get("namespace") or "default") if kind.namespaced else ""
        if kind.namespaced:
            body["metadata"]["namespace"] = namespace
        ref = Ref(kind, namespace, body["metadata"]["name"])
        if server_side:
            manager = manager or "kubectl"
            stored, changed = self._apply_server_side(ref, body, manager, force=force)
        else:
            manager = manager or CLIENT_SIDE
            stored, changed = self._apply_client_side(ref, body, manager)
        self._log("apply", ref, "", manager, body, changed=changed)
        return clone(stored)

    def _apply_client_side(self, ref: Ref, body: Body, manager: str) -> tuple[Body, bool]:
        text = json.dumps(body, sort_keys=True, separators=(",", ":")) + "\n"
        marks = {**(body["metadata"].get("annotations") or {}), LAST_APPLIED: text}
        want = put(body, ("metadata", "annotations"), marks)
        store, server = self.cluster.store, self.cluster.server
        live = store.get(ref)
        if live is None:
            return server.create(ref.kind, ref.namespace, want, manager), True
        before = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
        was = json.loads(before) if before else None
        stored = server.update(
            ref, lambda obj: three_way(ref.kind, was, want, obj), manager=manager
        )
        return stored, stored is not live

    def _apply_server_side(
        self, ref: Ref, body: Body, manager: str, *, force: bool
    ) -> tuple[Body, bool]:
        store, server = self.cluster.store, self.cluster.server
        live = store.get(ref)
        if live is None:
            return server.create(ref.kind, ref.namespace, body, manager, "Apply"), True
        if not force:
            managed_fields.refuse_conflicts(managed_fields.conflicts(ref.kind, live, body, manager))

        def change(obj: Body) -> Body:
            gone = managed_fields.abandoned(ref.kind, obj, body, manager)
            laid: Body = without_paths(_laid_over(ref.kind, obj, body), gone)
            return laid

        stored = server.update(ref, change, manager=manager, applied=body)
        owners = managed_fields.migrated(stored, CLIENT_SIDE, manager, _LAST_APPLIED_PATH)
        if owners is not None and manager == "kubectl":
            server.update(ref, lambda obj: put(obj, ("metadata", "managedFields"), owners))
            stored = server.update(ref, change, manager=manager, applied=body)
        return stored, stored is not live

    def user_patch(
        self,
        ref: Ref,
        patch: JsonPatch | Mapping[str, Any],
        manager: str = "kubectl-edit",
        *,
        subresource: str = "",
    ) -> Body:
        """Patch as somebody else: a list is a JSON Patch, a mapping a merge patch."""
        plain = _plain(patch)
        live = self.cluster.store.get(ref)

        def change(obj: Body) -> Body:
            if isinstance(plain, list):
                return json_patch(obj, plain)
            merged: Body = merge_patch(obj, plain)
            return merged

        stored = self.cluster.server.update(ref, change, manager=manager, subresource=subresource)
        self._log("patch", ref, subresource, manager, plain, changed=stored is not live)
        return clone(stored)

    def user_delete(self, ref: Ref, *, orphan: bool = False) -> None:
        """`kubectl delete`, in the background or with `--cascade=orphan`."""
        self.cluster.server.delete(ref, orphan=orphan)
        self._log("delete", ref, "", "kubectl", None, changed=True)

    def user_scale(
        self, namespace: str, name: str, replicas: int, *, subresource: bool = True
    ) -> Body:
        """Scale a Deployment, through the `scale` sub-resource or by its spec."""
        ref = Ref(DEPLOYMENT, namespace, name)
        patch = {"spec": {"replicas": replicas}}
        return self.user_patch(
            ref, patch, "kubectl-scale", subresource="scale" if subresource else ""
        )

    def user_undo(self, namespace: str, name: str) -> Body:
        """`kubectl rollout undo`: the template of the revision before. Raises when paused."""
        ref = Ref(DEPLOYMENT, namespace, name)
        deployment = self.cluster.server.must(ref)
        if deployment["spec"].get("paused"):
            raise InvalidError(422, "Invalid", "cannot undo a paused deployment; resume it first")
        uid = deployment["metadata"]["uid"]
        own = [
            obj
            for obj in self.cluster.store.all(REPLICASET, namespace)
            if (controller_of(obj) or {}).get("uid") == uid
        ]
        current = new_set(deployment, own)
        old = [obj for obj in own if obj is not current]
        if not old:
            raise ConflictError(409, "Conflict", "no rollout history found")
        last = max(old, key=lambda obj: (revision_of(obj), *created_order(obj)))
        template = clone(last["spec"]["template"])
        dig(template, "metadata", "labels").pop("pod-template-hash", None)
        operations = [{"op": "replace", "path": "/spec/template", "value": template}]
        return self.user_patch(ref, operations, "kubectl-rollout")

    def user_restart(self, namespace: str, name: str) -> Body:
        """`kubectl rollout restart`: an annotation with the time. Raises when paused."""
        ref = Ref(DEPLOYMENT, namespace, name)
        if self.cluster.server.must(ref)["spec"].get("paused"):
            raise InvalidError(422, "Invalid", "can't restart paused deployment (run resume first)")
        mark = {"kubectl.kubernetes.io/restartedAt": stamp(self.cluster.clock.now())}
        patch = {"spec": {"template": {"metadata": {"annotations": mark}}}}
        return self.user_patch(ref, patch, "kubectl-rollout")


def _laid_over(
    kind: Kind, live: Any, body: Any, field: str = "", path: tuple[str, ...] = ()
) -> Any:
    """The live object with an applied manifest over it; lists merge by key or are replaced."""
    if isinstance(body, Mapping):
        if not isinstance(live, Mapping) or path in managed_fields.atomic_paths(kind):
            return body
        out = dict(live)
        for key, value in body.items():
            out[key] = _laid_over(kind, live.get(key), value, key, (*path, f"f:{key}"))
        return out
    if isinstance(body, list):
        keys = merge_keys(kind, field, body)
        if not keys or not isinstance(live, list):
            return body
        new = {item_key(item, keys): item for item in body}
        known = {item_key(item, keys): item for item in live}
        merged = [
            _laid_over(kind, item, new[key]) if key in new else item for key, item in known.items()
        ]
        return merged + [item for key, item in new.items() if key not in known]
    return body


def without_paths(tree: Any, paths: set[tuple[str, ...]]) -> Any:
    """The tree without the fields at these managed-field paths."""
    for path in sorted(paths, key=len, reverse=True):
        tree = _without(tree, path)
    return tree


def _without(tree: Any, path: Sequence[str]) -> Any:
    step, rest = path[0], path[1:]
    if step.startswith("f:") and isinstance(tree, dict):
        key = step[2:]
        if key not in tree:
            return tree
        if not rest:
            return {name: value for name, value in tree.items() if name != key}
        return {**tree, key: _without(tree[key], rest)}
    if step.startswith("k:") and isinstance(tree, list):
        wanted = json.loads(step[2:])
        out = []
        for item in tree:
            if all(item.get(key) == value for key, value in wanted.items()):
                if rest:
                    out.append(_without(item, rest))
            else:
                out.append(item)
        return out
    return tree
