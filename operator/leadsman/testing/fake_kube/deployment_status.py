"""A Deployment's status: counts, Available, and Progressing with its deadline.

The rules for when a condition's times move are those of Kubernetes, since tools (and this
operator) tell a stuck Deployment from a slow one by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leadsman.ports import Body
from leadsman.testing.fake_kube.scaling import available, max_unavailable, size
from leadsman.testing.fake_kube.server import condition
from leadsman.testing.fake_kube.trees import dig, stamp, unstamp

_NO_DEADLINE = (None, 2**31 - 1)


def progressing_condition(obj: Body) -> Body | None:
    """The Progressing condition of a Deployment."""
    return condition(obj, "Progressing")


def complete(deployment: Body, status: Body) -> bool:
    """Whether all replicas are updated and available, and no others are left."""
    replicas = deployment["spec"]["replicas"]
    return bool(
        (status.get("updatedReplicas") or 0) == replicas
        and (status.get("replicas") or 0) == replicas
        and (status.get("availableReplicas") or 0) == replicas
        and (status.get("observedGeneration") or 0) >= deployment["metadata"]["generation"]
    )


def _drop(status: Body, kind: str) -> Body:
    items = status.get("conditions") or []
    kept = [item for item in items if item["type"] != kind]
    return status if len(kept) == len(items) else {**status, "conditions": kept}


def _set(status: Body, item: Body) -> Body:
    """Replace a condition unless status and reason are the same as before."""
    for known in status.get("conditions") or []:
        if known["type"] == item["type"] and known["status"] == item["status"]:
            if known["reason"] == item["reason"]:
                return status
            item = {**item, "lastTransitionTime": known["lastTransitionTime"]}
    kept = _drop(status, item["type"]).get("conditions") or []
    return {**status, "conditions": [*kept, item]}


def _condition(kind: str, value: str, reason: str, message: str, now: float) -> Body:
    return {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": message,
        "lastUpdateTime": stamp(now),
        "lastTransitionTime": stamp(now),
    }


def progress(status: Body, value: str, reason: str, message: str, now: float) -> Body:
    """The status with a Progressing condition."""
    return _set(status, _condition("Progressing", value, reason, message, now))


def paused_conditions(deployment: Body, now: float) -> Body | None:
    """The status after a pause or a resume, None when there is nothing to say."""
    known = progressing_condition(deployment)
    if deployment["spec"].get("progressDeadlineSeconds") in _NO_DEADLINE:
        return None
    if known is not None and known["reason"] == "ProgressDeadlineExceeded":
        return None
    said = known is not None and known["reason"] == "DeploymentPaused"
    paused = bool(deployment["spec"].get("paused"))
    if paused == said:
        return None
    status = deployment.get("status") or {}
    if paused:
        return progress(status, "Unknown", "DeploymentPaused", "Deployment is paused", now)
    return progress(status, "Unknown", "DeploymentResumed", "Deployment is resumed", now)


def _sum(sets: Iterable[Body], key: str) -> int:
    return sum(dig(obj, "status", key) or 0 for obj in sets)


def calculate(deployment: Body, new: Body | None, old: Sequence[Body], now: float) -> Body:
    """Counts and the Available condition from the sets' reported status."""
    sets = [*old, *([new] if new is not None else [])]
    ready = sum(available(obj) for obj in sets)
    total = sum(size(obj) for obj in sets)
    before = deployment.get("status") or {}
    status: Body = {"observedGeneration": deployment["metadata"]["generation"]}
    for key, value in (
        ("replicas", _sum(sets, "replicas")),
        ("updatedReplicas", (dig(new, "status", "replicas") or 0) if new is not None else 0),
        ("readyReplicas", _sum(sets, "readyReplicas")),
        ("availableReplicas", ready),
        ("unavailableReplicas", max(0, total - ready)),
        ("collisionCount", before.get("collisionCount") or 0),
    ):
        if value:
            status[key] = value
    status["terminatingReplicas"] = _sum(sets, "terminatingReplicas")
    if before.get("conditions"):
        status["conditions"] = before["conditions"]
    if ready >= deployment["spec"]["replicas"] - max_unavailable(deployment):
        told = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        told = (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    return _set(status, _condition("Available", *told, now))


def rolled(
    deployment: Body, new: Body | None, old: Sequence[Body], now: float
) -> tuple[Body, float | None]:
    """The status during a rollout, and in how many seconds its deadline must be looked at."""
    status = calculate(deployment, new, old, now)
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    known = progressing_condition(deployment)
    if deadline in _NO_DEADLINE:
        status = _drop(status, "Progressing")
    elif not (
        known is not None
        and known["reason"] == "NewReplicaSetAvailable"
        and (status.get("replicas") or 0) == (status.get("updatedReplicas") or 0)
    ):
        status = _estimated(deployment, new, status, known, now)
    status = _failures(status, new, old)
    if status != deployment.get("status") or deadline in _NO_DEADLINE or known is None:
        return status, None
    if complete(deployment, status) or known["reason"] == "ProgressDeadlineExceeded":
        return status, None
    left = unstamp(known["lastUpdateTime"]) + float(deadline) - now
    return status, max(left, 0.0) + 1.0


def _estimated(
    deployment: Body, new: Body | None, status: Body, known: Body | None, now: float
) -> Body:
    subject = f'ReplicaSet "{new["metadata"]["name"]}"' if new is not None else "Deployment"
    if complete(deployment, status):
        told = f"{subject} has successfully progressed."
        return progress(status, "True", "NewReplicaSetAvailable", told, now)
    if _moved(deployment.get("status") or {}, status):
        told = f"{subject} is progressing."
        item = _condition("Progressing", "True", "ReplicaSetUpdated", told, now)
        if known is not None and known["status"] == "True":
            item["lastTransitionTime"] = known["lastTransitionTime"]
        return _set(_drop(status, "Progressing"), item)
    if known is not None and _late(deployment, known, now):
        told = f"{subject} has timed out progressing."
        return progress(status, "False", "ProgressDeadlineExceeded", told, now)
    return status


def _moved(before: Body, after: Body) -> bool:
    def count(status: Body, key: str) -> int:
        return status.get(key) or 0

    def others(status: Body) -> int:
        return count(status, "replicas") - count(status, "updatedReplicas")

    return (
        count(after, "updatedReplicas") > count(before, "updatedReplicas")
        or others(after) < others(before)
        or count(after, "readyReplicas") > count(before, "readyReplicas")
        or count(after, "availableReplicas") > count(before, "availableReplicas")
    )


def _late(deployment: Body, known: Body, now: float) -> bool:
    if known["reason"] == "NewReplicaSetAvailable":
        return False
    if known["reason"] == "ProgressDeadlineExceeded":
        return True
    deadline = deployment["spec"]["progressDeadlineSeconds"]
    return unstamp(known["lastUpdateTime"]) + float(deadline) < now


def _failures(status: Body, new: Body | None, old: Sequence[Body]) -> Body:
    for obj in [*([new] if new is not None else []), *old]:
        found = condition(obj, "ReplicaFailure")
        if found is not None:
            return _set(status, {**found, "lastUpdateTime": found["lastTransitionTime"]})
    return _drop(status, "ReplicaFailure")
