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
from leadsman.core.members import ARMS, CANARY, HANDING_OVER, NO_FAULT, ROLLOUT
from leadsman.core.observation import (
    OWN_FAULTS,
    Arm,
    Form,
    Observation,
    Pod,
    ReplicaSet,
    Role,
    Target,
)
from leadsman.core.spec import Contract, Plan, RolloutSpec, Stage, Strategy
from leadsman.core.status import Attempt, Direction, Heading, StageStatus, Status
from leadsman.guards.gathering import GATHERING

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
        value = self.work(owner)
        # Not by way of `__dict__`: an object whose dictionary was once asked for is slower to read.
        setattr(owner, self.name, value)
        return value


FORWARD = (Heading.ADVANCING, Heading.STEPPING_BACK)
NO_PLAN = Plan(stages=())
NO_CONTRACT = Contract()
NO_STAGE = Stage("none", 0)


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
        # What nearly every pass asks for: plain attributes, worked out here, because a property
        # that is worked out at its first use costs several times as much.
        self.heading: Heading | None = None if attempt is None else attempt.direction.name
        """Where the attempt goes, None at rest."""
        self.released = attempt is not None and attempt.released_at is not None
        """The canary's set was given to the Deployment."""
        self.forward = not self.released and self.heading in FORWARD
        """An attempt goes through its stages: neither falling back nor handing over."""
        self.stages = self._stages()
        """The plan's stages; `Immediate` has one, at full weight."""
        self.stage = self._stage()
        """The stage that the attempt is in (a harmless one when there is none)."""
        self._see_versions()
        self._see_traffic()

    # --- the versions -----------------------------------------------------------------------

    def _see_versions(self) -> None:
        stable, attempt, target = self.status.stable, self.attempt, self.target
        self.lost_target = stable is not None and (target is None or target.uid != stable.uid)
        """The Deployment that the remembered stable version belongs to is gone or another one."""
        self.stable_set: ReplicaSet | None = None
        """The ReplicaSet that serves."""
        self.canary_set: ReplicaSet | None = None
        """The attempt's ReplicaSet, whoever controls it now."""
        self.revisions: tuple[str, ...] = ()
        """The revisions that a pin of ours can name: a user's selector never names one."""
        self.at_stable = False
        """The Deployment's template is the stable version's."""
        self.at_attempt = False
        """The Deployment's template is the attempt's."""
        if stable is not None:
            one = self.stable_set = self._set(stable.revision)
            self.revisions = (stable.revision,)
            if target is not None:
                self.at_stable = target.template == stable.template if one is None else one.matches
        if attempt is not None:
            one = self.canary_set = self._set(attempt.revision)
            self.revisions += (attempt.revision,)
            if target is not None:
                same = target.template == attempt.template if one is None else one.matches
                self.at_attempt = same

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
    def at_refused(self) -> bool:
        """The Deployment's template is the refused one."""
        refused, target = self.status.refused, self.target
        return refused is not None and target is not None and target.template == refused.template

    # --- the attempt ------------------------------------------------------------------------

    def _stages(self) -> tuple[Stage, ...]:
        stages = self.plan.stages
        if self.plan.strategy is Strategy.IMMEDIATE:
            return stages[-1:] or (Stage("full", 100),)
        return stages

    def _stage(self) -> Stage:
        attempt, stages = self.attempt, self.stages
        if attempt is None or not stages:
            return NO_STAGE
        index = attempt.stage.index
        return stages[index if index < len(stages) else -1]

    def needed(self, weight: int, replicas: int, stage: Stage | None = None) -> int:
        """Canary replicas that `weight` percent of `replicas` needs, at least one."""
        if stage is not None and stage.replicas is not None and weight < 100:
            return max(1, stage.replicas)
        if self.seen.autoscaler:
            replicas = self.counted(replicas)
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

    def _see_traffic(self) -> None:
        armed, top = [], 0
        for rule in self.seen.rules:
            if rule.form is ARMS:
                armed.append(rule)
                if rule.canary > top:
                    top = rule.canary
        self.armed = tuple(armed)
        """The rules that name the arms."""
        self.top = top
        """The canary's highest weight on any rule."""
        stable = canary = -1
        stables, canaries = 0, 0
        for arm in self.seen.arms:
            if arm.role is CANARY:
                canaries += 1
                if arm.ready < canary or canary < 0:
                    canary = arm.ready
            else:
                stables += 1
                if arm.ready < stable or stable < 0:
                    stable = arm.ready
        # Beside the Services that are there, those that the attempt remembers: they have arms too.
        wanted = len(self.served if self.seen.problems else self.seen.services)
        self.ready_stable = stable if stables == wanted > 0 else 0
        """Ready endpoints of the weakest stable arm, 0 when one is missing."""
        self.ready_canary = canary if canaries == wanted > 0 else 0
        """Ready endpoints of the weakest canary arm, 0 when one is missing."""

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

    @once
    def served(self) -> tuple[str, ...]:
        """The user's Services, and those that the attempt's rules named and that are not there."""
        attempt = self.attempt
        remembered = () if attempt is None else [one.service for one in attempt.original]
        return tuple(dict.fromkeys((*self.services, *remembered)))

    def arm(self, service: str, role: Role) -> Arm | None:
        """One arm of one Service."""
        for arm in self.seen.arms:
            if arm.service == service and arm.role is role:
                return arm
        return None

    @once
    def canary_since(self) -> float:
        """When the last of the canary's endpoints joined, Unix seconds; 0 when there is none."""
        since = [arm.ready_since for arm in self.seen.arms if arm.role is Role.CANARY]
        return max(since, default=0.0)

    @once
    def troubled(self) -> list[Pod]:
        """Canary pods that are not well, or were started again: mostly none."""
        attempt = self.attempt
        if attempt is None:
            return []
        well, revision = NO_FAULT, attempt.revision
        return [
            pod
            for pod in self.seen.pods
            if (pod.restarted_at is not None or pod.fault is not well) and pod.revision == revision
        ]

    @once
    def crashed(self) -> tuple[str, ...]:
        """Canary pods that fell by the version's own fault."""
        return tuple([pod.name for pod in self.troubled if pod.fault in OWN_FAULTS])

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
        return not {type(guard.judge) for guard in self.contract.guards}.isdisjoint(GATHERING)

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
        return changed(self.status, attempt=changed(attempt, guards=guards))

    def max_hold_over(self) -> bool:
        """The stage is watched for as long as it may wait for evidence, or longer."""
        limit, attempt = self.stage.max_hold, self.attempt
        if limit is None or attempt is None or attempt.stage.measuring_since is None:
            return False
        return self.now >= attempt.stage.measuring_since + limit

    def with_base(self, replicas: int) -> Status:
        """The status in which the weight stands on no more than so many replicas.

        Fewer pods than at the raise are no loss when they were scaled away, also not after more
        are asked for again.
        """
        attempt = self.attempt
        if attempt is None or not 0 < replicas < attempt.base_replicas:
            return self.status
        return self.with_attempt(base_replicas=replicas)

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
    if attempt.direction.name is HANDING_OVER:
        needed = target.replicas
    most = needed
    following = attempt.stage.index + 1
    if following < len(view.stages):
        stage = view.stages[following]
        most = max(needed, view.needed(stage.weight, target.replicas, stage))
    return Need(needed, most, canary.replicas, canary.available, view.ready_canary)


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
    return one is not None and one.owner is ROLLOUT
