"""One family of queries at one source: asked together, at the rhythm of its own targets.

Families differ in what they scrape: a gateway has one phase, the pods of an application have many.
Each has a loop of its own, so that a slow answer to one never delays another, and one that has to
be spread evenly leaves the other locked to its scrapes. They share the source's budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import sub

import structlog

from leadsman.adapters.presets.native import bounds_there, taken_apart
from leadsman.adapters.presets.shape import NATIVE, Role
from leadsman.guards.counters import ArmName, Counted
from leadsman.ports import Answer, Clock, MetricsSource, Series
from leadsman.runtime.sampling.budget import Budget
from leadsman.runtime.sampling.directory import Directory
from leadsman.runtime.sampling.evidence import Tally
from leadsman.runtime.sampling.expressions import Sums, values_of
from leadsman.runtime.sampling.phases import Phases, Seen
from leadsman.runtime.sampling.plan import SERIES, Query, bounds_selector, queries_of

_BLIND_POLL = 1.0
_FAILING_POLL = 0.5
_REFUSED_POLL = 10.0
_PASSING = frozenset({"Timeout", "Unreachable", "ServerError", "BadJSON", "TooLarge"})
"""Errors that may be over at the next question; the others stay until somebody changes something.
"""
_EAGER_SECONDS = 3.0
_LEAST_GAP = 0.02
_CLOSE = 0.001
_BOUNDS_EVERY = 60.0
_FORGET_SERIES = 600.0
_FEWEST = 16
_SAFELY = 0.8
"""The part of a source's limit of series that a query is planned to use."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Known:
    """A series that was seen: what it means to whom, and how far it was read."""

    key: str
    labels: Mapping[str, str]
    target: str
    directory: Directory | None = None
    routes: list[tuple[Tally, ArmName, Role]] = field(default_factory=list)
    is_canary: bool = False
    last: float = float("-inf")
    touched: float = 0.0

    def look_up(self, directory: Directory) -> None:
        """Find whose the series is, once for each state of the directory."""
        if self.directory is directory:
            return
        before = {id(tally) for tally, _, _ in self.routes}
        self.directory, self.routes = directory, []
        for tally in directory.candidates(self.labels):
            role = tally.shape.role_of(self.labels)
            arm = tally.shape.arm_of(self.labels) if role else None
            if role is not None and arm is not None:
                self.routes.append((tally, arm, role))
                if id(tally) not in before:
                    self.last = float("-inf")
                    tally.saw(arm, role)
        self.is_canary = any(arm == "canary" for _, arm, _ in self.routes)

    def lacks_bound(self) -> None:
        """Note that a native histogram cannot tell the share above the bound any more."""
        if NATIVE in self.labels:
            for tally, arm, _ in self.routes:
                tally.bucketed.discard(arm)


