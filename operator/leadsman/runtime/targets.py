"""Follows the Deployments that Rollouts name, and no others.

One watch sees all Deployments, but only events of governed ones are parsed: measured with 2,000
others, parsing and dispatching all of them (as kopf's watch does) took 23 MiB and 7 % of a core at
20 changes a second. A new Rollout's target is read once; after every gap in the watch all targets
are read again, so a deletion is never missed. At each sweep versions are compared, in case that an
event was lost all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Protocol

import structlog

from leadsman.errors import ApiError, GoneError, NotFoundError
from leadsman.ports import DEPLOYMENT, Body, Clock, Kind, Ref, WatchEvent
from leadsman.runtime.backoff import delay
from leadsman.runtime.scheduler import Key
from leadsman.runtime.store import OwnStore

SHORT_WATCH = 1.0
BACKOFF_BASE = 0.25
BACKOFF_CEILING = 15.0

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
        self,
        kind: Kind,
        namespace: str = "",
        *,
        since: str,
        wanted: Callable[[str, str], bool] | None = None,
    ) -> AsyncIterator[WatchEvent]:
        """Stream events of wanted objects, and bookmarks."""
        ...


class Targets:
    """Fills the store's Deployments. Start it before the first Rollout is put into the store."""

    def __init__(
        self, source: Source, clock: Clock, store: OwnStore, namespaces: Iterable[str] = ()
    ) -> None:
        """`namespaces` are those that are served, none for all; takes `store.on_target`."""
        self._source = source
        self._clock = clock
        self._store = store
        self._namespaces = tuple(namespaces) or ("",)
        self._wanted: asyncio.Queue[tuple[Key, int]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        store.on_target = self.want

    def want(self, namespace: str, name: str) -> None:
        """Ask for a Deployment soon."""
        self._wanted.put_nowait(((namespace, name), 0))

    def start(self) -> None:
        """Begin to follow, and to read what is wanted."""
        if not self._tasks:
            self._tasks.append(asyncio.create_task(self._read_all(), name="targets"))
            for namespace in self._namespaces:
                name = f"deployments {namespace or '*'}"
                self._tasks.append(asyncio.create_task(self._follow(namespace), name=name))

    async def stop(self) -> None:
        """End."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settled(self, patience: float = 10.0) -> None:
        """Wait until nothing is wanted any more, or for `patience` seconds (at the start)."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wanted.join(), patience)

    async def compare(self) -> None:
        """Ask again for governed Deployments that the store has differently, or not at all."""
        for namespace in sorted({key[0] for key in self._store.targets()}):
            try:
                found = await self._source.versions(DEPLOYMENT, namespace)
            except ApiError as error:
                log.warning("deployments not compared", namespace=namespace, reason=error.reason)
                continue
            for key in self._store.targets():
                known = self._store.deployment(*key)
                version = known["metadata"]["resourceVersion"] if known is not None else None
                if key[0] == namespace and found.get(key) != version:
                    self.want(*key)

    async def _follow(self, namespace: str) -> None:
        failures, since = 0, ""
        while True:
            wait = 0.0
            try:
                if not since:
                    since = await self._source.latest(DEPLOYMENT, namespace)
                    for key in self._store.targets():
                        if namespace in ("", key[0]):
                            self.want(*key)
                started = self._clock.monotonic()
                since = await self._watch(namespace, since)
                lasted = self._clock.monotonic() - started
                failures = 0 if lasted >= SHORT_WATCH else failures + 1
            except GoneError:
                since, failures = "", failures + 1
            except ApiError as error:
                since, failures, wait = "", failures + 1, error.retry_after
                log.info("deployments not followed", namespace=namespace, reason=error.reason)
            except Exception:
                since, failures = "", failures + 1
                log.exception("deployments not followed", namespace=namespace)
            if failures:
                pause = delay("deployments", failures, base=BACKOFF_BASE, ceiling=BACKOFF_CEILING)
                await self._clock.sleep(max(pause, min(wait, BACKOFF_CEILING)))

    async def _watch(self, namespace: str, since: str) -> str:
        """Follow one watch to its end; returns the version to go on from."""
        stream = self._source.watch(DEPLOYMENT, namespace, since=since, wanted=self._store.governs)
        async with aclosing(stream) as events:  # type: ignore[type-var]
            async for event in events:
                since = str(event.body["metadata"].get("resourceVersion") or since)
                if event.type != "BOOKMARK":
                    self._store.observe(DEPLOYMENT, event.body, deleted=event.type == "DELETED")
        return since

    async def _read_all(self) -> None:
        while True:
            key, failures = await self._wanted.get()
            try:
                await self._read(key, failures)
            finally:
                self._wanted.task_done()

    async def _read(self, key: Key, failures: int) -> None:
        if not self._store.governs(*key):
            return
        try:
            body = await self._source.get(Ref(DEPLOYMENT, *key))
        except NotFoundError:
            self._store.put_target(*key, None)
        except ApiError as error:
            log.warning("deployment not read", namespace=key[0], name=key[1], reason=error.reason)
            self._store.target_unread(*key)
            await self._clock.sleep(delay("/".join(key), failures + 1, base=0.25, ceiling=10.0))
            self._wanted.put_nowait((key, failures + 1))
        else:
            self._store.put_target(*key, body)
