"""Puts the reconciler together with all that belongs to it, and ends it in the right order."""

from __future__ import annotations

from pathlib import Path

from leadsman.core.status import Status
from leadsman.runtime.reader import CachedReader
from leadsman.runtime.reconciler import Reconciler
from leadsman.runtime.recorder import FileRecorder, NoRecorder, Recorder
from leadsman.runtime.sampler import Sampler
from leadsman.runtime.scheduler import Key, Urgency, Wake
from leadsman.runtime.sources import Sources
from leadsman.shell.process import Context


class ReleaseEngine:
    """The passes over Rollouts, what they read from and what measures for them."""

    def __init__(self, context: Context) -> None:
        """Build; nothing runs before the first pass."""
        settings, store = context.settings, context.store
        self._context = context
        sources = Sources(store, context.clock, loopback=settings.allow_loopback_sources)
        self._sampler = Sampler(
            context.clock,
            sources.open,
            self._evidence,
            queries_per_second=settings.source_queries_per_second,
            remembered=self._remembered,
        )
        store.on_source = self._sampler.forget_source
        recorder: Recorder = NoRecorder()
        if settings.records:
            recorder = FileRecorder(Path(settings.records))
        self._reconciler = Reconciler(
            context.kube,
            context.clock,
            store,
            CachedReader(context.informers, self._changed, context.lookouts),
            self._sampler,
            context.notifier,
            recorder=recorder,
            on_decision=context.telemetry.decided,
        )

    async def reconcile(self, key: Key) -> Wake:
        """One pass."""
        return await self._reconciler.reconcile(key)

    async def start(self) -> None:
        """Nothing: caches and samplers open when a pass needs them."""

    async def stop(self) -> None:
        """Save what was decided and not written yet, then let go of the sources."""
        await self._reconciler.flush()
        await self._sampler.close()

    def _remembered(self, key: Key) -> Status | None:
        return self._reconciler.remembered(key)

    def _evidence(self, key: Key) -> None:
        # A reading that crosses its limit may be the breach: it waits for no worker.
        self._context.scheduler.due(key, Urgency.ROLL_BACK)

    def _changed(self, key: Key, urgency: int) -> None:
        self._context.scheduler.due(key, urgency)


def build(context: Context) -> ReleaseEngine:
    """The engine of the real process."""
    return ReleaseEngine(context)
