"""The objects behind one observation, for the executor to build its patches on.

A patch is made from the very object that the decision was made from: its precondition then says
"only if it is still so", which is what keeps a decision from being carried out on another world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from leadsman.adapters.workloads.arms import arm_name
from leadsman.core.observation import Observation, Role
from leadsman.ports import ArmNames, Body, Ref
from leadsman.runtime.differing import Differing


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen, and the stored objects that it was seen in.

    `sets` and `services` are by name, `arms` by Service and role, `routes` by kind and name; `read`
    is every object that was asked for by its name, None where it is not there; `differing` is told
    how an arm was stored.
    """

    seen: Observation
    rollout: Body
    deployment: Body | None = None
    sets: Mapping[str, Body] = field(default_factory=dict)
    services: Mapping[str, Body] = field(default_factory=dict)
    arms: Mapping[tuple[str, Role], Body] = field(default_factory=dict)
    routes: Mapping[tuple[str, str], Body] = field(default_factory=dict)
    read: Mapping[Ref, Body | None] = field(default_factory=dict)
    differing: Differing = field(default_factory=Differing)


def arm_names(services: tuple[str, ...]) -> dict[str, ArmNames]:
    """Return the names of both arms of each Service."""
    return {
        name: ArmNames(arm_name(name, Role.STABLE), arm_name(name, Role.CANARY))
        for name in services
    }
