"""Everything that happened in one namespace, in its order, with the moment it was seen.

Suites wait for states and afterwards ask what was true all along ("was the weight ever above the
stage?"). Polling would miss the short states that matter, so watches write every change down.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import httpx

from e2e.harness.api import Api, ApiError, Body, path
from e2e.harness.reading import tell

WATCHED = ("Rollout", "HTTPRoute", "GRPCRoute", "Service", "Deployment", "ReplicaSet", "Pod")


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """One object as it was from `at` (Unix seconds, when it was seen) on."""

    at: float
    type: str  # ADDED, MODIFIED, DELETED
    kind: str
    name: str
    body: Body


class History:
    """The changes of a namespace, and its present state. Threads end with `close`."""

    def __init__(self, api: Api, namespace: str, kinds: Sequence[str] = WATCHED) -> None:
        self.namespace = namespace
        self.started = time.time()
        self.changes: list[Change] = []
        self.now: dict[tuple[str, str], Body] = {}
        self.changed = threading.Condition()
        self._api = api
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(kind,), daemon=True) for kind in kinds
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stops following; what was seen stays."""
        self._stopped.set()

    # --- reading ----------------------------------------------------------------------------

    def get(self, kind: str, name: str) -> Body | None:
        """The object as last seen."""
        with self.changed:
            return self.now.get((kind, name))

    def all(self, kind: str) -> list[Body]:
        """All objects of a kind as last seen."""
        with self.changed:
            return [body for (one, _), body in self.now.items() if one == kind]

    def of(self, kind: str, name: str = "") -> list[Change]:
        """All changes of a kind, or of one object."""
        with self.changed:
            return [c for c in self.changes if c.kind == kind and (not name or c.name == name)]

    def wait(self, met: Callable[[], T], seconds: float) -> T | None:
        """Waits until `met()` is true and returns its value; None when time is over.

        It is asked after every change and four times a second.
        """
        until = time.monotonic() + seconds
        while True:
            value = met()
            if value:
                return value
            left = until - time.monotonic()
            if left <= 0:
                return None
            with self.changed:
                self.changed.wait(min(0.25, left))

    # --- following --------------------------------------------------------------------------

    def _follow(self, kind: str) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(ApiError, httpx.HTTPError, RuntimeError, ValueError):
                found = self._api.request("GET", path(kind, self.namespace))
                self._relist(kind, found["items"])
                version = found["metadata"]["resourceVersion"]
                for type_, body in self._api.watch(kind, self.namespace, version):
                    if self._stopped.is_set():
                        return
                    if type_ == "ERROR":
                        break
                    self._note(type_, kind, body)
            self._stopped.wait(0.2)

    def _relist(self, kind: str, bodies: Sequence[Body]) -> None:
        names = {body["metadata"]["name"] for body in bodies}
        for body in bodies:
            old = self.get(kind, body["metadata"]["name"])
            if old is None or _version(old) != _version(body):
                self._note("ADDED" if old is None else "MODIFIED", kind, body)
        for body in self.all(kind):
            if body["metadata"]["name"] not in names:
                self._note("DELETED", kind, body)

    def _note(self, type_: str, kind: str, body: Body) -> None:
        name = body["metadata"]["name"]
        with self.changed:
            self.changes.append(Change(time.time(), type_, kind, name, body))
            if type_ == "DELETED":
                self.now.pop((kind, name), None)
            else:
                self.now[kind, name] = body
            self.changed.notify_all()

    # --- telling ----------------------------------------------------------------------------

    def told(self, last: int = 120) -> str:
        """What happened, a line a change that says something new."""
        lines: list[str] = []
        before: dict[tuple[str, str], str] = {}
        with self.changed:
            changes = list(self.changes)
        for change in changes:
            text = "gone" if change.type == "DELETED" else tell(change.kind, change.body)
            if before.get((change.kind, change.name)) != text:
                before[change.kind, change.name] = text
                at = change.at - self.started
                lines.append(f"{at:8.2f}  {change.kind:<10} {change.name}: {text}")
        return "\n".join(lines[-last:])


def _version(body: Body) -> str:
    return str(body["metadata"].get("resourceVersion"))
