"""What every Clock must do, run here against the machine's clock and FakeClock.

A contract says what must come true, not how long it takes: `pass_time` lets time go by in whatever
way the clock needs. No test waits for more than some hundredths of a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from leadsman.adapters.clock import SystemClock
from leadsman.ports import Clock
from leadsman.testing import FakeClock

PassTime = Callable[[float], Awaitable[None]]
NAP = 0.02


class ClockContract:
    """The port's rules. `clock` and `pass_time` are fixtures of the inheriting class."""

    def test_it_is_the_port(self, clock: Clock) -> None:
        assert isinstance(clock, Clock)

    def test_unix_time_is_in_seconds_and_of_our_days(self, clock: Clock) -> None:
        assert 1_600_000_000 < clock.now() < 4_200_000_000

    def test_a_time_is_kept_by_a_status_to_the_last_digit(self, clock: Clock) -> None:
        assert clock.now() == round(clock.now(), 3)

    def test_neither_time_goes_back(self, clock: Clock) -> None:
        for read in (clock.now, clock.monotonic):
            times = [read() for _ in range(50)]
            assert times == sorted(times)

    async def test_both_times_go_on_while_time_passes(
        self, clock: Clock, pass_time: PassTime
    ) -> None:
        wall, steady = clock.now(), clock.monotonic()
        await pass_time(NAP)
        assert clock.now() - wall >= NAP - 0.0015
        assert clock.monotonic() - steady >= NAP - 0.0015

    async def test_a_sleep_ends_when_its_time_has_come_and_not_before(
        self, clock: Clock, pass_time: PassTime
    ) -> None:
        start = clock.monotonic()
        sleeping = asyncio.create_task(clock.sleep(NAP))
        await asyncio.sleep(0)
        assert not sleeping.done()
        await pass_time(2 * NAP)
        await sleeping
        assert clock.monotonic() - start >= NAP - 0.0015

    async def test_sleeps_end_in_the_order_of_their_times(
        self, clock: Clock, pass_time: PassTime
    ) -> None:
        ended: list[float] = []

        async def nap(seconds: float) -> None:
            await clock.sleep(seconds)
            ended.append(seconds)

        naps = [asyncio.create_task(nap(n * NAP)) for n in (3, 1, 2)]
        await asyncio.sleep(0)
        await pass_time(4 * NAP)
        await asyncio.gather(*naps)
        assert ended == [NAP, 2 * NAP, 3 * NAP]

    @pytest.mark.parametrize("seconds", [0.0, -1.0])
    async def test_no_time_to_sleep_is_one_turn_for_the_others(
        self, clock: Clock, seconds: float
    ) -> None:
        turns: list[str] = []

        async def other() -> None:
            turns.append("other")

        task = asyncio.create_task(other())
        await clock.sleep(seconds)
        assert turns == ["other"]
        await task

    async def test_a_sleep_that_is_cancelled_wakes_nobody(
        self, clock: Clock, pass_time: PassTime
    ) -> None:
        sleeping = asyncio.create_task(clock.sleep(NAP))
        await asyncio.sleep(0)
        sleeping.cancel()
        await asyncio.gather(sleeping, return_exceptions=True)
        assert sleeping.cancelled()
        await pass_time(2 * NAP)
        await clock.sleep(0)


class TestSystemClock(ClockContract):
    @pytest.fixture
    def clock(self) -> SystemClock:
        return SystemClock()

    @pytest.fixture
    def pass_time(self) -> PassTime:
        return asyncio.sleep


class TestFakeClock(ClockContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> PassTime:
        return clock.run
