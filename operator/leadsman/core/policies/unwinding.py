"""After weight 0: the canary goes, the route and the Services become the user's own again."""

from __future__ import annotations

from dataclasses import replace

from leadsman.core.actions import (
    DeleteCanary,
    DropArms,
    DropTerms,
    GiveBack,
    RestoreRules,
    ScaleCanary,
    SetArm,
    Unpin,
)
from leadsman.core.decision import Decision, Persist
from leadsman.core.exhibits import exposure, snapshot
from leadsman.core.observation import Owner, Role
from leadsman.core.policies.breaches import LOST_TARGET, REFUSING
from leadsman.core.status import HISTORY, Attempt, Heading, Past, Refused, Status
from leadsman.core.tries import tries
from leadsman.core.view import View, owned
from leadsman.guards.verdict import Level

_AT_ONCE = frozenset({"Superseded", "Reverted", "Deleted"}) | LOST_TARGET
"""Reasons that end `scaleDownDelay`: somebody is waiting for the place. An emergency does too."""


def unwind(view: View) -> Decision | None:
    """Rolling back and no traffic is left on the canary."""
    attempt = view.attempt
    if attempt is None or attempt.direction.name is not Heading.ROLLING_BACK or view.released:
        return None
    if attempt.direction.reason in LOST_TARGET and attempt.rested_at is None:
        return _to_rest(view, attempt)
    if attempt.rested_at is None:
        waiting = _delayed(view, attempt) or _canary_away(view, attempt)
        return waiting or nowhere_to_rest(view) or _to_rest(view, attempt)
    if attempt.direction.reason in LOST_TARGET:
        away = _canary_away(view, attempt)
        if away is not None:
            return away
    settled = attempt.rested_at + (view.plan.settle if attempt.routed_at is not None else 0.0)
    if view.now < settled:
        return view.wait("unwind", "Progressing", "the route settles at rest", until=settled)
    return _finish(view, attempt)


def _delayed(view: View, attempt: Attempt) -> Decision | None:
    """Weight 0 settles; then the pods stay for `scaleDownDelay`, unless somebody waits for it."""
    settle = view.plan.settle if attempt.max_weight > 0 else 0.0
    delay = view.plan.scale_down_delay if attempt.max_weight > 0 else 0.0
    at_once = (
        attempt.direction.reason in _AT_ONCE
        or view.spec.deleting
        or not view.at_attempt
        or any(guard.level == Level.EMERGENCY for guard in attempt.guards)
    )
    down_at = attempt.direction.since + (settle if at_once else max(settle, delay))
    if view.now >= down_at or not owned(view.canary_set):
        return None
    return view.wait(
        "unwind",
        "Progressing",
        "the canary has no traffic and stays until its delay is over"
        f" ({attempt.direction.message})",
        until=down_at,
    )


def _canary_away(view: View, attempt: Attempt) -> Decision | None:
    canary = view.canary_set
    if view.lost_target and canary is not None and canary.owner is Owner.DEPLOYMENT:
        return None  # a Deployment made anew has this very template: the pods are its own
    if canary is not None and owned(canary) and not canary.deleting:
        if not attempt.took_over or view.lost_target:
            return view.act(
                "unwind",
                "Progressing",
                "the canary is deleted",
                DeleteCanary(canary.name, canary.uid),
            )
        if canary.replicas > 0:
            return view.act(
                "unwind",
                "Progressing",
                "the canary is scaled down",
                ScaleCanary(canary.name, 0, canary.resource_version),
            )
    if view.canary_pods_left:
        return view.wait(
            "unwind",
            "Progressing",
            f"{view.canary_pods_left} canary pods are leaving",
            until=view.now + 5,
        )
    listed = _listed(view, attempt)
    if listed:
        return view.wait(
            "unwind",
            "Progressing",
            f"{listed} endpoints of the canary are still listed",
            until=view.now + 5,
        )
    if canary is not None and owned(canary) and attempt.took_over and not canary.deleting:
        return view.act(
            "unwind",
            "Progressing",
            f"ReplicaSet {canary.name} is given back",
            GiveBack(canary.name, canary.uid, canary.resource_version),
        )
    return None


