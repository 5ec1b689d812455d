"""Readings against the contract: what each guard says now, and which of them has fired.

A guard's verdict is worked out anew in every pass from its reading; what is remembered is only
since when it fails or has no data, because a window of samples cannot say that.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import is_

from leadsman.core.spec import Contract, GuardSpec, OnFail
from leadsman.core.status import GuardStatus
from leadsman.guards.judges import judge
from leadsman.guards.verdict import WARNING_BAND, Judged, Reason, Verdict, level_of
from leadsman.guards.windows import Reading

UNREAD = "Pending"

# Members of an enumeration cost a lookup by name at each use.
_PASS, _FAIL, _NO_DATA = Verdict.PASS, Verdict.FAIL, Verdict.NO_DATA


@dataclass(frozen=True, slots=True)
class Evidence:
    """All guards of one pass.

    `fired`: Fail, the trigger has fired and `onFail` is Rollback. `holding`: what keeps the stage
    from counting as passed, worst first.
    """

    guards: tuple[GuardStatus, ...]
    fired: tuple[GuardStatus, ...]
    holding: tuple[GuardStatus, ...]
    no_data_since: float | None
    no_traffic_since: float | None

    passing: int = 0
    """How many guards pass."""


NO_EVIDENCE = Evidence((), (), (), None, None)


def weigh(
    contract: Contract,
    readings: tuple[Reading, ...],
    remembered: tuple[GuardStatus, ...],
    now: float,
) -> Evidence:
    """Judge every guard of `contract`; `remembered` are the same guards as of the last pass."""
    by_name = {reading.guard: reading for reading in readings}
    before = {guard.name: guard for guard in remembered}
    guards: list[GuardStatus] = []
    fired: list[GuardStatus] = []
    holding: list[GuardStatus] = []
    passing = 0
    for spec in contract.guards:
        name = spec.name
        reading = by_name.get(name) or Reading(name, (), (), UNREAD, None)
        judged = judge(spec.judge, reading, spec.trigger.consecutive)
        status = _status(name, judged, before.get(name), now)
        guards.append(status)
        if judged.verdict is _PASS:
            passing += 1
            continue
        if spec.on_fail is OnFail.WARN:
            continue
        holding.append(status)
        if spec.on_fail is OnFail.ROLLBACK and _fired(spec, judged, status):
            fired.append(status)
    unchanged = len(guards) == len(remembered) and all(map(is_, guards, remembered))
    return Evidence(
        remembered if unchanged else tuple(guards),
        tuple(fired),
        tuple(holding),
        _earliest(holding, traffic=False) if holding else None,
        _earliest(holding, traffic=True) if holding else None,
        passing,
    )


def _fired(spec: GuardSpec, judged: Judged, status: GuardStatus) -> bool:
    if judged.verdict is not Verdict.FAIL:
        return False
    sustained = spec.trigger.sustained_for
    if not sustained:
        return True
    since, at = status.failing_since, judged.at
    return since is not None and at is not None and at - since >= sustained


def _status(name: str, judged: Judged, before: GuardStatus | None, now: float) -> GuardStatus:
    verdict, reason = judged.verdict, judged.reason
    since, failing, blind, state = now, None, None, ""
    if before is not None:
        state = before.state
        if before.verdict == verdict and before.reason == reason:
            since = before.since
            if verdict is not _FAIL and _near(before, judged):
                return before
    if verdict is _FAIL:
        failing = before.failing_since if before is not None else None
        failing = judged.at if failing is None else failing
    elif verdict is _NO_DATA:
        blind = before.no_data_since if before is not None else None
        blind = now if blind is None else blind
    # By position: five of these are made in every pass of a stage.
    return GuardStatus(
        name,
        verdict,
        reason,
        since,
        level_of(judged),
        judged.value,
        judged.limit,
        judged.events,
        failing,
        blind,
        state,
    )


def _near(before: GuardStatus, judged: Judged) -> bool:
    """The figures are so close to the remembered ones that people would not call it news.

    Within a tenth of the limit, half to twice the events, and no warning: then what is remembered
    stands, and a hold in which nothing happens writes nothing. A Fail is always told exactly.
    """
    limit, old, new = judged.limit, before.value, judged.value
    if limit != before.limit or before.level != "None":
        return False
    if new is None or old is None or limit is None:
        return new is old and before.events == judged.events
    band = limit * WARNING_BAND
    return (
        -band <= new - old <= band
        and new < limit - band
        and before.events <= 2 * judged.events <= 4 * before.events
    )


def _earliest(holding: list[GuardStatus], *, traffic: bool) -> float | None:
    times = [
        guard.no_data_since
        for guard in holding
        if guard.no_data_since is not None and (guard.reason == Reason.NO_TRAFFIC) is traffic
    ]
    return min(times) if times else None
