"""The sweep lists what it is told to, again and again, and survives what it cannot list."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from leadsman.errors import UnavailableError
from leadsman.ports import GUARD, ROLLOUT, Kind, Listing
from leadsman.runtime.sweep import Sweep, Target
from leadsman.testing.clock import FakeClock


class World:
    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.down: set[str] = set()
        self.found: list[tuple[str, str]] = []
        self.after = 0
        self.targets: list[Target] = [(GUARD, ""), (ROLLOUT, "a")]
        self.sweep = Sweep(
            self,  # type: ignore[arg-type]
            clock,
            lambda: self.targets,
            lambda kind, namespace, _: self.found.append((kind.kind, namespace)),
            after=self.follow,
        )

    async def list(self, kind: Kind, namespace: str = "") -> Listing:
        if kind.kind in self.down:
            raise UnavailableError(503, "Down", "")
        return Listing((), "1")

    async def follow(self) -> None:
        self.after += 1


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World(FakeClock())
    world.sweep.start()
    yield world
    await world.sweep.stop()


async def test_it_lists_every_five_minutes_and_not_at_the_start(world: World) -> None:
    await world.clock.run(299)
    assert world.found == []
    await world.clock.run(2)
    assert world.found == [("Guard", ""), ("Rollout", "a")]
    await world.clock.run(600)
    assert (len(world.found), world.after, world.sweep.rounds) == (6, 3, 3)


async def test_what_cannot_be_listed_is_left_for_the_next_round(world: World) -> None:
    world.down = {"Guard"}
    await world.clock.run(301)
    assert world.found == [("Rollout", "a")]
    world.down = set()
    await world.clock.run(300)
    assert world.found[1:] == [("Guard", ""), ("Rollout", "a")]


async def test_a_fault_of_ours_does_not_end_it(world: World) -> None:
    world.targets = [(GUARD, ""), None]  # type: ignore[list-item]
    await world.clock.run(301)
    world.targets = [(ROLLOUT, "b")]
    await world.clock.run(300)
    assert world.found[-1] == ("Rollout", "b")
