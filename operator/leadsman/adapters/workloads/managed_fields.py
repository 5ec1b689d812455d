"""Who wrote a field: the API server's own record of it, and how to leave it.

`metadata.managedFields` says for each field which manager set it and when. The operator reads it to
tell its own writes from others' (core.md), and drops its own entry when it has put an object back
as it was: otherwise a later server-side apply of the user's would conflict with a manager that no
longer cares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leadsman.ports import Body


def _entries(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = (body.get("metadata") or {}).get("managedFields") or []
    return [entry for entry in found if isinstance(entry, dict)]


def _owns(entry: Mapping[str, Any], path: Sequence[str]) -> bool:
    fields: Any = entry.get("fieldsV1")
    for part in path:
        if not isinstance(fields, dict) or f"f:{part}" not in fields:
            return False
        fields = fields[f"f:{part}"]
    return True


def last_writer(body: Mapping[str, Any], *path: str) -> str:
    """Return the manager that last wrote the field at `path`, "" when nobody is recorded.

    Writes of the status sub-resource do not count. Times are whole seconds; among equals the later
    entry wins, as the API server appends what is new.
    """
    found = [
        (str(entry.get("time") or ""), index, str(entry.get("manager") or ""))
        for index, entry in enumerate(_entries(body))
        if not entry.get("subresource") and _owns(entry, path)
    ]
    return max(found)[2] if found else ""


def apply_owner(body: Mapping[str, Any], *path: str) -> str:
    """Return the manager that owns the field at `path` by server-side apply, or ""."""
    for entry in _entries(body):
        if entry.get("operation") == "Apply" and _owns(entry, path):
            return str(entry.get("manager") or "")
    return ""


def forget_patch(body: Body, manager: str, *path: str) -> list[dict[str, Any]]:
    """Return the JSON Patch that drops `manager`'s entry for the field at `path`.

    Empty when there is none, and when it is the only entry of the object: the API server reads an
    empty list as "leave it as it is".
    """
    entries = (body.get("metadata") or {}).get("managedFields") or []
    for index, entry in enumerate(entries):
        if entry.get("manager") != manager or entry.get("subresource") or len(entries) < 2:
            continue
        if _owns(entry, path):
            where = f"/metadata/managedFields/{index}"
            return [
                {
                    "op": "test",
                    "path": "/metadata/resourceVersion",
                    "value": body["metadata"]["resourceVersion"],
                },
                {"op": "test", "path": f"{where}/manager", "value": manager},
                {"op": "remove", "path": where},
            ]
    return []
