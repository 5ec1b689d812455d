"""Conditions and columns: what people and tools read of a decision, derived and never remembered.

`Ready`, `Reconciling` and `Stalled` follow kstatus, so that `kubectl wait` and GitOps tools are
right about a Rollout; `Available` stays True after a rollback, because users are served.
"""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter

from leadsman.core.changed import changed
from leadsman.core.decision import Decision
from leadsman.core.members import ADVANCING, HANDING_OVER, PAUSED, ROLLING_BACK, SHARED
from leadsman.core.outlook import doubt, silence
from leadsman.core.policies.restarting import KIND, REASON, words
from leadsman.core.spec import OnFail
from leadsman.core.status import Condition, Display, Status
from leadsman.core.view import View
from leadsman.guards.verdict import Verdict

READY = frozenset({"Stable", "Promoted"})
PROGRESS = frozenset({"Progressing", "Holding", "SampleRatioMismatch", "Superseded"})

_SAID, _GENERATION = itemgetter(0, 1, 2, 3), itemgetter(5)
"""Type, status, reason and message of a condition; its generation."""

_NOT_RECONCILING = ("Reconciling", "False", "Settled", "")
_NOT_STALLED = ("Stalled", "False", "None", "")
_SOUND = ("ContractSound", "True", "Sound", "contract and plan can do what they promise")


def describe_status(view: View, decision: Decision) -> Status:
    """The decided status with conditions, columns and observed generation."""
    status = decision.status
    conditions = _conditions(view, decision)
    display = _display(view, decision)
    mode = _hold_mode(view)
    generation = view.spec.generation
    if (
        conditions == status.conditions
        and display == status.display
        and mode == status.hold_mode
        and generation == status.observed_generation
    ):
        return status
    return changed(
        status,
        observed_generation=generation,
        conditions=conditions,
        display=display,
        hold_mode=mode,
    )


def _hold_mode(view: View) -> str:
    if view.spec.hold is PAUSED:
        return "Paused"
    return "Policy" if view.seen.hold_policy else "Unprotected"


def _kstatus(decision: Decision) -> tuple[tuple[str, str, str, str], ...]:
    """Ready, Reconciling and Stalled: exactly one of them is True."""
    _, reason, message = decision.why
    if reason in PROGRESS:
        return (
            ("Ready", "False", reason, message),
            ("Reconciling", "True", reason, message),
            _NOT_STALLED,
        )
    if reason in READY:
        return (("Ready", "True", reason, message), _NOT_RECONCILING, _NOT_STALLED)
    return (
        ("Ready", "False", reason, message),
        _NOT_RECONCILING,
        ("Stalled", "True", reason, message),
    )


def _conditions(view: View, decision: Decision) -> tuple[Condition, ...]:
    attempt = decision.status.attempt
    wanted: list[tuple[str, str, str, str]] = [
        *_kstatus(decision),
        _available(view),
        _held(view),
    ]
    if attempt is not None:
        wanted += [_guards_passing(view), _in_sync(view, decision), _pinned(view)]
        if view.seen.autoscaler:
            wanted.append(_autoscaled(view))
        if restarts := words(view):
            wanted.append((KIND, "False", REASON, restarts))
    if view.contract.guards or view.spec.warnings:
        wanted.append(_sound(view))
    old = view.status.conditions
    generation, now = view.spec.generation, view.now
    if list(map(_SAID, old)) == wanted and set(map(_GENERATION, old)) == {generation}:
        return old
    before = {one.type: one for one in old}
    return tuple(
        _condition(before.get(kind), kind, value, why, text, now, generation)
        for kind, value, why, text in wanted
    )


def _condition(
    old: Condition | None,
    kind: str,
    value: str,
    reason: str,
    message: str,
    now: float,
    generation: int,
) -> Condition:
    if (
        old is not None
        and old.status == value
        and old.reason == reason
        and old.message == message
        and old.generation == generation
    ):
        return old
    since = old.since if old is not None and old.status == value else now
    return Condition(kind, value, reason, message[:1024], since, generation)


def _available(view: View) -> tuple[str, str, str, str]:
    target = view.target
    if target is None:
        return ("Available", "False", "TargetMissing", f"Deployment {view.spec.target} is missing")
    if view.status.stable is None:
        return ("Available", "Unknown", "NotAdopted", "no stable version is known yet")
    return ("Available", "True", "StableServes", "users are served")


def _held(view: View) -> tuple[str, str, str, str]:
    if view.spec.hold is PAUSED:
        return ("Hold", "True", "Paused", "the Deployment stays paused between releases")
    if view.seen.hold_policy:
        return ("Hold", "True", "Policy", "the admission policy holds each new template back")
    return (
        "Hold",
        "False",
        "PolicyMissing",
        "the admission policy leadsman-hold is not installed: a new template is held only after it"
        " has begun to roll out; install it (Kubernetes 1.36 or newer), or set spec.hold: Paused",
    )


def _sound(view: View) -> tuple[str, str, str, str]:
    """Contract and plan can do what they promise, or which of their promises is doubtful."""
    attempt = view.attempt
    if not view.spec.warnings and (attempt is None or not view.gathers):
        return _SOUND
    doubts = [(one.reason, one.message) for one in view.spec.warnings]
    if attempt is not None and view.gathers:
        guards = view.evidence.guards or attempt.guards
        blunt = (
            silence(view.contract, guards),
            doubt(view.plan, view.contract, attempt.outlook),
        )
        doubts += [("CannotDetect", one) for one in blunt if one]
    if not doubts:
        return _SOUND
    return ("ContractSound", "False", doubts[0][0], "; ".join(message for _, message in doubts))


