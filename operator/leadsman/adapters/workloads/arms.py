"""Services: the user's own as facts, the two arms as manifests, endpoints counted.

An arm is the user's Service narrowed to one version, and nothing more: no address, no node port, no
load balancer of its own. It is ours by its owner reference; a Service of that name that somebody
else made is never touched. Where it lives longer than one change of the user's Service, it follows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from leadsman.adapters.workloads.deployment import controller
from leadsman.adapters.workloads.deployment_moves import preconditions, rollout_reference
from leadsman.adapters.workloads.managed_fields import apply_owner
from leadsman.adapters.workloads.templates import HASH_LABEL
from leadsman.core.observation import Arm, Role, Service
from leadsman.core.spec import Problem
from leadsman.ports import Body

MAX_NAME = 63
ROLLOUT_LABEL = "leadsman.dev/rollout"
ARM_LABEL = "leadsman.dev/arm"
SLICE_LABEL = "kubernetes.io/service-name"
COPIED = (
    "sessionAffinity",
    "sessionAffinityConfig",
    "internalTrafficPolicy",
    "trafficDistribution",
    "publishNotReadyAddresses",
    "ipFamilies",
    "ipFamilyPolicy",
)
FOLLOWED = tuple(key for key in COPIED if not key.startswith("ipFamil"))
"""What is copied again when it changes. Address families are not: the API server completes them by
what the cluster has, each Service at its own time, and never lets the first one change."""
_UNSET: Mapping[str, Any] = {
    "sessionAffinity": "None",
    "internalTrafficPolicy": "Cluster",
    "publishNotReadyAddresses": False,
}
"""What the API server takes a field for that a Service does not have."""
_STICKY = {"clientIP": {"timeoutSeconds": 10800}}
TRACKING = (
    "kubectl.kubernetes.io/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "config.kubernetes.io/",
    "config.k8s.io/",
    "kapp.k14s.io/",
    "objectset.rio.cattle.io/",
)
"""Annotations by which tools recognise what they applied: an arm is none of theirs."""

Operations = list[dict[str, Any]]


def arm_name(service: str, role: Role) -> str:
    """Return the arm's name: `<service>-<role>`, with a hash in place of what is too long."""
    name = f"{service}-{role.value}"
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(service.encode()).hexdigest()[:8]
    tail = f"-{digest}-{role.value}"
    return service[: MAX_NAME - len(tail)].rstrip("-.") + tail


def unsuitable(service: Body) -> Problem | None:
    """Return why a Service can have no arms, or None."""
    name, spec = service["metadata"]["name"], service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return Problem("ServiceUnsuitable", f"Service {name} is of type ExternalName")
    if not spec.get("selector"):
        return Problem("ServiceUnsuitable", f"Service {name} has no selector")
    return None


def selects(service: Body, labels: Mapping[str, str]) -> bool:
    """Whether the Service selects pods with these labels, wherever it is pinned to."""
    selector = dict((service.get("spec") or {}).get("selector") or {})
    selector.pop(HASH_LABEL, None)
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def arm_service(service: Body, role: Role, revision: str, rollout: Body, *, pinned: bool) -> Body:
    """Return the manifest of one arm; `revision` "" keeps the user's own selector.

    `pinned`: whether the user's Service meets stable pods only. Only then does the canary arm carry
    the user's labels, the stable arm never: what scrapes by Service would read each pod twice.
    """
    metadata = service["metadata"]
    labels = dict(metadata.get("labels") or {}) if pinned and role is Role.CANARY else {}
    annotations = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if not key.startswith(TRACKING)
    }
    body: Body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": arm_name(metadata["name"], role),
            "namespace": metadata["namespace"],
            "labels": labels | {ROLLOUT_LABEL: rollout["metadata"]["name"], ARM_LABEL: role.value},
            "ownerReferences": [rollout_reference(rollout)],
        },
        "spec": _arm_spec(service["spec"], revision),
    }
    if annotations:
        body["metadata"]["annotations"] = annotations
    return body


def _arm_spec(spec: Body, revision: str) -> Body:
    selector = {key: value for key, value in spec["selector"].items() if key != HASH_LABEL}
    if revision:
        selector[HASH_LABEL] = revision
    ports = [
        {key: value for key, value in port.items() if key != "nodePort"}
        for port in spec.get("ports") or []
    ]
    copied = {key: spec[key] for key in COPIED if key in spec}
    return copied | {"type": "ClusterIP", "selector": selector, "ports": ports}


