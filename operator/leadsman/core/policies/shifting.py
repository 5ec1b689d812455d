"""Raising traffic: capacity before weight, approval before weight, and arrival before it counts."""

from __future__ import annotations

from dataclasses import replace
from math import log

from leadsman.core.actions import Emit, ScaleCanary, SetWeights
from leadsman.core.changed import changed
from leadsman.core.decision import Decision, Persist, Urgency
from leadsman.core.observation import ReplicaSet, Share, Target
from leadsman.core.policies.leads import lead
from leadsman.core.spec import Stage
from leadsman.core.status import Attempt, Heading
from leadsman.core.view import View, need_of, owned
from leadsman.guards.share import log_evidence_of_counts

SHARE_EVENTS = 200
"""From so many events on, the arrived share is compared with the commanded one."""

PREPARE_SECONDS = 5.0
"""So long before a hold is over, the pods of the next stage are started."""

SPLIT_EVIDENCE = log(1000)
"""Evidence (natural logarithm) with which a split counts as broken in the middle of a stage."""

SHARE_POINTS = 0.02
SHARE_RATIO = 0.2
"""Plausible within the larger of two points and a fifth of the share."""


def capacity(view: View) -> Decision | None:
    """The stage's weight needs more canary pods than are available and ready."""
    attempt, target, canary = view.attempt, view.target, view.canary_set
    if not view.forward or attempt is None or target is None or canary is None:
        return None
    if view.terms is None or not owned(canary):
        return None
    need = need_of(view, attempt, target, canary)
    wanted = min(max(canary.replicas, need.needed), need.most)
    if view.seen.autoscaler:
        wanted = max(wanted, _carrying(attempt, target, canary, view.stage))
    if canary.replicas != wanted:
        return view.act(
            "capacity",
            "Progressing",
            f"the canary is scaled to {wanted}",
            ScaleCanary(canary.name, wanted, canary.resource_version),
            status=view.with_base(target.replicas),
        )
    if attempt.stage.commanded_at is not None or need.met:
        return None
    return view.wait(
        "capacity",
        "Progressing",
        f"{need.available} of {need.needed} canary pods available, {need.ready} in the endpoints"
        + (f": {canary.failure}" if canary.failure else ""),
        until=attempt.stage.wait_since + view.plan.progress_deadline,
        urgency=Urgency.ADVANCE,
    )


