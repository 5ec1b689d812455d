"""Reads the Deployments that Rollouts name and that no event has brought yet.

Events of Deployments that nobody governs are dropped where they arrive, so a new Rollout's target
must be asked for once. At every sweep the governed ones are compared by resourceVersion, from a
list of metadata only: a deletion that happened while a watch was down is found here.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

import structlog

from leadsman.errors import ApiError, NotFoundError
from leadsman.ports import DEPLOYMENT, Clock, Kind, Kube, Listing, Ref
from leadsman.runtime.backoff import delay
from leadsman.runtime.scheduler import Key
from leadsman.runtime.store import OwnStore, key_of, version_of

log = structlog.get_logger(__name__)


class Names(Protocol):
    """Lists metadata only: KubeApi's `metadata`."""

    async def __call__(self, kind: Kind, namespace: str = "") -> Listing:
        """All objects of a kind with `metadata` and nothing else."""
        ...


class Targets:
    """Fills the store's Deployments. Start it before the first Rollout is put into the store."""

    def __init__(self, kube: Kube, clock: Clock, store: OwnStore, names: Names) -> None:
        """`names` lists metadata; `store.on_target` becomes this object's `want`."""
        self._kube = kube
        self._clock = clock
        self._store = store
        self._names = names
        self._wanted: asyncio.Queue[tuple[Key, int]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        store.on_target = self.want

    def want(self, namespace: str, name: str) -> None:
        """Ask for a Deployment soon."""
        self._wanted.put_nowait(((namespace, name), 0))

    def start(self) -> None:
        """Begin to read what is wanted."""
        if self._task is None:
            self._task = asyncio.create_task(self._read_all(), name="targets")

    async def stop(self) -> None:
        """End."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def settled(self, patience: float = 10.0) -> None:
        """Wait until nothing is wanted any more, or for `patience` seconds (at the start)."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wanted.join(), patience)

    async def compare(self) -> None:
        """Ask again for governed Deployments that the store has differently, or not at all."""
        for namespace in sorted({key[0] for key in self._store.targets()}):
            try:
                listing = await self._names(DEPLOYMENT, namespace)
            except ApiError as error:
                log.warning("deployments not compared", namespace=namespace, reason=error.reason)
                continue
            found = {key_of(body): version_of(body) for body in listing.items}
            for key in self._store.targets():
                known = self._store.deployment(*key)
                version = version_of(known) if known is not None else None
                if key[0] == namespace and found.get(key) != version:
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
            body = await self._kube.get(Ref(DEPLOYMENT, *key))
        except NotFoundError:
            self._store.put_target(*key, None)
        except ApiError as error:
            log.warning("deployment not read", namespace=key[0], name=key[1], reason=error.reason)
            await self._clock.sleep(delay("/".join(key), failures + 1, base=0.25, ceiling=10.0))
            self._wanted.put_nowait((key, failures + 1))
        else:
            self._store.put_target(*key, body)
