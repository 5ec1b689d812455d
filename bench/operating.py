"""The operator's process around a cluster in memory: all of it but kopf's watches.

Where a bench needs a decision carried out beside a real Prometheus, it needs the operator's own
scheduler, caches, reconciler, executor and sampler, and an API server that costs the machine
nothing. This is the process as `leadsman.shell` puts it together, on FakeKube; its own kinds come
by FakeKube's watches. Rollouts that only the sampler knows may be measured beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

from leadsman.adapters.kube import KubeApi
from leadsman.ports import Clock, Kind, MetricsSource
from leadsman.runtime.sampler import Sampler
from leadsman.runtime.scheduler import Key, Scheduler, Wake
from leadsman.runtime.settings import Settings
from leadsman.runtime.store import OWN
from leadsman.runtime.targets import Targets
from leadsman.runtime.telemetry import Telemetry
from leadsman.shell.engine import ReleaseEngine
from leadsman.shell.process import Context
from leadsman.testing import FakeKube

TICK = 0.02
"""Seconds between two looks of the cluster's controllers in real time."""


class Cluster(FakeKube):
    """FakeKube in real time."""

    async def keep_time(self) -> None:
        """Let the cluster's clock follow the machine's for ever."""
        began = time.monotonic() - self.clock.monotonic()
        while True:
            self.advance(max(0.0, time.monotonic() - began - self.clock.monotonic()))
            await asyncio.sleep(TICK)


class Engine(ReleaseEngine):
    """The operator's engine. `heard` is told each Rollout whose readings crossed something."""

    def __init__(self, context: Context, heard: Callable[[Key], None]) -> None:
        super().__init__(context)
        self._heard = heard
        self._store = context.store

    @property
    def sampler(self) -> Sampler:
        """What measures."""
        return self._sampler

    async def reconcile(self, key: Key) -> Wake:
        """One pass; a Rollout that is measured only would be forgotten by it."""
        return await super().reconcile(key) if self._store.rollout(key) is not None else Wake()

    def _evidence(self, key: Key) -> None:
        self._heard(key)
        super()._evidence(key)


class Operator:
    """The process on one cluster in memory. `start` it in a running event loop."""

    def __init__(
        self,
        kube: Cluster,
        clock: Clock | None = None,
        *,
        heard: Callable[[Key], None] = lambda _: None,
        source: MetricsSource | None = None,
    ) -> None:
        """`clock` is the operator's own, the cluster's where none is given; `source` answers
        instead of what the MetricsSource objects name.
        """
        self.kube = kube
        clock = clock or kube.clock
        settings = Settings(allow_loopback_sources=True)
        self._context = context = Context(settings, cast("KubeApi", kube), clock, Telemetry())
        self._engine = Engine(context, heard)
        if source is not None:
            self._engine.sampler._open_source = lambda _: source
        self._scheduler = context.scheduler = Scheduler(
            clock, self._engine.reconcile, workers=settings.workers
        )
        context.store.on_due = self._scheduler.due
        self._targets = Targets(cast("KubeApi", kube), clock, context.store)
        self._watching: list[asyncio.Task[None]] = []

    @property
    def sampler(self) -> Sampler:
        """What measures."""
        return self._engine.sampler

    async def start(self) -> None:
        """Read everything once, then follow."""
        context = self._context
        self._targets.start()
        for kind in OWN:
            listing = await self.kube.list(kind)
            context.store.observe_list(kind, "", listing)
            following = self._follow(kind, listing.resource_version)
            self._watching.append(asyncio.create_task(following, name=kind.plural))
        context.notifier.start()
        await self._engine.start()
        self._scheduler.start()

    async def stop(self) -> None:
        """End, what decides first."""
        await self._scheduler.stop()
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        await self._targets.stop()
        await self._engine.stop()
        await self._context.lookouts.stop()
        await self._context.informers.close()
        await self._context.notifier.stop()

    async def _follow(self, kind: Kind, since: str) -> None:
        async for event in self.kube.watch(kind, since=since):
            if event.type != "BOOKMARK":
                self._context.store.observe(kind, event.body, deleted=event.type == "DELETED")
