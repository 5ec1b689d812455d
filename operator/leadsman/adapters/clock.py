"""The one place that reads the machine's clock.

Everything else takes the time from the Clock port, so that tests own it. Unix times are rounded
to milliseconds: that is the precision that status keeps, and a decision made from a finer time
could not be replayed from its record.
"""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """The real time: implements the Clock port."""

    def now(self) -> float:
        """Unix time in seconds, UTC, rounded to a millisecond."""
        return round(time.time(), 3)

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait; a negative time gives other tasks one turn."""
        await asyncio.sleep(max(0.0, seconds))
