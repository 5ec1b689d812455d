"""The operator as it reads in earnest: from caches and lookouts that FakeKube's watches feed.

`worlds.World` reads the cluster directly and looks at every Rollout after every event. What a
cache holds, what wakes a Rollout and what is asked of the API are seen here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from leadsman.ports import Body, Kind, Ref, WatchEvent
from leadsman.runtime.informers import InformerSet
from leadsman.runtime.lookouts import Lookouts
from leadsman.runtime.reader import CachedReader
from leadsman.runtime.scheduler import Key
from tests.runtime.worlds import KEY, World


class Api:
    """FakeKube with what a Follower asks for, and a watch that can be lost."""

    def __init__(self, world: World) -> None:
        self.kube = world.kube
        self.lost: list[Exception] = []
        self.asked: list[str] = []

    async def get(self, ref: Ref) -> Body:
        return await self.kube.get(ref)

    async def latest(self, kind: Kind, namespace: str = "") -> str:
        self.asked.append(f"latest {kind.plural}")
        return await self.kube.latest(kind, namespace)

    async def versions(self, kind: Kind, namespace: str = "") -> Mapping[Key, str]:
        self.asked.append(f"versions {kind.plural}")
        return await self.kube.versions(kind, namespace)

    async def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        since: str,
        wanted: Callable[[str, str], bool] | None = None,
    ) -> AsyncIterator[WatchEvent]:
        async for event in self.kube.watch(kind, namespace, since=since, wanted=wanted):
            if self.lost:
                raise self.lost.pop()
            yield event


class CachedOperator:
    """A world whose operator reads from caches, and makes a pass only when it is told to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.due: set[Key] = {KEY}
        self.api = Api(world)
        self.informers = InformerSet(world.kube, world.clock)
        self.lookouts = Lookouts(self.api, world.clock, self._told)
        reader = CachedReader(self.informers, self._told, self.lookouts)
        world.start(reader)
        world.store.on_due = self._due

    def _due(self, key: Key) -> None:
        self.due.add(key)

    def _told(self, key: Key, urgency: int) -> None:
        del urgency
        self.due.add(key)

    async def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        end = self.world.clock.now() + seconds
        while self.world.clock.now() < end:
            self.world.sync()
            now = self.world.clock.now()
            self.due |= {k for k, w in self.world.wake.items() if w.at is not None and w.at <= now}
            due, self.due = self.due, set()
            for key in sorted(due):
                self.world.wake[key] = await self.world.reconciler.reconcile(key)
            if until is not None and until():
                return True
            await self.world.kube.run(0.25)
        return until is None

    async def close(self) -> None:
        await self.lookouts.stop()
        await self.informers.close()
