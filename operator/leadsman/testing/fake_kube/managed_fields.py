"""Who owns which field: `metadata.managedFields` and server-side apply.

Field sets are kept as the API server keeps them: maps member by member, lists as one value unless
Kubernetes merges them by key, some maps (a Service's selector) as one value. An update takes what
it changed from everybody; one that changes nothing takes nothing and moves no time. Writes of
controllers and of the status are not tracked: nothing asks who made them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from leadsman.errors import ConflictError
from leadsman.ports import (
    CONTROLLERREVISION,
    DEPLOYMENT,
    ENDPOINTSLICE,
    EVENT,
    POD,
    REPLICASET,
    SERVICE,
    Body,
    Kind,
)
from leadsman.testing.fake_kube.patches import item_key, merge_keys

Path = tuple[str, ...]
_UNTRACKED = (POD, REPLICASET, ENDPOINTSLICE, EVENT, CONTROLLERREVISION)
_ATOMIC: Mapping[Kind, tuple[Path, ...]] = {
    SERVICE: (("f:spec", "f:selector"),),
    DEPLOYMENT: (("f:spec", "f:selector"),),
}
_META = ("labels", "annotations", "ownerReferences", "finalizers")
_NO_PATHS: tuple[Path, ...] = ()


def tracked(kind: Kind) -> bool:
    """Whether owners of this kind's fields are kept."""
    return kind not in _UNTRACKED


def _walk(kind: Kind, value: Any, path: Path, field: str, out: dict[Path, Any]) -> None:
    if isinstance(value, Mapping) and value and path not in _ATOMIC.get(kind, _NO_PATHS):
        for key, below in value.items():
            _walk(kind, below, (*path, f"f:{key}"), key, out)
    elif isinstance(value, list) and value and (keys := merge_keys(kind, field, value)):
        for item in value:
            name = json.dumps(
                dict(zip(keys, item_key(item, keys), strict=True)), separators=(",", ":")
            )
            here = (*path, f"k:{name}")
            out[here] = True
            _walk(kind, item, here, "", out)
    else:
        out[path] = value


def leaves(kind: Kind, body: Body) -> dict[Path, Any]:
    """Every owned field of an object with its value: metadata's owned maps, and all but status."""
    out: dict[Path, Any] = {}
    meta = body.get("metadata") or {}
    for key in _META:
        if meta.get(key):
            _walk(kind, meta[key], ("f:metadata", f"f:{key}"), key, out)
    for key, value in body.items():
        if key not in ("metadata", "status", "apiVersion", "kind"):
            _walk(kind, value, (f"f:{key}",), key, out)
    return out


def _nested(paths: Iterable[Path]) -> Body:
    out: Body = {}
    for path in sorted(paths):
        at = out
        for step in path:
            at = at.setdefault(step, {})
    return out


def _flat(tree: Mapping[str, Any], path: Path = ()) -> set[Path]:
    out: set[Path] = set()
    for step, below in tree.items():
        here = (*path, step)
        if below:
            out |= _flat(below, here)
            if step.startswith("k:"):
                out.add(here)
        else:
            out.add(here)
    return out


def _entry(manager: str, operation: str, version: str, time: str, paths: Iterable[Path]) -> Body:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": version,
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": _nested(paths),
    }


def _is(entry: Body, manager: str, operation: str, subresource: str = "") -> bool:
    return (
        entry.get("manager") == manager
        and entry.get("operation") == operation
        and entry.get("subresource", "") == subresource
    )


def _without(entries: list[Body], lost: set[Path]) -> list[Body]:
    out = []
    for entry in entries:
        paths = _flat(entry.get("fieldsV1") or {})
        if paths & lost:
            paths -= lost
            if paths:
                out.append({**entry, "fieldsV1": _nested(paths)})
        else:
            out.append(entry)
    return out


def _differences(
    kind: Kind, old: Body | None, new: Body
) -> tuple[set[Path], set[Path], dict[Path, Any]]:
    before = leaves(kind, old) if old is not None else {}
    after = leaves(kind, new)
    changed = {path for path, value in after.items() if before.get(path, leaves) != value}
    gone = {path for path in before if path not in after}
    return changed, gone, after


