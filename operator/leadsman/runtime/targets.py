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
from collections.abc import Iterable
from functools import partial

import structlog

from leadsman.errors import ApiError, NotFoundError
from leadsman.ports import DEPLOYMENT, Body, Clock, Ref
from leadsman.runtime.backoff import delay
from leadsman.runtime.following import Follower, Source
from leadsman.runtime.scheduler import Key
from leadsman.runtime.store import OwnStore

log = structlog.get_logger(__name__)


class Targets:
    """Fills the store's Deployments. Start it before the first Rollout is put into the store."""

    def __init__(
        self, source: Source, clock: Clock, store: OwnStore, namespaces: Iterable[str] = ()
    ) -> None:
        """`namespaces` are those that are served, none for all; takes `store.on_target`."""
        self._source = source
        self._clock = clock
        self._store = store
        self._wanted: asyncio.Queue[tuple[Key, int]] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None
        self._followers = [
            Follower(
                source,
                clock,
                DEPLOYMENT,
                namespace,
                wanted=store.governs,
                on_event=self._heard,
                on_gap=partial(self._all_again, namespace),
            )
            for namespace in tuple(namespaces) or ("",)
        ]
        store.on_target = self.want

    def want(self, namespace: str, name: str) -> None:
        """Ask for a Deployment soon."""
        self._wanted.put_nowait(((namespace, name), 0))

    def start(self) -> None:
        """Begin to follow, and to read what is wanted."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all(), name="targets")
            for follower in self._followers:
                follower.start()

    async def stop(self) -> None:
        """End."""
        task, self._reading = self._reading, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.gather(*(follower.stop() for follower in self._followers))

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

    def _heard(self, body: Body, gone: bool) -> None:
        self._store.observe(DEPLOYMENT, body, deleted=gone)

    async def _all_again(self, namespace: str, _since: str) -> None:
        for key in self._store.targets():
            if namespace in ("", key[0]):
                self.want(*key)

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
