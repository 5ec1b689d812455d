"""The sampler: what the metrics say about every active Rollout, at any time, from memory.

Rollouts subscribe with their guards, their arms and the time since which evidence counts; readings
are then there whenever a decision is made, without waiting for a network. All Rollouts of a source
share its queries. A subscription with another `since` starts empty, and reads back from the source
what it needs: memory holds nothing that could not be had again, so a restart gives the same
windows.

`on_reading` is called when a guard's verdict changed or a newer sample fails it, and at no other
time: evidence that crosses nothing wakes nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from leadsman.adapters.presets.arms import Arms
from leadsman.adapters.presets.question import router_total, shape_of
from leadsman.adapters.presets.shape import QueryInvalidError, Shape
from leadsman.core.policies.shifting import SHARE_EVENTS
from leadsman.core.spec import GuardSpec
from leadsman.guards.windows import ArmCounts, Reading
from leadsman.ports import Clock, MetricsSource
from leadsman.runtime.sampling.evidence import (
    KEEP_MORE,
    Part,
    Tally,
    Watch,
    new_tally,
    window_of,
)
from leadsman.runtime.sampling.poller import Key, Poller

_ROUTER_KEEP = 120.0
_SHARE_SPANS = (5.0, 15.0, 60.0)
_DEFAULT_SOURCE = "default"


@dataclass(frozen=True, slots=True)
class _Subscription:
    guards: tuple[GuardSpec, ...]
    arms: Arms
    since: float


class Sampler:
    """Samples all sources for all Rollouts.

    `open_source` returns a source by its name, or None if there is none; it is called once for each
    name until `forget_source`. `queries_per_second` is the most for one source; a source that has
    an attribute of that name lowers it for itself.
    """

    def __init__(
        self,
        clock: Clock,
        open_source: Callable[[str], MetricsSource | None],
        on_reading: Callable[[Key], None],
        queries_per_second: float = 4.0,
    ) -> None:
        self._clock = clock
        self._open_source = open_source
        self._on_reading = on_reading
        self._rate = queries_per_second
        self._subscriptions: dict[Key, _Subscription] = {}
        self._pollers: dict[str, Poller] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._missing: dict[Key, dict[str, Watch]] = {}

    def subscribe(self, key: Key, guards: tuple[GuardSpec, ...], arms: Arms, since: float) -> None:
        """Measure a Rollout from now on. The same subscription again changes nothing.

        `since` is Unix seconds: when the canary got its present version and weight. Must be called
        inside a running event loop.
        """
        wanted = _Subscription(guards, arms, since)
        if self._subscriptions.get(key) != wanted:
            self._subscriptions[key] = wanted
            self._place(key)

    def unsubscribe(self, key: Key) -> None:
        """Measure a Rollout no longer and forget what was measured."""
        self._subscriptions.pop(key, None)
        self._missing.pop(key, None)
        for poller in self._pollers.values():
            if poller.parts.pop(key, None) is not None:
                poller.changed()

    def forget_source(self, name: str) -> None:
        """Close a source because it changed or is gone; open it again for those who need it."""
        poller = self._pollers.pop(name, None)
        if poller is not None:
            closing = asyncio.ensure_future(poller.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        for key, wanted in list(self._subscriptions.items()):
            if name in {guard.source for guard in wanted.guards} or name == _DEFAULT_SOURCE:
                self._place(key)

    def readings(self, key: Key) -> tuple[Reading, ...]:
        """Return a reading for each guard of a Rollout, in the guards' order."""
        wanted = self._subscriptions.get(key)
        if wanted is None:
            return ()
        return tuple(self._reading(key, guard) for guard in wanted.guards)

    def details(self, key: Key) -> dict[str, str]:
        """Return a sentence for each guard that something is wrong with, by guard's name."""
        sentences = {watch.guard.name: watch.why() for watch in self._watches(key)}
        return {name: sentence for name, sentence in sentences.items() if sentence}

    def shares(self, key: Key) -> tuple[int, int] | None:
        """Return the router's recent requests by arm: (canary, stable); None if it shows none.

        The shortest of a few spans that holds enough events to tell a share, none from before the
        subscription's `since`: a data plane that switched late is forgotten as soon as it can be.
        """
        for poller in self._pollers.values():
            part = poller.parts.get(key)
            if part is not None and part.router is not None:
                counts = part.router.counts
                if counts.last is None:
                    return None
                return _recent(counts.arms["canary"], counts.arms["stable"], counts.last)
        return None

    def fresh(self, key: Key) -> bool:
        """Return whether every guard's source has answered since the Rollout subscribed."""
        return all(watch.tally is not None and watch.tally.answered for watch in self._watches(key))

    async def close(self) -> None:
        """End all sampling and close the sources."""
        pollers = [*self._pollers.values()]
        self._pollers.clear()
        self._subscriptions.clear()
        closing = (poller.close() for poller in pollers)
        await asyncio.gather(*closing, *self._closing, return_exceptions=True)

    def _reading(self, key: Key, guard: GuardSpec) -> Reading:
        poller = self._pollers.get(guard.source)
        part = poller.parts.get(key) if poller is not None else None
        if poller is not None and part is not None:
            for watch in part.watches:
                if watch.guard == guard:
                    return watch.reading(self._clock.now())
        return Reading(guard.name, (), (), "SourceMissing", None)

    def _watches(self, key: Key) -> list[Watch]:
        found = list(self._missing.get(key, {}).values())
        for poller in self._pollers.values():
            part = poller.parts.get(key)
            found += part.watches if part is not None else []
        return found

    def _place(self, key: Key) -> None:
        """Put a subscription's guards to their sources, keeping evidence that still counts."""
        wanted = self._subscriptions[key]
        router = wanted.guards[0].source if wanted.guards else _DEFAULT_SOURCE
        names = sorted({guard.source for guard in wanted.guards} | {router})
        missing: dict[str, Watch] = {}
        for name in names:
            guards = [guard for guard in wanted.guards if guard.source == name]
            poller = self._poller(name)
            if poller is None:
                for guard in guards:
                    sentence = f"there is no MetricsSource {name}"
                    missing[guard.name] = Watch(guard, None, "SourceMissing", sentence)
                continue
            part = self._part(wanted, guards, poller.parts.get(key), name == router)
            poller.parts[key] = part
            poller.changed()
        self._missing[key] = missing
        for name, poller in self._pollers.items():
            if name not in names and poller.parts.pop(key, None) is not None:
                poller.changed()

    def _part(
        self, wanted: _Subscription, guards: list[GuardSpec], before: Part | None, router: bool
    ) -> Part:
        kept = {tally.shape: tally for tally in before.tallies()} if before else {}
        if before is None or before.since != wanted.since:
            kept = {}
        told = {watch.guard: watch for watch in before.watches} if before else {}
        part = Part(wanted.since)
        longest: dict[Shape, float] = {}
        shapes: list[tuple[GuardSpec, Shape | None, str]] = []
        for guard in guards:
            shape, sentence = _shape(guard, wanted.arms)
            shapes.append((guard, shape, sentence))
            if shape is not None:
                longest[shape] = max(longest.get(shape, 0.0), window_of(guard) + KEEP_MORE)
        total = _router(wanted.arms) if router else None
        if total is not None:
            longest[total] = max(longest.get(total, 0.0), _ROUTER_KEEP)
        tallies = {
            shape: self._tally(shape, wanted.since, keep, kept) for shape, keep in longest.items()
        }
        for guard, shape, sentence in shapes:
            tally = tallies[shape] if shape is not None else None
            watch = Watch(guard, tally, "" if tally else "QueryInvalid", sentence)
            if guard in told:
                watch.told, watch.told_at = told[guard].told, told[guard].told_at
            part.watches.append(watch)
        part.router = tallies[total] if total is not None else None
        return part

    def _tally(self, shape: Shape, since: float, keep: float, kept: dict[Shape, Tally]) -> Tally:
        tally = kept.get(shape)
        if tally is not None and tally.keep >= keep:
            return tally
        return new_tally(shape, since, keep, self._clock.now())

    def _poller(self, name: str) -> Poller | None:
        poller = self._pollers.get(name)
        if poller is None:
            source = self._open_source(name)
            if source is None:
                return None
            rate = min(self._rate, getattr(source, "queries_per_second", self._rate))
            poller = Poller(source, self._clock, self._on_reading, rate)
            self._pollers[name] = poller
        return poller


def _shape(guard: GuardSpec, arms: Arms) -> tuple[Shape | None, str]:
    try:
        return shape_of(guard.query, arms), ""
    except QueryInvalidError as error:
        return None, str(error)


def _recent(canary: ArmCounts, stable: ArmCounts, last: float) -> tuple[int, int]:
    for span in _SHARE_SPANS:
        found = int(canary.since(last - span)), int(stable.since(last - span))
        if sum(found) >= SHARE_EVENTS:
            return found
    return int(canary.events), int(stable.events)


def _router(arms: Arms) -> Shape | None:
    try:
        return router_total(arms)
    except QueryInvalidError:
        return None
