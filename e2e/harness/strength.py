"""How strong a version was over time: what its ReplicaSet was asked for, which pods were ready.

An end that is right says little about what users met on the way there; these read the history.
"""

from __future__ import annotations

import math
from itertools import pairwise

from e2e.harness import oracles
from e2e.harness.api import Body
from e2e.harness.app import App
from e2e.harness.reading import ready_pods, version_of


def owner_of(body: Body) -> str:
    """The kind of an object's controller; "" when it has none."""
    owners = body["metadata"].get("ownerReferences", [])
    return next((str(one["kind"]) for one in owners if one.get("controller")), "")


def set_of(app: App, revision: str) -> str:
    """The name of the ReplicaSet with that pod-template-hash; "" while there is none."""
    found = (
        str(body["metadata"]["name"])
        for body in app.history.all("ReplicaSet")
        if body["metadata"]["labels"]["pod-template-hash"] == revision
    )
    return next(found, "")


def stable_set(app: App) -> str:
    """The name of the ReplicaSet that the Rollout knows as stable."""
    return set_of(app, str(app.status()["stable"]["revision"]))


def canary_set(app: App) -> str:
    """The name of the attempt's ReplicaSet; "" while there is none."""
    return set_of(app, str((app.status().get("attempt") or {}).get("revision", "")))


def asked(app: App, name: str) -> int | None:
    """The replicas for which a ReplicaSet is asked now; None when there is no such set."""
    body = app.history.get("ReplicaSet", name)
    return None if body is None else int(body["spec"]["replicas"])


def available(app: App, name: str) -> int:
    """The pods of a ReplicaSet that are available now."""
    body = app.history.get("ReplicaSet", name) or {}
    return int(body.get("status", {}).get("availableReplicas", 0))


def follows(app: App, name: str, replicas: int) -> bool:
    """A ReplicaSet is asked for so many pods and all of them are available."""
    return asked(app, name) == available(app, name) == replicas


def fewest_asked(app: App, name: str, since: float, until: float = math.inf) -> int:
    """The fewest replicas for which a ReplicaSet was asked between two moments (Unix seconds)."""
    before, within = [0], []
    for change in app.history.of("ReplicaSet", name):
        replicas = 0 if change.type == "DELETED" else int(change.body["spec"]["replicas"])
        if change.at < since:
            before.append(replicas)
        elif change.at <= until:
            within.append(replicas)
    return min([before[-1], *within])


def fewest_ready(app: App, version: str, since: float, until: float = math.inf) -> int:
    """The fewest pods of a version that were ready at once between two moments (Unix seconds)."""
    pods: dict[str, Body] = {}
    counts: list[int] = []
    for change in app.history.of("Pod"):
        if version_of(change.body) != version:
            continue
        if change.at > until:
            break
        if change.at >= since and not counts:
            counts.append(len(ready_pods(list(pods.values()))))
        pods[change.name] = change.body
        if change.type == "DELETED":
            del pods[change.name]
        if change.at >= since:
            counts.append(len(ready_pods(list(pods.values()))))
    return min(counts, default=len(ready_pods(list(pods.values()))))


def raised(app: App, since: float = 0.0, until: float = math.inf) -> list[tuple[float, int]]:
    """When the canary was given more weight than before (Unix seconds), and how much."""
    found: list[tuple[float, int]] = []
    before = 0
    for one in oracles.weights(app):
        value = one.value or 0
        if value > before and since <= one.at <= until:
            found.append((one.at, value))
        before = value
    return found


def lowered(app: App) -> list[tuple[int, int]]:
    """From what to what the canary's weight went down while a rule named the arms."""
    values = [one.value for one in oracles.weights(app)]
    return [(a, b) for a, b in pairwise(values) if a is not None and b is not None and b < a]
