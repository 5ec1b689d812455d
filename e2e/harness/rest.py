"""At rest: the user's objects are as the user stored them, and nothing of ours is left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from e2e.harness.reading import ROUTES, ready_pods, rules_owner, version_of

if TYPE_CHECKING:
    from e2e.harness.app import App

MANAGER = "leadsman"


def unrest(app: App, *, held: bool) -> list[str]:
    """What is not as it must be at rest; [] when everything is."""
    wrong = [
        f"Rollout {body['metadata']['name']} has an attempt"
        for body in app.history.all("Rollout")
        if (body.get("status") or {}).get("attempt")
    ]
    for (kind, name), spec in app.stored.items():
        found = app.history.get(kind, name)
        if found is None:
            wrong.append(f"{kind} {name} is gone")
        elif json.dumps(found["spec"]) != spec:
            wrong.append(f"{kind} {name} differs: {json.dumps(found['spec'])} was {spec}")
        elif kind in ROUTES and rules_owner(found) == MANAGER and not _managed(app, name):
            wrong.append(f"{kind} {name}: the rules still belong to {MANAGER}")
    wrong += [
        f"ReplicaSet {body['metadata']['name']} still belongs to the Rollout"
        for body in app.history.all("ReplicaSet")
        if any(one["kind"] == "Rollout" for one in body["metadata"].get("ownerReferences", []))
    ]
    if wrong:
        return wrong
    return wrong + _arms_left(app) + _deployment_unrest(app, held)


def _managed(app: App, route: str) -> bool:
    return any(
        body["spec"]["traffic"]["gatewayAPI"].get("template", {}).get("metadata", {}).get("name")
        == route
        for body in app.history.all("Rollout")
    )


def _arms_left(app: App) -> list[str]:
    wrong = [
        f"Service {body['metadata']['name']} is left"
        for body in app.history.all("Service")
        if ("Service", body["metadata"]["name"]) not in app.stored and not app.arms_stay
    ]
    kept = app.api.list("ControllerRevision", app.namespace)
    return wrong + [f"ControllerRevision {body['metadata']['name']} is left" for body in kept]


def _deployment_unrest(app: App, held: bool) -> list[str]:
    wrong: list[str] = []
    for body in app.history.all("Deployment"):
        name = body["metadata"]["name"]
        paused = bool(body["spec"].get("paused"))
        if paused != held:
            wrong.append(f"Deployment {name} is {'paused' if paused else 'not paused'}")
        replicas = int(body["spec"]["replicas"])
        pods = [pod for pod in app.pods() if pod["metadata"]["labels"].get("app") == name]
        if len(pods) != replicas or len(ready_pods(pods)) != replicas:
            wrong.append(f"{len(ready_pods(pods))} of {replicas} pods ready, {len(pods)} there")
        if len({version_of(pod) for pod in pods}) > 1:
            wrong.append(f"several versions run: {sorted(version_of(pod) for pod in pods)}")
    return wrong
