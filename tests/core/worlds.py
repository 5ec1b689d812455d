"""A small world for table tests: one Rollout in the middle of a stage, changed by keyword.

`middle()` is a canary at 25 % that is well; every table row says only what differs from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from leadsman.core.decide import decide
from leadsman.core.decision import Decision
from leadsman.core.observation import (
    Arm,
    Fault,
    Form,
    Observation,
    Owner,
    Pod,
    ReplicaSet,
    Role,
    Rule,
    Service,
    Target,
)
from leadsman.core.spec import Contract, GuardSpec, Plan, RolloutSpec, Stage, Terms
from leadsman.core.status import (
    Attempt,
    Direction,
    Heading,
    Original,
    Stable,
    StageStatus,
    Status,
)
from leadsman.guards.judges import Threshold
from leadsman.guards.windows import Reading, Window

from .chain import check_left_out

NOW = 1_800_000_000.0
STAGES = (
    Stage("first", 5, 30),
    Stage("quarter", 25, 30),
    Stage("half", 50, 30),
    Stage("full", 100, 10),
)
PLAN = Plan(STAGES, settle=5.0, progress_deadline=600.0, scale_down_delay=30.0)
GUARD = GuardSpec("errors", Threshold(max=0.05, window=15.0, min_events=100))
CONTRACT = Contract(guards=(GUARD,))
TERMS = Terms(PLAN, CONTRACT)
BACKENDS = '[{"name":"shop","port":80}]'


@dataclass(frozen=True)
class World:
    """Everything that `decide` gets."""

    spec: RolloutSpec
    status: Status
    seen: Observation
    now: float = NOW

    def decide(self) -> Decision:
        """Ask the core, and the policies that it leaves out."""
        check_left_out(self.spec, self.status, self.seen, self.now)
        return decide(self.spec, self.status, self.seen, self.now)

    def after_telling(self) -> Decision:
        """What is decided once people were told what the guards say."""
        first = self.decide()
        if first.why.policy != "tell":
            return first
        return self.but(status=first.status).decide()

    def but(self, **changes: Any) -> World:
        """The same world with attempt, stage, seen, spec or status fields changed.

        Keys are tried on World, Observation, Attempt, StageStatus, Status and RolloutSpec in turn.
        """
        world = self
        for key, value in changes.items():
            world = world._with(key, value)
        return world

    def _with(self, key: str, value: Any) -> World:
        attempt = self.status.attempt
        if key in ("spec", "status", "seen", "now"):
            return replace(self, **{key: value})
        if hasattr(self.seen, key) and key != "terms":
            return replace(self, seen=replace(self.seen, **{key: value}))
        if key == "terms":
            return replace(
                self, spec=replace(self.spec, terms=value), seen=replace(self.seen, terms=value)
            )
        if attempt is not None and hasattr(attempt, key) and key not in ("stage",):
            return replace(
                self, status=replace(self.status, attempt=replace(attempt, **{key: value}))
            )
        if attempt is not None and hasattr(attempt.stage, key):
            stage = replace(attempt.stage, **{key: value})
            return replace(self, status=replace(self.status, attempt=replace(attempt, stage=stage)))
        if hasattr(self.status, key):
            return replace(self, status=replace(self.status, **{key: value}))
        if hasattr(self.spec, key):
            return replace(self, spec=replace(self.spec, **{key: value}))
        raise KeyError(key)


def target(**changes: Any) -> Target:
    """The Deployment, held, with the canary's template."""
    return replace(
        Target(
            "shop", "uid-shop", "10", 4, paused=True, template="new", complete=False, version="v2"
        ),
        **changes,
    )


def stable_set(**changes: Any) -> ReplicaSet:
    """The set that serves."""
    return replace(
        ReplicaSet(
            "shop-old", "uid-old", "11", "old", "old", 4, 4, 4, Owner.DEPLOYMENT, False, NOW - 9e4
        ),
        **changes,
    )


def canary_set(**changes: Any) -> ReplicaSet:
    """The attempt's set."""
    return replace(
        ReplicaSet(
            "shop-new", "uid-new", "12", "new", "new", 1, 1, 1, Owner.ROLLOUT, True, NOW - 100
        ),
        **changes,
    )


def rule(weight: int | None, **changes: Any) -> Rule:
    """The route's rule: at `weight` percent on the arms, or at rest for None."""
    form = Form.REST if weight is None else Form.ARMS
    canary = weight or 0
    base = Rule(
        "HTTPRoute",
        "shop",
        0,
        "main",
        "shop",
        form,
        0 if weight is None else 100 - canary,
        canary,
        ours=weight is not None,
        writer="leadsman" if weight is not None else "kubectl",
        accepted=True,
        why_not="",
        backends=BACKENDS,
        resource_version="13",
        generation=7,
    )
    return replace(base, **changes)


