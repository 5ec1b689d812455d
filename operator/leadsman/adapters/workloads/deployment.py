"""A Deployment, read: the target, its ReplicaSets and their pods as facts for the core.

Everything comes from stored objects; nothing is judged. A pod's fault is told apart by whose it is:
containers that exit, run out of memory or crash in a loop are the version's own doing, an eviction
or a drain is not, whatever exit code it leaves behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from leadsman.adapters.workloads.moments import parse_time
from leadsman.adapters.workloads.templates import HASH_LABEL, same_template, template_hash
from leadsman.core.observation import Fault, Owner, Pod, ReplicaSet, Target
from leadsman.ports import Body

IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
VERSION_LABEL = "app.kubernetes.io/version"
MAX_VERSION = 63
REFUSALS = (" is forbidden: ", " is invalid: ")
FAILURE = 256
"""Characters of why pods cannot be made that people get to read."""


def number(value: object, default: int = 0) -> int:
    """Return an integer field, `default` when it is absent or something else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def controller(body: Mapping[str, Any]) -> Body | None:
    """Return the controller reference of an object, if it has one."""
    for reference in (body.get("metadata") or {}).get("ownerReferences") or []:
        if reference.get("controller") is True:
            return dict(reference)
    return None


def selector_text(selector: Mapping[str, Any]) -> str:
    """Return a label selector (matchLabels, matchExpressions) in the API's query syntax."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for entry in selector.get("matchExpressions") or []:
        key, values = entry.get("key"), ",".join(sorted(entry.get("values") or []))
        match entry.get("operator"):
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(f"{key}")
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts)


def target(deployment: Body) -> Target:
    """Return the Deployment as the core sees it."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    return Target(
        name=metadata["name"],
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
        replicas=number(spec.get("replicas"), 1),
        paused=spec.get("paused") is True,
        template=template_hash(spec["template"]),
        complete=complete(deployment),
        recreate=(spec.get("strategy") or {}).get("type") == "Recreate",
        deleting="deletionTimestamp" in metadata,
        version=version(spec["template"]),
    )


def complete(deployment: Body) -> bool:
    """Whether the Deployment is rolled out, as `kubectl rollout status` says it."""
    status = deployment.get("status") or {}
    if number(status.get("observedGeneration")) < number(deployment["metadata"].get("generation")):
        return False
    wanted = number(deployment["spec"].get("replicas"), 1)
    updated = number(status.get("updatedReplicas"))
    return (
        updated == wanted
        and number(status.get("replicas")) == updated
        and number(status.get("availableReplicas")) == updated
    )


def version(template: Mapping[str, Any]) -> str:
    """Return how people call a template's version: the well-known label, or the image's tag."""
    labels = (template.get("metadata") or {}).get("labels") or {}
    if labels.get(VERSION_LABEL):
        return str(labels[VERSION_LABEL])[:MAX_VERSION]
    containers = (template.get("spec") or {}).get("containers") or [{}]
    image = str(containers[0].get("image") or "")
    name, _, digest = image.partition("@")
    tag = name.rsplit("/", 1)[-1].partition(":")[2]
    if tag:
        return tag[:MAX_VERSION]
    return digest.rpartition(":")[2][:12] if digest else ""


def owner_of(body: Body, deployment_uid: str, rollout_uid: str) -> Owner:
    """Return who controls a ReplicaSet."""
    reference = controller(body)
    if reference is None:
        return Owner.NONE
    if deployment_uid and reference.get("uid") == deployment_uid:
        return Owner.DEPLOYMENT
    return Owner.ROLLOUT if reference.get("uid") == rollout_uid else Owner.OTHER


def replica_sets(
    bodies: Iterable[Body], deployment: Body | None, rollout_uid: str
) -> tuple[ReplicaSet, ...]:
    """Return the ReplicaSets of the target's selector, oldest first."""
    uid = "" if deployment is None else str(deployment["metadata"].get("uid", ""))
    present = None if deployment is None else deployment["spec"]["template"]
    found = [_replica_set(body, uid, rollout_uid, present) for body in bodies]
    return tuple(sorted(found, key=lambda one: (one.created_at, one.name)))


