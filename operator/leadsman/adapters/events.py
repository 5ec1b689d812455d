"""Notices as Kubernetes Events of `events.k8s.io/v1`, shown by `kubectl describe`.

Telling is never allowed to delay or fail a decision: `notify` puts a notice into a bounded queue
and returns; one task posts them, and what cannot be posted is counted and dropped. A notice that
repeats the last one about the same Rollout is not posted again; it becomes a series of that Event,
at most one request in ten minutes.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from leadsman.errors import ApiError
from leadsman.ports import EVENT, Body, Clock, Kube, Notice, Ref

CONTROLLER = "leadsman.dev/leadsman"
QUEUE = 256
REMEMBERED = 512
SERIES_SECONDS = 600.0
"""Seconds between two updates of a series, and after which a repetition is news again."""
MESSAGE = 1024

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Told:
    """The last notice about a Rollout: what it was, its Event, and how often it came."""

    same: tuple[str, str]
    name: str
    at: float
    count: int = 1


class EventNotifier:
    """The Notifier port. `start` it; `stop` posts what is queued, for a short time."""

    def __init__(
        self,
        kube: Kube,
        clock: Clock,
        *,
        instance: str = "leadsman",
        on_drop: Callable[[], None] | None = None,
    ) -> None:
        """`instance` is this process' name (the pod's); `on_drop` is told of each loss."""
        self._kube = kube
        self._clock = clock
        self._instance = instance
        self._on_drop = on_drop
        self._queue: asyncio.Queue[tuple[Body, Notice, float]] = asyncio.Queue(QUEUE)
        self._last: OrderedDict[str, _Told] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        """How many notices were not told."""

    def start(self) -> None:
        """Begin to post."""
        if self._task is None:
            self._task = asyncio.create_task(self._post_all(), name="events")

    async def stop(self, grace: float = 2.0) -> None:
        """Post what is queued, for `grace` seconds, and end."""
        task, self._task = self._task, None
        if task is None:
            return
        try:
            async with asyncio.timeout(grace):
                await self._queue.join()
        except TimeoutError:
            self.dropped += self._queue.qsize()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def notify(self, rollout: Body, notice: Notice) -> None:
        """Queue a notice; returns at once and never raises."""
        about = rollout.get("metadata") or {}
        slim = {name: about.get(name) for name in ("namespace", "name", "uid", "resourceVersion")}
        try:
            self._queue.put_nowait((slim, notice, self._clock.now()))
        except asyncio.QueueFull:
            self._drop()

    def _drop(self) -> None:
        self.dropped += 1
        if self._on_drop is not None:
            self._on_drop()

    async def _post_all(self) -> None:
        while True:
            about, notice, at = await self._queue.get()
            try:
                await self._post(about, notice, at)
            except ApiError as error:
                self._drop()
                log.warning("event not posted", reason=notice.reason, error=error.reason)
            except Exception:
                self._drop()
                log.exception("event not posted", reason=notice.reason)
            finally:
                self._queue.task_done()

    async def _post(self, about: Body, notice: Notice, at: float) -> None:
        uid = str(about.get("uid") or "")
        same = (notice.reason, notice.message)
        told = self._last.get(uid)
        if told is not None and told.same == same:
            told.count += 1
            if at - told.at < SERIES_SECONDS:
                return
            told.at = at
            await self._repeat(about, told)
            return
        event = event_body(about, notice, at, self._instance)
        self._remember(uid, _Told(same, event["metadata"]["name"], at))
        await self._kube.create(EVENT, event["metadata"]["namespace"], event)

    async def _repeat(self, about: Body, told: _Told) -> None:
        series = {"count": told.count, "lastObservedTime": micro_time(told.at)}
        ref = Ref(EVENT, str(about.get("namespace") or "default"), told.name)
        await self._kube.patch(ref, [{"op": "add", "path": "/series", "value": series}])

    def _remember(self, uid: str, told: _Told) -> None:
        self._last[uid] = told
        self._last.move_to_end(uid)
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)


def event_body(about: Body, notice: Notice, at: float, instance: str) -> Body:
    """The Event for a notice about a Rollout's metadata; `at` is Unix seconds.

    Its name is a hash of what is told and when, so that a request whose answer was lost is not
    told twice.
    """
    namespace, name = str(about.get("namespace") or "default"), str(about.get("name") or "")
    told = f"{about.get('uid')}/{notice.reason}/{notice.message}/{at}"
    metadata: dict[str, Any] = {
        "namespace": namespace,
        "name": f"{name[:200]}.{zlib.crc32(told.encode()):08x}",
    }
    if notice.about:
        metadata["annotations"] = {
            f"leadsman.dev/{key}": str(value)[:256] for key, value in sorted(notice.about.items())
        }
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": metadata,
        "eventTime": micro_time(at),
        "type": "Warning" if notice.warning else "Normal",
        "reason": notice.reason[:128],
        "action": notice.reason[:128],
        "note": notice.message[:MESSAGE],
        "regarding": {
            "apiVersion": "leadsman.dev/v1alpha1",
            "kind": "Rollout",
            "namespace": namespace,
            "name": name,
            "uid": str(about.get("uid") or ""),
            "resourceVersion": str(about.get("resourceVersion") or ""),
        },
        "reportingController": CONTROLLER,
        "reportingInstance": instance[:128],
    }


def micro_time(at: float) -> str:
    """RFC 3339 in UTC with microseconds, as Events want it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
