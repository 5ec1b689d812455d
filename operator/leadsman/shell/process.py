"""The process from its start to its end, in one order.

Read everything once, then act, then follow: no Rollout is looked at before all of our kinds were
listed, or a plan that comes a moment later would look like a missing one. kopf runs last and its
return is the signal to end; its cleanup hook is where our own tasks are ended, because afterwards
kopf cancels whatever was started while it ran.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Protocol

import kopf
import structlog

from leadsman.adapters.events import EventNotifier
from leadsman.adapters.kube import KubeApi
from leadsman.errors import ApiError
from leadsman.ports import ROLLOUT, Body, Clock, Kind, Listing
from leadsman.runtime.backoff import delay
from leadsman.runtime.health import Health
from leadsman.runtime.informers import InformerSet
from leadsman.runtime.lookouts import Lookouts
from leadsman.runtime.scheduler import Key, Scheduler, Urgency, Wake
from leadsman.runtime.settings import Settings
from leadsman.runtime.store import OWN, OwnStore, key_of
from leadsman.runtime.sweep import Sweep, Target
from leadsman.runtime.targets import Targets
from leadsman.runtime.telemetry import Telemetry
from leadsman.shell import memory
from leadsman.shell.handlers import registry
from leadsman.shell.watching import tuned

STUCK_SECONDS = 180.0
"""A pass that takes longer than this hangs: every request in it ends by itself much sooner."""

log = structlog.get_logger(__name__)


class Engine(Protocol):
    """What makes the passes: the reconciler with all that belongs to it."""

    async def reconcile(self, key: Key) -> Wake:
        """One pass over a Rollout."""
        ...

    async def start(self) -> None:
        """Begin; called after the first lists and before the first pass."""
        ...

    async def stop(self) -> None:
        """End: flush what is to be written, close watches and connections."""
        ...


class Context:
    """The parts of the process that an engine is built from."""

    def __init__(self, settings: Settings, kube: KubeApi, clock: Clock, tele: Telemetry) -> None:
        """Build everything, start nothing."""
        self.settings = settings
        self.kube = kube
        self.clock = clock
        self.telemetry = tele
        self.store = OwnStore()
        self.informers = InformerSet(kube, clock)
        self.lookouts = Lookouts(kube, clock, self._news, settings.namespaces)
        self.notifier = EventNotifier(kube, clock, on_drop=tele.event_dropped)
        self.scheduler: Scheduler
        """Set before `Engine.start`; made due from the store and by the engine itself."""

    def _news(self, key: Key, urgency: int) -> None:
        self.scheduler.due(key, urgency)


class Process:
    """Runs the operator until SIGTERM, SIGINT or a failure of kopf."""

    def __init__(self, context: Context, build: Callable[[Context], Engine]) -> None:
        """`build` makes the engine from the context."""
        self._context = context
        settings, kube, clock = context.settings, context.kube, context.clock
        self._engine = build(context)
        context.scheduler = self._scheduler = Scheduler(
            clock,
            self._engine.reconcile,
            workers=settings.workers,
            on_run=context.telemetry.reconciled,
        )
        self._store = context.store
        self._store.on_due = self._scheduler.due
        self._targets = Targets(kube, clock, self._store, settings.namespaces)
        self._sweep = Sweep(
            kube,
            clock,
            self._own_kinds,
            self._store.observe_list,
            interval=settings.sweep_seconds,
            after=self._compare,
        )
        self.health = Health(context.telemetry.render)
        self._ready = False
        self._ended = False
        self._measure()

    async def run(self) -> None:
        """Run until told to end. Raises what made kopf fail."""
        main = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Until kopf takes the signals over: the first process of a container has no default.
            loop.add_signal_handler(number, lambda: main and main.cancel())
        settings = self._context.settings
        await self.health.start(settings.health_host, settings.health_port)
        try:
            await self._begin()
            await kopf.operator(
                registry=registry(
                    self._store,
                    self._context.kube.credentials,
                    started=self._started,
                    stopping=self._end,
                ),
                settings=tuned(),
                clusterwide=not settings.namespaces,
                namespaces=settings.namespaces,
            )
        except asyncio.CancelledError:
            log.info("ended before everything was read")
        finally:
            await self._end()
            await self._context.kube.close()
            await self.health.stop()

    async def _begin(self) -> None:
        await self._until_served()
        self._targets.start()
        await self._read_own_kinds()
        await self._targets.settled()
        for body in self._store.rollouts():
            # An attempt that was left half-way goes before everything that is at rest.
            if (body.get("status") or {}).get("attempt"):
                self._scheduler.due(key_of(body), Urgency.ROLL_BACK)
        self._context.notifier.start()
        await self._engine.start()
        self._scheduler.start()
        self._sweep.start()
        memory.settle()

    def _started(self) -> None:
        self._ready = True
        log.info("started", rollouts=len(self._store.rollouts()))

    async def _end(self) -> None:
        """End our tasks, those that decide first; once, however the end came."""
        if self._ended:
            return
        self._ended = True
        self._ready = False
        await self._scheduler.stop()
        await self._sweep.stop()
        await self._targets.stop()
        await self._engine.stop()
        await self._context.lookouts.stop()
        await self._context.informers.close()
        await self._context.notifier.stop()

    async def _compare(self) -> None:
        await self._targets.compare()
        await self._context.lookouts.compare()

    async def _until_served(self) -> None:
        """Wait until the API server serves all of our kinds."""
        failures = 0
        while True:
            try:
                missing = await missing_kinds(self._context.kube)
            except ApiError as error:
                missing = (type(error).__name__,)
            if not missing:
                return
            failures += 1
            if failures in (1, 10) or failures % 100 == 0:
                log.warning("waiting for the API server to serve our kinds", missing=missing)
            await self._context.clock.sleep(delay("kinds", failures, base=0.25, ceiling=5.0))

    async def _read_own_kinds(self) -> None:
        """Fill the store; a kind that cannot be listed is asked for again until it can."""
        for kind, namespace in self._own_kinds():
            self._store.observe_list(kind, namespace, await self._listed(kind, namespace))

    async def _listed(self, kind: Kind, namespace: str) -> Listing:
        failures = 0
        while True:
            try:
                return await self._context.kube.list(kind, namespace)
            except ApiError as error:
                failures += 1
                log.warning("not listed yet", kind=kind.kind, reason=error.reason)
                wait = delay(kind.plural, failures, base=0.25, ceiling=10.0)
                await self._context.clock.sleep(max(wait, min(error.retry_after, 10.0)))

    def _own_kinds(self) -> list[Target]:
        namespaces = self._context.settings.namespaces or ("",)
        return [
            (kind, namespace)
            for kind in OWN
            for namespace in (namespaces if kind.namespaced else ("",))
        ]

    def _measure(self) -> None:
        scheduler, tele = self._scheduler, self._context.telemetry
        self.health.live("scheduler", self._scheduler_alive)
        self.health.ready("start", lambda: "" if self._ready else "not everything was read yet")
        tele.gauge(
            "leadsman_scheduler_waiting", "Rollouts that are due.", lambda: scheduler.waiting
        )
        tele.gauge(
            "leadsman_scheduler_running", "Rollouts in a pass now.", lambda: scheduler.running
        )
        tele.gauge(
            "leadsman_rollouts", "Rollouts that are known.", lambda: len(self._store.rollouts())
        )
        informers, lookouts = self._context.informers, self._context.lookouts
        tele.gauge(
            "leadsman_watches",
            "Watches open beside those of our own kinds and of Deployments.",
            lambda: len(informers) + len(lookouts),
        )

    def _scheduler_alive(self) -> str:
        if self._ready and not self._scheduler.alive():
            return "the time keeper has ended"
        if (seconds := self._scheduler.longest_run()) > STUCK_SECONDS:
            return f"a pass hangs since {seconds:.0f} s"
        return ""


async def missing_kinds(kube: KubeApi) -> tuple[str, ...]:
    """The plurals of ours that the API server does not serve. Raises ApiError."""
    group = f"/apis/{ROLLOUT.group}/{ROLLOUT.version}"
    found: Body = await kube.get_path(group)
    served = {str(resource.get("name")) for resource in found.get("resources") or ()}
    return tuple(sorted(kind.plural for kind in OWN if kind.plural not in served))