def _replica_set(
    body: Body, deployment_uid: str, rollout_uid: str, present: Mapping[str, Any] | None
) -> ReplicaSet:
    metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    template = spec.get("template") or {}
    matches = present is not None and same_template(template, present)
    return ReplicaSet(
        name=metadata["name"],
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
        revision=str((metadata.get("labels") or {}).get(HASH_LABEL) or ""),
        template=template_hash(template),
        replicas=number(spec.get("replicas"), 1),
        ready=number(status.get("readyReplicas")),
        available=number(status.get("availableReplicas")),
        owner=owner_of(body, deployment_uid, rollout_uid),
        matches=matches,
        created_at=parse_time(metadata.get("creationTimestamp")) or 0.0,
        deleting="deletionTimestamp" in metadata,
        observed=number(status.get("observedGeneration")) >= number(metadata.get("generation")),
        failure=_failure(status),
    )


def _failure(status: Mapping[str, Any]) -> str:
    """Why the set's pods cannot be made: a quota, an admission policy, a wrong template.

    Without the name of the pod, which is another one with each try and would be news each time.
    """
    for condition in status.get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            message = str(condition.get("message") or condition.get("reason") or "")
            for verb in REFUSALS:
                message = message.partition(verb)[2] or message
            return message[:FAILURE]
    return ""


def pods(bodies: Iterable[Body], sets: Sequence[ReplicaSet], revision: str = "") -> tuple[Pod, ...]:
    """Return the pods that the ReplicaSets control, by name; those of others are left out.

    `revision` is the attempt's: its pods count as long as they are there, also when their set has
    been deleted and the garbage collector has not come to them yet.
    """
    ours = {one.uid for one in sets}
    found = []
    for body in bodies:
        reference = controller(body)
        if reference is None:
            continue
        hashed = (body["metadata"].get("labels") or {}).get(HASH_LABEL)
        if reference.get("uid") in ours or (revision and hashed == revision):
            found.append(pod(body))
    return tuple(sorted(found, key=lambda one: one.name))


def pod(body: Body) -> Pod:
    """Return one pod as the core sees it."""
    metadata = body["metadata"]
    deleting = "deletionTimestamp" in metadata
    ready = _condition(body, "Ready") == "True"
    return Pod(
        name=metadata["name"],
        revision=str((metadata.get("labels") or {}).get(HASH_LABEL) or ""),
        ready=ready and not deleting,
        deleting=deleting,
        fault=fault(body),
        restarted_at=restarted_at(body),
    )


def _condition(body: Body, kind: str) -> str:
    for condition in (body.get("status") or {}).get("conditions") or []:
        if condition.get("type") == kind:
            return str(condition.get("status"))
    return ""


def fault(body: Body) -> Fault:
    """Return why a pod is not well, or NONE.

    A container's last exit counts as well as its present state: it is started again so quickly that
    the exit itself is seldom seen. The exit that a deletion or an eviction brings is no fault.
    """
    status = body.get("status") or {}
    if _condition(body, "DisruptionTarget") == "True":
        return Fault.EVICTED
    if status.get("phase") == "Failed" and status.get("reason"):
        return Fault.EVICTED
    if "deletionTimestamp" in body["metadata"]:
        return Fault.NONE
    containers = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    found = {_container_fault(one) for one in containers}
    for worst in (Fault.CRASH_LOOP, Fault.OUT_OF_MEMORY, Fault.EXITED, Fault.IMAGE):
        if worst in found:
            return worst
    return Fault.NONE


def restarted_at(body: Body) -> float | None:
    """Return when a container of a pod was last started again, Unix seconds; None if none was.

    Between an exit and the next start it is the time of the exit.
    """
    moments = []
    for one in (body.get("status") or {}).get("containerStatuses") or []:
        if number(one.get("restartCount")) == 0:
            continue
        state, last = one.get("state") or {}, one.get("lastState") or {}
        ended = state.get("terminated") or last.get("terminated") or {}
        running = state.get("running") or {}
        at = parse_time(running.get("startedAt") or ended.get("finishedAt"))
        if at is not None:
            moments.append(at)
    return max(moments, default=None)


def _container_fault(container: Mapping[str, Any]) -> Fault:
    state, last = container.get("state") or {}, container.get("lastState") or {}
    waiting = (state.get("waiting") or {}).get("reason")
    if waiting == "CrashLoopBackOff":
        return Fault.CRASH_LOOP
    for exited in (state.get("terminated") or {}, last.get("terminated") or {}):
        if exited.get("reason") == "OOMKilled":
            return Fault.OUT_OF_MEMORY
        if number(exited.get("exitCode")) != 0:
            return Fault.EXITED
    return Fault.IMAGE if waiting in IMAGE_REASONS else Fault.NONE
