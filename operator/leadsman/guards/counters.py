"""Raw counter samples of many series become the increments of two arms.

Each series is differenced by itself and only then added up: a sum taken first would hide the reset
of one pod behind the growth of another. The rules:

- an increment is x_i - x_(i-1), or x_i when the counter went back (it was reset);
- a sample that is NaN, infinite, negative, or not later than the one before is dropped and counted;
- no sample from before `since`, when the arm got its present version and weight, is ever used: the
  increment that crosses `since` is lost, which costs at most one scrape;
- a series that appears later counts from its first sample on, unless its target was scraped without
  it at or after `since`. Then it did not exist at that scrape, an absent counter is zero, and its
  first value counts in full. Error counters are created by the first error, so the other way would
  lose exactly the evidence that matters. For a target whose first series appears later there is no
  such proof, and up to one scrape of events is lost.

All of this depends on sample times only, so polling often, seldom or once gives the same result, as
long as samples are fed in time order and the series of one scrape are fed together.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Literal, NamedTuple

from leadsman.guards.windows import ArmCounts, Window

ArmName = Literal["canary", "stable"]


class Counted(NamedTuple):
    """Samples of one series, and what its increments mean.

    `key` is the series' identity, `target` what was scraped ("" if unknown). Each event counts
    `total` times among all events and `bad` times among the bad ones: (1, 0) for a request counter,
    (1, 1) for requests with an error code, (0, -1) for the bucket of fast requests when the
    histogram's count is (1, 1). `samples` are (Unix time in seconds, value).
    """

    key: str
    target: str
    arm: ArmName
    total: int
    bad: int
    samples: Sequence[tuple[float, float]]


class _Series:
    __slots__ = ("first", "seen", "time", "value")

    def __init__(self, first: float) -> None:
        self.first = self.seen = first
        self.time: float | None = None
        self.value = 0.0


class Counts:
    """The evidence of one guard: both arms, since a time, at least `keep` seconds of it.

    A series that was not seen for `keep` seconds is forgotten: when it comes back it is new.
    `last` is the newest time of a sample that is a number, of either arm.
    """

    __slots__ = ("_keep", "_scrapes", "_series", "arms", "dropped", "last", "resets", "since")

    def __init__(self, since: float, keep: float) -> None:
        self.since = since
        self._keep = keep
        self._series: dict[str, _Series] = {}
        self._scrapes: dict[str, list[float]] = {}
        self.arms: dict[ArmName, ArmCounts] = {
            "canary": ArmCounts(keep),
            "stable": ArmCounts(keep),
        }
        self.last: float | None = None
        self.dropped = 0
        self.resets = 0

    def feed(self, batch: Iterable[Counted]) -> bool:
        """Take samples, also ones that were fed before; return whether any was new."""
        fresh = [(item, self._fresh(item)) for item in batch]
        fresh = [(item, samples) for item, samples in fresh if samples]
        for item, samples in fresh:
            self._note_scrapes(item.target, samples)
        for item, samples in fresh:
            self._count(item, samples)
        if fresh:
            self._forget()
        return bool(fresh)

    def windows(self, arm: ArmName, width: float, count: int) -> tuple[Window, ...]:
        """Return the arm's windows at its newest `count` sample times, newest last."""
        return self.arms[arm].windows(width, count)

    def _fresh(self, item: Counted) -> list[tuple[float, float]]:
        series = self._series.get(item.key)
        known = float("-inf") if series is None else series.seen
        samples: list[tuple[float, float]] = []
        for time, value in item.samples:
            if time < self.since or time <= known:
                continue
            if samples and time <= samples[-1][0]:
                self.dropped += 1
                continue
            samples.append((time, value))
        return samples

    def _note_scrapes(self, target: str, samples: list[tuple[float, float]]) -> None:
        times = self._scrapes.setdefault(target, [])
        for time, _ in samples:
            if not times or time > times[-1]:
                times.append(time)
            elif times[bisect_left(times, time)] != time:
                insort(times, time)

    def _count(self, item: Counted, samples: list[tuple[float, float]]) -> None:
        series = self._series.setdefault(item.key, _Series(samples[0][0]))
        arm = self.arms[item.arm]
        for time, value in samples:
            series.seen = time
            if not isfinite(value) or value < 0:
                self.dropped += 1
                continue
            self.last = time if self.last is None else max(self.last, time)
            growth = self._growth(series, item.target, value)
            series.time, series.value = time, value
            if growth is not None:
                arm.add(time, item.total * growth, item.bad * growth)

    def _growth(self, series: _Series, target: str, value: float) -> float | None:
        if series.time is not None:
            growth = value - series.value
            if growth >= 0:
                return growth
            self.resets += 1
            return value
        times = self._scrapes[target]
        was_absent = target != "" and times[0] < series.first
        return value if was_absent else None

    def _forget(self) -> None:
        newest = max((times[-1] for times in self._scrapes.values()), default=0.0)
        horizon = newest - self._keep
        for target, times in list(self._scrapes.items()):
            if times[-1] < horizon:
                del self._scrapes[target]
            elif len(times) >= 64 and times[len(times) // 2] < horizon:
                del times[: bisect_left(times, horizon)]
        if len(self._series) > 64 or not self._scrapes:
            gone = [key for key, series in self._series.items() if series.seen < horizon]
            for key in gone:
                del self._series[key]


def windows(
    total: Iterable[Sequence[tuple[float, float]]],
    bad: Iterable[Sequence[tuple[float, float]]],
    since: float,
    window: float,
    count: int,
) -> tuple[Window, ...]:
    """Return an arm's newest `count` windows from all its samples at once.

    `total` and `bad` hold the samples of one series each, all of one target; `since` is Unix time
    and `window` a length, both in seconds.
    """
    counts = Counts(since, float("inf"))
    series = [(1, 0, samples) for samples in total] + [(0, 1, samples) for samples in bad]
    counts.feed(
        Counted(str(index), "target", "canary", events, failed, samples)
        for index, (events, failed, samples) in enumerate(series)
    )
    return counts.windows("canary", window, count)
