"""What a pass looks at: objects by name or by label, directly or from watch caches.

During an attempt everything comes from caches, so that a pass costs no request and a decision is
made the moment an event arrives; the caches open with the first question and close when the
Rollout is at rest again. The direct reader asks the API each time: simpler, for tests and tools.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from leadsman.adapters.workloads.deployment import fault
from leadsman.core.decision import Urgency
from leadsman.core.observation import Fault
from leadsman.errors import NotFoundError, UnavailableError
from leadsman.ports import ENDPOINTSLICE, POD, REPLICASET, Body, Kind, Kube, Ref
from leadsman.runtime.informers import InformerSet, Lease
from leadsman.runtime.lookouts import Lookouts
from leadsman.runtime.scheduler import Key

FIRST_LIST_SECONDS = 10.0
"""How long a pass waits for a cache that is being filled for the first time."""
LOST_SECONDS = 5.0
"""A cache that cannot follow for longer than this counts as unread."""

OnChange = Callable[[Key, int], None]


class Reader(Protocol):
    """Reads objects for a Rollout. All methods that read may raise any ApiError.

    `lookouts` tell of objects that nobody reads any more, None where there are none.
    """

    @property
    def lookouts(self) -> Lookouts | None:
        """What wakes a Rollout at rest."""
        ...

    async def get(self, key: Key, kind: Kind, name: str) -> Body | None:
        """One object in the Rollout's namespace, None when it does not exist."""
        ...

    async def list(self, key: Key, kind: Kind, labels: str) -> tuple[Body, ...]:
        """All objects in the Rollout's namespace under a label selector, by name."""
        ...

    def wrote(self, kind: Kind, body: Body) -> None:
        """Take a write's answer, so that the next pass sees it."""
        ...

    def deleted(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Take note of an accepted delete."""
        ...

    def close(self, key: Key) -> None:
        """The Rollout is at rest or gone: nothing of it is looked at any more."""
        ...


class DirectReader:
    """Asks the API server each time."""

    lookouts: Lookouts | None = None

    def __init__(self, kube: Kube) -> None:
        """Reads through `kube`."""
        self._kube = kube

    async def get(self, key: Key, kind: Kind, name: str) -> Body | None:
        """One object, None when it does not exist."""
        try:
            return await self._kube.get(Ref(kind, key[0], name))
        except NotFoundError:
            return None

    async def list(self, key: Key, kind: Kind, labels: str) -> tuple[Body, ...]:
        """All objects under a label selector."""
        listing = await self._kube.list(kind, key[0], labels=labels)
        return tuple(sorted(listing.items, key=lambda body: str(body["metadata"]["name"])))

    def wrote(self, kind: Kind, body: Body) -> None:
        """Nothing is kept, so nothing is stale."""

    def deleted(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Nothing is kept, so nothing is stale."""

    def close(self, key: Key) -> None:
        """Nothing is open."""


class CachedReader:
    """Reads from shared watch caches that live as long as a Rollout looks at them."""

    def __init__(
        self, informers: InformerSet, on_change: OnChange, lookouts: Lookouts | None = None
    ) -> None:
        """`on_change` hears the Rollout and how urgent it is when one of its objects changes."""
        self.lookouts = lookouts
        self._informers = informers
        self._on_change = on_change
        self._leases: dict[Key, dict[tuple[Kind, str, str], Lease]] = {}

    async def get(self, key: Key, kind: Kind, name: str) -> Body | None:
        """One object from its cache."""
        lease = await self._open(key, kind, fields=f"metadata.name={name}")
        return lease.informer.get(name, key[0])

    async def list(self, key: Key, kind: Kind, labels: str) -> tuple[Body, ...]:
        """All objects of a cache."""
        lease = await self._open(key, kind, labels=labels)
        return lease.informer.items()

    def wrote(self, kind: Kind, body: Body) -> None:
        """Put a write's answer into every cache that would hold the object."""
        about = body["metadata"]
        for informer in self._informers.all():
            if informer.kind != kind or informer.namespace != about.get("namespace", ""):
                continue
            known = informer.get(about["name"]) is not None
            if (
                known
                or informer.fields == f"metadata.name={about['name']}"
                or (informer.labels and _selected(informer.labels, about.get("labels") or {}))
            ):
                informer.observe_write(body)

    def deleted(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Take an object out of the caches."""
        for informer in self._informers.all():
            if informer.kind == kind and informer.namespace == namespace:
                informer.observe_delete(name, uid=uid)

    def close(self, key: Key) -> None:
        """Give all caches of a Rollout back."""
        for lease in self._leases.pop(key, {}).values():
            lease.close()

    async def _open(self, key: Key, kind: Kind, labels: str = "", fields: str = "") -> Lease:
        leases = self._leases.setdefault(key, {})
        question = (kind, labels, fields)
        lease = leases.get(question)
        if lease is None:
            lease = leases[question] = self._informers.open(
                kind,
                key[0],
                labels=labels,
                fields=fields,
                on_change=self._listener(key, kind),
                transform=SLIM.get(kind),
            )
        informer = lease.informer
        if not informer.synced:
            try:
                async with asyncio.timeout(FIRST_LIST_SECONDS):
                    await informer.first_list()
            except TimeoutError:
                why = informer.error or "no answer yet"
                raise UnavailableError(0, "NotRead", f"{kind.plural}: {why}") from None
        elif informer.error and informer.age() > LOST_SECONDS:
            raise UnavailableError(0, informer.error, f"{kind.plural} cannot be followed")
        return lease

    def _listener(self, key: Key, kind: Kind) -> Callable[[Body | None, Body | None], None]:
        def heard(_old: Body | None, new: Body | None) -> None:
            self._on_change(key, _urgency(kind, new))

        return heard


def _urgency(kind: Kind, body: Body | None) -> int:
    """A pod that fell may mean a rollback; everything else may let an attempt go on."""
    if kind == POD and body is not None and fault(body) is not Fault.NONE:
        return Urgency.ROLL_BACK
    return Urgency.ADVANCE


def _selected(selector: str, labels: dict[str, str]) -> bool:
    """Whether labels match the equality part of a selector; set-based parts are left to events."""
    for part in selector.split(","):
        key, equals, value = part.partition("=")
        if not equals or "(" in part:
            return False
        if labels.get(key) != value:
            return False
    return True


def _slim(body: Body) -> Body:
    body["metadata"].pop("managedFields", None)
    return body


def _slim_pod(body: Body) -> Body:
    about, status = body["metadata"], body.get("status") or {}
    kept: dict[str, Any] = {
        "metadata": {
            name: about[name]
            for name in (
                "name",
                "namespace",
                "uid",
                "resourceVersion",
                "labels",
                "ownerReferences",
                "deletionTimestamp",
            )
            if name in about
        },
        "status": {
            name: status[name]
            for name in (
                "phase",
                "reason",
                "conditions",
                "containerStatuses",
                "initContainerStatuses",
            )
            if name in status
        },
    }
    return kept


SLIM: dict[Kind, Callable[[Body], Body]] = {
    POD: _slim_pod,
    REPLICASET: _slim,
    ENDPOINTSLICE: _slim,
}
"""What of an object is kept, by kind; routes and Services keep their managedFields."""
