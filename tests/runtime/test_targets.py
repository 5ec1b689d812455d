"""The Deployments that Rollouts name are read once, and compared at each sweep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from leadsman.errors import ApiError, GoneError, NotFoundError, UnavailableError
from leadsman.ports import ROLLOUT, Body, Kind, Ref, WatchEvent
from leadsman.runtime.store import OwnStore
from leadsman.runtime.targets import Targets
from leadsman.testing.clock import FakeClock


def thing(name: str, version: int, target: str = "") -> Body:
    about = {"namespace": "ns", "name": name, "uid": name, "resourceVersion": str(version)}
    spec = {"targetRef": {"name": target}} if target else {}
    return {"metadata": about, "spec": spec}


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = OwnStore()
        self.deployments: dict[str, int] = {"shop": 5, "stranger": 1}
        self.down = 0
        self.reads: list[str] = []
        self.since: list[str] = []
        self.events: asyncio.Queue[WatchEvent | ApiError | None] = asyncio.Queue()
        self.targets = Targets(self, self.clock, self.store)

    async def get(self, ref: Ref) -> Body:
        self.reads.append(ref.name)
        if self.down:
            self.down -= 1
            raise UnavailableError(503, "Down", "")
        if ref.name not in self.deployments:
            raise NotFoundError(404, "NotFound", "")
        return thing(ref.name, self.deployments[ref.name])

    async def latest(self, kind: Kind, namespace: str = "") -> str:
        return "100"

    async def versions(self, kind: Kind, namespace: str = "") -> dict[tuple[str, str], str]:
        return {("ns", name): str(version) for name, version in self.deployments.items()}

    async def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        since: str,
        wanted: Callable[[str, str], bool] | None = None,
    ) -> AsyncIterator[WatchEvent]:
        self.since.append(since)
        while (event := await self.events.get()) is not None:
            if isinstance(event, ApiError):
                raise event
            about = event.body["metadata"]
            if event.type == "BOOKMARK" or (wanted and wanted("ns", about["name"])):
                yield event

    def event(self, type_: str, name: str, version: int) -> None:
        self.events.put_nowait(WatchEvent(type_, thing(name, version)))  # type: ignore[arg-type]

    def version(self) -> str | None:
        body = self.store.deployment("ns", "shop")
        return body["metadata"]["resourceVersion"] if body else None


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    world.targets.start()
    yield world
    await world.targets.stop()


async def test_a_new_rollouts_target_is_read_once(world: World) -> None:
    world.store.observe(ROLLOUT, thing("one", 1, target="shop"))
    world.store.observe(ROLLOUT, thing("one", 2, target="shop"))
    await world.targets.settled()
    assert (world.reads, world.version()) == (["shop"], "5")


async def test_a_target_that_is_not_there_is_known_to_be_absent(world: World) -> None:
    world.store.observe(ROLLOUT, thing("one", 1, target="nothing"))
    await world.targets.settled()
    assert world.store.deployment_known("ns", "nothing")


async def test_what_could_not_be_read_is_read_again(world: World) -> None:
    world.down = 3
    world.store.observe(ROLLOUT, thing("one", 1, target="shop"))
    await world.clock.run(5)
    assert (len(world.reads), world.version()) == (4, "5")


async def test_a_comparison_reads_what_differs_only(world: World) -> None:
    world.store.observe(ROLLOUT, thing("one", 1, target="shop"))
    await world.targets.settled()
    await world.targets.compare()
    await world.targets.settled()
    assert world.reads == ["shop"]
    world.deployments["shop"] = 7
    await world.targets.compare()
    await world.targets.settled()
    assert world.version() == "7"


async def test_a_comparison_finds_a_deletion_that_no_event_told(world: World) -> None:
    world.store.observe(ROLLOUT, thing("one", 1, target="shop"))
    await world.targets.settled()
    del world.deployments["shop"]
    await world.targets.compare()
    await world.targets.settled()
    assert world.version() is None
    assert world.store.deployment_known("ns", "shop")


async def test_events_of_governed_deployments_are_taken(world: World) -> None:
    world.store.observe(ROLLOUT, thing("one", 1, target="shop"))
    await world.targets.settled()
    world.event("MODIFIED", "stranger", 7)
    world.event("MODIFIED", "shop", 8)
    await world.clock.turns()
    assert world.version() == "8"
    assert world.store.deployment("ns", "stranger") is None
    world.event("DELETED", "shop", 9)
    await world.clock.turns()
    assert world.version() is None


async def test_a_watch_that_ends_goes_on_from_its_last_bookmark_without_a_read(
    world: World,
) -> None:
    world.store.observe(ROLLOUT, thing("one", 1, target="shop"))
    await world.targets.settled()
    world.event("BOOKMARK", "", 140)
    await world.clock.run(290)
    world.events.put_nowait(None)
    await world.clock.turns()
    assert (world.since, world.reads) == (["100", "140"], ["shop"])


@pytest.mark.parametrize("error", [GoneError(410, "Gone", ""), UnavailableError(0, "Timeout", "")])
async def test_after_a_gap_every_target_is_read_again(world: World, error: ApiError) -> None:
    world.store.observe(ROLLOUT, thing("one", 1, target="shop"))
    await world.targets.settled()
    del world.deployments["shop"]
    world.events.put_nowait(error)
    await world.clock.run(2)
    assert (world.since, world.reads) == (["100", "100"], ["shop", "shop"])
    assert world.version() is None


async def test_a_server_that_ends_each_watch_at_once_is_not_polled_hot(world: World) -> None:
    for _ in range(1000):
        world.events.put_nowait(None)
    await world.clock.run(30)
    assert len(world.since) < 20
