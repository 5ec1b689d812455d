"""The two ends of a Rollout's life: learning which version is stable, giving everything back."""

from __future__ import annotations

from dataclasses import replace

from leadsman.core.actions import (
    AddFinalizer,
    DropArms,
    DropFinalizer,
    Emit,
    KeepArms,
    Pause,
    SetArm,
    Unpause,
)
from leadsman.core.decision import Decision, Persist
from leadsman.core.observation import Owner, ReplicaSet, Role, Target
from leadsman.core.spec import HoldMode
from leadsman.core.status import Stable, Status
from leadsman.core.view import View


def give_back(view: View) -> Decision | None:
    """The Rollout is being deleted and no attempt is left: unpause, drop the arms, let it go."""
    if not view.spec.deleting or view.attempt is not None:
        return None
    if not view.seen.finalizer:
        return view.wait("give_back", "Stable", "nothing is left to give back")
    target = view.target
    if target is not None and target.paused and not target.deleting and _ours_to_unpause(view):
        refused = view.status.refused
        rolls = not view.at_stable
        message = "the hold is lifted" + (
            f": the refused template {refused.revision} rolls out now"
            if rolls and refused
            else ": the new template rolls out now"
            if rolls
            else ""
        )
        return view.act(
            "give_back",
            "Progressing",
            message,
            Unpause(target.uid, target.resource_version),
            Emit("HoldEnded", message, warning=rolls),
        )
    if view.seen.arms:
        return view.act(
            "give_back",
            "Progressing",
            "letting go of the arms",
            # A route that names the arms by its user's hand would lead nowhere without them.
            KeepArms(view.services)
            if any(rule.permanent for rule in view.seen.rules)
            else DropArms(view.services),
            DropFinalizer(),
        )
    return view.act("give_back", "Progressing", "everything is given back", DropFinalizer())


def _ours_to_unpause(view: View) -> bool:
    return view.status.stable is not None


def finalize(view: View) -> Decision | None:
    """Before anything of the user's is touched, make sure that deleting gives it back."""
    if view.seen.finalizer or view.spec.deleting:
        return None
    return view.act("finalize", "Progressing", "first visit", AddFinalizer())


def adopt(view: View) -> Decision | None:
    """No stable version is remembered, or the target is another object: learn it anew."""
    target, status = view.target, view.status
    if view.attempt is not None or view.spec.deleting or target is None:
        return None
    if status.stable is not None and status.stable.uid == target.uid:
        return None
    if target.deleting:
        return view.wait("adopt", "TargetMissing", f"Deployment {target.name} is being deleted")
    found = _new_set(view) if target.complete else _serving(view, target)
    if found is None:
        return _not_adoptable(view, target)
    stable = Stable(target.uid, found.revision, found.template, target.replicas)
    problem = next(iter(view.spec.problems + view.seen.problems), None)
    message = f"revision {found.revision} is stable"
    return view.act(
        "adopt",
        # Nobody who waits for Ready may be told so for a moment while something is wrong.
        "Stable" if problem is None else problem.reason,
        message if problem is None else problem.message,
        Emit("Adopted", f"{message} from now on: the next template is held and released in stages"),
        status=replace(status, stable=stable, refused=None),
        persist=Persist.NOW,
    )


def _new_set(view: View) -> ReplicaSet | None:
    """The Deployment's own set of its template; an equal one of ours was the former object's."""
    own = [
        one
        for one in view.seen.sets
        if one.matches and one.owner is Owner.DEPLOYMENT and not one.deleting
    ]
    return min(own, key=lambda one: (one.created_at, one.name)) if own else view.new_set


def _serving(view: View, target: Target) -> ReplicaSet | None:
    """The one set that serves a Deployment which was held before it was ever adopted."""
    if not target.paused:
        return None
    active = _active(view)
    if len(active) != 1 or active[0].available < max(1, target.replicas):
        return None
    return active[0]


