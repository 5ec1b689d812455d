"""How many queries a source takes in any one second, shared by all who ask it.

Counted over each second, not on average, because a burst is what hurts a server.
"""

from __future__ import annotations

from collections import deque


class Budget:
    """At most `rate` queries in any second. Times are monotonic seconds, given by the caller."""

    def __init__(self, rate: float) -> None:
        self.rate = max(1, int(rate))
        self._sent: deque[float] = deque(maxlen=self.rate)

    def earliest(self, cost: int) -> float:
        """Return the first moment at which `cost` queries may go out."""
        must_be_over = len(self._sent) + cost - self.rate
        if must_be_over <= 0 or not self._sent:
            return float("-inf")
        return self._sent[min(must_be_over, len(self._sent)) - 1] + 1.0

    def reserve(self, now: float) -> float:
        """Take the next free moment for one query, and return it.

        Who asks many takes one at a time, so that others get theirs in between.
        """
        at = max(now, self.earliest(1))
        self._sent.append(at)
        return at

    def spend(self, now: float, cost: int) -> None:
        """Note that `cost` queries go out now."""
        self._sent.extend([now] * cost)
