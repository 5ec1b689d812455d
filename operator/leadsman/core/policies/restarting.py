"""A canary whose containers start again and again while it is judged: told, once a stage.

A container that fails is a reason to roll back (`breaches`); one that ends as if all were well and
is started again is not. But its counters begin anew each time, users may meet closed connections,
and nobody would look for that in the figures of a release. What is remembered of having told it is
the condition.
"""

from __future__ import annotations

from leadsman.core.actions import Emit
from leadsman.core.decision import Decision, Persist
from leadsman.core.view import View

KIND, REASON = "CanarySteady", "CandidateRestarting"


def restarted(view: View) -> tuple[int, int]:
    """How many of the canary's pods started again in this stage, and of how many.

    (0, 0) where no more than half of them did: a single pod has reasons of its own.
    """
    attempt = view.attempt
    if attempt is None or attempt.weight == 0 or not view.troubled:
        return 0, 0
    since = attempt.stage.entered_at
    again = 0
    for pod in view.troubled:
        at = pod.restarted_at
        if at is not None and at >= since:
            again += not pod.deleting
    if not again or 2 * again <= view.canary_pods_left:
        return 0, 0
    return again, view.canary_pods_left


def words(view: View) -> str:
    """The restarts in a sentence, "" where there are none to speak of."""
    again, pods = restarted(view)
    if not again:
        return ""
    return (
        f"{again} of {pods} canary pods were started again in this stage, though nothing in them"
        " failed: each time their own counters begin anew"
    )


def restarting(view: View) -> Decision | None:
    """Tell of a burst of restarts, once: the condition says so for the rest of the stage."""
    attempt = view.attempt
    if not view.forward or attempt is None or attempt.stage.commanded_at is None:
        return None
    message = words(view)
    if not message or any(one.type == KIND for one in view.status.conditions):
        return None
    return view.act(
        "restarting",
        "Progressing",
        message,
        Emit(REASON, message, warning=True),
        status=view.with_guards(),
        persist=Persist.SOON,
    )
