"""The sampler: what the metrics say about every active Rollout, at any time, from memory.

Rollouts subscribe with their guards, their arms and the time since which evidence counts; readings
are then there whenever a decision is made, without waiting for a network. All Rollouts of a source
share its queries. A subscription with another `since` starts empty, and reads back from the source
what it needs: memory holds nothing that could not be had again, so a restart gives the same
windows.

`on_reading` is called when a guard's verdict changed or a newer sample fails it, when all guards
together show harm, and when the router's split breaks or is right again, and at no other time:
evidence that crosses nothing wakes nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leadsman.adapters.presets.arms import Arms
from leadsman.adapters.presets.question import router_total
from leadsman.adapters.presets.shape import QueryInvalidError, Shape
from leadsman.core.evidence import place
from leadsman.core.spec import GuardSpec
from leadsman.core.status import GuardStatus, Status
from leadsman.guards.gathering import GATHERING
from leadsman.guards.judges import Absolute
from leadsman.guards.memory import Place
from leadsman.guards.windows import Reading
from leadsman.ports import Clock, MetricsSource
from leadsman.runtime.sampling.derived import Wanted, wanted_of
from leadsman.runtime.sampling.evidence import Tally, new_tally
from leadsman.runtime.sampling.ledger import BACK, Ledger
from leadsman.runtime.sampling.panel import panel_of
from leadsman.runtime.sampling.poller import Key, Poller
from leadsman.runtime.sampling.split import Split
from leadsman.runtime.sampling.watching import KEEP_MORE, Part, Watch, counted_to, window_of

_ROUTER_KEEP = 120.0
_DEFAULT_SOURCE = "default"


@dataclass(frozen=True, slots=True)
class _Subscription:
    guards: tuple[GuardSpec, ...]
    arms: Arms
    since: float
    false_rollback: float


class Sampler:
    """Samples all sources for all Rollouts.

    `open_source` returns a source by its name, or None if there is none; it is called once for each
    name until `forget_source`. `queries_per_second` is the most for one source; a source that has
    an attribute of that name lowers it for itself. `remembered` returns the newest decided status
    of a Rollout: the evidence that its guards go on from.
    """

    def __init__(
        self,
        clock: Clock,
        open_source: Callable[[str], MetricsSource | None],
        on_reading: Callable[[Key], None],
        queries_per_second: float = 4.0,
        remembered: Callable[[Key], Status | None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._remembered = remembered
        self._open_source = open_source
        self._on_reading = on_reading
        self._rate = queries_per_second
        self._subscriptions: dict[Key, _Subscription] = {}
        self._pollers: dict[str, Poller] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._missing: dict[Key, dict[str, Watch]] = {}

    def subscribe(
        self,
        key: Key,
        guards: tuple[GuardSpec, ...],
        arms: Arms,
        since: float,
        false_rollback: float = 0.0,
    ) -> None:
        """Measure a Rollout from now on. The same subscription again changes nothing.

        `since` is Unix seconds: when the canary got its present version and weight.
        `false_rollback` is the contract's budget, which its guards share: with 0 each is judged by
        itself only. Must be called inside a running event loop.
        """
        wanted = _Subscription(guards, arms, since, false_rollback)
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
            if part is not None and part.split is not None:
                return part.split.recent()
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
                    counted = None if watch.ledger is None else self._counted(key).get(guard.name)
                    telling = part.panel is not None and part.panel.telling
                    return watch.reading(self._clock.now(), counted, telling=telling)
        return Reading(guard.name, (), (), "SourceMissing", None)

    def _counted(self, key: Key) -> dict[str, GuardStatus]:
        """What the core remembers of a Rollout's guards, by name."""
        status = self._remembered(key)
        attempt = None if status is None else status.attempt
        return {} if attempt is None else {guard.name: guard for guard in attempt.guards}

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
        parts: list[Part] = []
        for name in names:
            guards = [guard for guard in wanted.guards if guard.source == name]
            poller = self._poller(name)
            if poller is None:
                for guard in guards:
                    sentence = f"there is no MetricsSource {name}"
                    missing[guard.name] = Watch(guard, None, "SourceMissing", sentence)
                continue
            part = self._part(key, wanted, guards, poller.parts.get(key), name == router)
            poller.parts[key] = part
            parts.append(part)
            poller.changed()
        self._missing[key] = missing
        self._seat(key, wanted, parts)
        for name, poller in self._pollers.items():
            if name not in names and poller.parts.pop(key, None) is not None:
                poller.changed()

    def _seat(self, key: Key, wanted: _Subscription, parts: Sequence[Part]) -> None:
        """Let the guards of all sources have their one verdict."""
        watches = [watch for part in parts for watch in part.watches]
        panel = panel_of(watches, wanted.false_rollback, self._where(key))
        for part in parts:
            part.panel = panel

    def _where(self, key: Key) -> Place:
        status = self._remembered(key)
        return Place() if status is None else place(status)

    def _part(
        self,
        key: Key,
        wanted: _Subscription,
        guards: list[GuardSpec],
        before: Part | None,
        router: bool,
    ) -> Part:
        if before is not None and before.since != wanted.since:
            before = None
        kept = {tally.shape: tally for tally in before.tallies()} if before else {}
        told = {watch.guard: watch for watch in before.watches} if before else {}
        where = self._where(key)
        counted = self._counted(key)
        part = Part(wanted.since)
        needs: dict[Shape, _Need] = {}
        shapes: list[tuple[GuardSpec, Wanted | None, str]] = []
        for guard in guards:
            found, sentence = _wanted(guard, wanted.arms)
            shapes.append((guard, found, sentence))
            if found is not None:
                begin = _begin(guard, wanted.since, told.get(guard), counted.get(guard.name))
                for shape in (found.whole, *found.slices):
                    needs.setdefault(shape, _Need()).take(window_of(guard) + KEEP_MORE, begin)
        total = _router(wanted.arms, [one.query for one in guards]) if router else None
        if total is not None:
            needs.setdefault(total, _Need()).take(_ROUTER_KEEP, float("inf"))
        tallies = {
            shape: self._tally(shape, wanted.since, need, kept) for shape, need in needs.items()
        }
        for guard, found, sentence in shapes:
            watch = _watch(guard, found, sentence, tallies, wanted.since, told, counted, where)
            part.watches.append(watch)
        if total is not None:
            split = None if before is None else before.split
            part.split = Split(tallies[total], where.weight, split)
        return part

    def _tally(self, shape: Shape, since: float, need: _Need, kept: dict[Shape, Tally]) -> Tally:
        tally = kept.get(shape)
        if tally is not None and tally.keep >= need.keep:
            return tally
        now = self._clock.now()
        return new_tally(shape, since, need.keep, now, max(need.begin, now - BACK))

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


