"""Reading objects as a release changes them: conditions, weights, versions, lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from e2e.harness.api import Body

ROUTES = ("HTTPRoute", "GRPCRoute")


def tell(kind: str, body: Body) -> str:
    """One object in one line, as far as a release changes it."""
    match kind:
        case "Rollout":
            return tell_rollout(body)
        case "HTTPRoute" | "GRPCRoute":
            return tell_route(body)
        case "Service":
            selector = body["spec"].get("selector") or {}
            return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        case "Deployment":
            spec, status = body["spec"], body.get("status", {})
            paused = " paused" if spec.get("paused") else ""
            return (
                f"{spec.get('replicas')} wanted, {status.get('updatedReplicas', 0)} updated,"
                f" {status.get('availableReplicas', 0)} available{paused}"
            )
        case "ReplicaSet":
            owner = ",".join(
                f"{one['kind']}" for one in body["metadata"].get("ownerReferences", [])
            )
            status = body.get("status", {})
            return (
                f"{body['spec'].get('replicas')} wanted,"
                f" {status.get('availableReplicas', 0)} available, of {owner or 'nobody'}"
            )
        case "Pod":
            going = " terminating" if body["metadata"].get("deletionTimestamp") else ""
            ready = "ready" if pod_ready(body) else "not ready"
            return f"{body['metadata'].get('labels', {}).get('pod-template-hash')} {ready}{going}"
    return ""


def tell_route(body: Body) -> str:
    """The backends of each rule with their weights, and who wrote the rules last."""
    rules = []
    for rule in body["spec"].get("rules", []):
        refs = rule.get("backendRefs", [])
        rules.append("+".join(f"{ref['name']}:{ref.get('weight', 1)}" for ref in refs))
    return f"{' | '.join(rules)}  by {rules_owner(body)}"


def rules_owner(body: Body) -> str:
    """The field manager that owns the route's rules; "" when nobody does."""
    owner = ""
    for entry in body["metadata"].get("managedFields", []):
        if "f:rules" in entry.get("fieldsV1", {}).get("f:spec", {}):
            owner = entry["manager"]
    return owner


def tell_rollout(body: Body) -> str:
    """Conditions, stage, weight and direction of a Rollout."""
    status = body.get("status", {})
    ready = condition(body, "Ready")
    attempt = status.get("attempt")
    text = f"Ready={ready.get('status')}/{ready.get('reason')}: {ready.get('message')}"
    if attempt:
        stage = attempt.get("stage", {})
        text += (
            f" [{attempt.get('revision')} {attempt.get('direction', {}).get('name')}"
            f" stage {stage.get('name')} weight {attempt.get('weight')}]"
        )
    if body["metadata"].get("deletionTimestamp"):
        text += " (being deleted)"
    return text


def condition(body: Body | None, kind: str) -> dict[str, Any]:
    """One condition of an object; {} when it has none of that type."""
    for one in ((body or {}).get("status") or {}).get("conditions") or []:
        if one["type"] == kind:
            found: dict[str, Any] = one
            return found
    return {}


def pod_ready(body: Body) -> bool:
    """Whether a pod's Ready condition is True."""
    return condition(body, "Ready").get("status") == "True"


def version_of(pod: Body) -> str:
    """The VERSION that a pod of the demo app was given."""
    for container in pod["spec"]["containers"]:
        for variable in container.get("env", []):
            if variable["name"] == "VERSION":
                return str(variable["value"])
    return ""


def canary_weight(rule: Mapping[str, Any], service: str) -> int | None:
    """The weight of a rule's canary arm; None when the rule does not name it."""
    for ref in rule.get("backendRefs", []):
        if ref["name"] == f"{service}-canary":
            return int(ref.get("weight", 1))
    return None


def ready_pods(pods: Sequence[Body]) -> list[Body]:
    """Those that are ready and not being deleted."""
    return [pod for pod in pods if pod_ready(pod) and not pod["metadata"].get("deletionTimestamp")]
