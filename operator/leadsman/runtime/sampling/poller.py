"""One source: who is measured there, in which families of queries, and who is told.

After every answer the guards that it was for are judged, and only the Rollouts for which something
crossed are told about. With nobody subscribed there is no loop, and nothing is asked. With many
subscribed, changes are gathered for a moment before the queries are planned anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from leadsman.ports import Clock, MetricsSource
from leadsman.runtime.sampling.budget import Budget
from leadsman.runtime.sampling.evidence import Tally
from leadsman.runtime.sampling.group import Group
from leadsman.runtime.sampling.plan import Family, family_of
from leadsman.runtime.sampling.watching import Part

Key = tuple[str, str]
"""A Rollout: namespace and name."""

_MANY = 100
"""Rollouts from which on a new plan costs enough to wait for more changes."""
_GATHER = 0.25
"""Seconds of that wait."""
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
        self._owners: dict[int, tuple[Key, Part]] = {}
        self._planning: asyncio.Task[None] | None = None

    def changed(self) -> None:
        """Take over changed parts: begin, change and end the families' loops."""
        if len(self.parts) < _MANY:
            self._plan()
        elif self._planning is None:
            self._planning = asyncio.get_running_loop().create_task(self._plan_soon())

    async def _plan_soon(self) -> None:
        await self._clock.sleep(_GATHER)
        self._planning = None
        self._plan()

    def _plan(self) -> None:
        families: dict[Family, list[Tally]] = {}
        self._owners = {}
        for key, part in self.parts.items():
            for tally in part.tallies():
                self._owners[id(tally)] = (key, part)
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
        tasks += [self._planning] if self._planning is not None else []
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

    def _polled(self, asked: Sequence[Tally]) -> None:
        self._divide()
        now = self._clock.now()
        about = {id(tally): self._owners.get(id(tally)) for tally in asked}
        touched = {owner[0]: owner[1] for owner in about.values() if owner is not None}
        for key, part in touched.items():
            if part.news(about, now):
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
