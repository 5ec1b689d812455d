"""Beginning an attempt: hold, record, arms, route on the stable arm, pin, canary.

Each step is taken when the one before is seen, so a restart anywhere finds its place again.
"""

from __future__ import annotations

from dataclasses import replace

from leadsman.core.actions import (
    CreateCanary,
    Emit,
    Pause,
    Pin,
    RecordTerms,
    SetArm,
    SetWeights,
    TakeOver,
    Unpause,
)
from leadsman.core.decision import Decision, Persist
from leadsman.core.members import CANARY, ROLLOUT, SHARED, STABLE
from leadsman.core.observation import Form, Owner, Role
from leadsman.core.policies.leads import lead
from leadsman.core.spec import InCluster, RolloutSpec, Terms
from leadsman.core.status import Attempt, Direction, Heading, Original, StageStatus, Status
from leadsman.core.view import View


def begin(view: View) -> Decision | None:
    """The template differs from stable's and is not the refused one: start an attempt."""
    target, stable, terms = view.target, view.status.stable, view.spec.terms
    if view.attempt is not None or view.spec.deleting or target is None or stable is None:
        return None
    if view.at_stable or view.at_refused or target.deleting:
        return None
    if terms is None:
        return view.wait("begin", "PlanInvalid", "the plan or the contract cannot be resolved")
    if target.recreate:
        return view.wait(
            "begin",
            "Recreate",
            "spec.strategy of the Deployment is Recreate, which forbids two versions at once:"
            " use RollingUpdate",
        )
    if target.replicas == 0:
        return _scaled_to_nothing(view)
    owned_elsewhere = _pin_refused(view)
    if owned_elsewhere is not None:
        return owned_elsewhere
    if not view.seen.rules:
        return view.wait("begin", "RouteMissing", "no route rule names the Service")
    return _start(view, terms)


def _start(view: View, terms: Terms) -> Decision:
    target, status = view.target, view.status
    if target is None:
        raise AssertionError("begin() has checked the target")
    new = view.new_set
    revision = new.revision if new is not None else target.template
    number = (status.history[-1].number if status.history else 0) + 1
    identity = f"{revision}-{number}"
    name = frozen_name(view.spec, identity)
    attempt = Attempt(
        id=identity,
        number=number,
        revision=revision,
        template=target.template,
        direction=Direction(Heading.ADVANCING, view.now),
        stage=StageStatus(0, _first_stage(terms), view.now, view.now),
        started_at=view.now,
        frozen=name,
        version=target.version,
        took_over=new is not None and new.owner is not Owner.ROLLOUT,
        original=tuple(
            Original(
                r.kind, r.route, r.index, r.name, r.service, r.backends, r.writer, r.generation
            )
            for r in view.seen.rules
        ),
    )
    hold = () if target.paused else (Pause(target.uid, target.resource_version),)
    return view.act(
        "begin",
        "Progressing",
        f"attempt {number} of revision {revision} starts",
        *hold,
        RecordTerms(name),
        Emit("AttemptStarted", f"revision {revision} is held back and tried (attempt {number})"),
        status=replace(status, attempt=attempt, refused=None),
        persist=Persist.NOW,
    )


def _first_stage(terms: Terms) -> str:
    return terms.plan.stages[0].name if terms.plan.stages else "full"


def frozen_name(spec: RolloutSpec, identity: str) -> str:
    """The name of the ControllerRevision that keeps an attempt's terms."""
    return f"{spec.name[:200]}-{identity}"


def _scaled_to_nothing(view: View) -> Decision:
    target, stable = view.target, view.status.stable
    if target is None or stable is None:
        raise AssertionError("begin() has checked both")
    if not view.spec.unguarded:
        return view.wait(
            "begin",
            "Holding",
            "the Deployment is scaled to 0, so there is no evidence: held until it is scaled up",
        )
    hold = (Unpause(target.uid, target.resource_version),) if target.paused else ()
    return view.act(
        "begin",
        "Promoted",
        "no pods and no guards: the new template is taken as it is",
        *hold,
        status=replace(view.status, stable=None),
        persist=Persist.NOW,
    )


def _pin_refused(view: View) -> Decision | None:
    if view.spec.in_cluster is not InCluster.REQUIRED:
        return None
    for service in view.seen.services:
        if service.apply_owner:
            return view.wait(
                "begin",
                "PinRequired",
                f"spec.inCluster is Required, but {service.apply_owner} owns the selector of"
                f" Service {service.name} by server-side apply: allow Stable or Shared",
            )
    return None


def terms_recorded(view: View) -> Decision | None:
    """The attempt's plan and contract are in their ControllerRevision and readable."""
    attempt = view.attempt
    if not view.forward or attempt is None or view.terms is not None:
        return None
    if view.spec.terms is None:
        return view.wait(
            "begin", "PlanInvalid", "the attempt's plan is lost and cannot be resolved"
        )
    return view.act(
        "begin", "Progressing", "recording plan and contract", RecordTerms(attempt.frozen)
    )