def updated(
    kind: Kind, old: Body | None, new: Body, manager: str, time: str, subresource: str = ""
) -> Body:
    """`new` with the owners after an Update by `manager`."""
    if not tracked(kind):
        return new
    entries: list[Body] = list(new["metadata"].get("managedFields") or ())
    if not entries and old is not None:
        # An update that names no owners keeps those that are stored.
        entries = list(old["metadata"].get("managedFields") or ())
        new = {**new, "metadata": {**new["metadata"], "managedFields": entries}}
    changed, gone, _ = _differences(kind, old, new)
    if not changed and not gone:
        return new
    mine = [entry for entry in entries if _is(entry, manager, "Update", subresource)]
    others = [entry for entry in entries if not _is(entry, manager, "Update", subresource)]
    others = _without(others, changed | gone)
    if changed:
        kept = _flat(mine[0].get("fieldsV1") or {}) - gone if mine else set()
        entry = _entry(manager, "Update", kind.api_version, time, kept | changed)
        others.append({**entry, "subresource": subresource} if subresource else entry)
    elif mine:
        others.extend(_without(mine, gone))
    return {**new, "metadata": {**new["metadata"], "managedFields": others}}


def conflicts(kind: Kind, live: Body, applied: Body, manager: str) -> list[tuple[str, Path]]:
    """Fields that `applied` would change although another manager owns them."""
    want = leaves(kind, applied)
    have = leaves(kind, live)
    differing = {path for path, value in want.items() if have.get(path, leaves) != value}
    out: list[tuple[str, Path]] = []
    for entry in live["metadata"].get("managedFields") or ():
        if not _is(entry, manager, "Apply"):
            paths = _flat(entry.get("fieldsV1") or {})
            out.extend((str(entry["manager"]), path) for path in sorted(paths & differing))
    return out


def refuse_conflicts(found: list[tuple[str, Path]]) -> None:
    """Raise ConflictError naming managers and fields, as server-side apply without force does."""
    if not found:
        return
    told = "; ".join(
        f'conflict with "{manager}": ' + "".join("." + step[2:] for step in path)
        for manager, path in found
    )
    raise ConflictError(409, "Conflict", f"Apply failed with {len(found)} conflicts: {told}")


def abandoned(kind: Kind, live: Body, applied: Body, manager: str) -> set[Path]:
    """Fields that this applier had applied, applies no longer, and nobody else owns."""
    mine: set[Path] = set()
    others: set[Path] = set()
    for entry in live["metadata"].get("managedFields") or ():
        paths = _flat(entry.get("fieldsV1") or {})
        if _is(entry, manager, "Apply"):
            mine |= paths
        else:
            others |= paths
    return mine - set(leaves(kind, applied)) - others


def applied_by(
    kind: Kind, old: Body | None, new: Body, applied: Body, manager: str, time: str
) -> Body:
    """`new` with the owners after a server-side apply of `applied`."""
    if not tracked(kind):
        return new
    entries: list[Body] = list((old or new)["metadata"].get("managedFields") or ())
    changed, gone, _ = _differences(kind, old, new)
    asked = set(leaves(kind, applied))
    mine = [entry for entry in entries if _is(entry, manager, "Apply")]
    others = [entry for entry in entries if not _is(entry, manager, "Apply")]
    others = _without(others, (changed & asked) | gone)
    same = bool(mine) and _flat(mine[0].get("fieldsV1") or {}) == asked
    if same and not changed and not gone:
        others = entries
    else:
        others.append(_entry(manager, "Apply", kind.api_version, time, asked))
    if others == entries and "managedFields" in new["metadata"]:
        return {**new, "metadata": {**new["metadata"], "managedFields": entries}}
    return {**new, "metadata": {**new["metadata"], "managedFields": others}}


def migrated(live: Body, before: str, after: str, keep: Path) -> list[Body] | None:
    """The owners once `before` no longer updates but `after` applies what it owned.

    kubectl does so when a manifest that was applied client-side is applied server-side for the
    first time. The field `keep` is owned by nobody then. None when there is nothing to migrate.
    """
    entries: list[Body] = list(live["metadata"].get("managedFields") or ())
    old = [entry for entry in entries if _is(entry, before, "Update")]
    new = [entry for entry in entries if _is(entry, after, "Apply")]
    if not old or not new:
        return None
    paths = _flat(old[0]["fieldsV1"]) | _flat(new[0]["fieldsV1"])
    rest = [entry for entry in entries if entry not in (old[0], new[0])]
    return [*rest, {**new[0], "fieldsV1": _nested(paths - {keep})}]


def atomic_paths(kind: Kind) -> tuple[Path, ...]:
    """Maps of this kind that are owned as one value."""
    return _ATOMIC.get(kind, _NO_PATHS)
