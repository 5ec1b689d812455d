"""JSON Patch, JSON Merge Patch and kubectl's three-way apply, as the API server carries them out.

All of them make new trees that share what did not change. A failed `test` is a ConflictError, as
the real adapter reports it; an operation that does not apply is an InvalidError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leadsman.errors import ConflictError, InvalidError
from leadsman.ports import Body, JsonPatch, Kind

_MISSING = object()


def _refused(message: str) -> InvalidError:
    return InvalidError(422, "Invalid", f"the server rejected our request: {message}")


def _failed(path: str) -> ConflictError:
    return ConflictError(422, "Invalid", f"testing value {path} failed: test failed")


def _steps(path: str) -> list[str]:
    if path == "":
        return []
    if not path.startswith("/"):
        raise _refused(f"path {path!r} must start with /")
    return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]


def _index(step: str, length: int, *, insert: bool = False) -> int:
    if insert and step == "-":
        return length
    try:
        at = int(step)
    except ValueError:
        raise _refused(f"{step!r} is not a list index") from None
    if -length - insert <= at < 0:
        # Not in RFC 6902, but the API server counts negative indices from the end.
        at += length + insert
    if not 0 <= at < length + insert:
        raise _refused(f"unable to access invalid index {at}")
    return at


def _find(doc: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(doc, dict):
            if step not in doc:
                return _MISSING
            doc = doc[step]
        elif isinstance(doc, list):
            try:
                doc = doc[_index(step, len(doc))]
            except InvalidError:
                return _MISSING
        else:
            return _MISSING
    return doc


def _change(doc: Any, steps: list[str], kind: str, value: Any) -> Any:
    head, rest = steps[0], steps[1:]
    if isinstance(doc, dict):
        out: Any = dict(doc)
        if rest:
            if head not in doc:
                raise _refused(f"{kind} operation does not apply: doc is missing path {head}")
            out[head] = _change(doc[head], rest, kind, value)
        elif kind in ("add", "replace"):
            # The API server's library lets a replace add a member that is not there.
            out[head] = value
        elif head not in doc:
            raise _refused(f"{kind} operation does not apply: doc is missing key {head}")
        else:
            del out[head]
        return out
    if isinstance(doc, list):
        out = list(doc)
        if rest:
            at = _index(head, len(doc))
            out[at] = _change(doc[at], rest, kind, value)
        elif kind == "add":
            out.insert(_index(head, len(doc), insert=True), value)
        elif kind == "replace":
            out[_index(head, len(doc))] = value
        else:
            del out[_index(head, len(doc))]
        return out
    raise _refused(f"{kind} operation does not apply: {head} is below a scalar")


def json_patch(doc: Body, operations: JsonPatch) -> Body:
    """Apply RFC 6902 operations. Raises ConflictError for a failed test, InvalidError otherwise."""
    out: Any = doc
    for operation in operations:
        kind = operation.get("op")
        steps = _steps(str(operation.get("path", "")))
        if kind == "test":
            found = _find(out, steps)
            wanted = operation.get("value")
            if (None if found is _MISSING else found) != wanted:
                raise _failed(str(operation["path"]))
            continue
        if not steps:
            raise _refused("the whole document cannot be changed")
        if kind in ("add", "replace"):
            if "value" not in operation:
                raise _refused(f"{kind} operation has no value")
            out = _change(out, steps, kind, operation["value"])
        elif kind == "remove":
            out = _change(out, steps, kind, None)
        elif kind in ("move", "copy"):
            origin = _steps(str(operation.get("from", "")))
            value = _find(out, origin)
            if value is _MISSING:
                raise _refused(f"{kind} operation does not apply: from is missing")
            if kind == "move":
                out = _change(out, origin, "remove", None)
            out = _change(out, steps, "add", value)
        else:
            raise _refused(f"unexpected kind of operation: {kind!r}")
    patched: Body = out
    return patched


def json_patch_request(doc: Body, operations: JsonPatch) -> Body:
    """As `json_patch`, with the errors of a request.

    The API server answers an operation that does not apply and a failed test alike, so that a
    client has to take the first for a conflict too where the patch tests anything.
    """
    try:
        return json_patch(doc, operations)
    except InvalidError as error:
        if any(operation.get("op") == "test" for operation in operations):
            raise ConflictError(422, "TestFailed", error.message) from None
        raise


def merge_patch(doc: Any, patch: Any) -> Any:
    """Apply RFC 7386: null removes, maps merge, everything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    out = dict(doc) if isinstance(doc, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge_patch(out.get(key), value)
    return out


_BY_NAME = ("containers", "initContainers", "env", "volumes", "imagePullSecrets")


def merge_keys(kind: Kind, field: str, items: list[Any]) -> tuple[str, ...]:
    """Which members identify an item of this list; empty where the list is one atomic value."""
    if kind.group not in ("", "apps") or not all(isinstance(item, Mapping) for item in items):
        return ()
    if field in _BY_NAME:
        return ("name",)
    if field == "volumeMounts":
        return ("mountPath",)
    if field == "ownerReferences":
        return ("uid",)
    if field == "ports":
        return ("port",) if kind.kind == "Service" else ("containerPort",)
    return ()


def item_key(item: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[Any, ...]:
    """What identifies an item among its siblings."""
    return tuple(item.get(key) for key in keys)


def three_way(kind: Kind, was: Any, want: Any, live: Any, field: str = "") -> Any:
    """What client-side `kubectl apply` makes of the live object.

    `was` is the manifest applied last, `want` the new one. Members that `was` had and `want` has
    not are removed; members that only the live object has are kept.
    """
    if isinstance(want, Mapping):
        out = dict(live) if isinstance(live, Mapping) else {}
        before = was if isinstance(was, Mapping) else {}
        for key in before:
            if key not in want:
                out.pop(key, None)
        for key, value in want.items():
            if value is None:
                out.pop(key, None)
            else:
                out[key] = three_way(kind, before.get(key), value, out.get(key), key)
        return out
    if isinstance(want, list):
        keys = merge_keys(kind, field, want)
        if not keys or not isinstance(live, list):
            return want
        old = {item_key(item, keys): item for item in (was if isinstance(was, list) else [])}
        new = {item_key(item, keys): item for item in want}
        merged, seen = [], set()
        for item in live:
            key = item_key(item, keys)
            if key in new:
                merged.append(three_way(kind, old.get(key), new[key], item))
                seen.add(key)
            elif key not in old:
                merged.append(item)
        merged.extend(item for key, item in new.items() if key not in seen)
        return merged
    return want
