"""What is kept of a verdict that rolls a release back, so that people can check it afterwards.

The evidence is a handful of numbers, and the series behind it may be gone tomorrow. The newest
blocks of the guards that fired go into the status with the rollback, and stay with the refusal, and
so do the requests that the canary was given.
"""

from __future__ import annotations

from leadsman.core.changed import changed
from leadsman.core.evidence import Evidence
from leadsman.core.status import GuardStatus
from leadsman.guards.verdict import Verdict
from leadsman.guards.windows import RECENT, Block, Reading

SHOWN = 3
"""Of several guards that fire together, so many are shown with their blocks: those named first."""


def exhibited(evidence: Evidence, readings: tuple[Reading, ...]) -> tuple[GuardStatus, ...]:
    """The guards of a pass, those that fired with the newest blocks behind their verdict."""
    names = {one.name for one in evidence.fired[:SHOWN]}
    if not names:
        return evidence.guards
    blocks = {one.guard: _newest(one) for one in readings if one.guard in names}
    return tuple(
        changed(one, recent=blocks.get(one.name, ())) if one.name in names else one
        for one in evidence.guards
    )


def _newest(reading: Reading) -> tuple[Block, ...]:
    return (reading.recent or reading.blocks)[-RECENT:]


def exposure(guards: tuple[GuardStatus, ...]) -> tuple[int, int]:
    """How many requests the canary was given and how many of them failed, as the guards counted.

    By the guard that counted most; guards that look at a window only know what is in it.
    """
    counted = [
        (guard.figures.requests, guard.figures.bad)
        if guard.figures is not None
        else (guard.events, round((guard.value or 0.0) * guard.events))
        for guard in guards
    ]
    return max(counted, default=(0, 0))


def snapshot(guards: tuple[GuardStatus, ...]) -> tuple[GuardStatus, ...]:
    """What the guards said, for the record: the figures, and the slices that failed."""
    return tuple(
        changed(
            guard,
            evidence=None,
            state="",
            slices=tuple(
                changed(one, evidence=None) for one in guard.slices if one.verdict == Verdict.FAIL
            ),
        )
        for guard in guards
    )