def arm_changes(arm: Body, service: Body) -> Operations:
    """Return what an arm's spec lacks to be the user's Service at the arm's own revision."""
    revision = str((arm["spec"].get("selector") or {}).get(HASH_LABEL) or "")
    return spec_changes(arm["spec"], _arm_spec(service["spec"], revision))


def spec_changes(have: Body, wanted: Body) -> Operations:
    """Return the operations that make one arm's spec another's, as the API server reads both.

    What it fills in by itself is no difference: an arm that is as it should be is never written.
    """
    changes: Operations = []
    if (have.get("selector") or {}) != wanted["selector"]:
        changes.append({"op": "add", "path": "/spec/selector", "value": wanted["selector"]})
    # A headless Service may have no ports, an arm must have one: it keeps what it has.
    if wanted["ports"] and _ports(have) != _ports(wanted):
        changes.append({"op": "add", "path": "/spec/ports", "value": wanted["ports"]})
    for key in FOLLOWED:
        before, after = _read(have, key), _read(wanted, key)
        if before == after:
            continue
        if after is None and key in have:
            changes.append({"op": "remove", "path": f"/spec/{key}"})
        elif after is not None:
            changes.append({"op": "add", "path": f"/spec/{key}", "value": after})
    return changes


def _ports(spec: Body) -> list[Body]:
    """The ports with the API server's defaults; a node port is the Service's own."""
    found = []
    for port in spec.get("ports") or []:
        kept = {
            key: value
            for key, value in port.items()
            if key != "nodePort" and value not in (None, "")
        }
        kept["protocol"] = port.get("protocol") or "TCP"
        kept["targetPort"] = port.get("targetPort") or port["port"]
        found.append(kept)
    return found


def _read(spec: Body, key: str) -> Any:
    """A field as the API server reads it, None where there is none."""
    value = spec.get(key)
    if key == "sessionAffinityConfig":
        sticky = spec.get("sessionAffinity") == "ClientIP"
        return (value or _STICKY) if sticky else None
    return _UNSET.get(key) if value in (None, "") else value


def arm_patch(arm: Body, wanted: Body) -> Operations:
    """Return the patch that gives an arm its spec and makes it ours; empty when it is so."""
    changes = spec_changes(arm["spec"], wanted["spec"])
    if controller(arm) is None:
        owners = wanted["metadata"]["ownerReferences"]
        changes.append({"op": "add", "path": "/metadata/ownerReferences", "value": owners})
    if not changes:
        return []
    return [*preconditions(resource_version=arm["metadata"]["resourceVersion"]), *changes]


def let_go_patch(arm: Body, rollout_uid: str) -> Operations:
    """Return the patch that takes our reference off an arm; empty when it is not there."""
    owners = arm["metadata"].get("ownerReferences") or []
    kept = [one for one in owners if one.get("uid") != rollout_uid]
    if kept == owners:
        return []
    return [
        *preconditions(resource_version=arm["metadata"]["resourceVersion"]),
        {"op": "replace", "path": "/metadata/ownerReferences", "value": kept},
    ]


def plain_labels_patch(arm: Body, service: Body) -> Operations:
    """Return the patch that takes the user's labels off an arm; empty when it has none of them."""
    have = arm["metadata"].get("labels") or {}
    theirs = (service["metadata"].get("labels") or {}).keys() - {ROLLOUT_LABEL, ARM_LABEL}
    kept = {key: value for key, value in have.items() if key not in theirs}
    if kept == have:
        return []
    return [
        *preconditions(resource_version=arm["metadata"]["resourceVersion"]),
        {"op": "replace", "path": "/metadata/labels", "value": kept},
    ]


def is_ours(body: Body, rollout_uid: str) -> bool:
    """Whether the Rollout controls an object."""
    reference = controller(body)
    return reference is not None and reference.get("uid") == rollout_uid


def is_arm(body: Body, rollout: Body, role: Role) -> bool:
    """Whether a Service is an arm of this Rollout, or one that an earlier Rollout of its name left.

    A Rollout whose route names the arms leaves them behind when it is deleted; one that is made
    anew finds them without a controller, under its own name.
    """
    if controller(body) is not None:
        return is_ours(body, str(rollout["metadata"]["uid"]))
    labels = body["metadata"].get("labels") or {}
    return (
        labels.get(ROLLOUT_LABEL) == rollout["metadata"]["name"]
        and labels.get(ARM_LABEL) == role.value
    )


