"""The blocks of one guard, from the samples to the core's memory.

A ledger cuts the counts of both arms into blocks and keeps each until the core has remembered what
it says. Where the next block begins is the end of the last one; after a restart that is what the
status remembers, and the samples since then are read back from the source, so that the blocks are
the same as without the restart.
"""

from __future__ import annotations

from collections import deque

from leadsman.guards.blocks import Block, blocks
from leadsman.guards.counters import ArmName
from leadsman.guards.windows import RECENT
from leadsman.runtime.sampling.evidence import Tally

BACK = 600.0
"""Seconds that evidence is read back at most; what is older than that after a restart is lost."""


class Ledger:
    """Blocks of one tally from `begin` (Unix seconds) on.

    `alone`: the canary only, for a judge that does not look at stable. `scale` multiplies what was
    counted as bad.
    """

    __slots__ = ("_alone", "_arms", "_newest", "_pending", "_scale", "end", "tally")

    def __init__(
        self, tally: Tally, begin: float, *, alone: bool = False, scale: float = 1.0
    ) -> None:
        self.tally = tally
        self.end = begin
        self._alone = alone
        self._arms: tuple[ArmName, ArmName] = ("canary", "canary" if alone else "stable")
        self._scale = scale
        self._pending: deque[Block] = deque()
        self._newest: deque[Block] = deque(maxlen=RECENT)

    def move_to(self, tally: Tally) -> None:
        """Go on with another tally of the same question, such as after new pods changed it."""
        self.tally = tally

    def extend(self) -> list[Block]:
        """Take the blocks that are complete now; return the new ones, oldest first."""
        arms = self.tally.counts.arms
        first, second = self._arms
        found = list(blocks(arms[first], arms[second], self.tally.counts.since, self.end))
        if not found:
            return found
        self.end = found[-1].at
        if self._scale != 1.0:
            found = [
                block._replace(
                    canary_bad=block.canary_bad * self._scale,
                    stable_bad=block.stable_bad * self._scale,
                )
                for block in found
            ]
        self._pending.extend(found)
        self._newest.extend(found)
        return found

    def recent(self) -> tuple[Block, ...]:
        """The newest blocks, whether the core has counted them or not; for people."""
        if self._alone:
            return tuple(one._replace(stable=0.0, stable_bad=0.0) for one in self._newest)
        return tuple(self._newest)

    def newer(self, than: float) -> tuple[Block, ...]:
        """Drop what the core has counted up to Unix time `than`; return the rest."""
        pending = self._pending
        while pending and pending[0].at <= than:
            pending.popleft()
        return tuple(pending)
