"""Holding a stage until its time is over and the evidence is in, then going on.

Missing, thin or confounded evidence holds. Nothing here promotes for lack of evidence, unless the
contract says `Proceed` or `Promote` aloud.
"""

from __future__ import annotations

from dataclasses import replace

from leadsman.core.actions import Emit
from leadsman.core.decision import Decision, Persist
from leadsman.core.evidence import place
from leadsman.core.outlook import is_due, look_out
from leadsman.core.policies.breaches import describe
from leadsman.core.policies.shifting import PREPARE_SECONDS, share_told, split_broken
from leadsman.core.spec import Absence, Contract, OnFail, OnInconclusive
from leadsman.core.status import GuardStatus, Heading, Status
from leadsman.core.view import View, fresh_stage
from leadsman.guards.verdict import Reason, Verdict

GATHER_SECONDS = 60.0
"""So often at least a pass takes over what was gathered, so that a restart loses little."""

SPLIT_SECONDS = 60.0
"""So often at most a split that breaks, and heals, and breaks is news."""

BLIND_PATIENCE = 5.0
"""Seconds without data after which a stage says that it holds."""


def _measuring(view: View) -> bool:
    attempt = view.attempt
    return view.forward and attempt is not None and attempt.stage.measuring_since is not None


def measure(view: View) -> Decision | None:
    """The stage's time is open, or a guard keeps it from counting as passed."""
    attempt = view.attempt
    if not _measuring(view) or attempt is None:
        return None
    thawed = thaw(view)
    if thawed is not None:
        return view.act(
            "measure",
            "Progressing",
            f"stage {attempt.stage.name}: the guards see again, and the hold goes on",
            status=thawed,
            persist=Persist.SOON,
        )
    status = _looked_out(view)
    persist = _persist(view.contract, attempt.guards, view.evidence.guards)
    due = _due(view)
    keeping = [guard for guard in view.evidence.holding if not _waived(view, guard)]
    told = [guard for guard in keeping if _worth_telling(guard, view.now)]
    if told and not _told_already(view.status, "Holding"):
        persist = Persist.SOON
    if view.now < due:
        wake = min(due, *_turning_points(view)) if view.evidence.holding else due
        if view.gathers:
            wake = min(wake, view.now + GATHER_SECONDS)
        if view.now < due - PREPARE_SECONDS < wake:
            wake = due - PREPARE_SECONDS
        if told:
            return view.wait(
                "measure",
                "Holding",
                describe(told[0]),
                until=max(wake, view.now + 0.01),
                status=status,
                persist=persist,
            )
        if split_broken(view):
            # The hold goes on, and its end will wait for the split.
            return view.wait(
                "measure",
                "SampleRatioMismatch",
                share_told(view),
                until=max(min(wake, view.now + SPLIT_SECONDS), view.now + 0.01),
                status=status,
                persist=Persist.SOON if _split_is_news(view) else persist,
            )
        return view.wait(
            "measure",
            "Progressing",
            f"stage {attempt.stage.name} is watched",
            until=wake,
            status=status,
            persist=persist,
        )
    waiting = _waiting(view, keeping)
    if waiting is not None:
        reason, message = waiting
        split = reason == "SampleRatioMismatch"
        if _split_is_news(view) if split else not _told_already(view.status, reason):
            persist = Persist.SOON
        until = max(min(_turning_points(view), default=view.now + 60), view.now + 0.01)
        return view.wait("measure", reason, message, until=until, status=status, persist=persist)
    return None


def _looked_out(view: View) -> Status:
    """The status with what the guards say, and what the plan can show once they know enough."""
    attempt = view.attempt
    if not view.gathers or attempt is None:
        return view.with_guards()
    guards = view.evidence.guards
    if not is_due(view.contract, attempt, guards):
        return view.with_guards()
    found = look_out(
        view.plan, view.contract, attempt, guards, view.seen.readings, place(view.status).retry
    )
    if found is attempt.outlook or not found:
        return view.with_guards()
    return view.with_attempt(guards=guards, outlook=found)


def _due(view: View) -> float:
    """When the hold is over: time in which nothing was seen for longer than allowed is no hold."""
    attempt, blind = view.attempt, view.evidence.no_data_since
    if attempt is None or attempt.stage.due_at is None:
        return view.now
    frozen_from = None if blind is None else blind + view.contract.freeze_after
    if frozen_from is None or view.now <= frozen_from:
        return attempt.stage.due_at
    return attempt.stage.due_at + (view.now - frozen_from)


def thaw(view: View) -> Status | None:
    """The status in which the time that was frozen is added to the hold; None if none was.

    It is added once, when the guards see again.
    """
    attempt = view.attempt
    if attempt is None or attempt.stage.due_at is None or not view.evidence.guards:
        return None
    dark = [
        guard
        for guard in attempt.guards
        if guard.no_data_since is not None and guard.reason != Reason.NO_TRAFFIC
    ]
    if not dark or view.evidence.no_data_since is not None:
        return None
    holding = {spec.name for spec in view.contract.guards if spec.on_fail is not OnFail.WARN}
    before = [guard.no_data_since or 0.0 for guard in dark if guard.name in holding]
    if not before:
        return None
    frozen = view.now - (min(before) + view.contract.freeze_after)
    if frozen <= 0:
        return None
    stage = replace(attempt.stage, due_at=attempt.stage.due_at + frozen)
    return view.with_attempt(stage=stage, guards=view.evidence.guards)


