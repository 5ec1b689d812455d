"""The work queue that all controllers of the fake cluster share, and how one is run.

A controller looks at stored objects and writes; it is told of changes and asks to look at a key.
Nothing runs by itself: `step` runs one look, the test chooses which (or takes the oldest).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from leadsman.errors import ApiError
from leadsman.ports import Body, Kind, Ref
from leadsman.testing.clock import FakeClock
from leadsman.testing.fake_kube.server import Server
from leadsman.testing.fake_kube.store import Change, Store
from leadsman.testing.fake_kube.trees import controller_of


class Controller(Protocol):
    """One controller: hears of changes, looks at one object at a time."""

    name: str

    def heard(self, change: Change) -> None:
        """Ask for the looks that this change makes necessary."""
        ...

    def sync(self, ref: Ref) -> None:
        """Look at one object and do what is missing."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """One look that is due: which controller, at which object."""

    controller: str
    ref: Ref


Chooser = Callable[[Sequence[Work]], int]


class Cluster:
    """What controllers share: the store, the write path, time, and the queue."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.store = Store(clock)
        self.server = Server(self.store, clock)
        self.controllers: dict[str, Controller] = {}
        self.queue: dict[Work, None] = {}
        self.on_timer: Callable[[], None] = lambda: None
        self.store.listeners.append(self._heard)

    def add(self, controller: Controller) -> None:
        """Let a controller take part."""
        self.controllers[controller.name] = controller

    def enqueue(self, controller: str, ref: Ref) -> None:
        """Ask for a look; asking twice is asking once."""
        self.queue[Work(controller, ref)] = None

    def later(self, seconds: float, controller: str, ref: Ref) -> None:
        """Ask for a look once virtual time has moved by `seconds`."""

        def due() -> None:
            self.enqueue(controller, ref)
            self.on_timer()

        self.clock.call_later(seconds, due)

    def step(self, chooser: Chooser | None = None) -> Work | None:
        """Run one look and say which; None when none is due."""
        if not self.queue:
            return None
        if chooser is None:
            work = next(iter(self.queue))
        else:
            pending = list(self.queue)
            work = pending[chooser(pending) % len(pending)]
        del self.queue[work]
        try:
            self.controllers[work.controller].sync(work.ref)
        except ApiError:
            # As a real controller does: try again after a while.
            self.later(1.0, work.controller, work.ref)
        return work

    def owner(self, obj: Body, kind: Kind) -> Body | None:
        """The stored object of this kind that controls `obj`, if uid and name agree."""
        ref = controller_of(obj)
        if ref is None or ref.get("kind") != kind.kind:
            return None
        found = self.store.find(kind, obj["metadata"].get("namespace", ""), ref["name"])
        if found is None or found["metadata"]["uid"] != ref["uid"]:
            return None
        return found

    def _heard(self, change: Change) -> None:
        for controller in self.controllers.values():
            controller.heard(change)


def ref_of(kind: Kind, obj: Body) -> Ref:
    """The Ref of a stored object."""
    meta = obj["metadata"]
    return Ref(kind, meta.get("namespace", ""), meta["name"])


def claim(
    cluster: Cluster,
    kind: Kind,
    owner_kind: Kind,
    owner: Body,
    candidates: Sequence[Body],
    match: Callable[[Body], bool],
) -> list[Body]:
    """Adopt matching orphans, release what no longer matches, and return what is the owner's."""
    claimed = []
    meta = owner["metadata"]
    leaving = "deletionTimestamp" in meta
    for obj in candidates:
        current = controller_of(obj)
        if current is not None:
            if current["uid"] != meta["uid"]:
                continue
            if match(obj):
                claimed.append(obj)
            elif not leaving:
                _own(cluster, kind, obj, None, meta["uid"])
            continue
        if leaving or not match(obj) or "deletionTimestamp" in obj["metadata"]:
            continue
        reference = {
            "apiVersion": owner_kind.api_version,
            "kind": owner_kind.kind,
            "name": meta["name"],
            "uid": meta["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        claimed.append(_own(cluster, kind, obj, reference, meta["uid"]))
    return claimed


def _own(cluster: Cluster, kind: Kind, obj: Body, reference: Body | None, uid: str) -> Body:
    before = obj["metadata"].get("ownerReferences") or ()
    after = [item for item in before if item["uid"] != uid]
    if reference is not None:
        after.append(reference)
    meta = {**obj["metadata"], "ownerReferences": after}
    if not after:
        del meta["ownerReferences"]
    return cluster.server.put(ref_of(kind, obj), obj, {**obj, "metadata": meta})
