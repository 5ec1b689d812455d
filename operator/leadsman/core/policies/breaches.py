"""The reasons to roll an attempt back, each a named check; the first that is violated counts.

A check says what is wrong and whether the revision is refused for it. None of them acts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log

from leadsman.core.exhibits import exposure
from leadsman.core.observation import Fault
from leadsman.core.spec import Absence, OnInconclusive
from leadsman.core.status import GuardStatus, Heading
from leadsman.core.view import View, need_of, owned
from leadsman.guards.verdict import Figures

REFUSING = frozenset(
    {
        "GuardFailed",
        "CanaryCrashed",
        "DeadlineExceeded",
        "ForeignWriter",
        "Aborted",
        "NoData",
        "Inconclusive",
        "Interrupted",
    }
)
"""Reasons that refuse the revision: it is not tried again until it is changed."""

LOST_TARGET = frozenset({"TargetMissing", "TargetReplaced"})
"""Reasons under which there is no stable arm to go back to."""

CRASHED_SHARE = 0.1
"""With ten pods or more, more than this share must have crashed; below ten, one is enough."""


@dataclass(frozen=True, slots=True)
class Breach:
    """Why an attempt is rolled back: the direction's reason, a sentence, the event's reason."""

    reason: str
    message: str
    event: str = "RolledBack"
    warning: bool = True


def find_breach(view: View) -> Breach | None:
    """The first violated check, or None."""
    for check in CHECKS:
        found = check(view)
        if found is not None:
            return found
    return None


def rollout_deleted(view: View) -> Breach | None:
    """The Rollout is being deleted: everything is given back."""
    if not view.spec.deleting:
        return None
    return Breach("Deleted", "the Rollout is being deleted", event="Aborted", warning=False)


def target_lost(view: View) -> Breach | None:
    """The Deployment is gone, or another one has its name."""
    if not view.lost_target or any(one.reason == "Deployment" for one in view.seen.unread):
        return None
    if view.target is None:
        return Breach("TargetMissing", f"Deployment {view.spec.target} is gone", event="Aborted")
    return Breach(
        "TargetReplaced", f"Deployment {view.spec.target} is another one now", event="Aborted"
    )


def guard_failed(view: View) -> Breach | None:
    """A guard fails, its trigger has fired and its `onFail` is Rollback."""
    evidence = view.evidence
    if not evidence.fired:
        return None
    message = "; ".join(describe(guard) for guard in evidence.fired[:3])
    requests, failed = exposure(evidence.guards)
    if failed:
        message += f"; {failed} of the canary's {requests} requests failed in all"
    return Breach("GuardFailed", f"emergency: {message}" if evidence.emergency else message)


def canary_crashed(view: View) -> Breach | None:
    """Canary pods exit, run out of memory or crash-loop while they have traffic."""
    attempt = view.attempt
    if attempt is None or view.top == 0 or not view.crashed:
        return None
    pods = max(1, sum(1 for pod in view.seen.pods if pod.revision == attempt.revision))
    if pods >= 10 and len(view.crashed) <= CRASHED_SHARE * pods:
        return None
    return Breach(
        "CanaryCrashed",
        f"{len(view.crashed)} of {pods} canary pods crashed with {view.top} % of the traffic"
        f" ({view.crashed[0]})",
    )


def canary_vanished(view: View) -> Breach | None:
    """Somebody deleted the canary's ReplicaSet while it had traffic.

    Before the route was on the stable arm there is none yet: a weight is the user's own then.
    """
    attempt = view.attempt
    if attempt is None or attempt.routed_at is None or view.top == 0:
        return None
    if view.seen.unread or view.canary_set is not None:
        return None
    return Breach("CanaryVanished", "the canary's ReplicaSet was deleted by somebody else")


def reverted(view: View) -> Breach | None:
    """The Deployment's template is the stable one again."""
    if view.target is None or view.seen.unread or not view.at_stable:
        return None
    return Breach(
        "Reverted", "the template is the stable version's again", event="Aborted", warning=False
    )


def superseded(view: View) -> Breach | None:
    """The Deployment has a newer template; stable stays the base."""
    if view.target is None or view.seen.unread or view.at_attempt or view.at_stable:
        return None
    return Breach(
        "Superseded", "a newer template came during the attempt", event="Superseded", warning=False
    )


