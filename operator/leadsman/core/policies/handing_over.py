"""The hand-over: the canary's ReplicaSet becomes the Deployment's own, and no pod restarts.

Rolling back is possible until the release; from then on there is nothing to roll back to, and the
only way is forward: to rest, or, when the release did not take, back for one more try.
"""

from __future__ import annotations

from dataclasses import replace

from leadsman.core.actions import (
    Action,
    DropArms,
    DropTerms,
    Emit,
    Release,
    RestoreRules,
    ScaleCanary,
    SetArm,
    TakeOver,
    Unpause,
    Unpin,
)
from leadsman.core.decision import Decision, Persist, Urgency
from leadsman.core.observation import Owner, ReplicaSet, Role
from leadsman.core.policies.breaches import Breach, find_breach
from leadsman.core.policies.falling_back import roll_back
from leadsman.core.policies.holding import rolling_update
from leadsman.core.policies.leads import lead
from leadsman.core.policies.unwinding import ended, nowhere_to_rest
from leadsman.core.spec import HoldMode
from leadsman.core.status import Attempt, Heading, Stable
from leadsman.core.view import View, need_of

FREEZE_PATIENCE = 3.0
"""Seconds to wait for the freezing policy to be in force; `reclaim` repairs what slips through."""

RECLAIM_AFTER = 1.0
"""Seconds after the release by which the set must be the Deployment's new one."""

STUCK_AFTER = 30.0
"""Seconds after the release by which stable must be at 0.

A whole set that matches is all that the Deployment controller needs, and it carries all traffic
meanwhile. The controller may be slow; taking the set back just then would undo what it does.
"""


def release_found(view: View) -> Decision | None:
    """The set is not ours any more: released before a restart that came before it was recorded.

    It comes before every reason to roll back: stable is being scaled down, and there is nothing to
    roll back to.
    """
    attempt, canary = view.attempt, view.canary_set
    if attempt is None or view.heading is not Heading.HANDING_OVER or view.released:
        return None
    if view.target is None or canary is None or canary.owner in (Owner.ROLLOUT, Owner.OTHER):
        return None
    return view.act(
        "release_found",
        "Progressing",
        "the set is the Deployment's",
        status=view.with_attempt(
            released_at=view.now,
            # A rolling update begins with the route at rest, before the release.
            rested_at=view.now if rolling_update(view) else attempt.rested_at,
        ),
        persist=Persist.NOW,
    )


def reclaim(view: View) -> Decision | None:
    """Released, but the Deployment did not take the set whole: take it back and try again.

    Where there is nothing to try again, because the template is another one by now, traffic goes
    back to stable first: the Deployment has scaled the set that carries it to nothing.
    """
    attempt, target, canary = view.attempt, view.target, view.canary_set
    if not view.released or attempt is None or target is None or canary is None:
        return None
    if rolling_update(view) or attempt.rested_at is not None or attempt.released_at is None:
        return None
    if canary.deleting:
        return None
    if canary.owner is Owner.ROLLOUT:
        return _reclaimed(view, f"ReplicaSet {canary.name} was taken back before a restart")
    stable = view.stable_set
    stable_left = stable is not None and stable.replicas > 0
    waited = view.now - attempt.released_at
    shrank = canary.replicas < target.replicas and stable_left
    patience = STUCK_AFTER if canary.matches else RECLAIM_AFTER
    stuck = stable_left and waited >= patience
    if not shrank and not stuck:
        return None
    take = TakeOver(canary.name, canary.uid, canary.resource_version)
    found = None if view.at_attempt else find_breach(view)
    if found is not None:
        return _turned_round(view, found, take)
    message = (
        f"the Deployment did not take the set whole ({canary.replicas} of {target.replicas}"
        " replicas): taken back, and tried again"
    )
    return _reclaimed(view, message, take, Emit("HandOverRepeated", message, warning=True))


def _reclaimed(view: View, message: str, *actions: Action) -> Decision:
    """The set is the Rollout's again, and not released any more."""
    return view.act(
        "reclaim",
        "Progressing",
        message,
        *actions,
        status=view.with_attempt(
            released_at=None, direction=view.heading_for(Heading.HANDING_OVER, "Reclaimed", message)
        ),
        persist=Persist.NOW,
        urgency=Urgency.ROLL_BACK,
    )


def _turned_round(view: View, found: Breach, take: TakeOver) -> Decision:
    """Back to stable instead of once more forward: weight 0, the set, the direction."""
    back = roll_back(view, found)
    if back.status.attempt is None:
        raise AssertionError("roll_back() keeps the attempt")
    status = replace(back.status, attempt=replace(back.status.attempt, released_at=None))
    return view.act(
        "reclaim",
        back.why.reason,
        back.why.message,
        *back.actions,
        take,
        status=status,
        persist=Persist.NOW,
        urgency=Urgency.ROLL_BACK,
    )