def _listed(view: View, attempt: Attempt) -> int:
    """Ready endpoints of arms that select the canary: at rest a permanent arm selects everybody."""
    arms = [arm for arm in view.seen.arms if arm.revision == attempt.revision]
    return max((arm.ready for arm in arms if arm.role is Role.CANARY), default=0)


def nowhere_to_rest(view: View) -> Decision | None:
    """A Service to which rules on the arms would go back is not there: the arms go on serving.

    Not where the Rollout is being deleted: its arms go with it.
    """
    missing = sorted({rule.service for rule in view.armed} - {*view.services})
    if not missing or view.spec.deleting:
        return None
    return view.wait(
        "blocked",
        "ServiceMissing",
        f"Service {', '.join(missing)} is missing or has no selector: the route stays on the arms"
        " until it is there again, or the Rollout is deleted",
    )


def _to_rest(view: View, attempt: Attempt) -> Decision:
    """The pin away and the rules as the user stored them, in one decision."""
    unpin = [
        Unpin(one.name, one.resource_version)
        for one in view.seen.services
        if one.pinned_to in view.revisions
    ]
    widen: list[SetArm] = []
    if any(rule.permanent for rule in view.seen.rules):
        widen = [
            SetArm(service, role, "")
            for service in view.services
            for role in (Role.CANARY, Role.STABLE)
            if (arm := view.arm(service, role)) is None or arm.revision
        ]
    # A permanent rule is in rest form at weight 0 already, but its ownership is given up as well.
    kept = any(rule.permanent and rule.ours for rule in view.seen.rules)
    restore = () if view.at_rest_form and not kept else (RestoreRules(attempt.original),)
    return view.act(
        "unwind",
        "Progressing",
        "the route and the Services go back to rest",
        *unpin,
        *restore,
        *widen,
        status=view.with_attempt(rested_at=view.now, pinned=False),
        persist=Persist.SOON,
    )


def _finish(view: View, attempt: Attempt) -> Decision:
    reason = attempt.direction.reason
    outcome = (
        "RolledBack"
        if reason not in ("Aborted", "Deleted", "Superseded", "Reverted")
        else ("Superseded" if reason == "Superseded" else "Aborted")
    )
    status = ended(view, outcome, reason, attempt.direction.message)
    if reason in REFUSING and not view.spec.deleting:
        word = "Aborted" if reason == "Aborted" else "RolledBack"
        status = replace(
            status,
            refused=Refused(
                attempt.revision,
                attempt.template,
                word,
                attempt.direction.message,
                view.now,
                snapshot(attempt.guards),
                *exposure(attempt.guards),
            ),
        )
    if reason in LOST_TARGET:
        status = replace(status, stable=None)
    permanent = any(rule.permanent for rule in view.seen.rules)
    arms = () if permanent else (DropArms(view.served),)
    return view.act(
        "unwind",
        outcome,
        f"attempt {attempt.number} is over: {attempt.direction.message}",
        *arms,
        DropTerms(attempt.frozen),
        status=status,
        persist=Persist.NOW,
    )


def ended(view: View, outcome: str, reason: str, message: str) -> Status:
    """The status without its attempt, which has become history."""
    attempt, status = view.attempt, view.status
    if attempt is None:
        return status
    past = Past(
        revision=attempt.revision,
        number=attempt.number,
        outcome=outcome,
        started_at=attempt.started_at,
        ended_at=view.now,
        max_weight=attempt.max_weight,
        reason=f"{reason}: {message}" if reason else "",
        version=attempt.version,
        tries=tries(status.history, attempt.revision) + (outcome != "Promoted"),
    )
    return replace(status, attempt=None, history=(*status.history, past)[-HISTORY:])
