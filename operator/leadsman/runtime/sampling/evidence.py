"""What was measured for one Rollout at one source, and the readings made of it.

A `Tally` is the evidence of one shape (guards that ask the same share one). A `Part` is the guards
of one Rollout at one source. Readings are computed when they are asked for, so that staleness is
judged at that moment, and a source that failed once does not spoil samples that are still fresh.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from leadsman.adapters.presets.shape import Role, Shape
from leadsman.core.spec import GuardSpec
from leadsman.guards.counters import ArmName, Counts
from leadsman.guards.judges import Threshold, judge
from leadsman.guards.verdict import Judged, Verdict
from leadsman.guards.windows import Reading
from leadsman.runtime.sampling.phases import UNKNOWN_INTERVAL

KEEP_MORE = 30.0
"""Seconds of evidence kept beyond the longest window."""
SLACK = 1.0
"""Seconds that a sample may be late beyond two scrapes before it is stale."""
_WINDOW = 30.0
_TARGETS = 500


@dataclass(slots=True, eq=False)
class Tally:
    """The counts of one shape since a time. `covered` is how far the source was asked already.

    `error` and `detail` are those of the last query, `answered` whether any query succeeded.
    """

    shape: Shape
    counts: Counts
    keep: float
    covered: float
    error: str = ""
    detail: str = ""
    answered: bool = False
    counted: set[ArmName] = field(default_factory=set)
    bucketed: set[ArmName] = field(default_factory=set)
    bounds: str = ""
    bounds_asked: float = float("-inf")
    intervals: dict[str, float] = field(default_factory=dict)

    @property
    def interval(self) -> float:
        """The distance of scrapes in seconds, the longest of its targets'."""
        return max(self.intervals.values(), default=UNKNOWN_INTERVAL)

    def learn_interval(self, target: str, seconds: float) -> None:
        """Note the distance of a target's scrapes; targets of long ago are forgotten in time."""
        if len(self.intervals) > _TARGETS:
            self.intervals.clear()
        self.intervals[target] = seconds

    def saw(self, arm: ArmName, role: Role) -> None:
        """Note that a series of this role exists."""
        (self.counted if role.total else self.bucketed).add(arm)

    def lacks_bucket(self) -> bool:
        """Return whether the histogram is there, but not the bucket that the guard names."""
        return bool(self.shape.bounds) and not self.counted <= self.bucketed


def new_tally(shape: Shape, since: float, keep: float, now: float) -> Tally:
    """Return empty evidence since a time, both Unix seconds."""
    return Tally(shape, Counts(since, keep), keep, covered=max(since, now - keep))


@dataclass(slots=True, eq=False)
class Watch:
    """One guard: its evidence, or why there can be none; and what was last told about it."""

    guard: GuardSpec
    tally: Tally | None
    error: str = ""
    detail: str = ""
    told: tuple[str, str] = ("", "")
    told_at: float = float("-inf")

    @property
    def width(self) -> float:
        """The window that the judge looks at, in seconds."""
        return window_of(self.guard)

    def reading(self, now: float) -> Reading:
        """Return what is known at `now`, Unix seconds."""
        tally = self.tally
        if tally is None:
            return Reading(self.guard.name, (), (), self.error, None)
        counts, fresh_from = tally.counts, now - 2 * tally.interval - SLACK
        last = counts.arms["canary"].last
        error = self._error(tally, now, fresh_from)
        if error:
            return Reading(self.guard.name, (), (), error, last)
        number = max(1, self.guard.trigger.consecutive)
        stable = counts.windows("stable", self.width, number)
        if last is None or last < fresh_from:
            return Reading(self.guard.name, (), stable, "", last)
        canary = counts.windows("canary", self.width, number)
        return Reading(self.guard.name, canary, stable, "", last)

    def news(self, now: float) -> bool:
        """Judge, and return whether somebody should look: another verdict, or a newer Fail."""
        judged = self.judged(now)
        word = (judged.verdict.value, judged.reason.value)
        at = judged.at if judged.at is not None else float("-inf")
        newer_fail = judged.verdict is Verdict.FAIL and at > self.told_at
        if word == self.told and not newer_fail:
            return False
        self.told, self.told_at = word, at
        return True

    def judged(self, now: float) -> Judged:
        """Return the judgement of the newest window."""
        return judge(self.guard.judge, self.reading(now))

    def why(self) -> str:
        """Return a sentence about what is wrong, "" if nothing is."""
        if self.tally is None:
            return self.detail
        if self.tally.lacks_bucket():
            wanted = self.tally.shape.bounds[0]
            return f"no bucket {wanted}; there are: {self.tally.bounds or 'not known yet'}"
        return self.tally.detail

    @staticmethod
    def _error(tally: Tally, now: float, fresh_from: float) -> str:
        last = tally.counts.last
        if last is not None and last >= fresh_from:
            return "NoSuchBucket" if tally.lacks_bucket() else ""
        if tally.error:
            return tally.error
        if last is not None:
            return "Stale"
        early = now - tally.counts.since < 3 * tally.interval + SLACK
        return "Pending" if early or not tally.answered else "Empty"


def window_of(guard: GuardSpec) -> float:
    """Return the window of a guard's judge in seconds."""
    return guard.judge.window if isinstance(guard.judge, Threshold) else _WINDOW


@dataclass(slots=True, eq=False)
class Part:
    """A Rollout's guards at one source, and the router's own counts of its arms."""

    since: float
    watches: list[Watch] = field(default_factory=list)
    router: Tally | None = None

    def tallies(self) -> Iterator[Tally]:
        """Return each tally once."""
        seen: set[int] = set()
        for tally in [*(watch.tally for watch in self.watches), self.router]:
            if tally is not None and id(tally) not in seen:
                seen.add(id(tally))
                yield tally
