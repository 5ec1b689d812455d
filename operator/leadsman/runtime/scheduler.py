"""Who is due, and in what order: a heap of wake times and a set of keys that changed.

Events only make a key due sooner; what is true is read when the key runs, so a hundred events
cost one run. Keys wait by urgency: those that roll back go first and have workers of their own,
so that eight slow API calls of other rollouts never stand before them. A key runs in one worker
at a time; a failure backs off that key alone.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from leadsman.core.decision import Urgency
from leadsman.ports import Clock
from leadsman.runtime.backoff import delay

__all__ = ["Key", "Scheduler", "Urgency", "Wake"]

Key = tuple[str, str]
"""Namespace and name of a Rollout."""

BACKOFF_BASE = 0.5
BACKOFF_CEILING = 60.0
TICK = 0.001
"""Seconds: what is due sooner than this is due now; the clock's own precision."""
SHORTEST_NAP = 0.01
"""Seconds before a key may wake itself again: a wake time in the past never spins a core."""
LONGEST_NAP = 30.0
"""Seconds after which the heap is looked at again, in case the wall clock was set."""


@dataclass(frozen=True, slots=True)
class Wake:
    """When a key wants to run again: Unix seconds, or None for when something changes."""

    at: float | None = None
    urgency: int = Urgency.IDLE


Reconcile = Callable[[Key], Awaitable[Wake]]
log = structlog.get_logger(__name__)


