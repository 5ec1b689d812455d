"""A circuit breaker: after several failures in a row, stop asking for a while.

A source that does not answer costs a time-out for each question, and being asked does not help it
to recover. While the circuit is open, questions are answered at once with an error; after a pause
one probe is let through, and its result decides. The pause doubles with each failed probe up to a
bound that is small, because a rollback may wait for the first answer after an outage.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """Counts failures in a row. All times are monotonic seconds, given by the caller.

    Opens after `failures` failures, for `pause` seconds at first and at most `longest`.
    """

    failures: int = 5
    pause: float = 0.5
    longest: float = 4.0
    _count: int = 0
    _until: float = 0.0
    _next_pause: float = 0.0
    _probing: bool = False

    @property
    def is_open(self) -> bool:
        """Whether questions are being refused, but for a probe now and then."""
        return self._count >= self.failures

    def allows(self, now: float) -> bool:
        """Return whether a question may go out; a True while open is the one probe."""
        if not self.is_open:
            return True
        if self._probing or now < self._until:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Note that the source answered: the circuit closes."""
        self._count, self._probing, self._next_pause = 0, False, 0.0

    def failed(self, now: float) -> None:
        """Note that the source did not answer properly."""
        self._count += 1
        self._probing = False
        if self.is_open:
            self._next_pause = min(self._next_pause * 2 or self.pause, self.longest)
            self._until = now + self._next_pause

    def abandoned(self) -> None:
        """Note that a question was given up by the asker: it says nothing about the source."""
        self._probing = False
