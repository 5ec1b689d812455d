"""Readings against the contract: what each guard says now, and which of them has fired.

A guard that looks at windows is judged anew in every pass from its reading; what is remembered is
only since when it fails or has no data, because a window of samples cannot say that. A guard that
gathers evidence remembers what it has counted, and takes the reading's blocks on top of it: the
same blocks a second time change nothing, so a pass may be repeated and a restart go on.
"""

from __future__ import annotations

from operator import is_
from typing import NamedTuple

from leadsman.core.changed import changed
from leadsman.core.news import near, quiet, worth_new_figures
from leadsman.core.spec import Contract, GuardSpec, OnFail
from leadsman.core.status import GuardStatus, SliceStatus, Status
from leadsman.core.together import offender
from leadsman.core.tries import tries
from leadsman.guards.gathering import conclude, figures_of, gather, gathers
from leadsman.guards.glances import glance
from leadsman.guards.judges import (
    Gathering,
    NegativeControl,
    Relative,
    Threshold,
    judge,
    judge_threshold,
)
from leadsman.guards.memory import Gathered, Place
from leadsman.guards.verdict import Judged, Level, Reason, Verdict, level_of
from leadsman.guards.windows import Reading

UNREAD = "Pending"

_PASS, _FAIL, _NO_DATA = Verdict.PASS, Verdict.FAIL, Verdict.NO_DATA
_UNKNOWN = (Verdict.INCONCLUSIVE, Verdict.NO_DATA)
START = Place()
COMPARING = (Relative, NegativeControl)
"""Judges that have nothing to look at where stable gets no requests.

The others that compare know what they have gathered before.
"""


class Evidence(NamedTuple):
    """All guards of one pass.

    `fired`: Fail, the trigger has fired and `onFail` is Rollback. `holding`: what keeps the stage
    from counting as passed, worst first. `warning`: guards that pass so closely that the ramp
    waits. `emergency`: guards of two families have fired together.
    """

    guards: tuple[GuardStatus, ...]
    fired: tuple[GuardStatus, ...]
    holding: tuple[GuardStatus, ...]
    no_data_since: float | None
    no_traffic_since: float | None

    passing: int = 0
    """How many guards pass."""

    warning: tuple[GuardStatus, ...] = ()
    emergency: bool = False


NO_EVIDENCE = Evidence((), (), (), None, None)


def weigh(
    contract: Contract,
    readings: tuple[Reading, ...],
    remembered: tuple[GuardStatus, ...],
    now: float,
    place: Place = START,
) -> Evidence:
    """Judge every guard of `contract`; `remembered` are the same guards as of the last pass.

    `place`: where in its plan the attempt is; judges that gather evidence need it.
    """
    by_name = {reading.guard: reading for reading in readings}
    before = {guard.name: guard for guard in remembered}
    guards: list[GuardStatus] = []
    fired: list[GuardStatus] = []
    holding: list[GuardStatus] = []
    warning: list[GuardStatus] = []
    families: set[str] = set()
    passing = 0
    gathered = False
    for spec in contract.guards:
        name = spec.name
        reading = by_name.get(name) or Reading(name, (), (), UNREAD, None)
        judging, trigger, old = spec.judge, spec.trigger, before.get(name)
        if type(judging) is Threshold and not reading.error and not trigger.hysteresis:
            # What almost every guard of almost every pass is: without the way round by its kind.
            canary = reading.canary
            if old is not None and canary and quiet(judging, canary[-1], old):
                guards.append(old)
                passing += 1
                continue
            judged = judge_threshold(judging, canary, trigger.consecutive)
            status = _status(spec, judged, old, now, reading, moved=old is not None)
        else:
            status = judge_guard(spec, reading, old, now, place)
            gathered = gathered or status.evidence is not None
            if place.weight == 100 and old is not None and isinstance(judging, COMPARING):
                status = _still(status, old)
        guards.append(status)
        if status.verdict is _PASS or status.verdict == _PASS:
            passing += 1
            if status.level == "Warning" and spec.on_fail is not OnFail.WARN:
                warning.append(status)
            continue
        if spec.on_fail is OnFail.WARN:
            continue
        holding.append(status)
        if spec.on_fail is OnFail.ROLLBACK and _fired(spec, status, reading):
            fired.append(status)
            families.add(spec.family)
    if gathered and not fired:
        worst = offender(contract, guards, place)
        if worst is not None:
            status = guards[worst] = changed(
                guards[worst],
                verdict=_FAIL,
                reason=Reason.HARM_DETECTED,
                level=Level.CRITICAL,
                since=now,
            )
            fired.append(status)
            holding.insert(0, status)
    emergency = len(families) > 1
    if emergency:
        guards, fired = _emergencies(guards, fired)
    unchanged = len(guards) == len(remembered) and all(map(is_, guards, remembered))
    return Evidence(
        remembered if unchanged else tuple(guards),
        tuple(fired),
        tuple(holding),
        _earliest(holding, traffic=False) if holding else None,
        _earliest(holding, traffic=True) if holding else None,
        passing,
        tuple(warning),
        emergency,
    )


