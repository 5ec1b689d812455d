"""Counters in virtual time: each grows at a rate that changes now and then.

Nothing is added up second by second. A counter remembers when its rate changed, and tells its
value at any instant since then, so that an hour without change costs nothing.
"""

from __future__ import annotations

from bisect import bisect_right

_KEPT = 512
"""Changes of rate that a counter remembers."""


class Counter:
    """One counter: whole events, never falling but for a reset."""

    __slots__ = ("_ends", "_rates", "_starts", "_times", "_values", "_visible")

    def __init__(self, now: float, *, visible: bool) -> None:
        """Begin at 0. A counter that is not `visible` at once appears with its first event."""
        self._times = [now]
        self._values = [0.0]
        self._rates = [0.0]
        self._visible = visible
        self._starts = now
        self._ends: float | None = None

    @property
    def ended(self) -> bool:
        """Whether its target is gone."""
        return self._ends is not None

    def flow(self, now: float, rate: float) -> None:
        """Grow by `rate` events a second from now on."""
        if rate != self._rates[-1]:
            self._append(now, self._at(now), rate)

    def add(self, now: float, events: float) -> None:
        """Count some events at once."""
        self._append(now, self._at(now) + events, self._rates[-1])

    def reset(self, now: float) -> None:
        """Begin again at 0, as a process does that was restarted."""
        self._append(now, 0.0, self._rates[-1])

    def end(self, now: float) -> None:
        """Give no samples from now on."""
        if self._ends is None:
            self._ends = now

    def value(self, time: float) -> int | None:
        """The value at an instant, None where the series does not exist then."""
        if time < self._starts or (self._ends is not None and time >= self._ends):
            return None
        value = int(self._at(time) + 1e-6)
        if value == 0 and not self._visible and self._first(time):
            return None
        return value

    def _first(self, time: float) -> bool:
        """Whether no event had ever been counted by `time`."""
        return all(
            value < 1 for at, value in zip(self._times, self._values, strict=True) if at <= time
        )

    def _at(self, time: float) -> float:
        at = max(0, bisect_right(self._times, time) - 1)
        return self._values[at] + self._rates[at] * max(0.0, time - self._times[at])

    def _append(self, now: float, value: float, rate: float) -> None:
        if self._times[-1] == now:
            self._values[-1], self._rates[-1] = value, rate
            return
        self._times.append(now)
        self._values.append(value)
        self._rates.append(rate)
        if len(self._times) > 2 * _KEPT:
            del self._times[:_KEPT], self._values[:_KEPT], self._rates[:_KEPT]
            # What is forgotten cannot say any more that nothing had been counted.
            self._visible = self._visible or self._values[0] >= 1