def hand_over(view: View) -> Decision | None:
    """Before the release: unpin, freeze, whole strength; then one patch."""
    attempt, target, canary = view.attempt, view.target, view.canary_set
    if attempt is None or view.heading is not Heading.HANDING_OVER or view.released:
        return None
    if target is None or canary is None:
        return view.wait("hand_over", "TargetMissing", "the target or the canary's set is gone")
    if rolling_update(view):
        return _release_to_rolling_update(view, attempt, canary)
    need = need_of(view, attempt, target, canary)
    if canary.replicas != target.replicas:
        return view.act(
            "hand_over",
            "Progressing",
            f"the canary is scaled to {target.replicas}",
            ScaleCanary(canary.name, target.replicas, canary.resource_version),
            status=view.with_base(target.replicas),
        )
    if not view.at_attempt and view.stable_set is not None:
        # Released now, the set would not be the Deployment's new one, and come back again.
        return view.wait(
            "hand_over",
            "Progressing",
            "the template changed during the hand-over: back to stable once it has its strength",
            until=view.now + 5,
        )
    pinned = [one for one in view.seen.services if one.pinned_to in view.revisions]
    if pinned:
        return view.act(
            "hand_over",
            "Progressing",
            "callers inside the cluster are unpinned",
            *(Unpin(one.name, one.resource_version) for one in pinned),
        )
    if not need.met:
        return view.wait(
            "hand_over",
            "Progressing",
            f"{need.available} of {need.needed} canary pods available for the hand-over",
            until=attempt.stage.wait_since + view.plan.progress_deadline,
        )
    patience = attempt.direction.since + FREEZE_PATIENCE
    if view.seen.freeze_policy and not view.seen.frozen_replicas and view.now < patience:
        return view.wait(
            "hand_over",
            "Progressing",
            "waiting for the replicas to be frozen",
            until=view.now + 0.02,
            urgency=Urgency.ADVANCE,
        )
    return view.act(
        "hand_over",
        "Progressing",
        f"ReplicaSet {canary.name} is released to the Deployment",
        Release(canary.name, canary.uid, canary.resource_version, target.replicas),
        status=view.with_attempt(released_at=view.now),
        persist=Persist.NOW,
    )


def _release_to_rolling_update(view: View, attempt: Attempt, canary: ReplicaSet) -> Decision:
    pinned = [one for one in view.seen.services if one.pinned_to in view.revisions]
    if not view.at_rest_form or pinned:
        return view.act(
            "hand_over",
            "Progressing",
            "the route goes to rest, the Deployment rolls on",
            RestoreRules(attempt.original),
            *(Unpin(one.name, one.resource_version) for one in pinned),
        )
    return view.act(
        "hand_over",
        "Progressing",
        f"ReplicaSet {canary.name} is released to the Deployment",
        Release(canary.name, canary.uid, canary.resource_version, canary.replicas),
        status=view.with_attempt(released_at=view.now, rested_at=view.now),
        persist=Persist.NOW,
    )


def settle_down(view: View) -> Decision | None:
    """After the release: endpoints, route to rest, unpause, arms gone, outcome recorded."""
    attempt, target, canary = view.attempt, view.target, view.canary_set
    if attempt is None or not view.released or attempt.released_at is None:
        return None
    if target is None or view.lost_target:
        return _lost(view)
    if rolling_update(view):
        return _roll_on(view, attempt)
    if attempt.rested_at is None:
        waiting = _not_taken(view, canary)
        if waiting:
            return view.wait(
                "hand_over",
                "Progressing",
                waiting,
                until=max(view.now + 1, attempt.released_at + RECLAIM_AFTER),
                urgency=Urgency.ADVANCE,
            )
        if not view.seen.rules or view.at_rest_form or view.now >= _known(view, attempt):
            return nowhere_to_rest(view) or _to_rest(view, attempt)
        return _stable_arm(view, attempt) or view.wait(
            "hand_over",
            "Progressing",
            "the gateway learns of the endpoints",
            until=_known(view, attempt),
            urgency=Urgency.ADVANCE,
        )
    if target.paused and view.spec.hold is HoldMode.POLICY and view.at_attempt:
        return view.act(
            "hand_over",
            "Progressing",
            "the hold is lifted",
            Unpause(target.uid, target.resource_version),
        )
    return _finish(view, attempt)