def pin_patch(service: Body, revision: str, resource_version: str) -> Operations:
    """Return the patch that pins the user's Service to a revision; empty when it is."""
    if service["spec"]["selector"].get(HASH_LABEL) == revision:
        return []
    return [
        *preconditions(resource_version=resource_version),
        {"op": "add", "path": f"/spec/selector/{HASH_LABEL}", "value": revision},
    ]


def unpin_patch(service: Body, resource_version: str) -> Operations:
    """Return the patch that removes the pin; empty when there is none."""
    if HASH_LABEL not in (service["spec"].get("selector") or {}):
        return []
    return [
        *preconditions(resource_version=resource_version),
        {"op": "remove", "path": f"/spec/selector/{HASH_LABEL}"},
    ]


def ready_endpoints(slices: Iterable[Body], service: str) -> frozenset[str]:
    """Return the names of the pods that are ready behind a Service.

    A pod is in several slices where a cluster has two address families; it counts once. An endpoint
    that is no pod counts by its address.
    """
    found: set[str] = set()
    for one in slices:
        if (one["metadata"].get("labels") or {}).get(SLICE_LABEL) != service:
            continue
        for endpoint in one.get("endpoints") or []:
            if (endpoint.get("conditions") or {}).get("ready", True) is False:
                continue
            about = endpoint.get("targetRef") or {}
            found.add(str(about.get("name") or (endpoint.get("addresses") or ["?"])[0]))
    return frozenset(found)


def service_fact(
    service: Body, ready: Iterable[str], revisions: Mapping[str, str], stable: str, canary: str
) -> Service:
    """Return the user's Service as the core sees it.

    `ready` names its ready pods, `revisions` gives the revision of each pod of the target.
    """
    counts = {"stable": 0, "canary": 0, "other": 0}
    for name in ready:
        revision = revisions.get(name, "")
        if revision and revision == stable:
            counts["stable"] += 1
        elif revision and revision == canary:
            counts["canary"] += 1
        else:
            counts["other"] += 1
    selector = (service.get("spec") or {}).get("selector") or {}
    return Service(
        name=service["metadata"]["name"],
        resource_version=str(service["metadata"].get("resourceVersion", "")),
        pinned_to=str(selector.get(HASH_LABEL) or ""),
        apply_owner=apply_owner(service, "spec", "selector"),
        ready_stable=counts["stable"],
        ready_canary=counts["canary"],
        ready_other=counts["other"],
    )


def arm_fact(arm: Body, service: str, role: Role, ready: int, *, stale: bool = False) -> Arm:
    """Return one arm as the core sees it."""
    metadata = arm["metadata"]
    return Arm(
        service=service,
        role=role,
        name=metadata["name"],
        resource_version=str(metadata.get("resourceVersion", "")),
        revision=str((arm["spec"].get("selector") or {}).get(HASH_LABEL) or ""),
        ready=ready,
        stale=stale,
    )


def all_arms(
    bodies: Mapping[tuple[str, Role], Body],
    slices: Sequence[Body],
    stale: Collection[tuple[str, Role]] = (),
) -> tuple[Arm, ...]:
    """Return the arms as the core sees them, by Service and role, their endpoints counted."""
    return tuple(
        arm_fact(
            body,
            service,
            role,
            len(ready_endpoints(slices, body["metadata"]["name"])),
            stale=(service, role) in stale,
        )
        for (service, role), body in sorted(bodies.items())
    )


def attached(policies: Sequence[Body], services: Iterable[str]) -> tuple[Problem, ...]:
    """Return a problem for each policy attached to a Service that its arms would lose."""
    names = set(services)
    return tuple(
        Problem(
            "BackendPolicyAttached",
            f"{policy.get('kind') or 'BackendTLSPolicy'} {policy['metadata']['name']} is attached"
            f" to Service {about['name']}: its arms would be reached without it",
        )
        for policy in policies
        for about in (policy.get("spec") or {}).get("targetRefs") or []
        if about.get("kind") == "Service" and about.get("name") in names
    )