class Group:
    """Asks one family's queries and feeds its tallies.

    `after` is called with the tallies that were asked about, after each answer or few.
    """

    def __init__(
        self,
        source: MetricsSource,
        clock: Clock,
        budget: Budget,
        after: Callable[[Sequence[Tally]], None],
    ) -> None:
        self.phases = Phases()
        self.queries: tuple[Query, ...] = ()
        self.share = float(budget.rate)
        self._source = source
        self._clock = clock
        self._budget = budget
        self._after = after
        self._tallies: tuple[Tally, ...] = ()
        self._directory = Directory(())
        self._sums = Sums()
        self._most = 1
        self._series = int(getattr(source, "series_limit", SERIES / _SAFELY) * _SAFELY)
        self._known: dict[tuple[tuple[str, str], ...], _Known] = {}
        self._polls = 0
        self._eager_until = 0.0
        self._last_poll = float("-inf")
        self._wake = asyncio.Event()

    @property
    def is_locked(self) -> bool:
        """Whether polls follow the scrapes, and are not spread evenly."""
        return self.phases.fits(self.share)

    def serve(self, tallies: tuple[Tally, ...], most: int) -> None:
        """Serve these tallies from now on, with at most `most` queries a poll if possible."""
        alive, before = set(map(id, tallies)), set(map(id, self._tallies))
        if alive - before:
            self._eager_until = self._clock.monotonic() + _EAGER_SECONDS
        if alive != before:
            self._tallies, self._most = tallies, most
            for tally in tallies:
                tally.monotonic = self._clock.monotonic
            self._directory = Directory(tallies)
            self.queries = queries_of(tallies, most, self._series)
            self._sums.keep({query.selector for query in self.queries if query.expression})
            self._wake.set()

    async def run(self) -> None:
        """Poll until cancelled. An unexpected error is logged and does not end the loop."""
        while True:
            await self._pause(self._wait())
            if not self.queries or self._wait() > _CLOSE:
                continue
            try:
                await self.poll()
            except Exception as error:  # noqa: BLE001 - sampling must outlive any surprise
                # Without the traceback: an exception's text may quote what the source sent.
                log.error("sampling failed", error=type(error).__name__)  # noqa: TRY400
                await self._clock.sleep(_BLIND_POLL)

    async def poll(self) -> None:
        """Ask once for everything, take what came, and let it be judged.

        More queries than a second allows wait for their turn, one by one, so that a large family
        never keeps a small one waiting. Each answer is fed as it comes, so that the loop is never
        busy with all of them at once.
        """
        began = self._clock.now()
        self._last_poll = self._clock.monotonic()
        self._polls += 1
        seen: list[Seen] = []
        asking: list[asyncio.Task[str]] = []
        async with asyncio.TaskGroup() as tasks:
            for query in self.queries:
                wait = self._budget.reserve(self._clock.monotonic()) - self._clock.monotonic()
                if wait > _CLOSE:
                    await self._clock.sleep(wait)
                asking.append(tasks.create_task(self._ask(query, seen)))
        self.phases.polled(began, self._clock.now(), seen)
        self._forget(self._clock.now())
        if any(task.result() == "TooLarge" for task in asking):
            self._ask_for_less()
        await self._look_for_bounds()

    async def _ask(self, query: Query, seen: list[Seen]) -> str:
        """Ask one query and feed its answer; the sample times go to `seen`."""
        asked = self._clock.now()
        margin = 2 * self.phases.interval + 0.5
        seconds = _behind(query, asked) + margin
        if query.expression:
            answer = await values_of(self._source, query.selector, seconds)
            series = self._sums.counted(query.selector, answer)
        else:
            answer = await self._source.range(query.selector, seconds)
            series = taken_apart(answer.series, query.bounds)
        if query.speaks:
            _note(query, answer, asked)
        seen.append((asked, self._feed(series, self._clock.now())))
        self._after(query.tallies)
        return answer.error

    def _ask_for_less(self) -> None:
        """Plan smaller queries: there are more series of a Rollout than was expected."""
        if self._series > _FEWEST:
            self._series //= 2
            self.queries = queries_of(self._tallies, self._most, self._series)

    def _wait(self) -> float:
        """Return how many seconds to wait before the next poll."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        if not self.queries:
            return _BLIND_POLL
        earliest = max(self._last_poll + _LEAST_GAP, self._budget.earliest(1))
        at = self.phases.next(now, self.share)
        failing = any(tally.error in _PASSING for tally in self._tallies)
        if not failing and all(tally.error for tally in self._tallies):
            wanted = self._last_poll + _REFUSED_POLL
        elif at is None or failing:
            eager = 1 / self.share if monotonic < self._eager_until else _BLIND_POLL
            wanted = self._last_poll + (max(_FAILING_POLL, 1 / self.share) if failing else eager)
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

    def _feed(self, answer: Sequence[Series], now: float) -> dict[str, set[float]]:
        """Feed the tallies; return the sample times of the targets whose rhythm matters."""
        batches: dict[int, tuple[Tally, list[Counted]]] = {}
        canaries: dict[str, set[float]] = {}
        others: dict[str, set[float]] = {}
        for series in answer:
            known = self._recognised(series)
            known.touched = now
            samples = series.samples
            if not samples:
                known.lacks_bound()
                continue
            if not known.routes:
                continue
            times, _ = zip(*samples, strict=True)
            (canaries if known.is_canary else others).setdefault(known.target, set()).update(times)
            if times[-1] <= known.last:
                continue
            known.last = times[-1]
            interval = shortest_gap(times)
            for tally, arm, role in known.routes:
                if interval:
                    tally.learn_interval(known.target, interval)
                item = Counted(known.key, known.target, arm, role.total, role.bad, samples)
                batches.setdefault(id(tally), (tally, []))[1].append(item)
        read_at = self._clock.monotonic()
        for tally, batch in batches.values():
            tally.feed(batch, read_at)
        # Without a canary series yet, the stable arm's targets tell the rhythm.
        return canaries or others

    def _recognised(self, series: Series) -> _Known:
        identity = tuple(sorted(series.labels.items()))
        known = self._known.get(identity)
        if known is None:
            known = _Known(repr(identity), dict(series.labels), target_of(series.labels))
            self._known[identity] = known
        known.look_up(self._directory)
        return known

    def _forget(self, now: float) -> None:
        if self._polls % 256 == 0:
            old = [
                key for key, known in self._known.items() if now - known.touched > _FORGET_SERIES
            ]
            for key in old:
                del self._known[key]

    async def _look_for_bounds(self) -> None:
        """For a histogram without the wanted bucket, ask once a minute which ones there are."""
        now = self._clock.monotonic()
        for tally in self._tallies:
            if not tally.lacks_bucket() or now - tally.bounds_asked < _BOUNDS_EVERY:
                continue
            if self._budget.earliest(1) > now:
                return
            tally.bounds_asked = now
            self._budget.spend(now, 1)
            answer = await self._source.range(bounds_selector(tally), 3 * self.phases.interval)
            texts = {series.labels.get("le", "") for series in answer.series}
            texts |= bounds_there(answer.series)
            tally.bounds = ", ".join(sorted(texts - {""}, key=_bound)[:40])
            return


def _behind(query: Query, now: float) -> float:
    """Return how many seconds ago all of a query's tallies had been asked."""
    return max(0.0, *(now - tally.covered for tally in query.tallies))


def _note(query: Query, answer: Answer, asked: float) -> None:
    for tally in query.tallies:
        tally.error, tally.detail = answer.error, answer.detail
        if not answer.error:
            tally.answered, tally.covered = True, asked


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")


def shortest_gap(times: Sequence[float]) -> float:
    """Return the least distance of sample times in seconds, 0 if there are not two."""
    return min(map(sub, times[1:], times), default=0.0)


def target_of(labels: Mapping[str, str]) -> str:
    """Return what was scraped to get a series, "" if its labels do not say."""
    if not labels.get("instance") and not labels.get("pod"):
        return ""
    return "|".join(labels.get(name, "") for name in ("job", "instance", "namespace", "pod"))
