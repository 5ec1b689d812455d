"""What keeps a new version back, and what keeps an attempt waiting before it may go on."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from leadsman.core.actions import DeleteCanary, DropFinalizer, Emit, Pause, TakeOver
from leadsman.core.decision import Decision, Persist, Urgency
from leadsman.core.members import DEPLOYMENT, ROLLING_BACK, ROLLOUT
from leadsman.core.spec import Promotion
from leadsman.core.status import Status
from leadsman.core.view import View


def unread(view: View) -> Decision | None:
    """Something could not be read: nothing is raised, scaled or deleted on half a picture."""
    if not view.seen.unread:
        return None
    one = view.seen.unread[0]
    return view.wait(
        "unread",
        "Holding",
        f"cannot read {one.reason}: {one.message}",
        until=view.now + 2,
        urgency=Urgency.ADVANCE,
    )


def keep_hold(view: View) -> Decision | None:
    """The template differs from stable's and the Deployment is not paused: pause it now.

    Sets that the Deployment controller already made of it are taken over in the same decision: with
    stable as its only set the controller brings stable back to strength by itself.
    """
    target, status = view.target, view.status
    if target is None or status.stable is None or view.lost_target or view.spec.deleting:
        return None
    if view.at_stable or view.released or target.deleting:
        return None
    running = [
        one
        for one in view.seen.sets
        if one.matches and one.owner is DEPLOYMENT and one.replicas > 0 and not one.deleting
    ]
    if target.paused and not running:
        return None
    actions: list[Pause | TakeOver | Emit] = []
    if not target.paused:
        actions.append(Pause(target.uid, target.resource_version))
    actions += [TakeOver(one.name, one.uid, one.resource_version) for one in running]
    message = "a new template was not held back by the policy: paused, its pods kept from traffic"
    if view.attempt is not None or view.at_refused:
        actions.append(Emit("HoldStarted", message, warning=True))
    return view.act("keep_hold", "Progressing", message, *actions, urgency=Urgency.ROLL_BACK)


def stray_set(view: View) -> Decision | None:
    """A set of ours that is neither the canary nor about to be it goes away.

    One comes about when the Deployment controller was faster than the hold while a canary was
    there already, when a refused template was not held, or when the Deployment was made anew at a
    template whose set had been taken over from the former one.
    """
    known = view.revisions
    adopted = view.at_stable and not view.lost_target
    awaited = not (view.attempt or view.at_refused or adopted or view.spec.deleting)
    for one in view.seen.sets:
        if one.owner is not ROLLOUT or one.deleting or one.revision in known:
            continue
        if awaited and one.matches:
            continue
        return view.act(
            "stray_set",
            "Progressing",
            f"ReplicaSet {one.name} is nobody's any more: deleted",
            DeleteCanary(one.name, one.uid),
        )
    return None


def conflicted(view: View) -> Decision | None:
    """An older Rollout has the target or a rule: nothing is touched, not even given back."""
    if view.attempt is not None:
        return None
    for one in view.spec.problems:
        if one.reason == "Conflicted":
            if view.spec.deleting and view.seen.finalizer:
                return view.act("conflicted", "Progressing", "nothing was taken", DropFinalizer())
            return view.wait("conflicted", one.reason, one.message)
    return None


def blocked(view: View) -> Decision | None:
    """Something that only the operator can see is wrong: hold, and say what."""
    if view.released or view.heading is ROLLING_BACK:
        return None
    problems = view.seen.problems
    if view.attempt is None:
        problems = view.spec.problems + problems
    if view.target is None and view.attempt is None:
        missing = [one for one in problems if one.reason == "TargetMissing"]
        message = missing[0].message if missing else f"Deployment {view.spec.target} does not exist"
        return view.wait("blocked", "TargetMissing", message)
    if not problems:
        return None
    status, until = _time_kept(view)
    return view.wait("blocked", problems[0].reason, problems[0].message, status=status, until=until)


def _time_kept(view: View) -> tuple[Status | None, float | None]:
    """While an attempt is blocked its deadline never has less than half of its time left.

    Renewed at half, and not in each pass, so that waiting writes nothing.
    """
    attempt = view.attempt
    if attempt is None or attempt.stage.measuring_since is not None:
        return None, None
    half = view.plan.progress_deadline / 2
    if view.now < attempt.stage.wait_since + half:
        return None, attempt.stage.wait_since + half
    stage = replace(attempt.stage, wait_since=view.now)
    return view.with_attempt(stage=stage), view.now + half


def stable_short(view: View) -> Decision | None:
    """Stable has fewer available replicas than its share needs: no weight is raised meanwhile."""
    attempt, target, stable = view.attempt, view.target, view.stable_set
    if not view.forward or attempt is None or target is None:
        return None
    if attempt.stage.commanded_at is not None or view.now == attempt.stage.entered_at:
        return None
    available = stable.available if stable is not None else 0
    share = 100 - attempt.weight
    needed = ceil(share * target.replicas / 100)
    if available >= needed:
        return None
    return view.wait(
        "stable_short",
        "Holding",
        f"stable has {available} of {needed} available pods for its {share} %",
        persist=Persist.LAZY,
    )


def rolling_update(view: View) -> bool:
    """The attempt ends in the Deployment's own rolling update."""
    return view.plan.promotion is Promotion.ROLLING_UPDATE
