"""Wakes Rollouts that are at rest when an object that they name appears, changes or goes.

A Rollout whose route is missing waits for that route, and a managed route at rest must stay as its
template says. Neither is worth caches of its own: one watch a kind serves all Rollouts, only events
of named objects are parsed, and of each object no more is kept than what tells a change from what
was seen. A gateway's status is no change, nor is our own write once it was seen.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

import structlog

from leadsman.core.decision import Urgency
from leadsman.errors import ApiError
from leadsman.ports import Body, Clock, Kind, Ref
from leadsman.runtime.following import Follower, Source
from leadsman.runtime.scheduler import Key

ABSENT = ""
UNREAD = "?"
"""Something is there and may have changed: what it says was not read."""

log = structlog.get_logger(__name__)


class Mark(NamedTuple):
    """What an object was like at a resourceVersion ("" for before any)."""

    version: str
    essence: str

    def after(self, seen: Mark) -> bool:
        """Whether this is newer than what was seen, and says something else."""
        return _newer(self.version, seen.version) and self.essence != seen.essence


class Lookouts:
    """What Rollouts at rest have seen of the objects that they name, and what became of it."""

    def __init__(
        self,
        source: Source,
        clock: Clock,
        on_news: Callable[[Key, int], None],
        namespaces: Iterable[str] = (),
    ) -> None:
        """`on_news` is told a Rollout to look at again; `namespaces` are served, none for all."""
        self._source = source
        self._clock = clock
        self._on_news = on_news
        self._namespaces = tuple(namespaces) or ("",)
        self._seen: dict[Key, dict[Ref, Mark]] = {}
        self._users: dict[Ref, set[Key]] = {}
        self._latest: dict[Ref, Mark] = {}
        self._followers: dict[Kind, list[Follower]] = {}
        self._revisited: set[Key] = set()
        self.sweeps = 0
        """How often everything was compared."""
        self._ending: set[asyncio.Future[None]] = set()

    def attend(self, key: Key, seen: Mapping[Ref, Body | None]) -> bool:
        """Attend to exactly these objects from now on, as they were seen: None is not there.

        Returns whether all of them had been attended to before, so that nothing can have changed
        unnoticed since they were read. Otherwise `on_news` is told, for one more look.
        """
        before = self._seen.get(key, {})
        known = all(ref in before for ref in seen)
        for ref in before.keys() - seen.keys():
            self._drop(key, ref)
        if seen:
            self._seen[key] = {ref: mark_of(body) for ref, body in seen.items()}
        else:
            self._seen.pop(key, None)
        for ref in seen:
            self._users.setdefault(ref, set()).add(key)
            self._follow(ref.kind)
        self._trim()
        if not known:
            self._on_news(key, Urgency.ADVANCE)
        return known

    def attends(self, key: Key) -> bool:
        """Whether anything is attended to for a Rollout."""
        return key in self._seen

    def news(self, key: Key) -> bool:
        """Whether any of the objects has changed since it was seen."""
        return any(
            ref in self._latest and self._latest[ref].after(mark)
            for ref, mark in self._seen.get(key, {}).items()
        )

    def revisit(self, key: Key, *, wanted: bool) -> None:
        """From now on look at a Rollout at each sweep, for what nothing else tells of; or not."""
        if wanted:
            self._revisited.add(key)
        else:
            self._revisited.discard(key)

    async def compare(self) -> None:
        """Read versions again, in case that an event was lost."""
        self.sweeps += 1
        for key in sorted(self._revisited):
            self._on_news(key, Urgency.MEASURE)
        for kind in list(self._followers):
            for namespace in self._namespaces:
                try:
                    await self._read_versions(kind, namespace, "")
                except ApiError as error:
                    log.warning("not compared", kind=kind.kind, reason=error.reason)

    def __len__(self) -> int:
        """How many watches are open."""
        return sum(len(followers) for followers in self._followers.values())

    async def stop(self) -> None:
        """End all watches."""
        self._seen.clear()
        self._users.clear()
        self._trim()
        await asyncio.gather(*self._ending)

    def _drop(self, key: Key, ref: Ref) -> None:
        users = self._users.get(ref, set())
        users.discard(key)
        if not users:
            self._users.pop(ref, None)
            self._latest.pop(ref, None)

    def _follow(self, kind: Kind) -> None:
        if kind in self._followers:
            return
        self._followers[kind] = [
            Follower(
                self._source,
                self._clock,
                kind,
                namespace,
                wanted=lambda where, name: Ref(kind, where, name) in self._users,
                on_event=partial(self._heard, kind),
                on_gap=partial(self._read_versions, kind, namespace),
            )
            for namespace in self._namespaces
        ]
        for follower in self._followers[kind]:
            follower.start()

    def _trim(self) -> None:
        wanted = {ref.kind for ref in self._users}
        for kind in self._followers.keys() - wanted:
            for follower in self._followers.pop(kind):
                ending = asyncio.ensure_future(follower.stop())
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)

    def _heard(self, kind: Kind, body: Body, gone: bool) -> None:
        about = body["metadata"]
        ref = Ref(kind, about.get("namespace") or "", about["name"])
        mark = mark_of(body)
        self._note(ref, Mark(mark.version, ABSENT) if gone else mark)

    async def _read_versions(self, kind: Kind, namespace: str, since: str) -> None:
        """Compare what is attended to with the versions that the API has now, or later."""
        since = since or await self._source.latest(kind, namespace)
        found = await self._source.versions(kind, namespace)
        for ref in [ref for ref in self._users if ref.kind == kind]:
            if namespace not in ("", ref.namespace):
                continue
            version = found.get((ref.namespace, ref.name))
            known = self._latest.get(ref)
            if version is None:
                self._note(ref, Mark(since, ABSENT))
            elif known is None or _newer(version, known.version):
                self._note(ref, Mark(version, UNREAD))

    def _note(self, ref: Ref, mark: Mark) -> None:
        users = self._users.get(ref)
        known = self._latest.get(ref)
        if not users or (known is not None and not _newer(mark.version, known.version)):
            return
        self._latest[ref] = mark
        for key in sorted(users):
            if mark.after(self._seen[key][ref]):
                self._on_news(key, Urgency.ADVANCE)


def mark_of(body: Body | None) -> Mark:
    """Return what tells an object from what it becomes: all but its status and bookkeeping."""
    if body is None:
        return Mark("", ABSENT)
    about = body["metadata"]
    kept = {name: about.get(name) for name in ("uid", "labels", "annotations", "deletionTimestamp")}
    # Services have no generation: the spec itself serves for all kinds.
    text = json.dumps([kept, body.get("spec")], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Mark(str(about.get("resourceVersion") or ""), digest)


def _newer(one: str, other: str) -> bool:
    """Whether version `one` is after `other`; where they are no numbers, whether they differ."""
    if one.isdecimal() and other.isdecimal():
        return int(one) > int(other)
    return one != other