def arms(stable: int = 4, canary: int = 1) -> tuple[Arm, Arm]:
    """Both arms with so many ready endpoints."""
    return (
        Arm("shop", Role.STABLE, "shop-stable", "14", "old", stable),
        Arm("shop", Role.CANARY, "shop-canary", "15", "new", canary),
    )


def pods(canary: int = 1, fault: Fault = Fault.NONE, **changes: Any) -> tuple[Pod, ...]:
    """Four stable pods and `canary` of the new version."""
    old = tuple(Pod(f"old-{n}", "old", ready=True) for n in range(4))
    new = tuple(
        replace(Pod(f"new-{n}", "new", ready=fault is Fault.NONE, fault=fault), **changes)
        for n in range(canary)
    )
    return old + new


def reading(bad: float, total: float = 1000.0, at: float = NOW - 1, error: str = "") -> Reading:
    """A reading of the guard with a share of `bad` failed requests."""
    window = Window(at, total, bad * total)
    return Reading("errors", () if error else (window,), (), error, at)


ORIGINAL = Original("HTTPRoute", "shop", 0, "main", "shop", BACKENDS, "kubectl")


def attempt(**changes: Any) -> Attempt:
    """An attempt that measures its second stage."""
    stage = StageStatus(
        1,
        "quarter",
        NOW - 20,
        NOW - 20,
        commanded_at=NOW - 18,
        accepted_at=NOW - 17,
        measuring_since=NOW - 12,
        due_at=NOW + 18,
    )
    base = Attempt(
        id="new-1",
        number=1,
        revision="new",
        template="new",
        direction=Direction(Heading.ADVANCING, NOW - 90),
        stage=stage,
        started_at=NOW - 90,
        weight=25,
        weight_since=NOW - 18,
        max_weight=25,
        replicas=1,
        base_replicas=4,
        frozen="shop-new-1",
        version="v2",
        pinned=True,
        original=(ORIGINAL,),
        routed_at=NOW - 80,
    )
    return replace(base, **changes)


def middle(**changes: Any) -> World:
    """A canary at 25 % in the middle of its hold, everything well."""
    spec = RolloutSpec("default", "shop", "uid-rollout", 1, "shop", TERMS)
    status = Status(1, Stable("uid-shop", "old", "old", 4), attempt())
    seen = Observation(
        target=target(),
        sets=(stable_set(), canary_set()),
        pods=pods(),
        services=(Service("shop", "16", pinned_to="old", ready_stable=4),),
        arms=arms(),
        rules=(rule(25),),
        readings=(reading(0.001),),
        terms=TERMS,
        hold_policy=True,
        freeze_policy=True,
        finalizer=True,
    )
    return World(spec, status, seen).but(**changes)


def at_rest(**changes: Any) -> World:
    """No attempt: the stable version serves, the route is the user's own."""
    world = middle()
    seen = replace(
        world.seen,
        target=target(paused=False, template="old", complete=True, version="v1"),
        sets=(stable_set(matches=True),),
        pods=pods(canary=0),
        services=(Service("shop", "16", ready_stable=4),),
        arms=(),
        rules=(rule(None),),
        readings=(),
        terms=None,
    )
    return replace(world, seen=seen, status=replace(world.status, attempt=None)).but(**changes)


def rolling_back(reason: str = "GuardFailed", ago: float = 1.0, **changes: Any) -> World:
    """An attempt that rolls back since `ago` seconds, with weight 0 on the route."""
    turned = Direction(Heading.ROLLING_BACK, NOW - ago, reason, "because")
    world = middle(direction=turned, weight=0, rules=(rule(0),))
    return world.but(**changes)


def handing_over(**changes: Any) -> World:
    """All stages passed: the canary has full strength and weight 100."""
    stage = StageStatus(3, "full", NOW - 30, NOW - 1, NOW - 28, NOW - 27, NOW - 22, NOW - 2)
    world = middle(
        direction=Direction(Heading.HANDING_OVER, NOW - 0.1),
        weight=100,
        max_weight=100,
        sets=(stable_set(), canary_set(replicas=4, ready=4, available=4)),
        pods=pods(canary=4),
        arms=arms(4, 4),
        rules=(rule(100),),
        services=(Service("shop", "16", ready_stable=4, ready_canary=4),),
        frozen_replicas=True,
    )
    return replace(
        world, status=replace(world.status, attempt=replace(world.status.attempt, stage=stage))
    ).but(**changes)


def kinds(decision: Decision) -> list[str]:
    """The decision's action names without events."""
    return [type(one).__name__ for one in decision.actions if type(one).__name__ != "Emit"]
