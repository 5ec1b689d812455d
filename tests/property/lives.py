"""Lives of a Rollout that are lived again and again, each time with the operator killed elsewhere.

A life is a story in one of the ways in which a team can have its releases. Each ends at rest, or
with the Rollout gone.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from leadsman.testing.fake_kube.faults import Write

from .cluster import Lab
from .manifests import LRO, ROUTE, ROUTE_MANIFEST, rollout

Story = Callable[[Lab], Awaitable[None]]


@dataclass(frozen=True)
class Way:
    """How a team has its releases: policies of the cluster, the Rollout's spec, the user's rule."""

    policies: str | None = "hold+freeze"
    spec: Mapping[str, Any] = field(default_factory=dict)
    own_arms: bool = False

    def lab(self) -> Lab:
        """A cluster in which a Rollout is about to be adopted."""
        lab = Lab(policies=self.policies, **self.spec)
        if self.own_arms:
            lab.kube.user_apply(OWN_ARMS)
            lab.route_at_rest = lab.rules()
        return lab


def _own_arms() -> dict[str, Any]:
    body = copy.deepcopy(ROUTE_MANIFEST)
    body["spec"]["rules"][0]["backendRefs"] = [
        {"name": "shop-stable", "port": 80, "weight": 100},
        {"name": "shop-canary", "port": 80, "weight": 0},
    ]
    return body


OWN_ARMS = _own_arms()
"""Weights only: the user's rule names both arms itself."""

_PLAN = rollout()["spec"]["plan"]
_ROLLING = {**_PLAN, "stages": _PLAN["stages"][:1], "promotion": "RollingUpdate"}

WAYS = {
    "adopted": Way(),
    "unheld": Way(policies=""),
    "unfrozen": Way(policies="hold"),
    "paused": Way(policies=None, spec={"hold": "Paused"}),
    "weights-only": Way(spec={"serviceRefs": [{"name": "shop"}]}, own_arms=True),
    "rolling-update": Way(spec={"plan": _ROLLING}),
    "shared": Way(spec={"inCluster": "Shared"}),
}


async def until(lab: Lab, met: Callable[[], object]) -> None:
    """Run until it is so, a minute at most."""
    for _ in range(240):
        if met():
            return
        await lab.run(0.25)
    raise AssertionError("it never came to that")


def at_the_release(lab: Lab, happens: Callable[[], object]) -> None:
    """Let something happen right before the set is released to the Deployment, once."""
    kills, done = lab.kube.faults.before_write, []

    def hook(write: Write) -> None:
        if not done and "desired-replicas" in str(write.body):
            done.append(write.number)
            happens()
        if kills is not None:
            kills(write)

    lab.kube.faults.before_write = hook


async def in_the_first_stage(lab: Lab, version: str) -> None:
    """A release that has the first stage's weight."""
    lab.release(version)
    await until(lab, lambda: lab.weight() == 25)


async def gone(lab: Lab) -> None:
    """Run until a deleted Rollout has given everything back, or should have."""
    await lab.run(60)


async def promotion(lab: Lab) -> None:
    """A good release to its end."""
    lab.release("v2")
    await lab.until_rest()


async def rollback(lab: Lab) -> None:
    """A bad release to its end."""
    lab.metrics.bad = {"v2"}
    lab.release("v2")
    await lab.until_rest()


async def deletion(lab: Lab) -> None:
    """The Rollout deleted in the first stage."""
    await in_the_first_stage(lab, "v2")
    lab.kube.user_delete(LRO)
    await gone(lab)


async def early_deletion(lab: Lab) -> None:
    """The Rollout deleted when the attempt has just begun."""
    lab.release("v2")
    await lab.run(0.3)
    lab.kube.user_delete(LRO)
    await gone(lab)


async def refused_deletion(lab: Lab) -> None:
    """The Rollout deleted while it holds a refused version back."""
    await rollback(lab)
    lab.kube.user_delete(LRO)
    await gone(lab)


async def return_to_old(lab: Lab) -> None:
    """v2, and back to v1 by taking its set over."""
    await promotion(lab)
    lab.release("v1")
    await lab.until_rest()


async def old_one_bad(lab: Lab) -> None:
    """v2, and back to v1, which fails now: its set is given back."""
    await promotion(lab)
    lab.metrics.bad = {"v1"}
    lab.release("v1")
    await lab.until_rest()


async def superseded(lab: Lab) -> None:
    """A newer version in the first stage."""
    await in_the_first_stage(lab, "v2")
    lab.release("v3")
    await lab.until_rest()


async def reverted(lab: Lab) -> None:
    """The old version again in the first stage."""
    await in_the_first_stage(lab, "v2")
    lab.release("v1")
    await lab.until_rest()


async def refused_then_new(lab: Lab) -> None:
    """A bad version, and the next one."""
    await rollback(lab)
    lab.release("v3")
    await lab.until_rest()


async def rewritten(lab: Lab) -> None:
    """Somebody writes the route again and again."""
    lab.release("v2")
    for _ in range(4):
        for _ in range(60):
            if lab.weight() > 0:
                break
            await lab.run(0.25)
        lab.kube.user_apply(ROUTE_MANIFEST)
        await lab.run(1)
    await lab.until_rest()


async def reverted_at_the_release(lab: Lab) -> None:
    """The old version again in the moment in which the set is released."""
    at_the_release(lab, lambda: lab.release("v1"))
    await promotion(lab)


async def scaled_at_the_release(lab: Lab) -> None:
    """Scaled up in that moment."""
    at_the_release(lab, lambda: lab.scale(8))
    await promotion(lab)


async def deleted_at_the_release(lab: Lab) -> None:
    """The Rollout deleted in that moment."""
    at_the_release(lab, lambda: lab.kube.user_delete(LRO))
    lab.release("v2")
    await lab.run(90)
    assert lab.kube.peek(ROUTE)


STORIES: dict[str, Story] = {
    one.__name__: one
    for one in (
        promotion,
        rollback,
        deletion,
        early_deletion,
        refused_deletion,
        return_to_old,
        old_one_bad,
        superseded,
        reverted,
        refused_then_new,
        rewritten,
        reverted_at_the_release,
        scaled_at_the_release,
        deleted_at_the_release,
    )
}