def deadline_passed(view: View) -> Breach | None:
    """The canary's pods, or the gateway, were not ready within `progressDeadline`.

    What only somebody else can mend is no fault of the version, however long it takes (`blocked`).
    """
    attempt, target, canary = view.attempt, view.target, view.canary_set
    if attempt is None or target is None or canary is None or view.terms is None:
        return None
    if attempt.stage.measuring_since is not None or not owned(canary) or view.seen.problems:
        return None
    if view.now < attempt.stage.wait_since + view.plan.progress_deadline:
        return None
    need = need_of(view, attempt, target, canary)
    if not need.met:
        images = sum(
            1
            for pod in view.seen.pods
            if pod.revision == attempt.revision and pod.fault is Fault.IMAGE
        )
        detail = f" ({images} cannot pull their image)" if images else ""
        detail += f": {canary.failure}" if canary.failure else ""
        return Breach(
            "DeadlineExceeded",
            f"{need.available} of {need.needed} canary pods available after"
            f" {view.plan.progress_deadline:g} s{detail}",
        )
    if attempt.stage.commanded_at is not None and attempt.stage.accepted_at is None:
        return Breach("DeadlineExceeded", "the gateway did not accept the weight in time")
    return None


def blind_too_long(view: View) -> Breach | None:
    """The contract asks for a rollback when data or traffic are missing for so long."""
    evidence = view.evidence
    if evidence.no_data_since is None and evidence.no_traffic_since is None:
        return None
    rules = (
        (view.contract.no_data, evidence.no_data_since, "no data"),
        (view.contract.no_traffic, evidence.no_traffic_since, "no traffic"),
    )
    for rule, since, what in rules:
        if rule.action is Absence.ROLLBACK and since is not None and view.now >= since + rule.after:
            return Breach("NoData", f"{what} for {rule.after:g} s, and the contract says Rollback")
    return None


def inconclusive_too_long(view: View) -> Breach | None:
    """The stage's `maxHold` is over without a verdict, and the contract says Rollback."""
    if view.contract.on_inconclusive is not OnInconclusive.ROLLBACK or not view.max_hold_over():
        return None
    if not view.evidence.holding:
        return None
    return Breach(
        "Inconclusive",
        f"no verdict within maxHold ({view.stage.max_hold:g} s): "
        + describe(view.evidence.holding[0]),
    )


def describe(guard: GuardStatus) -> str:
    """A guard's finding in words: name, verdict, value against limit, events; or the evidence."""
    name = f"{guard.name}, slice {guard.slice}" if guard.slice else guard.name
    figures = guard.figures
    if figures is not None:
        return f"guard {name}: {guard.verdict} ({guard.reason}), {told(guard.value, figures)}"
    if guard.value is None or guard.limit is None:
        return f"guard {name}: {guard.verdict} ({guard.reason})"
    return (
        f"guard {name}: {guard.value:.2%} of {guard.events} requests, limit {guard.limit:.2%}"
        if guard.verdict == "Fail"
        else f"guard {name}: {guard.verdict} ({guard.reason}),"
        f" {guard.value:.2%} of {guard.events} requests, limit {guard.limit:.2%}"
    )


def told(value: float | None, figures: Figures) -> str:
    """The figures of a statistic in a few words; `value` is the canary's share, if it is one."""
    share = figures.kind != "mean"
    parts = [] if value is None else [f"canary {value:.3%}"]
    if figures.stable is not None:
        parts.append(f"stable {figures.stable:.3%}" if share else f"stable {figures.stable:.6g}")
    if figures.estimate is not None and figures.kind != "share":
        shown = f"{figures.kind} {figures.estimate:.3g}"
        if figures.low is not None and figures.high is not None:
            shown += f" ({figures.low:.3g} to {figures.high:.3g})"
        parts.append(shown)
    if figures.log_e is not None and figures.log_limit is not None:
        parts.append(f"evidence {_e_value(figures.log_e)} of {_e_value(figures.log_limit)}")
    if figures.information is not None and figures.information < 1:
        parts.append(f"{figures.information:.0%} of the evidence that a stage needs")
    return ", ".join(parts)


def _e_value(log_e: float) -> str:
    return f"{exp(log_e):.3g}" if log_e < 100 else f"1e{log_e / log(10):.0f}"


def stable_carries(view: View) -> bool:
    """Stable has its full strength, so that a rollback without evidence costs nobody anything.

    Counted in pods that stay: right after a set was scaled to 0 and up again, its status and the
    endpoints still tell of pods that are on their way out.
    """
    target, stable = view.target, view.stable_set
    if target is None or stable is None or not stable.observed:
        return False
    staying = sum(
        1
        for pod in view.seen.pods
        if pod.revision == stable.revision and pod.ready and not pod.deleting
    )
    return min(staying, stable.available, view.ready_stable) >= target.replicas


def unforced(view: View) -> Breach | None:
    """Reasons without evidence of harm; after a reclaim they wait for stable's strength."""
    attempt = view.attempt
    if attempt is None:
        return None
    if attempt.direction.name is Heading.HANDING_OVER and not stable_carries(view):
        return None
    return reverted(view) or superseded(view)


CHECKS: tuple[Callable[[View], Breach | None], ...] = (
    target_lost,
    rollout_deleted,
    guard_failed,
    canary_crashed,
    canary_vanished,
    unforced,
    deadline_passed,
    blind_too_long,
    inconclusive_too_long,
)
