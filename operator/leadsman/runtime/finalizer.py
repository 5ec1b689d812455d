"""The finalizer by which a Rollout waits until everything is given back."""

from __future__ import annotations

from typing import Any

from leadsman.ports import Body

FINALIZER = "leadsman.dev/give-back"


def has_finalizer(rollout: Body) -> bool:
    """Whether the Rollout carries our finalizer."""
    return FINALIZER in (rollout["metadata"].get("finalizers") or [])


def add_patch(rollout: Body) -> list[dict[str, Any]]:
    """Return the patch that adds the finalizer; empty when it is there."""
    if has_finalizer(rollout):
        return []
    metadata = rollout["metadata"]
    finalizers = metadata.get("finalizers")
    change = (
        {"op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER}
        if finalizers
        else {"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]}
    )
    return [_same(metadata["resourceVersion"]), change]


def drop_patch(rollout: Body) -> list[dict[str, Any]]:
    """Return the patch that removes the finalizer; empty when it is gone."""
    metadata = rollout["metadata"]
    finalizers = metadata.get("finalizers") or []
    if FINALIZER not in finalizers:
        return []
    where = f"/metadata/finalizers/{finalizers.index(FINALIZER)}"
    return [
        {"op": "test", "path": where, "value": FINALIZER},
        {"op": "remove", "path": where},
    ]


def _same(resource_version: str) -> dict[str, Any]:
    return {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version}