def _still(status: GuardStatus, before: GuardStatus) -> GuardStatus:
    """At full weight stable gets no requests: what passed against it stands until it fails."""
    if before.verdict != _PASS or status.verdict not in _UNKNOWN:
        return status
    return changed(
        status,
        verdict=_PASS,
        reason=before.reason,
        since=before.since,
        value=before.value,
        limit=before.limit,
        events=before.events,
        no_data_since=None,
        glance=before.glance,
    )


def judge_guard(
    spec: GuardSpec, reading: Reading, before: GuardStatus | None, now: float, place: Place
) -> GuardStatus:
    """What one guard says now; `before` itself when it says nothing new."""
    judging = spec.judge
    if gathers(judging):
        return _gathered(spec, judging, reading, before, now, place)
    trigger = spec.trigger
    failing = bool(trigger.hysteresis) and before is not None and before.failing_since is not None
    judged = judge(judging, reading, trigger.consecutive, trigger.hysteresis, failing=failing)
    return _status(spec, judged, before, now, reading, failing=failing)


def _emergencies(
    guards: list[GuardStatus], fired: list[GuardStatus]
) -> tuple[list[GuardStatus], list[GuardStatus]]:
    names = {guard.name for guard in fired}
    raised = {
        guard.name: changed(guard, level=Level.EMERGENCY) for guard in guards if guard.name in names
    }
    return [raised.get(one.name, one) for one in guards], [raised[one.name] for one in fired]


def _fired(spec: GuardSpec, status: GuardStatus, reading: Reading) -> bool:
    if status.verdict != Verdict.FAIL:
        return False
    trigger = spec.trigger
    gathered = gathers(spec.judge)
    if gathered and trigger.consecutive > 1 and _row(status) < trigger.consecutive:
        return False
    sustained = trigger.sustained_for
    if not sustained:
        return True
    since = status.failing_since
    at = reading.last_sample if gathered else reading.canary[-1].at if reading.canary else None
    return since is not None and at is not None and at - since >= sustained


def _row(status: GuardStatus) -> int:
    return max((status.row, *(one.row for one in status.slices)))


def _status(
    spec: GuardSpec,
    judged: Judged,
    before: GuardStatus | None,
    now: float,
    reading: Reading,
    *,
    failing: bool = False,
    moved: bool = False,
) -> GuardStatus:
    """`failing`: it failed before; `moved`: if it passes, then with figures that are news."""
    verdict, reason = judged.verdict, judged.reason
    since, failing_since, blind, state = now, None, None, ""
    if before is not None:
        state = before.state
        if before.verdict == verdict and before.reason == reason:
            since = before.since
            known = verdict is _FAIL or (moved and verdict is _PASS)
            if not known and near(before, judged):
                return before
    if verdict is _FAIL:
        failing_since = before.failing_since if before is not None else None
        failing_since = judged.at if failing_since is None else failing_since
    elif verdict is _NO_DATA:
        blind = before.no_data_since if before is not None else None
        blind = now if blind is None else blind
    elif failing and before is not None and reason is Reason.UNCONFIRMED:
        # Within the hysteresis: neither well nor worse, so the time goes on.
        failing_since = before.failing_since
    # By position: five of these are made in every pass of a stage.
    return GuardStatus(
        spec.name,
        verdict,
        reason,
        since,
        level_of(judged),
        judged.value,
        judged.limit,
        judged.events,
        failing_since,
        blind,
        state,
        glance=None if judged.value is None else glance(spec.judge, reading),
    )


