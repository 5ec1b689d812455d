"""Windows: how many events an arm had, and how many were bad, in the seconds before a sample.

A window ends at the time of a sample, never at the time of a poll: whoever reads the same samples,
once or in pieces, now or after a restart, gets the same windows. Increments are kept as running
sums in time order, so that a window of any length costs two binary searches.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import NamedTuple

SLACK = 0.0005
"""Half a millisecond: sample times are whole milliseconds stored as floats."""


@dataclass(frozen=True, slots=True)
class Window:
    """Events of one arm in (at - window, at]: `at` is Unix time in seconds, a sample's time."""

    at: float
    total: float
    bad: float


GATHERING_WINDOW = 60.0
"""Seconds: a guard that gathers evidence has a window only to see that there is traffic."""


RECENT = 8
"""How many of the newest blocks are kept to be shown."""


class Block(NamedTuple):
    """What both arms counted in (start, at], Unix seconds; `_bad` are the bad ones among them."""

    start: float
    at: float
    canary: float
    canary_bad: float
    stable: float
    stable_bad: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known about one guard right now.

    The windows are newest last; as many as the guard's trigger looks at. `error` is "" or a
    CamelCase word: one of those of `ports.Answer`, or Pending (nothing was asked yet), Empty (the
    source knows no such series), Stale (the newest sample is too old), NoSuchBucket, QueryInvalid.
    `last_sample` is the canary's newest sample time, Unix seconds. `blocks` are complete and newer
    than what was remembered when the reading was made, for a guard that gathers evidence; `slices`
    are those of each slice, in the order of the guard's slices. `recent`: the newest blocks behind
    a verdict that fails, counted already or not; for people.
    """

    guard: str
    canary: tuple[Window, ...]
    stable: tuple[Window, ...]
    error: str
    last_sample: float | None
    blocks: tuple[Block, ...] = ()
    slices: tuple[tuple[Block, ...], ...] = ()
    recent: tuple[Block, ...] = ()


class ArmCounts:
    """The increments of one arm in time order, of all its series together.

    An increment belongs to the time of the sample that ended it. What is more than `keep` seconds
    older than the newest is forgotten; sums over everything are kept.
    """

    __slots__ = ("_bad", "_bad_before", "_keep", "_times", "_total", "_total_before")

    def __init__(self, keep: float) -> None:
        self._keep = keep
        self._times: list[float] = []
        self._total: list[float] = []
        self._bad: list[float] = []
        self._total_before = 0.0
        self._bad_before = 0.0

    def add(self, at: float, total: float, bad: float) -> None:
        """Count `total` events, `bad` of them bad, at sample time `at` (any order of times)."""
        times = self._times
        if not times or at > times[-1]:
            times.append(at)
            self._total.append((self._total[-1] if self._total else self._total_before) + total)
            self._bad.append((self._bad[-1] if self._bad else self._bad_before) + bad)
            self._forget()
            return
        index = bisect_left(times, at)
        if times[index] != at:
            times.insert(index, at)
            self._total.insert(index, self._total[index - 1] if index else self._total_before)
            self._bad.insert(index, self._bad[index - 1] if index else self._bad_before)
        for later in range(index, len(times)):
            self._total[later] += total
            self._bad[later] += bad

    @property
    def last(self) -> float | None:
        """The newest sample time, if there is any."""
        return self._times[-1] if self._times else None

    @property
    def events(self) -> float:
        """All events counted since the beginning, the forgotten ones included."""
        return self._total[-1] if self._total else self._total_before

    def since(self, time: float) -> float:
        """Events after Unix `time`, as far back as increments are kept."""
        before = bisect_right(self._times, time + SLACK) - 1
        return self.events - (self._total[before] if before >= 0 else self._total_before)

    def windows(self, width: float, count: int) -> tuple[Window, ...]:
        """Return the windows of `width` seconds at the newest `count` sample times, newest last."""
        first = max(0, len(self._times) - count)
        return tuple(self._window(index, width) for index in range(first, len(self._times)))

    def _window(self, index: int, width: float) -> Window:
        at = self._times[index]
        before = bisect_right(self._times, at - width + SLACK, 0, index) - 1
        total = self._total[index] - (self._total[before] if before >= 0 else self._total_before)
        bad = self._bad[index] - (self._bad[before] if before >= 0 else self._bad_before)
        return Window(at, total, min(max(bad, 0.0), total))

    def _forget(self) -> None:
        times = self._times
        if len(times) < 64 or times[len(times) // 2] >= times[-1] - self._keep:
            return
        cut = bisect_left(times, times[-1] - self._keep)
        self._total_before, self._bad_before = self._total[cut - 1], self._bad[cut - 1]
        del times[:cut], self._total[:cut], self._bad[:cut]