def _not_taken(view: View, canary: ReplicaSet | None) -> str:
    if canary is None or canary.owner is not Owner.DEPLOYMENT:
        return "the Deployment has not claimed the set yet"
    stable = view.stable_set
    if stable is not None and stable.replicas > 0:
        return "the former version is being scaled down"
    for service in view.seen.services:
        if service.ready_stable or service.ready_other or not service.ready_canary:
            return f"the endpoints of Service {service.name} are changing over"
    return ""


def _known(view: View, attempt: Attempt) -> float:
    """When a gateway has heard of the endpoints that the release changed."""
    return (attempt.released_at or view.now) + lead(view)


def _to_rest(view: View, attempt: Attempt) -> Decision:
    permanent = [rule for rule in view.seen.rules if rule.permanent]
    if permanent:
        return _weights_to_rest(view, attempt)
    return view.act(
        "hand_over",
        "Progressing",
        "the route goes back to rest",
        *(() if view.at_rest_form else (RestoreRules(attempt.original),)),
        status=view.with_attempt(rested_at=view.now, pinned=False),
        persist=Persist.SOON,
    )


def _weights_to_rest(view: View, attempt: Attempt) -> Decision:
    """Weights only: the stable arm moves to the new version at weight 0, then takes all."""
    moving = _stable_arm(view, attempt)
    if moving is not None:
        return moving
    if view.top > 0:
        if view.ready_stable < max(1, view.ready_canary):
            return view.wait(
                "hand_over",
                "Progressing",
                "the stable arm's endpoints are changing over",
                until=view.now + 0.2,
                urgency=Urgency.ADVANCE,
            )
        return view.act(
            "hand_over",
            "Progressing",
            "the stable arm takes all traffic",
            RestoreRules(attempt.original),
        )
    return view.act(
        "hand_over",
        "Progressing",
        "the route is at rest",
        status=view.with_attempt(rested_at=view.now, pinned=False),
        persist=Persist.SOON,
    )


def _stable_arm(view: View, attempt: Attempt) -> Decision | None:
    """Weights only: the stable arm, at weight 0, moves to the new version before it takes all."""
    if view.top == 0 or not any(rule.permanent for rule in view.seen.rules):
        return None
    stale = [
        service
        for service in view.services
        if (arm := view.arm(service, Role.STABLE)) is None or arm.revision != attempt.revision
    ]
    if not stale:
        return None
    return view.act(
        "hand_over",
        "Progressing",
        "the stable arm moves to the new version",
        *(SetArm(service, Role.STABLE, attempt.revision) for service in stale),
    )


def _roll_on(view: View, attempt: Attempt) -> Decision:
    target = view.target
    if target is None:
        return _lost(view)
    if target.paused and view.at_attempt:
        return view.act(
            "hand_over",
            "Progressing",
            "the Deployment rolls on by itself",
            Unpause(target.uid, target.resource_version),
        )
    if view.at_attempt and not target.complete:
        return view.wait("hand_over", "Progressing", "the Deployment rolls on by itself")
    return _finish(view, attempt)


def _finish(view: View, attempt: Attempt) -> Decision:
    settled = (attempt.rested_at or view.now) + view.plan.settle
    if view.now < settled:
        return view.wait("hand_over", "Progressing", "the route settles at rest", until=settled)
    target = view.target
    replicas = target.replicas if target is not None else 0
    uid = target.uid if target is not None else ""
    status = replace(
        ended(view, "Promoted", "", ""),
        stable=Stable(uid, attempt.revision, attempt.template, replicas),
        refused=None,
    )
    permanent = any(rule.permanent for rule in view.seen.rules)
    arms = () if permanent else (DropArms(view.served),)
    minutes = (view.now - attempt.started_at) / 60
    return view.act(
        "hand_over",
        "Promoted",
        f"revision {attempt.revision} is promoted",
        *arms,
        DropTerms(attempt.frozen),
        Emit(
            "Promoted",
            f"revision {attempt.revision} is promoted after {minutes:.1f} min;"
            " no pod was restarted",
        ),
        status=status,
        persist=Persist.NOW,
    )


def _lost(view: View) -> Decision:
    """The Deployment went away after the release: what is ours goes, the route rests."""
    attempt = view.attempt
    if attempt is None:
        raise AssertionError("settle_down() has checked the attempt")
    status = replace(ended(view, "Aborted", "TargetMissing", "the Deployment is gone"), stable=None)
    return view.act(
        "hand_over",
        "TargetMissing",
        "the Deployment was deleted during the hand-over",
        *(() if view.at_rest_form else (RestoreRules(attempt.original),)),
        DropArms(view.served),
        DropTerms(attempt.frozen),
        status=status,
        persist=Persist.NOW,
    )
