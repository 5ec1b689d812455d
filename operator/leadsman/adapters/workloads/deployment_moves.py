"""A Deployment, moved: manifests and JSON Patches of holding, the canary and the hand-over.

Every patch tests the uid or the resourceVersion of what it changes, and touches the one field that
the move is about. The canary is the very ReplicaSet that the Deployment would have made, so its
manifest says nothing that the Deployment's own would not say, but for who controls it.
"""

from __future__ import annotations

from typing import Any

from leadsman.adapters.workloads.deployment import controller
from leadsman.adapters.workloads.templates import HASH_LABEL, bare
from leadsman.ports import REPLICASET, ROLLOUT, Body

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX_NAME = 253

Operations = list[dict[str, Any]]


def _test(path: str, value: Any) -> dict[str, Any]:
    return {"op": "test", "path": path, "value": value}


def preconditions(uid: str = "", resource_version: str = "") -> Operations:
    """Return the tests that make a patch fail on another or a changed object."""
    tests = [_test("/metadata/uid", uid)] if uid else []
    if resource_version:
        tests.append(_test("/metadata/resourceVersion", resource_version))
    return tests


def rollout_reference(rollout: Body) -> Body:
    """Return the controller reference to a Rollout."""
    return {
        "apiVersion": ROLLOUT.api_version,
        "kind": ROLLOUT.kind,
        "name": rollout["metadata"]["name"],
        "uid": rollout["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def canary_name(deployment: str, revision: str) -> str:
    """Return the name of a canary's ReplicaSet, as the Deployment would form it."""
    return f"{deployment[: MAX_NAME - len(revision) - 1]}-{revision}"


def canary_replica_set(deployment: Body, rollout: Body, revision: str, replicas: int) -> Body:
    """Return the manifest of the canary: the Deployment's template, controlled by the Rollout."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    template = bare(spec["template"])
    labels = {**template["metadata"]["labels"], HASH_LABEL: revision}
    template["metadata"] = {**template["metadata"], "labels": labels}
    selector = spec["selector"]
    body: Body = {
        "apiVersion": REPLICASET.api_version,
        "kind": REPLICASET.kind,
        "metadata": {
            "name": canary_name(metadata["name"], revision),
            "namespace": metadata["namespace"],
            "labels": dict(labels),
            "ownerReferences": [rollout_reference(rollout)],
        },
        "spec": {
            "replicas": replicas,
            "selector": {
                **selector,
                "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: revision},
            },
            "template": template,
        },
    }
    if spec.get("minReadySeconds"):
        body["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    return body


def pause_patch(deployment: Body, uid: str, resource_version: str) -> Operations:
    """Return the patch that pauses; empty when it is paused."""
    if deployment["spec"].get("paused") is True:
        return []
    return [
        *preconditions(uid, resource_version),
        {"op": "add", "path": "/spec/paused", "value": True},
    ]


def unpause_patch(deployment: Body, uid: str, resource_version: str) -> Operations:
    """Return the patch that removes `spec.paused`; empty when it is not paused."""
    if deployment["spec"].get("paused") is not True:
        return []
    return [
        *preconditions(uid, resource_version),
        _test("/spec/paused", True),
        {"op": "remove", "path": "/spec/paused"},
    ]


def probe_freeze(deployment: Body) -> Operations:
    """Return the patch, for a dry run only, that a freezing policy would put back."""
    return [
        {
            "op": "replace",
            "path": "/spec/replicas",
            "value": deployment["spec"].get("replicas", 1) + 1,
        }
    ]


def scale_patch(replica_set: Body, replicas: int, resource_version: str) -> Operations:
    """Return the patch that scales a ReplicaSet; empty when it has that many."""
    if replica_set["spec"].get("replicas") == replicas:
        return []
    return [
        *preconditions(resource_version=resource_version),
        {"op": "add", "path": "/spec/replicas", "value": replicas},
    ]


def take_over_patch(
    replica_set: Body, rollout: Body, uid: str, resource_version: str
) -> Operations:
    """Return the patch that makes the Rollout the controller; empty when it is."""
    current = controller(replica_set)
    ours = rollout_reference(rollout)
    if current is not None and current.get("uid") == ours["uid"]:
        return []
    return [
        *preconditions(uid, resource_version),
        {
            "op": "add",
            "path": "/metadata/ownerReferences",
            "value": [*_others(replica_set), ours],
        },
    ]


def _others(replica_set: Body) -> list[Body]:
    found = replica_set["metadata"].get("ownerReferences") or []
    return [one for one in found if one.get("controller") is not True]


def _without(replica_set: Body, rollout: Body) -> Operations | None:
    """Return the operations that remove our reference, None when it is not there."""
    ours = rollout["metadata"]["uid"]
    for index, one in enumerate(replica_set["metadata"].get("ownerReferences") or []):
        if one.get("uid") == ours:
            where = f"/metadata/ownerReferences/{index}"
            return [_test(f"{where}/uid", ours), {"op": "remove", "path": where}]
    return None


def release_patch(
    replica_set: Body, rollout: Body, uid: str, resource_version: str, replicas: int
) -> Operations:
    """Return the patch that lets the Deployment claim the set as saturated at `replicas`.

    The annotation is what the Deployment controller compares before it scales the old sets to 0 at
    once; it and the loss of our reference must be seen together, hence one patch. Empty when the
    reference is gone.
    """
    removal = _without(replica_set, rollout)
    if removal is None:
        return []
    annotations = replica_set["metadata"].get("annotations")
    key = DESIRED.replace("~", "~0").replace("/", "~1")
    change = (
        {"op": "add", "path": "/metadata/annotations", "value": {DESIRED: str(replicas)}}
        if annotations is None
        else {"op": "add", "path": f"/metadata/annotations/{key}", "value": str(replicas)}
    )
    return [*preconditions(uid, resource_version), *removal, change]


def give_back_patch(
    replica_set: Body, rollout: Body, uid: str, resource_version: str
) -> Operations:
    """Return the patch that gives a set that was taken over back, at 0 replicas.

    It loses our reference; the Deployment claims it by its selector within moments, and writes its
    own reference as it always does (which would take us a right that we do not need otherwise).
    """
    removal = _without(replica_set, rollout)
    if removal is None:
        return []
    return [
        *preconditions(uid, resource_version),
        *removal,
        {"op": "add", "path": "/spec/replicas", "value": 0},
    ]
