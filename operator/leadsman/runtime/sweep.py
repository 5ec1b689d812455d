"""A list of our own kinds every few minutes, for what events missed.

A watch that was down while an object was deleted never tells of it, and any chain of caches can
drop an event. The sweep reads each kind as a whole (in chunks) and hands the list over; whoever
takes it compares versions and names. That is the level in "level-triggered".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from leadsman.errors import ApiError
from leadsman.ports import Clock, Kind, Kube, Listing

INTERVAL = 300.0

Target = tuple[Kind, str]
"""A kind and a namespace ("" for all)."""
log = structlog.get_logger(__name__)


class Sweep:
    """Lists `targets()` every `interval` seconds and tells `found` of each complete list."""

    def __init__(
        self,
        kube: Kube,
        clock: Clock,
        targets: Callable[[], Iterable[Target]],
        found: Callable[[Kind, str, Listing], None],
        *,
        interval: float = INTERVAL,
        after: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`targets` is asked before each round, so it may follow the store; `after` follows it."""
        self._after = after
        self._kube = kube
        self._clock = clock
        self._targets = targets
        self._found = found
        self._interval = interval
        self._task: asyncio.Task[None] | None = None
        self.rounds = 0
        """How many rounds were completed, faults included."""

    def start(self) -> None:
        """Begin; the first list comes after one interval, since the watches start with one."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name="sweep")

    async def stop(self) -> None:
        """End."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def sweep(self) -> None:
        """One round now. A kind that cannot be listed is left for the next round."""
        for kind, namespace in tuple(self._targets()):
            try:
                listing = await self._kube.list(kind, namespace)
            except ApiError as error:
                log.warning("sweep failed", kind=kind.kind, reason=error.reason)
                continue
            self._found(kind, namespace, listing)
        if self._after is not None:
            await self._after()
        self.rounds += 1

    async def _keep(self) -> None:
        while True:
            await self._clock.sleep(self._interval)
            try:
                await self.sweep()
            except Exception:
                log.exception("sweep failed")
