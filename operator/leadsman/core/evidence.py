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
from leadsman.guards.verdict import Judged, Reason, Verdict, level_of
from leadsman.guards.windows import Reading

UNREAD = "Pending"


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

    @property
    def passing(self) -> int:
        """How many guards pass."""
        return sum(1 for guard in self.guards if guard.verdict == Verdict.PASS)


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
    for spec in contract.guards:
        reading = by_name.get(spec.name) or Reading(spec.name, (), (), UNREAD, None)
        judged = judge(spec.judge, reading, spec.trigger.consecutive)
        status = _status(spec, judged, before.get(spec.name), now)
        guards.append(status)
        if status.verdict == Verdict.PASS or spec.on_fail is OnFail.WARN:
            continue
        holding.append(status)
        if spec.on_fail is OnFail.ROLLBACK and _fired(spec, judged, status):
            fired.append(status)
    unchanged = len(guards) == len(remembered) and all(map(is_, guards, remembered))
    return Evidence(
        remembered if unchanged else tuple(guards),
        tuple(fired),
        tuple(holding),
        _earliest(holding, traffic=False),
        _earliest(holding, traffic=True),
    )


def _fired(spec: GuardSpec, judged: Judged, status: GuardStatus) -> bool:
    if judged.verdict is not Verdict.FAIL:
        return False
    sustained = spec.trigger.sustained_for
    if not sustained:
        return True
    since, at = status.failing_since, judged.at
    return since is not None and at is not None and at - since >= sustained


def _status(spec: GuardSpec, judged: Judged, before: GuardStatus | None, now: float) -> GuardStatus:
    verdict, reason = judged.verdict, judged.reason
    same = before is not None and before.verdict == verdict and before.reason == reason
    if (
        same
        and before is not None
        and before.value == judged.value
        and before.events == judged.events
        and before.limit == judged.limit
    ):
        return before
    failing = None
    if judged.verdict is Verdict.FAIL:
        failing = before.failing_since if before is not None else None
        failing = judged.at if failing is None else failing
    blind = None
    if judged.verdict is Verdict.NO_DATA:
        blind = before.no_data_since if before is not None else None
        blind = now if blind is None else blind
    return GuardStatus(
        name=spec.name,
        verdict=verdict,
        reason=reason,
        since=before.since if same and before is not None else now,
        level=level_of(judged).value,
        value=judged.value,
        limit=judged.limit,
        events=judged.events,
        failing_since=failing,
        no_data_since=blind,
        state=before.state if before is not None else "",
    )


def _earliest(holding: list[GuardStatus], *, traffic: bool) -> float | None:
    times = [
        guard.no_data_since
        for guard in holding
        if guard.no_data_since is not None and (guard.reason == Reason.NO_TRAFFIC) is traffic
    ]
    return min(times) if times else None
