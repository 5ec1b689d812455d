"""Follows the few objects of a kind that matter among the many that do not, with one watch.

Only events of wanted objects are parsed, so other people's objects cost next to nothing, and there
is no cache: who follows is told of each event, and of each gap in which events may have been lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Protocol

import structlog

from leadsman.errors import ApiError, GoneError
from leadsman.ports import Body, Clock, Kind, Ref, WatchEvent
from leadsman.runtime.backoff import delay
from leadsman.runtime.scheduler import Key

SHORT_WATCH = 1.0
"""Seconds: a watch that ends sooner counts as a failure, or a broken server would be polled hot."""
BACKOFF_BASE = 0.25
BACKOFF_CEILING = 15.0

Wanted = Callable[[str, str], bool]
"""Asked with namespace and name."""
log = structlog.get_logger(__name__)


class Source(Protocol):
    """What is asked of the API: KubeApi has more of it than the Kube port."""

    async def get(self, ref: Ref) -> Body:
        """Read one object."""
        ...

    async def latest(self, kind: Kind, namespace: str = "") -> str:
        """The resourceVersion to watch from."""
        ...

    async def versions(self, kind: Kind, namespace: str = "") -> Mapping[Key, str]:
        """The resourceVersion of every object."""
        ...

    def watch(
        self, kind: Kind, namespace: str = "", *, since: str, wanted: Wanted | None = None
    ) -> AsyncIterator[WatchEvent]:
        """Stream events of wanted objects, and bookmarks."""
        ...


class Follower:
    """One watch that begins again for ever. `start` it, `stop` it."""

    def __init__(
        self,
        source: Source,
        clock: Clock,
        kind: Kind,
        namespace: str,
        *,
        wanted: Wanted,
        on_event: Callable[[Body, bool], None],
        on_gap: Callable[[str], Awaitable[None]],
    ) -> None:
        """`on_event` is told the object and whether it is gone.

        `on_gap` is told, before events flow (again), that those before a resourceVersion may have
        been lost; also at first. If it raises an ApiError, it is told again later.
        """
        self._source = source
        self._clock = clock
        self._kind = kind
        self._namespace = namespace
        self._wanted = wanted
        self._on_event = on_event
        self._on_gap = on_gap
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow; idempotent."""
        if self._task is None:
            name = f"{self._kind.plural} {self._namespace or '*'}"
            self._task = asyncio.create_task(self._follow(), name=name)

    async def stop(self) -> None:
        """End."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self) -> None:
        failures, since = 0, ""
        while True:
            wait = 0.0
            try:
                if not since:
                    since = await self._source.latest(self._kind, self._namespace)
                    await self._on_gap(since)
                started = self._clock.monotonic()
                since = await self._watch(since)
                lasted = self._clock.monotonic() - started
                failures = 0 if lasted >= SHORT_WATCH else failures + 1
            except GoneError:
                since, failures = "", failures + 1
            except ApiError as error:
                since, failures, wait = "", failures + 1, error.retry_after
                self._say(error.reason or type(error).__name__)
            except Exception:
                since, failures = "", failures + 1
                log.exception("not followed", kind=self._kind.plural, namespace=self._namespace)
            if failures:
                name = self._kind.plural
                pause = delay(name, failures, base=BACKOFF_BASE, ceiling=BACKOFF_CEILING)
                await self._clock.sleep(max(pause, min(wait, BACKOFF_CEILING)))

    async def _watch(self, since: str) -> str:
        """Follow one watch to its end; returns the version to go on from."""
        stream = self._source.watch(self._kind, self._namespace, since=since, wanted=self._wanted)
        async with aclosing(stream) as events:  # type: ignore[type-var]
            async for event in events:
                since = str(event.body["metadata"].get("resourceVersion") or since)
                if event.type != "BOOKMARK":
                    self._on_event(event.body, event.type == "DELETED")
        return since

    def _say(self, reason: str) -> None:
        log.info("not followed", kind=self._kind.plural, namespace=self._namespace, reason=reason)
