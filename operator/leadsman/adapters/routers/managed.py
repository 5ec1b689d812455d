"""Managed routes: the route that a Rollout carries as a template and the operator owns.

There is nothing for a GitOps tool to fight over: the user's manifests hold the template, not the
route. The route has no owner reference, because deleting the Rollout must not take the route (and
with it the users' way in) along; a label says whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leadsman.adapters.routers.gateway_api import GATEWAY_GROUP
from leadsman.adapters.workloads.arms import ROLLOUT_LABEL
from leadsman.core.spec import Problem
from leadsman.ports import Body

MISSING, CHANGED = "missing", "changed"
ADDED = frozenset({"hostnames", "filters", "timeouts", "retry", "sessionPersistence"})
"""Fields of a route and its rules that no API server fills in: who adds one changes the route."""


def manifest(rollout: Body) -> Body | None:
    """Return the route that the Rollout carries, None where it names routes of the user's."""
    traffic = ((rollout.get("spec") or {}).get("traffic") or {}).get("gatewayAPI") or {}
    template = traffic.get("template")
    if not template:
        return None
    about = template.get("metadata") or {}
    metadata: Body = {
        "name": about.get("name", ""),
        "namespace": rollout["metadata"]["namespace"],
        "labels": {**(about.get("labels") or {}), ROLLOUT_LABEL: rollout["metadata"]["name"]},
    }
    if about.get("annotations"):
        metadata["annotations"] = dict(about["annotations"])
    return {
        "apiVersion": f"{GATEWAY_GROUP}/v1",
        "kind": template.get("kind") or "HTTPRoute",
        "metadata": metadata,
        "spec": template.get("spec") or {},
    }


def drift(route: Body | None, wanted: Body) -> tuple[str, Problem | None]:
    """Return how a route differs from its template at rest: "" | "missing" | "changed".

    A route of that name that somebody else made is a Problem, unless it says the same already.
    """
    if route is None:
        return MISSING, None
    same = says(route.get("spec"), wanted["spec"])
    ours = (route["metadata"].get("labels") or {}).get(ROLLOUT_LABEL)
    if ours != wanted["metadata"]["labels"][ROLLOUT_LABEL] and not same:
        return "", Problem(
            "Conflicted",
            f"{wanted['kind']} {wanted['metadata']['name']} exists, says something else than"
            " spec.traffic.gatewayAPI.template, and was not made by this Rollout: delete it, or"
            " name it in routeRefs instead",
        )
    whole = same and all(
        covers(route["metadata"].get(part), wanted["metadata"].get(part))
        for part in ("labels", "annotations")
    )
    return ("" if whole else CHANGED), None


def says(spec: Any, wanted: Mapping[str, Any]) -> bool:
    """Whether a stored route says what its template does, and nothing that somebody added."""
    if not covers(spec, wanted):
        return False
    # Equally long, or the one would not cover the other.
    rules = zip(spec.get("rules") or [], wanted.get("rules") or [], strict=False)
    return not any(
        ADDED & (stored.keys() - template.keys())
        for stored, template in [(spec, wanted), *rules]
        if isinstance(template, Mapping)
    )


def covers(stored: Any, wanted: Any) -> bool:
    """Whether a stored tree says everything that is wanted; the API server adds defaults."""
    if wanted is None:
        return True
    if isinstance(wanted, Mapping):
        return isinstance(stored, Mapping) and all(
            key in stored and covers(stored[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(stored, list)
            and len(stored) == len(wanted)
            and all(covers(one, other) for one, other in zip(stored, wanted, strict=True))
        )
    return bool(stored == wanted)


def keep_patch(route: Body, wanted: Body) -> list[dict[str, Any]]:
    """Return the patch that brings a managed route back to its template; empty when it is so."""
    if drift(route, wanted)[0] != CHANGED:
        return []
    version = route["metadata"]["resourceVersion"]
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version}
    ]
    if not says(route.get("spec"), wanted["spec"]):
        patch.append({"op": "replace", "path": "/spec", "value": wanted["spec"]})
    for part in ("labels", "annotations"):
        asked = wanted["metadata"].get(part)
        if not covers(route["metadata"].get(part), asked):
            value = {**(route["metadata"].get(part) or {}), **asked}
            patch.append({"op": "add", "path": f"/metadata/{part}", "value": value})
    return patch
