"""One source: its shared queries, its rhythm, and the evidence that comes back.

The loop asks, feeds every tally, judges every guard and tells only about Rollouts for which
something crossed. With nobody subscribed it sleeps and asks nothing. The budget of queries a second
is counted over any second, not on average, because a burst is what hurts a server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from leadsman.adapters.presets.shape import Role
from leadsman.guards.counters import ArmName, Counted
from leadsman.ports import Answer, Clock, MetricsSource, Series
from leadsman.runtime.sampling.evidence import Part, Tally
from leadsman.runtime.sampling.phases import Phases
from leadsman.runtime.sampling.plan import Query, bounds_selector, plan

Key = tuple[str, str]
"""A Rollout: namespace and name."""

_BLIND_POLL = 1.0
_FAILING_POLL = 0.5
_EAGER_SECONDS = 3.0
_LEAST_GAP = 0.02
_CLOSE = 0.001
_BOUNDS_EVERY = 60.0
_FORGET_SERIES = 600.0

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Known:
    """A series that was seen: what it means to whom, and how far it was read."""

    key: str
    labels: Mapping[str, str]
    target: str
    routes: list[tuple[Tally, ArmName, Role]] = field(default_factory=list)
    last: float = float("-inf")
    touched: float = 0.0

    def route(self, tally: Tally) -> None:
        """Add a tally if the series belongs to it."""
        role = tally.shape.role_of(self.labels)
        arm = tally.shape.arm_of(self.labels) if role else None
        if role is not None and arm is not None:
            self.routes.append((tally, arm, role))
            self.last = float("-inf")
            tally.saw(arm, role)


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
        self.phases = Phases()
        self.polls = 0
        self._clock = clock
        self._on_reading = on_reading
        self._rate = max(1.0, queries_per_second)
        self._queries: tuple[Query, ...] = ()
        self._planned = False
        self._eager_until = 0.0
        self._sent: deque[float] = deque(maxlen=max(1, int(self._rate)))
        self._known: dict[tuple[tuple[str, str], ...], _Known] = {}
        self._last_poll = float("-inf")
        self._wake = asyncio.Event()

    def changed(self) -> None:
        """Take over changed parts: forget dead tallies, route known series to new ones."""
        tallies = [tally for part in self.parts.values() for tally in part.tallies()]
        alive = set(map(id, tallies))
        for known in self._known.values():
            known.routes = [route for route in known.routes if id(route[0]) in alive]
        routed = {id(route[0]) for known in self._known.values() for route in known.routes}
        for tally in tallies:
            if id(tally) not in routed:
                for known in self._known.values():
                    known.route(tally)
        self._planned = False
        self._eager_until = self._clock.monotonic() + _EAGER_SECONDS
        self._wake.set()

    async def run(self) -> None:
        """Poll until cancelled. An unexpected error is logged and does not end the loop."""
        while True:
            if not self.parts:
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._pause(self._wait())
            if not self.parts or self._wait() > _CLOSE:
                continue
            try:
                await self.poll()
            except Exception as error:  # noqa: BLE001 - sampling must outlive any surprise
                # Without the traceback: an exception's text may quote what the source sent.
                log.error("sampling failed", error=type(error).__name__)  # noqa: TRY400
                await self._clock.sleep(_BLIND_POLL)

    async def poll(self) -> None:
        """Ask once for everything, take what came, and tell what crossed."""
        queries = self._plan()
        asked = self._clock.now()
        self._last_poll = self._clock.monotonic()
        self._sent.extend([self._last_poll] * len(queries))
        interval = self.phases.interval
        answers = await asyncio.gather(
            *(
                self.source.range(query.selector, self._reach(query, asked, interval))
                for query in queries
            )
        )
        received = self._clock.now()
        self.polls += 1
        seen: dict[str, set[float]] = {}
        for query, answer in zip(queries, answers, strict=True):
            self._note(query, answer, asked)
        self._feed([series for answer in answers for series in answer.series], received, seen)
        self.phases.polled(asked, received, {name: sorted(times) for name, times in seen.items()})
        self._tell()
        await self._look_for_bounds()

    def _wait(self) -> float:
        """Return how many seconds to wait before the next poll."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        cost = len(self._plan())
        if cost == 0:
            return _BLIND_POLL
        polls = self._rate / cost
        earliest = self._last_poll + _LEAST_GAP
        must_be_over = len(self._sent) + cost - int(self._rate)
        if must_be_over > 0 and self._sent:
            earliest = max(earliest, self._sent[min(must_be_over, len(self._sent)) - 1] + 1.0)
        at = self.phases.next(now, polls)
        failing = any(query.tallies and query.tallies[0].error for query in self._queries)
        if at is None or failing:
            eager = 1 / self._rate if monotonic < self._eager_until else _BLIND_POLL
            wanted = self._last_poll + max(_FAILING_POLL if failing else eager, 1 / polls)
        else:
            # Bounded by the clock that never jumps: a set clock must not stop the polls.
            latest = self._last_poll + 1.25 * self.phases.interval
            wanted = min(monotonic + (at - now), latest)
        return max(0.0, max(earliest, wanted) - monotonic)

    async def _pause(self, seconds: float) -> None:
        self._wake.clear()
        if seconds <= 0:
            return
        waiting = [
            asyncio.ensure_future(self._clock.sleep(seconds)),
            asyncio.ensure_future(self._wake.wait()),
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def _plan(self) -> tuple[Query, ...]:
        if not self._planned:
            tallies = [tally for part in self.parts.values() for tally in part.tallies()]
            self._queries = plan(tallies, int(self._rate))
            self._planned = True
        return self._queries

    @staticmethod
    def _reach(query: Query, now: float, interval: float) -> float:
        """Return how many seconds back to ask: to where every tally has been asked already."""
        behind = max(now - tally.covered for tally in query.tallies)
        return max(0.0, behind) + 2 * interval + 0.5

    @staticmethod
    def _note(query: Query, answer: Answer, asked: float) -> None:
        for tally in query.tallies:
            tally.error, tally.detail = answer.error, answer.detail
            if not answer.error:
                tally.answered, tally.covered = True, asked

    def _feed(self, answer: list[Series], now: float, seen: dict[str, set[float]]) -> None:
        batches: dict[int, tuple[Tally, list[Counted]]] = {}
        others: dict[str, set[float]] = {}
        for series in answer:
            known = self._recognised(series)
            known.touched = now
            if not known.routes or not series.samples:
                continue
            is_canary = any(arm == "canary" for _, arm, _ in known.routes)
            times = (seen if is_canary else others).setdefault(known.target, set())
            times.update(sample.time for sample in series.samples)
            if series.samples[-1].time <= known.last:
                continue
            known.last = series.samples[-1].time
            samples = [(sample.time, sample.value) for sample in series.samples]
            for tally, arm, role in known.routes:
                item = Counted(known.key, known.target, arm, role.total, role.bad, samples)
                batches.setdefault(id(tally), (tally, []))[1].append(item)
        for tally, batch in batches.values():
            tally.counts.feed(batch)
        if not seen:
            # No canary series yet: the stable arm's targets tell the rhythm.
            seen.update(others)
        self._forget(now)

    def _recognised(self, series: Series) -> _Known:
        identity = tuple(sorted(series.labels.items()))
        known = self._known.get(identity)
        if known is None:
            known = _Known(repr(identity), dict(series.labels), target_of(series.labels))
            for part in self.parts.values():
                for tally in part.tallies():
                    known.route(tally)
            self._known[identity] = known
        return known

    def _forget(self, now: float) -> None:
        if self.polls % 256 == 0:
            old = [
                key for key, known in self._known.items() if now - known.touched > _FORGET_SERIES
            ]
            for key in old:
                del self._known[key]

    def _tell(self) -> None:
        now, interval = self._clock.now(), self.phases.interval
        for key, part in list(self.parts.items()):
            news = [watch.news(now, interval) for watch in part.watches]
            if any(news):
                self._on_reading(key)

    async def _look_for_bounds(self) -> None:
        """For a histogram without the wanted bucket, ask once a minute which ones there are."""
        now = self._clock.monotonic()
        for tally in [tally for part in self.parts.values() for tally in part.tallies()]:
            if not tally.lacks_bucket() or now - tally.bounds_asked < _BOUNDS_EVERY:
                continue
            tally.bounds_asked = now
            self._sent.append(now)
            answer = await self.source.range(bounds_selector(tally), 3 * self.phases.interval)
            texts = {series.labels.get("le", "") for series in answer.series}
            tally.bounds = ", ".join(sorted(texts - {""}, key=_bound)[:40])
            return


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")


def target_of(labels: Mapping[str, str]) -> str:
    """Return what was scraped to get a series, "" if its labels do not say."""
    if not labels.get("instance") and not labels.get("pod"):
        return ""
    return "|".join(labels.get(name, "") for name in ("job", "instance", "namespace", "pod"))
