"""How many replicas each ReplicaSet of a Deployment gets when it is scaled or paused.

One active set simply follows the Deployment. A saturated new set empties all others. Otherwise
what is to be added or removed is shared in proportion to the sizes, counted from the size that the
Deployment had when each set was last sized (its annotations), leftovers to the first set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from leadsman.ports import Body
from leadsman.testing.fake_kube.trees import dig

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


def size(obj: Body) -> int:
    """`spec.replicas`."""
    replicas: int = obj["spec"]["replicas"]
    return replicas


def available(obj: Body) -> int:
    """`status.availableReplicas`, 0 when not reported."""
    return dig(obj, "status", "availableReplicas") or 0


def active(sets: Iterable[Body | None]) -> list[Body]:
    """Sets that ask for at least one pod."""
    return [obj for obj in sets if obj is not None and size(obj) > 0]


def _annotation(obj: Body, key: str) -> int | None:
    text = (obj["metadata"].get("annotations") or {}).get(key)
    return int(text) if text is not None and text.isdigit() and int(text) < 2**31 else None


def desired_of(obj: Body) -> int | None:
    """The Deployment size for which the set was last sized."""
    return _annotation(obj, DESIRED)


def _scaled(value: Any, total: int, *, up: bool) -> int:
    if isinstance(value, str):
        share = int(value.rstrip("%")) * total
        return -(-share // 100) if up else share // 100
    return int(value or 0)


def _fences(deployment: Body) -> tuple[int, int]:
    spec = deployment["spec"]
    rolling = spec["strategy"].get("rollingUpdate") or {}
    surge = _scaled(rolling.get("maxSurge"), spec["replicas"], up=True)
    unavailable = _scaled(rolling.get("maxUnavailable"), spec["replicas"], up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, unavailable


def is_rolling(deployment: Body) -> bool:
    """Whether the strategy is RollingUpdate."""
    return bool(deployment["spec"]["strategy"]["type"] == "RollingUpdate")


def max_surge(deployment: Body) -> int:
    """Pods allowed above `spec.replicas`."""
    return _fences(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Body) -> int:
    """Pods that may be missing from `spec.replicas`."""
    replicas: int = deployment["spec"]["replicas"]
    if not is_rolling(deployment) or replicas == 0:
        return 0
    return min(replicas, _fences(deployment)[1])


def saturated(deployment: Body, new: Body | None) -> bool:
    """Whether the new set holds all replicas, available, and knows the Deployment's size."""
    replicas = deployment["spec"]["replicas"]
    return (
        new is not None
        and size(new) == replicas
        and desired_of(new) == replicas
        and available(new) == replicas
    )


def _age(obj: Body) -> tuple[str, str]:
    return obj["metadata"]["creationTimestamp"], obj["metadata"]["name"]


def _active_or_latest(new: Body | None, old: Sequence[Body]) -> Body | None:
    running = active([*old, new])
    if len(running) == 1:
        return running[0]
    if running:
        return None
    return new or max(old, key=_age, default=None)


def plan_scale(
    deployment: Body, new: Body | None, old: Sequence[Body]
) -> list[tuple[Body, int, bool]]:
    """The sizes to set, in order: (set, replicas, whether annotations are set in any case)."""
    replicas = deployment["spec"]["replicas"]
    only = _active_or_latest(new, old)
    if only is not None:
        return [(only, replicas, False)]
    if saturated(deployment, new):
        return [(obj, 0, False) for obj in active(old)]
    if is_rolling(deployment):
        return [(obj, count, True) for obj, count in _proportional(deployment, [*old, new])]
    return []


def _proportional(deployment: Body, sets: Iterable[Body | None]) -> list[tuple[Body, int]]:
    replicas = deployment["spec"]["replicas"]
    running = active(sets)
    allowed = replicas + max_surge(deployment) if replicas > 0 else 0
    to_add = allowed - sum(size(obj) for obj in running)
    # Larger sets first; among equals the newer first when growing, the older when shrinking.
    if to_add > 0:
        running.sort(key=_age, reverse=True)
    elif to_add < 0:
        running.sort(key=_age)
    if to_add != 0:
        running.sort(key=size, reverse=True)
    added = 0
    sizes: list[tuple[Body, int]] = []
    for obj in running:
        share = 0
        if to_add not in (0, added):
            fraction = _fraction(deployment, obj)
            left = to_add - added
            share = min(fraction, left) if to_add > 0 else max(fraction, left)
        added += share
        sizes.append((obj, size(obj) + share))
    if sizes and to_add != 0:
        first, count = sizes[0]
        sizes[0] = (first, max(0, count + to_add - added))
    return sizes


def _fraction(deployment: Body, obj: Body) -> int:
    replicas = deployment["spec"]["replicas"]
    if replicas == 0:
        return -size(obj)
    before = _annotation(obj, MAXIMUM) or dig(deployment, "status", "replicas") or 0
    if before == 0:
        return 0
    wanted = size(obj) * (replicas + max_surge(deployment)) / before
    return int(wanted + 0.5) - size(obj)
