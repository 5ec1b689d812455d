"""A watch cache of one kind under one selector, that also knows how fresh it is.

It lists, then watches, and lists again after every fault: a lost watch is followed by a
consistent read, so what the cache says is true again at once and not only at the next event.
What the operator wrote itself is put in from the write's answer (`observe_write`), and events
older than that are ignored: a decision is never made from a world before the last decision.
Freshness and faults are values (`synced`, `error`, `last_seen`), for the observer to judge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import structlog

from leadsman.errors import ApiError, GoneError
from leadsman.ports import Body, Clock, Kind, Kube, Listing, WatchEvent
from leadsman.runtime.backoff import delay

BACKOFF_BASE = 0.25
BACKOFF_CEILING = 30.0
SHORT_WATCH = 1.0
"""Seconds: a watch that ends sooner counts as a failure, or a broken server would be polled hot."""

Name = tuple[str, str]
"""Namespace ("" for cluster-scoped) and name."""
OnChange = Callable[[Body | None, Body | None], None]
"""Told the object as it was and as it is; None where it was or is not there."""
Transform = Callable[[Body], Body]
"""Drops what nobody here reads, before an object is kept. It may change its argument."""

log = structlog.get_logger(__name__)


class Informer:
    """A cache of a kind. `start` it, read `items` and `get`, `stop` it."""

    def __init__(
        self,
        kube: Kube,
        clock: Clock,
        kind: Kind,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        on_change: OnChange | None = None,
        transform: Transform | None = None,
    ) -> None:
        """`namespace` "" is the whole cluster; selectors are in the API's own syntax."""
        self.kind = kind
        self.namespace = namespace
        self.labels = labels
        self.fields = fields
        self.synced = False
        """Whether there was a complete list; it stays True, `error` says what happened since."""
        self.error = ""
        """The reason why the cache cannot follow at the moment, or ""."""
        self.last_seen = 0.0
        """Unix seconds of the last word from the API server: list, event or bookmark."""
        self.listeners: list[OnChange] = [on_change] if on_change else []
        self._kube = kube
        self._clock = clock
        self._transform = transform
        self._store: dict[Name, Body] = {}
        self._deleted: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self._resume = ""

    def start(self) -> None:
        """Begin to follow; idempotent."""
        if self._task is None:
            what = f"informer {self.kind.plural} {self.namespace or '*'}"
            self._task = asyncio.create_task(self._follow(), name=what)

    async def stop(self) -> None:
        """End the watch and drop the cache."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._store.clear()

    async def first_list(self) -> None:
        """Wait until the first list is in the cache."""
        await self._first.wait()

    def items(self) -> tuple[Body, ...]:
        """All objects, by namespace and name. Do not change them."""
        return tuple(self._store[name] for name in sorted(self._store))

    def get(self, name: str, namespace: str | None = None) -> Body | None:
        """One object, or None; `namespace` defaults to the informer's own."""
        return self._store.get((self.namespace if namespace is None else namespace, name))

    def age(self) -> float:
        """Seconds since the last word from the API server (bookmarks come once a minute)."""
        return self._clock.now() - self.last_seen

    def observe_write(self, body: Body) -> None:
        """Put a write's answer in, unless the cache already has something newer."""
        self._put(body, from_write=True)

    def observe_delete(self, name: str, namespace: str | None = None, *, uid: str = "") -> None:
        """Note that a delete was accepted: gone, unless an event says that it is terminating."""
        key = (self.namespace if namespace is None else namespace, name)
        old = self._store.get(key)
        uid = uid or _uid(old or {})
        if uid:
            self._deleted.add(uid)
        if old is not None and (not uid or _uid(old) == uid):
            self._remove(key)

    async def _follow(self) -> None:
        failures, since = 0, ""
        while True:
            try:
                if not since:
                    since = await self._list()
                failures = 0 if await self._watch(since) >= SHORT_WATCH else failures + 1
                since = self._resume
            except GoneError:
                since = ""
                failures += 1
            except ApiError as error:
                since = ""
                failures += 1
                self.error = error.reason or type(error).__name__
                await self._rest(failures, error.retry_after)
                continue
            except Exception as error:
                # A listener or a transform failed: a fault of ours that must not end the watch.
                since = ""
                failures += 1
                self.error = type(error).__name__
                log.exception("informer failed", kind=self.kind.kind, namespace=self.namespace)
            if failures > 1:
                await self._rest(failures, 0.0)

    async def _rest(self, failures: int, at_least: float) -> None:
        name = f"{self.kind.plural}/{self.namespace}/{self.labels}/{self.fields}"
        wait = delay(name, failures, base=BACKOFF_BASE, ceiling=BACKOFF_CEILING)
        await self._clock.sleep(max(wait, min(at_least, BACKOFF_CEILING)))

    async def _list(self) -> str:
        before = frozenset(self._deleted)
        listing = await self._kube.list(
            self.kind, self.namespace, labels=self.labels, fields=self.fields
        )
        self._heard()
        # What was deleted before the list began is gone, or the list says that it is there.
        self._deleted -= before
        self._replace(listing)
        self.synced = True
        self._first.set()
        return listing.resource_version

    async def _watch(self, since: str) -> float:
        """Follow one watch; returns how many seconds it lasted."""
        started = self._clock.monotonic()
        self._resume = since
        stream = self._kube.watch(
            self.kind, self.namespace, labels=self.labels, fields=self.fields, since=since
        )
        async with aclosing(stream) as events:  # type: ignore[type-var]
            async for event in events:
                self._heard()
                self._resume = _version(event.body) or self._resume
                self._apply(event)
        return self._clock.monotonic() - started

    def _heard(self) -> None:
        self.error = ""
        self.last_seen = self._clock.now()

    def _apply(self, event: WatchEvent) -> None:
        if event.type == "DELETED":
            self._deleted.discard(_uid(event.body))
            key = _name(event.body)
            kept = self._store.get(key)
            if kept is not None and _uid(kept) == _uid(event.body):
                self._remove(key)
        elif event.type != "BOOKMARK":
            self._put(event.body)

    def _replace(self, listing: Listing) -> None:
        found: set[Name] = set()
        for body in listing.items:
            found.add(_name(body))
            self._put(body)
        for key in set(self._store) - found:
            # Written by us while the list was on its way: newer than the list.
            if not _newer(_version(self._store[key]), listing.resource_version):
                self._remove(key)

    def _put(self, body: Body, *, from_write: bool = False) -> None:
        key = _name(body)
        old = self._store.get(key)
        if _uid(body) in self._deleted and not body["metadata"].get("deletionTimestamp"):
            return
        if old is not None and not _supersedes(body, old, opaque=not from_write):
            return
        new = self._transform(body) if self._transform else body
        self._store[key] = new
        self._tell(old, new)

    def _remove(self, key: Name) -> None:
        old = self._store.pop(key)
        self._tell(old, None)

    def _tell(self, old: Body | None, new: Body | None) -> None:
        for listener in self.listeners:
            listener(old, new)


def _name(body: Body) -> Name:
    about = body["metadata"]
    return about.get("namespace") or "", about["name"]


def _uid(body: Body) -> str:
    return str((body.get("metadata") or {}).get("uid") or "")


def _version(body: Body) -> str:
    return str((body.get("metadata") or {}).get("resourceVersion") or "")


def _newer(one: str, other: str) -> bool:
    """Whether version `one` is after `other`; versions of one kind may be compared as numbers."""
    return one.isdecimal() and other.isdecimal() and int(one) > int(other)


def _supersedes(body: Body, old: Body, *, opaque: bool) -> bool:
    """Whether `body` is after `old`; where versions are not numbers, the answer is `opaque`."""
    one, other = _version(body), _version(old)
    if one == other:
        return False
    if one.isdecimal() and other.isdecimal():
        return int(one) > int(other)
    return opaque