class Scheduler:
    """Runs `reconcile(key)` for keys that are due. Start it in a running event loop."""

    def __init__(
        self,
        clock: Clock,
        reconcile: Reconcile,
        *,
        workers: int = 8,
        express: int = 8,
        on_run: Callable[[Key, float, bool], None] | None = None,
    ) -> None:
        """`express` workers more are for keys that roll back.

        `on_run` is told key, seconds and success after each run.
        """
        self._clock = clock
        self._reconcile = reconcile
        self._workers = workers
        self._express = express
        self._on_run = on_run
        self._order = itertools.count()
        self._dirty: dict[Key, int] = {}
        self._ready: list[tuple[int, int, Key]] = []
        self._wakes: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._since: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._not_before: dict[Key, float] = {}
        self._changed = asyncio.Event()
        self._stopping = False
        self._timer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to run keys; those made due before are run now."""
        if self._timer is None:
            self._timer = asyncio.create_task(self._keep_time(), name="scheduler")
            self._pump()

    async def stop(self, grace: float = 10.0) -> None:
        """Take no new keys, let the running ones end for `grace` seconds, then cancel them."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.gather(self._timer, return_exceptions=True)
            self._timer = None
        if tasks := set(self._running.values()):
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def due(self, key: Key, urgency: int = Urgency.ADVANCE) -> None:
        """Mark a key as due now. A running key runs once more when it ends."""
        if self._stopping:
            return
        known = self._dirty.get(key)
        if known is None or urgency < known:
            self._dirty[key] = urgency
            if key not in self._running:
                heapq.heappush(self._ready, (urgency, next(self._order), key))
        self._pump()

    def forget(self, key: Key) -> None:
        """Drop all that is known of a key that is gone; a run in progress may end."""
        for known in (self._dirty, self._wakes, self._failures, self._not_before):
            known.pop(key, None)

    def backoff(self, key: Key) -> int:
        """How many runs of this key failed in a row; 0 when the last one was well."""
        return self._failures.get(key, 0)

    def next_wake(self, key: Key) -> float | None:
        """When the key runs by itself, Unix seconds."""
        wake = self._wakes.get(key)
        return wake[0] if wake else None

    @property
    def waiting(self) -> int:
        """Keys that are due and not running."""
        return len(self._dirty)

    @property
    def running(self) -> int:
        """Keys that are running."""
        return len(self._running)

    def longest_run(self) -> float:
        """Seconds since the start of the oldest run that has not ended; 0 when none runs."""
        oldest = min(self._since.values(), default=None)
        return 0.0 if oldest is None else self._clock.monotonic() - oldest

    def alive(self) -> bool:
        """Whether the time keeper runs."""
        return self._timer is not None and not self._timer.done()

    async def idle(self) -> None:
        """Wait until no key is running or able to run (for tests and for shutting down)."""
        while self._running:
            await asyncio.wait(set(self._running.values()))

    def _pump(self) -> None:
        """Start as many due keys as there are workers."""
        if self._timer is None or self._stopping:
            return
        while self._ready:
            urgency, _, key = self._ready[0]
            if self._dirty.get(key) != urgency or key in self._running:
                heapq.heappop(self._ready)
                continue
            limit = self._workers + (self._express if urgency == Urgency.ROLL_BACK else 0)
            if len(self._running) >= limit:
                break
            heapq.heappop(self._ready)
            if urgency != Urgency.ROLL_BACK and self._too_soon(key):
                continue
            del self._dirty[key]
            self._wakes.pop(key, None)
            self._run(key)

    def _too_soon(self, key: Key) -> bool:
        """Whether the key backs off; then it waits for the end of that instead."""
        until = self._not_before.get(key)
        if until is None:
            return False
        left = until - self._clock.monotonic()
        if left < TICK:
            del self._not_before[key]
            return False
        urgency = self._dirty.pop(key)
        self._wake(key, Wake(self._clock.now() + left, urgency))
        return True

    def _run(self, key: Key) -> None:
        self._since[key] = self._clock.monotonic()
        task = asyncio.create_task(self._work(key), name=f"reconcile {key[0]}/{key[1]}")
        self._running[key] = task

    async def _work(self, key: Key) -> None:
        well = False
        try:
            wake = await self._reconcile(key)
            well = True
        except Exception as error:  # noqa: BLE001 - one key's fault must not hurt another
            wake = self._failed(key, error)
        else:
            self._failures.pop(key, None)
            self._not_before.pop(key, None)
        finally:
            del self._running[key]
            seconds = self._clock.monotonic() - self._since.pop(key)
            if self._on_run is not None:
                self._on_run(key, seconds, well)
        self._wake(key, wake)
        again = self._dirty.get(key)
        if again is not None:
            heapq.heappush(self._ready, (again, next(self._order), key))
        self._pump()

    def _failed(self, key: Key, error: Exception) -> Wake:
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        wait = delay(f"{key[0]}/{key[1]}", failures, base=BACKOFF_BASE, ceiling=BACKOFF_CEILING)
        wait = max(wait, min(getattr(error, "retry_after", 0.0), BACKOFF_CEILING))
        self._not_before[key] = self._clock.monotonic() + wait
        log.warning(
            "reconcile failed",
            namespace=key[0],
            name=key[1],
            failures=failures,
            error=type(error).__name__,
            retry_in=round(wait, 2),
            exc_info=failures == 1 and not hasattr(error, "retry_after"),
        )
        return Wake(self._clock.now() + wait, Urgency.MEASURE)

    def _wake(self, key: Key, wake: Wake) -> None:
        if wake.at is None or self._stopping:
            return
        at = max(wake.at, self._clock.now() + SHORTEST_NAP)
        self._wakes[key] = (at, wake.urgency)
        first = not self._heap or at < self._heap[0][0]
        heapq.heappush(self._heap, (at, next(self._order), key))
        if first:
            self._changed.set()

    async def _keep_time(self) -> None:
        """Make keys due when their time comes."""
        while True:
            self._changed.clear()
            self._ring(self._clock.now())
            nap = LONGEST_NAP
            if self._heap:
                nap = max(TICK, min(nap, self._heap[0][0] - self._clock.now()))
            sleeping = asyncio.ensure_future(self._clock.sleep(nap))
            changing = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait({sleeping, changing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleeping.cancel()
                changing.cancel()

    def _ring(self, now: float) -> None:
        while self._heap and self._heap[0][0] < now + TICK:
            at, _, key = heapq.heappop(self._heap)
            wake = self._wakes.get(key)
            # An entry that a later run replaced is still in the heap: skip it.
            if wake is not None and wake[0] == at:
                del self._wakes[key]
                self.due(key, wake[1])
