"""The router's own counts of the two arms: what share has arrived lately, and whether it is off.

Nothing else would make the core look at the share in the middle of a hold, so the turn is told:
once when the split breaks by more than chance could make it, and once when it is right again. The
rule is the core's own.
"""

from __future__ import annotations

from leadsman.core.observation import Share
from leadsman.core.policies.shifting import SHARE_EVENTS, is_broken
from leadsman.guards.windows import ArmCounts
from leadsman.runtime.sampling.evidence import Tally

_SPANS = (5.0, 15.0, 60.0)
"""Seconds: the shortest that holds events enough to tell a share is looked at."""


class Split:
    """One Rollout's split under one commanded weight, in percent."""

    __slots__ = ("_tally", "_weight", "told")

    def __init__(self, tally: Tally, weight: int, before: Split | None = None) -> None:
        """`before`: the same split as it was told until now."""
        self._tally = tally
        self._weight = weight
        self.told: bool = before is not None and before.told
        """The split was told to be broken."""

    @property
    def tally(self) -> Tally:
        """The router's counters."""
        return self._tally

    def recent(self) -> tuple[int, int] | None:
        """Requests by arm lately: (canary, stable); None if there is no sample yet."""
        counts = self._tally.counts
        if counts.last is None:
            return None
        canary, stable = counts.arms["canary"], counts.arms["stable"]
        for span in _SPANS:
            found = _since(canary, stable, counts.last - span)
            if sum(found) >= SHARE_EVENTS:
                return found
        return int(canary.events), int(stable.events)

    def news(self) -> bool:
        """Whether the split has just broken, or is right again."""
        found = self.recent()
        if found is None:
            return False
        broken = is_broken(Share(found[0], sum(found)), self._weight)
        turned, self.told = broken is not self.told, broken
        return turned


def _since(canary: ArmCounts, stable: ArmCounts, time: float) -> tuple[int, int]:
    return int(canary.since(time)), int(stable.since(time))
