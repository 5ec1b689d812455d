"""What was measured of one question: the counts of both arms, and how far the source was asked.

A `Tally` is the evidence of one shape; guards that ask the same share one. `watching` makes the
guards' readings of it.

A sample's time is the server's. A server whose clock is ahead has samples that look new for as long
as it is ahead, also when no more come, so a tally notes by our own clock as well when its newest
sample last got newer. With clocks that agree this says nothing that the times do not say before: a
sample is never younger than the time since it was first read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from leadsman.adapters.presets.shape import Role, Shape
from leadsman.guards.counters import ArmName, Counted, Counts
from leadsman.runtime.sampling.phases import UNKNOWN_INTERVAL

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
    monotonic: Callable[[], float] | None = None
    """The clock that never jumps, of whoever feeds this; without one sample times alone tell."""
    _newest: float | None = field(default=None, init=False)
    _newest_at: float = field(default=0.0, init=False)
    _canary: float | None = field(default=None, init=False)
    _canary_at: float = field(default=0.0, init=False)

    def feed(self, batch: Sequence[Counted], at: float) -> None:
        """Count samples that were read at `at`, seconds of the clock that never jumps."""
        self.counts.feed(batch)
        newest, canary = self.counts.last, self.counts.arms["canary"].last
        if newest != self._newest:
            self._newest, self._newest_at = newest, at
        if canary != self._canary:
            self._canary, self._canary_at = canary, at

    def unchanged(self) -> tuple[float, float]:
        """How many seconds ago the newest sample of any arm, and the canary's, got newer."""
        if self.monotonic is None:
            return 0.0, 0.0
        now = self.monotonic()
        return now - self._newest_at, now - self._canary_at

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


def new_tally(
    shape: Shape, since: float, keep: float, now: float, back_to: float = float("inf")
) -> Tally:
    """Return empty evidence since a time, both Unix seconds.

    The source is asked for the last `keep` seconds, and from `back_to` on if that is earlier; the
    increments are kept for as long.
    """
    covered = max(since, min(now - keep, back_to))
    kept = keep + max(0.0, now - keep - covered)
    return Tally(shape, Counts(since, kept), keep, covered=covered)
