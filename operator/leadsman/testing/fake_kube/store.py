"""Objects with versions, as etcd and the API server's cache keep them together.

The store knows nothing of what the objects mean: it gives out resource versions and uids, keeps a
bounded history of changes for watches, an index of owners, and tells listeners of each change.
Stored trees are shared and must never be changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from leadsman.ports import Body, Clock, Kind, Ref
from leadsman.testing.fake_kube.trees import stamp

HISTORY = 5000
"""Changes kept of each kind; a watch from before them is answered with 410 Gone."""


@dataclass(frozen=True, slots=True)
class Change:
    """One stored change: `old` is None for a creation, `new` is None for a removal.

    `last` is the body that a watcher sees: the new one, or the removed one with the removal's
    resource version.
    """

    kind: Kind
    namespace: str
    name: str
    old: Body | None
    new: Body | None
    last: Body
    revision: int


class Store:
    """All objects of a cluster."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.revision = 1000
        self.listeners: list[Callable[[Change], None]] = []
        self._uids = 0
        self._tables: dict[Kind, dict[tuple[str, str], Body]] = {}
        self._log: dict[Kind, list[Change]] = {}
        self._forgotten: dict[Kind, int] = {}
        self._by_uid: dict[str, Ref] = {}
        self._owned: dict[str, dict[Ref, None]] = {}

    def get(self, ref: Ref) -> Body | None:
        """The stored object itself (do not change it), or None."""
        table = self._tables.get(ref.kind)
        return None if table is None else table.get((ref.namespace, ref.name))

    def find(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """As `get`, without making a Ref."""
        table = self._tables.get(kind)
        return None if table is None else table.get((namespace, name))

    def all(self, kind: Kind, namespace: str = "") -> list[Body]:
        """Stored objects of a kind in the order of namespace and name."""
        table = self._tables.get(kind)
        if not table:
            return []
        if not namespace:
            return [table[key] for key in sorted(table)]
        return [table[key] for key in sorted(table) if key[0] == namespace]

    def each(self, kind: Kind, namespace: str = "") -> Iterable[Body]:
        """Stored objects of a kind in the order of creation: cheap, for controllers."""
        table = self._tables.get(kind)
        if not table:
            return ()
        if not namespace:
            return list(table.values())
        return [obj for key, obj in table.items() if key[0] == namespace]

    def of_uid(self, uid: str) -> Ref | None:
        """Which object has this uid now."""
        return self._by_uid.get(uid)

    def owned_by(self, uid: str) -> list[Ref]:
        """Objects with an owner reference to this uid, in the order in which they got it."""
        return list(self._owned.get(uid, ()))

    def next_uid(self) -> str:
        """A uid nobody has had: a counter in the form of a UUID."""
        self._uids += 1
        return f"00000000-0000-4000-8000-{self._uids:012x}"

    @property
    def counter(self) -> int:
        """How many uids have been given out: a source of deterministic suffixes."""
        return self._uids

    def insert(self, kind: Kind, body: Body) -> Body:
        """Store a new object; metadata must have name and uid."""
        self.revision += 1
        meta = {**body["metadata"], "resourceVersion": str(self.revision)}
        new = {**body, "metadata": meta}
        ref = Ref(kind, meta.get("namespace", ""), meta["name"])
        self._tables.setdefault(kind, {})[(ref.namespace, ref.name)] = new
        self._by_uid[meta["uid"]] = ref
        self._index_owners(ref, (), meta.get("ownerReferences") or ())
        self._tell(Change(kind, ref.namespace, ref.name, None, new, new, self.revision))
        return new

    def replace(self, kind: Kind, old: Body, body: Body) -> Body:
        """Store a new version of `old`; an equal one takes no new resource version."""
        if body == old:
            return old
        self.revision += 1
        meta = {**body["metadata"], "resourceVersion": str(self.revision)}
        new = {**body, "metadata": meta}
        ref = Ref(kind, meta.get("namespace", ""), meta["name"])
        self._tables[kind][(ref.namespace, ref.name)] = new
        before = old["metadata"].get("ownerReferences")
        after = meta.get("ownerReferences")
        if before is not after:
            self._index_owners(ref, before or (), after or ())
        self._tell(Change(kind, ref.namespace, ref.name, old, new, new, self.revision))
        return new

    def remove(self, kind: Kind, old: Body) -> None:
        """Remove an object for good."""
        self.revision += 1
        meta = old["metadata"]
        ref = Ref(kind, meta.get("namespace", ""), meta["name"])
        del self._tables[kind][(ref.namespace, ref.name)]
        del self._by_uid[meta["uid"]]
        self._index_owners(ref, meta.get("ownerReferences") or (), ())
        last = {**old, "metadata": {**meta, "resourceVersion": str(self.revision)}}
        self._tell(Change(kind, ref.namespace, ref.name, old, None, last, self.revision))

    def since(self, kind: Kind, revision: int) -> list[Change] | None:
        """Changes after `revision`, None when some of them are no longer kept."""
        if revision < self._forgotten.get(kind, 0):
            return None
        log = self._log.get(kind)
        if not log or log[-1].revision <= revision:
            return []
        low, high = 0, len(log)
        while low < high:
            middle = (low + high) // 2
            if log[middle].revision <= revision:
                low = middle + 1
            else:
                high = middle
        return log[low:]

    def compact(self) -> None:
        """Forget all history: a watch from before now is Gone."""
        self._forgotten = dict.fromkeys({*self._tables, *self._log}, self.revision)
        self._log.clear()

    def today(self) -> str:
        """The time now, as the API server writes it."""
        return stamp(self.clock.now())

    def _index_owners(self, ref: Ref, before: Iterable[Body], after: Iterable[Body]) -> None:
        for owner in before:
            self._owned.get(owner["uid"], {}).pop(ref, None)
        for owner in after:
            self._owned.setdefault(owner["uid"], {})[ref] = None

    def _tell(self, change: Change) -> None:
        log = self._log.setdefault(change.kind, [])
        log.append(change)
        if len(log) > 2 * HISTORY:
            self._forgotten[change.kind] = log[HISTORY - 1].revision
            del log[:HISTORY]
        for listener in self.listeners:
            listener(change)