def weights_first(view: View) -> Decision | None:
    """Weights only: nothing on the canary's arm, and the gateway knows it, before it is narrowed.

    Until then both arms lead to all pods, so that a rule may have been written with any weights, or
    with none. Narrowed under a weight, the arm would lead nowhere.
    """
    attempt = view.attempt
    if not view.forward or attempt is None or attempt.routed_at is not None:
        return None
    rules = [rule for rule in view.seen.rules if rule.permanent]
    if not rules or all(arm.revision for arm in view.seen.arms):
        return None
    if any(rule.canary > 0 for rule in rules):
        return view.act(
            "begin",
            "Progressing",
            "nothing is on the canary's arm before it is narrowed",
            SetWeights(0, lowering=True),
        )
    stored = {one.generation for one in attempt.original}
    written = any(rule.generation not in stored for rule in rules)
    return _unheard(view, attempt, "weights") if written else None


def put_arms(view: View) -> Decision | None:
    """Both arms of every Service, the stable one first, as the Service is now."""
    attempt, stable = view.attempt, view.status.stable
    if not view.forward or attempt is None or stable is None:
        return None
    missing: list[SetArm] = []
    for role, revision in ((STABLE, stable.revision), (CANARY, attempt.revision)):
        for service in view.seen.services:
            arm = view.arm(service.name, role)
            if arm is None or arm.revision != revision or arm.stale:
                missing.append(SetArm(service.name, role, revision))
    if missing:
        return view.act("begin", "Progressing", "the arms are made", *missing)
    return None


def route_on_stable(view: View) -> Decision | None:
    """Every rule names the arms, all weight on stable, before the first canary pod exists."""
    attempt = view.attempt
    if not view.forward or attempt is None or attempt.routed_at is not None:
        return None
    for service in view.seen.services:
        arm = view.arm(service.name, Role.STABLE)
        ready = 0 if arm is None else arm.ready
        if ready == 0 or ready < service.ready_stable:
            return view.wait(
                "begin",
                "Holding",
                f"the stable arm of {service.name} has {ready} of {service.ready_stable} endpoints",
                until=view.now + 1,
            )
    if not view.all_on(0):
        if any(rule.form is Form.OTHER for rule in view.seen.rules):
            return view.wait("begin", "AmbiguousRule", "a rule no longer names the Service")
        return _unheard(view, attempt, "arms") or view.act(
            "begin",
            "Progressing",
            "the route goes to the stable arm",
            SetWeights(0, lowering=False),
        )
    waiting = [rule.why_not for rule in view.seen.rules if not rule.accepted]
    if waiting:
        return view.wait("begin", "Holding", f"the gateway has not accepted the arms: {waiting[0]}")
    return view.act(
        "begin",
        "Progressing",
        "the route is on the stable arm",
        status=view.with_attempt(routed_at=view.now),
        persist=Persist.SOON,
    )


def _unheard(view: View, attempt: Attempt, what: str) -> Decision | None:
    """Wait until the gateway has heard of what this attempt began with.

    Not where nobody held the new version back and it takes traffic: away from it without delay.
    """
    known = attempt.started_at + lead(view)
    if view.now >= known or (view.canary_set is not None and view.canary_set.ready > 0):
        return None
    return view.wait("begin", "Progressing", f"the gateway learns of the {what}", until=known)


def pin(view: View) -> Decision | None:
    """Callers inside the cluster stay on stable, where nobody else owns the selector."""
    attempt, stable = view.attempt, view.status.stable
    if not view.forward or attempt is None or stable is None:
        return None
    if view.spec.in_cluster is SHARED:
        return None
    open_ones = [one for one in view.seen.services if not one.apply_owner and not one.pinned_to]
    if open_ones and not attempt.pinned:
        return view.act(
            "begin",
            "Progressing",
            "callers inside the cluster are pinned to stable",
            *(Pin(one.name, stable.revision, one.resource_version) for one in open_ones),
            status=view.with_attempt(pinned=True),
            persist=Persist.SOON,
        )
    return None


def put_canary(view: View) -> Decision | None:
    """The ReplicaSet that the Deployment would have made, made (or taken over) early."""
    attempt, target, canary = view.attempt, view.target, view.canary_set
    if not view.forward or attempt is None or target is None or view.terms is None:
        return None
    if canary is not None and canary.owner is ROLLOUT:
        return None
    pinned = all(one.pinned_to for one in view.seen.services)
    due = (attempt.routed_at or view.now) + view.plan.settle
    if not pinned and view.now < due:
        return view.wait("begin", "Progressing", "the route settles on the stable arm", until=due)
    if canary is None:
        replicas = view.needed(view.stages[0].weight, target.replicas, view.stages[0])
        return view.act(
            "begin",
            "Progressing",
            f"the canary is made with {replicas} replicas",
            CreateCanary(attempt.revision, replicas),
            status=_waiting_from_now(view),
        )
    if canary.owner is Owner.OTHER:
        return view.wait(
            "begin", "Conflicted", f"ReplicaSet {canary.name} is controlled by somebody else"
        )
    return view.act(
        "begin",
        "Progressing",
        f"ReplicaSet {canary.name} has this template: taken over",
        TakeOver(canary.name, canary.uid, canary.resource_version),
        status=_waiting_from_now(view),
    )


def _waiting_from_now(view: View) -> Status:
    attempt = view.attempt
    if attempt is None:
        return view.status
    return view.with_attempt(stage=replace(attempt.stage, wait_since=view.now))
