"""One source: who is measured there, in which families of queries, and who is told.

After every poll all guards are judged, and only the Rollouts for which something crossed are told
about. With nobody subscribed there is no loop, and nothing is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from leadsman.ports import Clock, MetricsSource
from leadsman.runtime.sampling.budget import Budget
from leadsman.runtime.sampling.evidence import Part, Tally
from leadsman.runtime.sampling.group import Group
from leadsman.runtime.sampling.plan import Family, family_of

Key = tuple[str, str]
"""A Rollout: namespace and name."""

_LOCKED_POLLS = 1.5
"""Queries in a scrape interval that a family locked to its scrapes needs, repeats included."""


class Poller:
    """Samples one source for all Rollouts that use it."""

    def __init__(
        self,
        source: MetricsSource,
        clock: Clock,
        on_reading: Callable[[Key], None],
        queries_per_second: float = 4.0,
    ) -> None:
        self.source = source
        self.parts: dict[Key, Part] = {}
        self._clock = clock
        self._on_reading = on_reading
        self._budget = Budget(queries_per_second)
        self._groups: dict[Family, tuple[Group, asyncio.Task[None]]] = {}

    def changed(self) -> None:
        """Take over changed parts: begin, change and end the families' loops."""
        families: dict[Family, list[Tally]] = {}
        for part in self.parts.values():
            for tally in part.tallies():
                if tally.shape.asked:
                    families.setdefault(family_of(tally.shape), []).append(tally)
        for family in [family for family in self._groups if family not in families]:
            self._groups.pop(family)[1].cancel()
        most = max(1, self._budget.rate // max(1, len(families)))
        for family, tallies in families.items():
            self._group(family).serve(tuple(tallies), most)
        self._divide()

    async def close(self) -> None:
        """End all loops and close the source."""
        tasks = [task for _, task in self._groups.values()]
        self._groups.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.source.close()

    def _group(self, family: Family) -> Group:
        found = self._groups.get(family)
        if found is None:
            group = Group(self.source, self._clock, self._budget, self._polled)
            found = (group, asyncio.get_running_loop().create_task(group.run()))
            self._groups[family] = found
        return found[0]

    def _polled(self) -> None:
        self._divide()
        now = self._clock.now()
        for key, part in list(self.parts.items()):
            news = [watch.news(now) for watch in part.watches]
            if any(news):
                self._on_reading(key)

    def _divide(self) -> None:
        """Share the budget: what is locked to its scrapes takes little, the others the rest."""
        groups = [group for group, _ in self._groups.values() if group.queries]
        alone = self._budget.rate / max(1, sum(len(group.queries) for group in groups))
        locked = [group for group in groups if group.phases.fits(alone)]
        taken = sum(len(group.queries) * _LOCKED_POLLS / group.phases.interval for group in locked)
        rest = [group for group in groups if group not in locked]
        left = self._budget.rate - taken
        cost = sum(len(group.queries) for group in rest)
        for group in groups:
            group.share = alone if group in locked else max(alone / 2, left / max(1, cost))