def _active(view: View) -> list[ReplicaSet]:
    return [one for one in view.seen.sets if one.owner is Owner.DEPLOYMENT and one.replicas > 0]


def _not_adoptable(view: View, target: Target) -> Decision:
    """Wait, or, where the hold came before there was anything to protect, lift it."""
    active = len(_active(view))
    if target.paused and (active == 0 or (active > 1 and view.seen.hold_policy)):
        message = (
            f"Deployment {target.name} was held before a version of it was complete:"
            " it rolls out by itself first"
        )
        return view.act(
            "adopt",
            "Holding",
            message,
            Unpause(target.uid, target.resource_version),
            Emit("HoldEnded", message),
        )
    what = "it is paused" if target.paused else "it is still rolling out"
    return view.wait(
        "adopt",
        "Holding",
        f"waiting for Deployment {target.name} to be complete before the first release: {what}",
    )


def rest_hold(view: View) -> Decision | None:
    """At rest: lift the hold when the template is the stable one, or keep `hold: Paused`."""
    target, stable = view.target, view.status.stable
    if view.attempt is not None or target is None or stable is None or not view.at_stable:
        return None
    status = view.status
    if status.refused is not None:
        status = replace(status, refused=None)
    if view.spec.hold is HoldMode.POLICY and target.paused:
        return view.act(
            "release_hold",
            "Stable",
            "the template is the stable one: the hold is lifted",
            Unpause(target.uid, target.resource_version),
            Emit("HoldEnded", "the template is the stable version's again"),
            status=status,
            persist=Persist.NOW,
        )
    if view.spec.hold is HoldMode.PAUSED and not target.paused:
        return view.act(
            "release_hold",
            "Stable",
            "held by spec.paused, as spec.hold asks",
            Pause(target.uid, target.resource_version),
            status=status,
            persist=Persist.NOW,
        )
    if status is not view.status:
        return view.act(
            "release_hold",
            "Stable",
            "the refused template is gone",
            status=status,
            persist=Persist.NOW,
        )
    return None


def rest_arms(view: View) -> Decision | None:
    """Weights only: the user's rules name the arms, so they exist at rest, both unnarrowed.

    They are the user's Service under other names, so they follow each of its changes.
    """
    if view.attempt is not None or not any(rule.permanent for rule in view.seen.rules):
        return None
    for service in view.services:
        for role in (Role.STABLE, Role.CANARY):
            arm = view.arm(service, role)
            if arm is None or arm.revision or arm.stale:
                follows = arm is not None and not arm.revision
                return view.act(
                    "rest_arms",
                    # A refused template stays refused while an arm is put right.
                    rest(view).why.reason,
                    f"the {role.value} arm of {service}"
                    f" {'follows its Service' if follows else 'is opened'}",
                    SetArm(service, role, ""),
                )
    return None


def rest(view: View) -> Decision:
    """None of the others: the conditions say how things are, and nothing is written."""
    status, target = view.status, view.target
    if target is not None and status.stable is not None:
        status = _with_replicas(status, target.replicas)
    if status.refused is not None and view.at_refused:
        return view.wait(
            "rest",
            status.refused.reason,
            _refused_message(view),
            status=status,
        )
    last = status.history[-1].outcome if status.history else ""
    reason = "Promoted" if last == "Promoted" else "Stable"
    message = "nothing to do" if status.stable is not None else "waiting for the target"
    return view.wait("rest", reason, message, status=status)


def _with_replicas(status: Status, replicas: int) -> Status:
    stable = status.stable
    if stable is None or stable.replicas == replicas:
        return status
    return replace(status, stable=replace(stable, replicas=replicas))


def _refused_message(view: View) -> str:
    refused = view.status.refused
    stable = view.status.stable
    if refused is None or stable is None:
        return ""
    return (
        f"revision {refused.revision} is refused and held back: {refused.message};"
        f" users are served by {stable.revision}. Apply the former manifest to lift the hold,"
        " or a corrected one to try again (kubectl refuses rollout undo and restart while held)"
    )
