"""What is kept of a verdict that rolls a release back, so that people can check it afterwards.

The evidence is a handful of numbers, and the series behind it may be gone tomorrow. The newest
blocks of the guards that fired go into the status with the rollback, and stay with the refusal.
"""

from __future__ import annotations

from leadsman.core.changed import changed
from leadsman.core.evidence import Evidence
from leadsman.core.status import GuardStatus
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