@dataclass(slots=True)
class _Need:
    """How long counts are kept, and from when on they are needed."""

    keep: float = 0.0
    begin: float = float("inf")

    def take(self, keep: float, begin: float) -> None:
        self.keep, self.begin = max(self.keep, keep), min(self.begin, begin)


def _wanted(guard: GuardSpec, arms: Arms) -> tuple[Wanted | None, str]:
    try:
        return wanted_of(guard, arms), ""
    except QueryInvalidError as error:
        return None, str(error)


def _begin(
    guard: GuardSpec, since: float, before: Watch | None, counted: GuardStatus | None
) -> float:
    """From when on blocks are needed: what was counted already is not read back."""
    if not isinstance(guard.judge, GATHERING):
        return float("inf")
    if before is not None and before.ledger is not None:
        return max(since, min(ledger.end for ledger in before.ledgers()))
    ends = [counted_to(counted, part) for part in ("", *guard.slices)]
    return max(since, min(ends))


def _watch(
    guard: GuardSpec,
    found: Wanted | None,
    sentence: str,
    tallies: dict[Shape, Tally],
    since: float,
    told: dict[GuardSpec, Watch],
    counted: dict[str, GuardStatus],
    where: Place,
) -> Watch:
    """A guard's watch, which goes on from the one before or from what the core remembers."""
    if found is None:
        return Watch(guard, None, "QueryInvalid", sentence)
    watch = Watch(guard, tallies[found.whole])
    before = told.get(guard)
    if before is not None:
        watch.told, watch.told_at = before.told, before.told_at
    if not isinstance(guard.judge, GATHERING):
        return watch
    watch.place = where
    if before is not None and before.ledger is not None:
        watch.ledger, watch.slices = before.ledger, before.slices
        watch.running, watch.fresh = before.running, before.fresh
        for ledger, shape in zip(watch.ledgers(), (found.whole, *found.slices), strict=False):
            ledger.move_to(tallies[shape])
        return watch
    watch.running = counted.get(guard.name)
    ledgers = [
        Ledger(
            tallies[shape],
            max(since, counted_to(watch.running, part)),
            alone=isinstance(guard.judge, Absolute),
            scale=found.scale,
        )
        for shape, part in zip((found.whole, *found.slices), ("", *guard.slices), strict=True)
    ]
    watch.ledger, watch.slices = ledgers[0], tuple(ledgers[1:])
    watch.fresh = tuple([] for _ in ledgers)
    return watch


def _router(arms: Arms, questions: Sequence[str]) -> Shape | None:
    try:
        return router_total(arms, questions)
    except QueryInvalidError:
        return None
