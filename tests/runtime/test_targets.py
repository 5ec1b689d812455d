"""The Deployments that Rollouts name are read once, and compared at each sweep."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from leadsman.errors import NotFoundError, UnavailableError
from leadsman.ports import DEPLOYMENT, ROLLOUT, Body, Kind, Listing, Ref
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
        self.targets = Targets(self, self.clock, self.store, self.names)  # type: ignore[arg-type]

    async def get(self, ref: Ref) -> Body:
        self.reads.append(ref.name)
        if self.down:
            self.down -= 1
            raise UnavailableError(503, "Down", "")
        if ref.name not in self.deployments:
            raise NotFoundError(404, "NotFound", "")
        return thing(ref.name, self.deployments[ref.name])

    async def names(self, kind: Kind, namespace: str = "") -> Listing:
        return Listing(tuple(thing(n, v) for n, v in self.deployments.items()), "9")

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


async def test_events_are_taken_for_governed_deployments(world: World) -> None:
    world.store.observe(ROLLOUT, thing("one", 1, target="shop"))
    await world.targets.settled()
    world.store.observe(DEPLOYMENT, thing("shop", 8))
    assert world.version() == "8"