def _waiting(view: View, keeping: list[GuardStatus]) -> tuple[str, str] | None:
    """Why a stage whose hold is over waits: reason and message; None if it does not."""
    broken = split_broken(view)
    if keeping and not (broken and keeping[0].verdict == Verdict.INCONCLUSIVE):
        return "Holding", describe(keeping[0])
    if broken:
        # More evidence would come, and mean nothing while the arms are not what they should be.
        return "SampleRatioMismatch", share_told(view)
    if view.evidence.warning and not _over(view):
        return "Holding", f"close to its limit: {describe(view.evidence.warning[0])}"
    return None


def _worth_telling(guard: GuardStatus, now: float) -> bool:
    """It fails, or has been blind for longer than a new weight's first samples take."""
    if guard.no_data_since is not None:
        return now >= guard.no_data_since + BLIND_PATIENCE
    return guard.verdict != Verdict.INCONCLUSIVE


def _told_already(status: Status, reason: str) -> bool:
    return any(one.type == "Ready" and one.reason == reason for one in status.conditions)


def _split_is_news(view: View) -> bool:
    """It is not told yet, and the split was right for a minute, or ever since it arrived."""
    attempt = view.attempt
    arrived = 0.0 if attempt is None else attempt.stage.measuring_since or 0.0
    for one in view.status.conditions:
        if one.type == "TrafficInSync":
            long = view.now - one.since >= SPLIT_SECONDS or one.since <= arrived
            return one.reason != "SampleRatioMismatch" and long
    return True


def _waived(view: View, guard: GuardStatus) -> bool:
    """The contract lets the stage go on in spite of this guard, aloud."""
    contract = view.contract
    if guard.no_data_since is not None:
        rule = contract.no_traffic if guard.reason == Reason.NO_TRAFFIC else contract.no_data
        return rule.action is Absence.PROCEED and view.now >= guard.no_data_since + rule.after
    if guard.verdict != Verdict.INCONCLUSIVE or guard.reason == Reason.JUDGE_UNSUPPORTED:
        return False
    return _over(view)


def _over(view: View) -> bool:
    """The stage's `maxHold` is over, and the contract says aloud that it then goes on."""
    return view.contract.on_inconclusive is OnInconclusive.PROMOTE and view.max_hold_over()


def _turning_points(view: View) -> list[float]:
    """Times in the future at which a waiting stage would be decided differently."""
    attempt, contract, evidence = view.attempt, view.contract, view.evidence
    if attempt is None:
        return []
    points: list[float] = []
    if evidence.no_data_since is not None:
        rules = (
            BLIND_PATIENCE,
            contract.no_data.after,
            contract.freeze_after,
            contract.step_back_after,
        )
        points += [evidence.no_data_since + after for after in rules]
    if evidence.no_traffic_since is not None:
        traffic = (BLIND_PATIENCE, contract.no_traffic.after)
        points += [evidence.no_traffic_since + after for after in traffic]
    if attempt.stage.measuring_since is not None and view.stage.max_hold is not None:
        points.append(attempt.stage.measuring_since + view.stage.max_hold)
    return [point for point in points if point > view.now] or [view.now + 60]


def _persist(
    contract: Contract, before: tuple[GuardStatus, ...], after: tuple[GuardStatus, ...]
) -> Persist:
    """What a trigger must remember is written soon; what is for people may wait.

    That a guard has begun to fail matters where it must go on for a time, and that it has gone
    blind; that it sees again costs nothing to learn anew.
    """
    if before is after or len(before) != len(after):
        return Persist.LAZY
    for spec, old, new in zip(contract.guards, before, after, strict=True):
        if old is new:
            continue
        if spec.trigger.sustained_for and (old.failing_since is None) != (
            new.failing_since is None
        ):
            return Persist.SOON
        if old.no_data_since is None and new.no_data_since is not None:
            return Persist.SOON
    return Persist.LAZY


def advance(view: View) -> Decision | None:
    """The stage is complete: the next one, or the hand-over."""
    attempt = view.attempt
    if not _measuring(view) or attempt is None:
        return None
    following = attempt.stage.index + 1
    if following < len(view.stages):
        return view.act(
            "advance",
            "Progressing",
            f"stage {attempt.stage.name} passed",
            status=view.with_attempt(
                stage=fresh_stage(view, following), guards=view.evidence.guards
            ),
        )
    message = f"all stages passed: handing revision {attempt.revision} over"
    return view.act(
        "advance",
        "Progressing",
        message,
        Emit("HandingOver", message),
        status=view.with_attempt(
            direction=view.heading_for(Heading.HANDING_OVER),
            guards=view.evidence.guards,
            stage=replace(attempt.stage, wait_since=view.now),
        ),
        persist=Persist.NOW,
    )
