"""The two arms as the metrics know them: routes, Services, pods, revisions.

Metrics tell an arm by a Service's name, a pod's name or the pod-template-hash. All of them are
known to the operator, so a series is assigned by exact comparison; nothing is guessed from the way
a name looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from leadsman.adapters.presets.shape import exactly, label_value, literal

ArmBy = Literal["Pod", "Service", "Label"]
_POD_BASE = 58


@dataclass(frozen=True, slots=True)
class ArmNames:
    """One arm: its Services, the names of its ReplicaSets and their pods, its template hash.

    Pods of a ReplicaSet are known by its name and a suffix of five characters, so new ones need no
    new subscription; `pods` are further ones by their whole name.
    """

    services: tuple[str, ...] = ()
    replica_sets: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Arms:
    """Both arms of a Rollout, and the routes that share the traffic, as (kind, name)."""

    namespace: str
    canary: ArmNames
    stable: ArmNames
    routes: tuple[tuple[str, str], ...] = ()


def names_pattern(arm: ArmNames, by: ArmBy) -> str:
    """Return the regular expression of the arm label's value, the same for RE2 and Python."""
    if by == "Service":
        return exactly(label_value(name) for name in arm.services)
    if by == "Label":
        return exactly([label_value(arm.revision)] if arm.revision else [])
    patterns = [
        literal(f"{label_value(name)}-"[:_POD_BASE]) + "[a-z0-9]{5}" for name in arm.replica_sets
    ]
    patterns += [literal(label_value(name)) for name in arm.pods]
    return "|".join(sorted(set(patterns))) or exactly([])
