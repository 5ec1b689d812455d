"""A clock that only moves when a test says so.

Everything in Leadsman that waits takes the time from the `Clock` port. With this implementation
an hour passes in microseconds, two runs see the same instants, and whatever sleeps wakes in the
order of its deadlines. Time is kept as whole microseconds, so that many small steps add up
exactly.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

START = 1_767_614_400.0
"""Where every FakeClock starts unless told otherwise: 2026-01-05T12:00:00Z."""

_MICRO = 1_000_000
_TURNS = 25
"""How often `run` lets other tasks have the event loop after each wake-up."""


class FakeClock:
    """The `Clock` port in virtual time."""

    def __init__(self, start: float = START) -> None:
        """Begin at Unix time `start`, in seconds; the monotonic clock begins at 0."""
        self._wall = round(start * _MICRO)
        self._elapsed = 0
        self._counter = 0
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self.before_move: list[Callable[[], None]] = []
        """Called whenever time is about to move: the last look at an instant that is over."""

    def now(self) -> float:
        """Unix time, seconds, UTC."""
        return (self._wall + self._elapsed) / _MICRO

    def monotonic(self) -> float:
        """Seconds of virtual time since the clock was made; `jump` does not touch it."""
        return self._elapsed / _MICRO

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` or `run` has moved the clock by `seconds`."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.call_later(seconds, lambda: None if woken.done() else woken.set_result(None))
        await woken

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` once the clock has moved by `seconds`, in the order of deadlines."""
        self._counter += 1
        heapq.heappush(self._timers, (self.tick_after(seconds), self._counter, callback))

    def jump(self, seconds: float) -> None:
        """Move the wall clock alone, as a person or NTP does; nothing wakes."""
        self._wall += round(seconds * _MICRO)

    def tick_after(self, seconds: float) -> int:
        """The instant `seconds` from now, in the whole microseconds that time is kept in."""
        return self._elapsed + max(0, round(seconds * _MICRO))

    def next_tick(self) -> int | None:
        """The instant at which the next timer is due, None when nothing waits."""
        return max(self._timers[0][0], self._elapsed) if self._timers else None

    def advance_to(self, tick: int) -> None:
        """Move time to an instant and fire what is due, in order."""
        while self._fire_one(tick):
            pass
        self._move(tick)

    def advance(self, seconds: float) -> None:
        """Move time and fire what is due, in order. Tasks woken run when the loop runs next."""
        self.advance_to(self.tick_after(seconds))

    async def run(self, seconds: float) -> None:
        """Move time and let woken tasks run at each instant at which something is due."""
        target = self.tick_after(seconds)
        await self.turns()
        while self._fire_one(target):
            await self.turns()
        self.advance_to(target)
        await self.turns()

    async def turns(self) -> None:
        """Give other tasks the loop without moving time."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def _move(self, tick: int) -> None:
        if tick > self._elapsed:
            for callback in self.before_move:
                callback()
            self._elapsed = tick

    def _fire_one(self, target: int) -> bool:
        if not self._timers or self._timers[0][0] > target:
            return False
        due, _, callback = heapq.heappop(self._timers)
        self._move(due)
        callback()
        return True