def _gathered(
    spec: GuardSpec,
    judging: Gathering,
    reading: Reading,
    before: GuardStatus | None,
    now: float,
    place: Place,
) -> GuardStatus:
    """Take the reading's blocks on top of what is remembered, and say what that shows."""
    if before is None:
        start, state = Gathered(), ""
    else:
        start = Gathered(before.evidence, before.row, before.failing_since)
        state = before.state
    hysteresis = spec.trigger.hysteresis
    found = gather(judging, place, start, reading.blocks, hysteresis)
    judged = conclude(judging, place, found, reading, hysteresis)
    slices = _slices(spec, judging, reading, before, place) if spec.slices else ()
    verdict, reason, level = judged.verdict, judged.reason, level_of(judged)
    value, events, failing_since = judged.value, judged.events, found.failing_since
    part = next((one for one in slices if one.verdict == _FAIL), None)
    if part is not None and verdict is not _FAIL:
        verdict, reason, level = _FAIL, Reason.HARM_DETECTED, Level.CRITICAL
        value, events, failing_since = part.value, part.events, part.failing_since
    elif verdict is _PASS and any(one.reason == Reason.UNCONFIRMED for one in slices):
        # A slice failed and is within the hysteresis: neither well nor worse.
        verdict, reason = Verdict.INCONCLUSIVE, Reason.UNCONFIRMED
    elif level is Level.NONE and any(one.level == "Warning" for one in slices):
        level = Level.WARNING
    blind, since, figures = None, now, None
    if before is not None:
        if before.verdict == verdict and before.reason == reason:
            if found.memory is before.evidence and slices == before.slices:
                return before
            since, figures = before.since, before.figures
        if verdict is _NO_DATA:
            blind = before.no_data_since
    if verdict is _NO_DATA and blind is None:
        blind = now
    if figures is None or worth_new_figures(figures, found.memory):
        shown = part.evidence if part is not None else found.memory
        figures = figures_of(judging, place._replace(sliced=part is not None), shown)
    return GuardStatus(
        spec.name,
        verdict,
        reason,
        since,
        level,
        value,
        judged.limit,
        events,
        failing_since,
        blind,
        state,
        found.memory,
        figures,
        "" if part is None else part.name,
        found.row,
        slices,
    )


def _slices(
    spec: GuardSpec,
    judging: Gathering,
    reading: Reading,
    before: GuardStatus | None,
    place: Place,
) -> tuple[SliceStatus, ...]:
    known = {one.name: one for one in before.slices} if before is not None else {}
    place, hysteresis = place._replace(sliced=True), spec.trigger.hysteresis
    found: list[SliceStatus] = []
    for index, name in enumerate(spec.slices):
        old = known.get(name)
        blocks = reading.slices[index] if index < len(reading.slices) else ()
        start = Gathered() if old is None else Gathered(old.evidence, old.row, old.failing_since)
        now = gather(judging, place, start, blocks, hysteresis)
        if old is not None and now.memory is old.evidence:
            found.append(old)
            continue
        judged = conclude(judging, place, now, reading, hysteresis)
        found.append(
            SliceStatus(
                name,
                judged.verdict,
                judged.reason,
                level_of(judged),
                judged.value,
                judged.events,
                now.row,
                now.failing_since,
                now.memory,
                figures_of(judging, place, now.memory) if now.row else None,
            )
        )
    return tuple(found)


def _earliest(holding: list[GuardStatus], *, traffic: bool) -> float | None:
    times = [
        guard.no_data_since
        for guard in holding
        if guard.no_data_since is not None and (guard.reason == Reason.NO_TRAFFIC) is traffic
    ]
    return min(times) if times else None


def place(status: Status) -> Place:
    """Where the attempt of a status is in its plan, and how often its revision was tried before."""
    attempt = status.attempt
    if attempt is None:
        return START
    # Until the next stage's weight is written, what is counted is counted under the one before.
    ahead = 1 if attempt.stage.commanded_at is None else 0
    tried = tries(status.history, attempt.revision)
    return Place(max(0, attempt.stage.index - ahead), tried, attempt.weight)
