"""Watches on the store's history, with selectors, bookmarks, and the ways in which they end.

An object that begins to match a selector is ADDED, one that ceases to match is DELETED, as the
API server tells it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from leadsman.errors import ApiError, GoneError
from leadsman.ports import Body, Kind, WatchEvent
from leadsman.testing.fake_kube.selectors import field_selector, label_selector
from leadsman.testing.fake_kube.store import Change, Store
from leadsman.testing.fake_kube.trees import copy_stored


@dataclass(slots=True, eq=False)
class _Stream:
    kind: Kind
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    bookmark: bool = False
    over: bool = False
    error: ApiError | None = None


def matcher(namespace: str, labels: str, fields: str) -> Callable[[Body], bool]:
    """A predicate for list and watch."""
    by_labels, by_fields = label_selector(labels), field_selector(fields)

    def match(obj: Body) -> bool:
        meta = obj["metadata"]
        if namespace and meta.get("namespace") != namespace:
            return False
        if labels and not by_labels(meta.get("labels") or {}):
            return False
        return not fields or by_fields(obj)

    return match


def key_of(obj: Body) -> tuple[str, str]:
    """Namespace and name."""
    about = obj["metadata"]
    return about.get("namespace", ""), about.get("name", "")


class Watches:
    """All open watches of a cluster."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._streams: set[_Stream] = set()
        store.listeners.append(self._heard)

    @property
    def open(self) -> int:
        """How many watches are open now."""
        return len(self._streams)

    def bookmark(self) -> None:
        """Send a bookmark to every watch."""
        for stream in self._streams:
            stream.bookmark = True
            stream.wake.set()

    def end(self, kind: Kind | None = None, error: ApiError | None = None) -> None:
        """End watches (of one kind) as the server does at its time-out, or with an error."""
        for stream in self._streams:
            if kind is None or stream.kind == kind:
                stream.over, stream.error = True, error
                stream.wake.set()

    async def watch(
        self, kind: Kind, namespace: str, labels: str, fields: str, since: str
    ) -> AsyncIterator[WatchEvent]:
        """Stream changes after `since`."""
        match = matcher(namespace, labels, fields)
        revision = int(since) if since and since != "0" else self._store.revision
        stream = _Stream(kind)
        self._streams.add(stream)
        try:
            while True:
                changes = self._store.since(kind, revision)
                if changes is None:
                    raise GoneError(410, "Expired", f"too old resource version: {revision}")
                for change in changes:
                    revision = change.revision
                    event = _event(change, match)
                    if event is not None:
                        yield event
                if stream.bookmark:
                    stream.bookmark = False
                    revision = max(revision, self._store.revision)
                    yield WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(revision)}})
                if stream.over:
                    if stream.error is not None:
                        raise stream.error
                    return
                stream.wake.clear()
                if not self._store.since(kind, revision):
                    await stream.wake.wait()
        finally:
            self._streams.discard(stream)

    def _heard(self, change: Change) -> None:
        for stream in self._streams:
            if stream.kind == change.kind:
                stream.wake.set()


def _event(change: Change, match: Callable[[Body], bool]) -> WatchEvent | None:
    before = change.old is not None and match(change.old)
    after = change.new is not None and match(change.new)
    if after:
        return WatchEvent("MODIFIED" if before else "ADDED", copy_stored(change.last))
    if before:
        return WatchEvent("DELETED", copy_stored(change.last))
    return None