def _carrying(attempt: Attempt, target: Target, canary: ReplicaSet, stage: Stage) -> int:
    """The pods that carry the present weight: a cap that comes late does not take them away."""
    if attempt.weight == 0 or stage.replicas is not None:
        return 0
    share = -(-attempt.weight * target.replicas // 100)
    return min(share, attempt.replicas, canary.replicas)


def prepare(view: View) -> Decision | None:
    """The hold is nearly over and nothing speaks against going on: the next stage's pods start.

    Pods take a second or more to get ready; without this every stage would wait for them.
    """
    attempt, target, canary = view.attempt, view.target, view.canary_set
    if not view.forward or attempt is None or target is None or canary is None:
        return None
    due = attempt.stage.due_at
    if due is None or not due - PREPARE_SECONDS <= view.now < due or view.evidence.holding:
        return None
    if view.terms is None or not owned(canary) or split_broken(view):
        return None
    need = need_of(view, attempt, target, canary)
    if canary.replicas >= need.most:
        return None
    return view.act(
        "prepare",
        "Progressing",
        f"the canary is scaled to {need.most} for the next stage",
        ScaleCanary(canary.name, need.most, canary.resource_version),
    )


def step_back(view: View) -> Decision | None:
    """Blind for too long: back to the weight of the stage before, in status before the route."""
    attempt = view.attempt
    if not view.forward or attempt is None or attempt.stage.measuring_since is None:
        return None
    since = view.evidence.no_data_since
    if since is None or view.now < since + view.contract.step_back_after:
        return None
    index = attempt.stage.index
    if index == 0:
        return None
    before = view.stages[index - 1]
    message = f"no data for {view.now - since:.0f} s: back to stage {before.name}"
    stage = replace(
        attempt.stage,
        index=index - 1,
        name=before.name,
        entered_at=view.now,
        wait_since=view.now,
        commanded_at=view.now,
        accepted_at=None,
        measuring_since=None,
        due_at=None,
    )
    guards = tuple(
        changed(guard, no_data_since=None if guard.no_data_since is None else view.now)
        for guard in view.evidence.guards
    )
    status = view.with_attempt(
        stage=stage,
        weight=before.weight,
        weight_since=view.now,
        guards=guards,
        direction=view.heading_for(Heading.STEPPING_BACK, "Blind", message),
    )
    return view.act(
        "step_back",
        "Holding",
        message,
        SetWeights(before.weight, lowering=True),
        Emit("WeightChanged", message, warning=True),
        status=status,
        persist=Persist.FIRST,
    )


def raise_weight(view: View) -> Decision | None:
    """Capacity and approval are there and the stage's weight is not commanded yet."""
    attempt, target, canary = view.attempt, view.target, view.canary_set
    if not view.forward or attempt is None or target is None or canary is None:
        return None
    if attempt.stage.commanded_at is not None or view.terms is None:
        return None
    stage = view.stage
    if view.seen.approvals < stage.approvals:
        return view.wait(
            "raise",
            "Holding",
            f"stage {stage.name} awaits {stage.approvals - view.seen.approvals} approval(s)",
        )
    known = view.canary_since + lead(view)
    if view.now < known and stage.weight > view.low:
        return view.wait(
            "raise",
            "Progressing",
            "the gateway learns of the canary's endpoints",
            until=known,
            urgency=Urgency.ADVANCE,
        )
    status = view.with_attempt(
        weight=stage.weight,
        weight_since=view.now,
        max_weight=max(attempt.max_weight, stage.weight),
        base_replicas=target.replicas,
        replicas=canary.replicas,
        direction=attempt.direction
        if attempt.direction.name is Heading.ADVANCING
        else view.heading_for(Heading.ADVANCING),
        stage=replace(attempt.stage, commanded_at=view.now, wait_since=view.now),
        # Windows begin anew under the new weight; what was gathered until now stays gathered.
        guards=tuple(one for one in view.evidence.guards if one.evidence is not None),
    )
    number, total = attempt.stage.index + 1, len(view.stages)
    message = (
        f"stage {stage.name} ({number}/{total}): {stage.weight} % to revision {attempt.revision}"
    )
    write = () if view.all_on(stage.weight) else (SetWeights(stage.weight, lowering=False),)
    return view.act(
        "raise",
        "Progressing",
        message,
        *write,
        Emit("StageStarted", message),
        status=status,
    )


def arrival(view: View) -> Decision | None:
    """Commanded, but not yet accepted, settled and seen in the router's counters."""
    attempt = view.attempt
    if not view.forward or attempt is None or attempt.stage.commanded_at is None:
        return None
    stage = attempt.stage
    if stage.measuring_since is not None:
        return None
    waiting = [rule.why_not for rule in view.seen.rules if not rule.accepted]
    if stage.accepted_at is None:
        if waiting or not view.all_on(attempt.weight):
            why = waiting[0] if waiting else "the route does not show the weight yet"
            return view.wait(
                "arrival",
                "Progressing",
                f"{attempt.weight} % commanded, not accepted: {why}",
                until=stage.wait_since + view.plan.progress_deadline,
                status=view.with_guards(),
                urgency=Urgency.ADVANCE,
            )
        return view.act(
            "arrival",
            "Progressing",
            f"the gateway accepted {attempt.weight} %",
            status=view.with_attempt(stage=replace(stage, accepted_at=view.now)),
        )
    settled = stage.accepted_at + view.plan.settle
    if view.now < settled:
        return view.wait(
            "arrival",
            "Progressing",
            f"{attempt.weight} % settles",
            until=settled,
            status=view.with_guards(),
        )
    if not share_plausible(view):
        return view.wait(
            "arrival",
            "SampleRatioMismatch",
            share_told(view),
            until=view.now + 1,
            status=view.with_guards(),
        )
    hold = view.stage.hold
    return view.act(
        "arrival",
        "Progressing",
        f"{attempt.weight} % arrived",
        status=view.with_attempt(
            stage=replace(stage, measuring_since=settled, due_at=settled + hold),
            guards=view.evidence.guards,
        ),
        persist=Persist.NOW,
    )


def share_plausible(view: View) -> bool:
    """The arrived share is near the commanded one, or there is no way to tell."""
    attempt, share = view.attempt, view.seen.share
    if attempt is None or share is None or not view.seen.share_measurable:
        return True
    return is_plausible(share, attempt.weight)


def is_plausible(share: Share, weight: int) -> bool:
    """A share is near `weight` percent, or of too few events to tell."""
    if share.total < SHARE_EVENTS:
        return True
    wanted = weight / 100
    return abs(share.canary / share.total - wanted) <= max(SHARE_POINTS, SHARE_RATIO * wanted)


def split_broken(view: View) -> bool:
    """The arrived share is off the commanded one by more than chance could make it."""
    attempt, share = view.attempt, view.seen.share
    if attempt is None or share is None or not view.seen.share_measurable:
        return False
    return is_broken(share, attempt.weight)


def is_broken(share: Share, weight: int) -> bool:
    """A share is off `weight` percent by more than chance could make it.

    A stage is looked at many times, an arrival once: so here both must be shown.
    """
    if is_plausible(share, weight) or not 0 < weight < 100:
        return False
    counts = (share.canary, share.total - share.canary)
    return log_evidence_of_counts(counts, (weight / 100, 1 - weight / 100)) >= SPLIT_EVIDENCE


def share_told(view: View) -> str:
    """The commanded and the arrived share in words."""
    attempt, share = view.attempt, view.seen.share
    got = 100 * share.canary / share.total if share is not None and share.total else 0.0
    return f"{attempt.weight if attempt is not None else 0} % commanded, {got:.1f} % arrived"
