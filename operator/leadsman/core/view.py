"""One pass seen whole: spec, status and observation with what follows from them, worked out once.

Policies read a View and return a Decision or None. Everything here is derived; nothing is judged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar, overload

from leadsman.core.actions import Action
from leadsman.core.changed import changed
from leadsman.core.decision import Decision, Persist, Urgency, Why
from leadsman.core.evidence import NO_EVIDENCE, START, Evidence, place, weigh
from leadsman.core.observation import (
    OWN_FAULTS,
    Arm,
    Form,
    Observation,
    Owner,
    ReplicaSet,
    Role,
    Rule,
    Target,
)
from leadsman.core.spec import Contract, Plan, RolloutSpec, Stage, Strategy
from leadsman.core.status import Attempt, Direction, Heading, StageStatus, Status
from leadsman.guards.gathering import gathers

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801 (reads as a decorator, like property)
    """A property that is worked out at its first use; `functools.cached_property` without a lock.

    A View belongs to one pass and one thread, and a pass has some thirty of these.
    """

    def __init__(self, work: Callable[[Any], T]) -> None:
        self.work = work
        self.name = work.__name__
        self.__doc__ = work.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> once[T]: ...
    @overload
    def __get__(self, owner: object, kind: type) -> T: ...
    def __get__(self, owner: object | None, kind: type) -> once[T] | T:
        if owner is None:
            return self
        value = owner.__dict__[self.name] = self.work(owner)
        return value


FORWARD = (Heading.ADVANCING, Heading.STEPPING_BACK)
NO_PLAN = Plan(stages=())
NO_CONTRACT = Contract()


class View:
    """What a policy may look at."""

    def __init__(self, spec: RolloutSpec, status: Status, seen: Observation, now: float) -> None:
        self.spec = spec
        self.status = status
        self.seen = seen
        self.now = now
        self.attempt = status.attempt
        self.target: Target | None = seen.target
        terms = seen.terms if status.attempt is not None else spec.terms
        self.terms = terms
        self.plan = terms.plan if terms is not None else NO_PLAN
        self.contract = terms.contract if terms is not None else NO_CONTRACT
        attempt = status.attempt
        # Nearly every policy asks for these: plain attributes, not worked out at first use.
        self.heading: Heading | None = None if attempt is None else attempt.direction.name
        """Where the attempt goes, None at rest."""
        self.released = attempt is not None and attempt.released_at is not None
        """The canary's set was given to the Deployment."""
        self.forward = not self.released and self.heading in FORWARD
        """An attempt goes through its stages: neither falling back nor handing over."""

    # --- the versions -----------------------------------------------------------------------

    @once
    def lost_target(self) -> bool:
        """The Deployment that the remembered stable version belongs to is gone or another one."""
        stable, target = self.status.stable, self.target
        if stable is None:
            return False
        return target is None or target.uid != stable.uid

    @once
    def stable_set(self) -> ReplicaSet | None:
        """The ReplicaSet that serves."""
        stable = self.status.stable
        return None if stable is None else self._set(stable.revision)

    @once
    def canary_set(self) -> ReplicaSet | None:
        """The attempt's ReplicaSet, whoever controls it now."""
        return None if self.attempt is None else self._set(self.attempt.revision)

    def _set(self, revision: str) -> ReplicaSet | None:
        for one in self.seen.sets:
            if one.revision == revision:
                return one
        return None

    @once
    def new_set(self) -> ReplicaSet | None:
        """The oldest ReplicaSet with the Deployment's present template, as Kubernetes picks it."""
        same = [one for one in self.seen.sets if one.matches and not one.deleting]
        return min(same, key=lambda one: (one.created_at, one.name)) if same else None

    @once
    def at_stable(self) -> bool:
        """The Deployment's template is the stable version's."""
        stable, target = self.status.stable, self.target
        if stable is None or target is None:
            return False
        if self.stable_set is not None:
            return self.stable_set.matches
        return target.template == stable.template

    @once
    def at_attempt(self) -> bool:
        """The Deployment's template is the attempt's."""
        attempt, target = self.attempt, self.target
        if attempt is None or target is None:
            return False
        if self.canary_set is not None:
            return self.canary_set.matches
        return target.template == attempt.template

    @once
    def at_refused(self) -> bool:
        """The Deployment's template is the refused one."""
        refused, target = self.status.refused, self.target
        return refused is not None and target is not None and target.template == refused.template

    @once
    def revisions(self) -> tuple[str, ...]:
        """The revisions that a pin of ours can name: a user's selector never names one."""
        names = (self.status.stable, self.attempt)
        return tuple(one.revision for one in names if one is not None)

    # --- the attempt ------------------------------------------------------------------------

    @once
    def stages(self) -> tuple[Stage, ...]:
        """The plan's stages; `Immediate` has one, at full weight."""
        stages = self.plan.stages
        if self.plan.strategy is Strategy.IMMEDIATE:
            return stages[-1:] or (Stage("full", 100),)
        return stages

    @once
    def stage(self) -> Stage:
        """The stage that the attempt is in (a harmless one when there is none)."""
        if self.attempt is None or not self.stages:
            return Stage("none", 0)
        return self.stages[min(self.attempt.stage.index, len(self.stages) - 1)]

    def needed(self, weight: int, replicas: int, stage: Stage | None = None) -> int:
        """Canary replicas that `weight` percent of `replicas` needs, at least one."""
        replicas = self.counted(replicas)
        if stage is not None and stage.replicas is not None and weight < 100:
            return max(1, stage.replicas)
        return max(1, -(-weight * replicas // 100)) if replicas else 0

    def counted(self, replicas: int) -> int:
        """The Deployment's replicas, of which the canary gets its share.

        Where an autoscaler counts the canary's pods too, no more than at the attempt's start: each
        of them would make it ask for more, without an end.
        """
        stable = self.status.stable
        if not self.seen.autoscaler or stable is None or stable.replicas == 0:
            return replicas
        return min(replicas, stable.replicas)

    # --- traffic ----------------------------------------------------------------------------

    @once
    def armed(self) -> tuple[Rule, ...]:
        """The rules that name the arms."""
        return tuple([rule for rule in self.seen.rules if rule.form is Form.ARMS])

    @once
    def top(self) -> int:
        """The canary's highest weight on any rule."""
        return max([rule.canary for rule in self.armed], default=0)

    @once
    def low(self) -> int:
        """The canary's lowest weight on any rule that names the arms."""
        return min([rule.canary for rule in self.armed], default=0)

    def all_on(self, weight: int) -> bool:
        """Every rule gives the canary exactly `weight` percent."""
        rules = self.seen.rules
        return bool(rules) and all(
            rule.form is Form.ARMS and rule.canary == weight for rule in rules
        )

    @once
    def at_rest_form(self) -> bool:
        """No rule names an arm, but those that the user wrote so, with nothing on the canary."""
        return all(
            rule.form is Form.REST or (rule.permanent and rule.canary == 0)
            for rule in self.seen.rules
        )

    @once
    def services(self) -> tuple[str, ...]:
        """The user's Services, by name."""
        return tuple(service.name for service in self.seen.services)

    def arm(self, service: str, role: Role) -> Arm | None:
        """One arm of one Service."""
        for arm in self.seen.arms:
            if arm.service == service and arm.role is role:
                return arm
        return None

    def ready(self, role: Role) -> int:
        """Ready endpoints of the weaker arm of that role, 0 when one is missing."""
        return self._ready[0] if role is Role.STABLE else self._ready[1]

    @once
    def _ready(self) -> tuple[int, int]:
        """The stable role's and the canary role's ready endpoints."""
        stable: list[int] = []
        canary: list[int] = []
        canary_role = Role.CANARY
        for arm in self.seen.arms:
            (canary if arm.role is canary_role else stable).append(arm.ready)
        wanted = len(self.seen.services)
        return (
            min(stable) if stable and len(stable) == wanted else 0,
            min(canary) if canary and len(canary) == wanted else 0,
        )

    @once
    def canary_since(self) -> float:
        """When the last of the canary's endpoints joined, Unix seconds; 0 when there is none."""
        since = [arm.ready_since for arm in self.seen.arms if arm.role is Role.CANARY]
        return max(since, default=0.0)

    @once
    def crashed(self) -> tuple[str, ...]:
        """Canary pods that fell by the version's own fault."""
        attempt = self.attempt
        if attempt is None:
            return ()
        revision = attempt.revision
        return tuple(
            [
                pod.name
                for pod in self.seen.pods
                if pod.revision == revision and pod.fault in OWN_FAULTS
            ]
        )

    @once
    def canary_pods_left(self) -> int:
        """Canary pods that still take requests: not yet terminating."""
        attempt = self.attempt
        if attempt is None:
            return 0
        return sum(
            1 for pod in self.seen.pods if pod.revision == attempt.revision and not pod.deleting
        )

    # --- evidence ---------------------------------------------------------------------------

    @once
    def evidence(self) -> Evidence:
        """What the guards say; nothing before the canary has been given weight."""
        attempt = self.attempt
        if attempt is None or attempt.weight == 0 or self.terms is None:
            return NO_EVIDENCE
        if not self.contract.guards:
            return NO_EVIDENCE
        where = place(self.status) if self.gathers or attempt.weight == 100 else START
        return weigh(self.contract, self.seen.readings, attempt.guards, self.now, where)

    @once
    def gathers(self) -> bool:
        """A guard remembers evidence from pass to pass."""
        for guard in self.contract.guards:  # noqa: SIM110 (a generator costs a microsecond)
            if gathers(guard.judge):
                return True
        return False

    # --- answers ----------------------------------------------------------------------------

    def wait(
        self,
        policy: str,
        reason: str,
        message: str,
        *,
        until: float | None = None,
        status: Status | None = None,
        persist: Persist = Persist.LAZY,
        urgency: Urgency = Urgency.MEASURE,
    ) -> Decision:
        """Nothing to do until something happens, or until Unix time `until`."""
        why = Why(policy, reason, message)
        return Decision(self.status if status is None else status, (), until, why, persist, urgency)

    def act(
        self,
        policy: str,
        reason: str,
        message: str,
        *actions: Action,
        status: Status | None = None,
        persist: Persist = Persist.LAZY,
        urgency: Urgency = Urgency.ADVANCE,
    ) -> Decision:
        """Do `actions`, then look again at once."""
        why = Why(policy, reason, message)
        return Decision(
            self.status if status is None else status, actions, self.now, why, persist, urgency
        )

    def with_attempt(self, **changes: object) -> Status:
        """The status with the attempt's fields changed.

        A new weight begins new evidence in the sampler: what was gathered under the old one is
        remembered in the same step.
        """
        attempt = self.attempt
        if attempt is None:
            return self.status
        if "weight_since" in changes and "guards" not in changes and self.evidence.guards:
            changes["guards"] = self.evidence.guards
        return changed(self.status, attempt=changed(attempt, **changes))

    def with_guards(self) -> Status:
        """The status with what the guards say now; the same object when they say nothing new."""
        attempt, guards = self.attempt, self.evidence.guards
        if attempt is None or not guards or guards is attempt.guards:
            return self.status
        return self.with_attempt(guards=guards)

    def heading_for(self, name: Heading, reason: str = "", message: str = "") -> Direction:
        """A direction taken now."""
        return Direction(name, self.now, reason, message)


class Need(NamedTuple):
    """Canary replicas: what the present stage needs, what the next one may have, what there is."""

    needed: int
    most: int
    replicas: int
    available: int
    ready: int

    @property
    def met(self) -> bool:
        """Enough pods are available and ready behind every canary arm."""
        return self.available >= self.needed and self.ready >= self.needed


def need_of(view: View, attempt: Attempt, target: Target, canary: ReplicaSet) -> Need:
    """Compare the present stage's need with the canary that there is.

    At the last stage before a hand-over the canary has the Deployment's full strength, whatever
    the stage's own `replicas` say: it is about to be the Deployment.
    """
    needed = view.needed(view.stage.weight, target.replicas, view.stage)
    if attempt.direction.name is Heading.HANDING_OVER:
        needed = target.replicas
    most = needed
    following = attempt.stage.index + 1
    if following < len(view.stages):
        stage = view.stages[following]
        most = max(needed, view.needed(stage.weight, target.replicas, stage))
    return Need(needed, most, canary.replicas, canary.available, view.ready(Role.CANARY))


def fresh_stage(view: View, index: int) -> StageStatus:
    """The stage of that index, entered now."""
    return StageStatus(
        index=index,
        name=view.stages[index].name,
        entered_at=view.now,
        wait_since=view.now,
    )


def owned(one: ReplicaSet | None) -> bool:
    """The set is controlled by the Rollout."""
    return one is not None and one.owner is Owner.ROLLOUT
