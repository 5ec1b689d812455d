"""All guards of a Rollout as one panel: together they may show harm that none of them shows alone.

The core asks this of the mean of their evidence in every pass. It has to be asked here as well,
after each answer of a source, or the core would not be woken by the block that decides, but look up
to a minute later at what it had gathered until then. The guards may be at several sources, so the
panel is the Rollout's, not a source's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from leadsman.core.spec import Contract, GuardSpec
from leadsman.core.status import GuardStatus
from leadsman.core.together import offender, shares
from leadsman.guards.memory import Place

_LONG_AGO = float("-inf")


class Member(Protocol):
    """A guard, and what it has come to by the newest block."""

    @property
    def guard(self) -> GuardSpec:
        """What it asks."""
        ...

    @property
    def running(self) -> GuardStatus | None:
        """Its evidence, None before there is any."""
        ...


class Panel:
    """The members' one verdict, and what was last told of it."""

    __slots__ = ("_contract", "_members", "_place", "_told_at")

    def __init__(self, members: Sequence[Member], false_rollback: float, place: Place) -> None:
        self._members = tuple(members)
        self._contract = Contract(
            tuple(one.guard for one in members), false_rollback=false_rollback
        )
        self._place = place
        self._told_at = _LONG_AGO

    @property
    def telling(self) -> bool:
        """Whether all together have shown harm."""
        return self._told_at > _LONG_AGO

    def news(self) -> bool:
        """Whether all together show harm, by a block that is newer than what was told."""
        running = [one.running or _nothing(one.guard) for one in self._members]
        newest = max(
            (one.evidence.at for one in running if one.evidence is not None), default=_LONG_AGO
        )
        if newest <= self._told_at or offender(self._contract, running, self._place) is None:
            return False
        self._told_at = newest
        return True


def panel_of(members: Sequence[Member], false_rollback: float, place: Place) -> Panel | None:
    """The panel of these guards; None where there is no verdict but each one's own."""
    sharing = [one for one in members if shares(one.guard)]
    several = len(sharing) > 1 or any(one.guard.slices for one in sharing)
    return Panel(sharing, false_rollback, place) if several and false_rollback > 0 else None


def _nothing(guard: GuardSpec) -> GuardStatus:
    return GuardStatus(guard.name, "NoData", "WarmingUp", 0.0)
