"""Since when an arm has its endpoints: from the last that joined, whoever left meanwhile."""

from __future__ import annotations

from dataclasses import replace

from leadsman.core.observation import Arm, Role
from leadsman.runtime.readiness import Readiness
from leadsman.testing.clock import FakeClock

KEY = ("shop", "shop")
ARM = Arm("shop", Role.CANARY, "shop-canary", "1", "new", 1)


async def test_the_last_endpoint_that_joined_dates_the_arm() -> None:
    clock = FakeClock()
    readiness = Readiness(clock)
    begun = clock.now()

    def since(arm: Arm) -> float:
        return readiness.dated(KEY, [arm])[0].ready_since - begun

    assert since(ARM) == 0
    await clock.run(5)
    assert since(replace(ARM, resource_version="2")) == 0
    assert since(replace(ARM, ready=3)) == 5
    await clock.run(5)
    assert since(replace(ARM, ready=2)) == 5
    assert since(replace(ARM, ready=3)) == 10
    await clock.run(5)
    assert since(replace(ARM, ready=3, revision="newer")) == 15
    readiness.forget(KEY)
    await clock.run(5)
    assert since(ARM) == 20