def _guards_passing(view: View) -> tuple[str, str, str, str]:
    if view.spec.unguarded:
        return ("GuardsPassing", "Unknown", "Unguarded", view.spec.unguarded)
    guards = view.evidence.guards
    if not guards:
        return ("GuardsPassing", "Unknown", "WarmingUp", "no guard has been asked yet")
    if view.evidence.passing == len(guards):
        near = ", ".join(one.name for one in view.evidence.warning)
        if near:
            return ("GuardsPassing", "True", "CloseToLimit", f"close to the limit: {near}")
        return ("GuardsPassing", "True", "WithinLimits", "every guard passes")
    warn = {one.name for one in view.contract.guards if one.on_fail is OnFail.WARN}
    failing = [one for one in guards if one.verdict == Verdict.FAIL]
    if failing:
        only = all(one.name in warn for one in failing)
        names = ", ".join(one.name for one in failing)
        return ("GuardsPassing", "False", "Warned" if only else "GuardFailed", f"failing: {names}")
    waiting = [one for one in guards if one.verdict != Verdict.PASS]
    names = ", ".join(f"{one.name} ({one.reason})" for one in waiting)
    return ("GuardsPassing", "Unknown", waiting[0].reason, f"waiting for: {names}")


def _in_sync(view: View, decision: Decision) -> tuple[str, str, str, str]:
    attempt = decision.status.attempt
    rules = view.seen.rules
    kind = "TrafficInSync"
    if attempt is not None and attempt.direction.reason == "ForeignWriter":
        return (kind, "False", "ForeignWriter", attempt.direction.message)
    if not rules:
        return (kind, "Unknown", "NotRouted", "no rule is seen")
    if decision.why.policy == "foreign_write":
        return (kind, "False", "ForeignWriter", decision.why.message)
    if decision.why.reason == "SampleRatioMismatch":
        return (kind, "False", "SampleRatioMismatch", decision.why.message)
    waiting = [rule.why_not for rule in rules if not rule.accepted]
    if waiting:
        return (kind, "False", "NotAccepted", waiting[0])
    if not view.seen.share_measurable:
        return (kind, "True", "NotMeasured", "the route is accepted; no router counters tell arms")
    return (kind, "True", "Accepted", "the route is accepted")


def _pinned(view: View) -> tuple[str, str, str, str]:
    kind = "InClusterPinned"
    if view.spec.in_cluster is SHARED:
        return (kind, "False", "Shared", "callers past the router meet both versions, as asked")
    services = view.seen.services
    taken = [one for one in services if one.apply_owner and not one.pinned_to]
    if taken:
        return (
            kind,
            "False",
            "SelectorOwned",
            f"{taken[0].apply_owner} owns the selector of Service {taken[0].name} by server-side"
            " apply: callers past the router meet both versions",
        )
    if services and all(one.pinned_to for one in services):
        return (kind, "True", "Pinned", "callers past the router meet stable only")
    return (kind, "False", "NotPinned", "callers past the router are not pinned")


def _autoscaled(view: View) -> tuple[str, str, str, str]:
    replicas = view.status.stable.replicas if view.status.stable is not None else 0
    return (
        "AutoscalingSafe",
        "False",
        "CanaryCounted",
        f"HorizontalPodAutoscaler {view.seen.autoscaler} multiplies by the ready pods, the canary's"
        f" too, and asks for more than the load needs: the canary gets its share of the {replicas}"
        " replicas of the attempt's start; use a target of type AverageValue",
    )


def _display(view: View, decision: Decision) -> Display:
    status = decision.status
    attempt = status.attempt
    target = view.target
    state = decision.why.reason
    if attempt is None:
        return Display(state=state, version=target.version if target is not None else "")
    asked = len(view.contract.guards)
    if attempt.guards is view.evidence.guards:
        passing = view.evidence.passing
    else:
        passing = sum(1 for one in attempt.guards if one.verdict == Verdict.PASS)
    heading, stage = attempt.direction.name, attempt.stage
    if heading is ROLLING_BACK:
        state = "RollingBack"
    elif heading is HANDING_OVER:
        state = "HandingOver"
    due = stage.due_at if heading is ADVANCING else None
    minute = None if due is None else int(due // 60)
    return _shown(
        state,
        stage.index + 1,
        len(view.stages),
        attempt.weight,
        passing,
        asked,
        minute,
        attempt.version,
    )


@lru_cache(maxsize=1024)
def _shown(
    state: str,
    stage: int,
    stages: int,
    weight: int,
    passing: int,
    asked: int,
    minute: int | None,
    version: str,
) -> Display:
    """The columns of a running attempt; `minute` since 1970 of what is next due.

    The same in pass after pass of a hold, and remembered for that.
    """
    return Display(
        state=state,
        stage=f"{min(stage, stages)}/{stages}" if stages else "",
        weight=str(weight),
        guards=f"{passing}/{asked}" if asked else "",
        next="" if minute is None else f"{minute // 60 % 24:02d}:{minute % 60:02d}Z",
        version=version,
    )


__all__ = ["describe_status"]
