"""One step of a rolling update: how far the new set may grow and the old ones may shrink.

Sizes come from the specs, availability from the sets' last reported status, exactly as the real
controller sees them; that a status may lag behind is part of the behaviour.
"""

from __future__ import annotations

from collections.abc import Sequence

from leadsman.ports import Body
from leadsman.testing.fake_kube.scaling import (
    active,
    available,
    max_surge,
    max_unavailable,
    size,
)


def new_size(deployment: Body, sets: Sequence[Body], new: Body) -> int:
    """The size that the new set should have now. `sets` are all, the new one included."""
    replicas: int = deployment["spec"]["replicas"]
    if deployment["spec"]["strategy"]["type"] == "Recreate" or size(new) >= replicas:
        return replicas
    room = replicas + max_surge(deployment) - sum(size(obj) for obj in sets)
    if room <= 0:
        return size(new)
    return size(new) + min(room, replicas - size(new))


def shrink_old(deployment: Body, new: Body, old: Sequence[Body]) -> list[tuple[Body, int]]:
    """The smaller sizes of old sets: unhealthy pods first, then as many as availability allows."""
    running = sorted(
        active(old),
        key=lambda obj: (obj["metadata"]["creationTimestamp"], obj["metadata"]["name"]),
    )
    if not running:
        return []
    minimum = deployment["spec"]["replicas"] - max_unavailable(deployment)
    pods = sum(size(obj) for obj in [*old, new])
    budget = pods - minimum - (size(new) - available(new))
    if budget <= 0:
        return []
    sizes = [size(obj) for obj in running]
    cleaned = 0
    for at, obj in enumerate(running):
        if cleaned >= budget:
            break
        count = min(budget - cleaned, size(obj) - available(obj))
        if size(obj) != available(obj):
            # A status that still counts pods of a larger size makes this negative: no clean-up.
            if count < 0:
                return []
            sizes[at] -= count
            cleaned += count
    spare = sum(available(obj) for obj in [*running, new]) - minimum
    for at, count in enumerate(sizes):
        if spare <= 0:
            break
        taken = min(count, spare)
        sizes[at] -= taken
        spare -= taken
    return [(obj, count) for obj, count in zip(running, sizes, strict=True) if count != size(obj)]
