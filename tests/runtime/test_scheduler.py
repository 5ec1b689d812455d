"""The scheduler's rules: order by urgency, one run a key, isolation of failures, no spinning."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from leadsman.errors import UnavailableError
from leadsman.runtime.scheduler import Key, Scheduler, Urgency, Wake
from leadsman.testing.clock import FakeClock

A, B, C = ("ns", "a"), ("ns", "b"), ("ns", "c")
Make = Callable[..., Scheduler]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def make(clock: FakeClock) -> AsyncIterator[Make]:
    made: list[Scheduler] = []

    def build(reconcile: Callable[[Key], Awaitable[Wake]], **options: int) -> Scheduler:
        scheduler = Scheduler(clock, reconcile, **options)
        made.append(scheduler)
        scheduler.start()
        return scheduler

    yield build
    for scheduler in made:
        await scheduler.stop(grace=0)


class Gate:
    """A reconcile that notes each run and waits until it is let through."""

    def __init__(self) -> None:
        self.runs: list[Key] = []
        self.open: dict[Key, asyncio.Event] = {}
        self.wake = Wake()

    async def __call__(self, key: Key) -> Wake:
        self.runs.append(key)
        await self.open.setdefault(key, asyncio.Event()).wait()
        return self.wake


class Notes:
    """A reconcile that notes the time of each run and answers at once."""

    def __init__(self, clock: FakeClock, *wakes: Wake | Exception) -> None:
        self.clock, self.wakes = clock, list(wakes)
        self.runs: list[tuple[Key, float]] = []
        self.start = clock.now()

    async def __call__(self, key: Key) -> Wake:
        self.runs.append((key, round(self.clock.now() - self.start, 2)))
        answer = self.wakes.pop(0) if self.wakes else Wake()
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_due_key_starts_without_waiting_for_the_clock(clock: FakeClock, make: Make) -> None:
    notes = Notes(clock)
    make(notes).due(A)
    await clock.turns()
    assert notes.runs == [(A, 0.0)]


async def test_keys_that_roll_back_go_before_the_others(clock: FakeClock, make: Make) -> None:
    gate = Gate()
    scheduler = make(gate, workers=1, express=0)
    scheduler.due(A)
    await clock.turns()
    scheduler.due(B, Urgency.IDLE)
    scheduler.due(C, Urgency.ROLL_BACK)
    gate.open[A].set()
    await clock.turns()
    assert gate.runs == [A, C]
    gate.open[C].set()
    await clock.turns()
    assert gate.runs == [A, C, B]


async def test_a_roll_back_does_not_wait_for_busy_workers(clock: FakeClock, make: Make) -> None:
    gate = Gate()
    scheduler = make(gate, workers=1, express=1)
    for key in (A, B):
        scheduler.due(key)
    scheduler.due(C, Urgency.ROLL_BACK)
    await clock.turns()
    assert gate.runs == [A, C]
    assert scheduler.waiting == 1


async def test_one_key_runs_in_one_worker_and_again_if_it_changed_meanwhile(
    clock: FakeClock, make: Make
) -> None:
    gate = Gate()
    scheduler = make(gate)
    scheduler.due(A)
    await clock.turns()
    for _ in range(5):
        scheduler.due(A)
    await clock.turns()
    assert gate.runs == [A]
    gate.open[A].set()
    await clock.turns()
    assert gate.runs == [A, A]


async def test_a_key_wakes_at_its_time_and_only_once(clock: FakeClock, make: Make) -> None:
    notes = Notes(clock, Wake(clock.now() + 100))
    make(notes).due(A)
    await clock.run(500)
    assert notes.runs == [(A, 0.0), (A, 100.0)]


async def test_an_earlier_run_replaces_the_old_wake_time(clock: FakeClock, make: Make) -> None:
    notes = Notes(clock, Wake(clock.now() + 50), Wake(clock.now() + 80), Wake())
    scheduler = make(notes)
    scheduler.due(A)
    await clock.run(10)
    assert scheduler.next_wake(A) == clock.now() + 40
    scheduler.due(A)
    await clock.run(200)
    assert notes.runs == [(A, 0.0), (A, 10.0), (A, 80.0)]


async def test_a_wake_time_in_the_past_does_not_spin(clock: FakeClock, make: Make) -> None:
    notes = Notes(clock, *[Wake(0.0)] * 10_000)
    make(notes).due(A)
    await clock.run(1)
    assert 50 <= len(notes.runs) <= 101


async def test_a_clock_that_jumps_back_delays_nothing_for_ever(
    clock: FakeClock, make: Make
) -> None:
    notes = Notes(clock, Wake(clock.now() + 60))
    make(notes).due(A)
    await clock.run(10)
    clock.jump(3600)
    await clock.run(30)
    assert len(notes.runs) == 2


async def test_a_failure_backs_off_its_own_key_only(clock: FakeClock, make: Make) -> None:
    failing = [ValueError("poison")] * 1000

    async def reconcile(key: Key) -> Wake:
        runs.append(key)
        if key == A:
            raise failing.pop()
        return Wake(clock.now() + 10)

    runs: list[Key] = []
    scheduler = make(reconcile, workers=1)
    scheduler.due(A)
    scheduler.due(B)
    await clock.run(600)
    assert 8 <= runs.count(A) <= 25
    assert runs.count(B) == 61
    assert scheduler.backoff(A) == runs.count(A)
    assert scheduler.backoff(B) == 0


async def test_events_do_not_break_a_backoff_but_a_roll_back_does(
    clock: FakeClock, make: Make
) -> None:
    notes = Notes(clock, UnavailableError(503, "Down", "", retry_after=20))
    scheduler = make(notes)
    scheduler.due(A)
    await clock.run(1)
    for _ in range(10):
        scheduler.due(A, Urgency.ADVANCE)
        await clock.run(0.1)
    assert len(notes.runs) == 1
    scheduler.due(A, Urgency.ROLL_BACK)
    await clock.turns()
    assert len(notes.runs) == 2
    assert scheduler.backoff(A) == 0


async def test_the_servers_retry_after_is_kept(clock: FakeClock, make: Make) -> None:
    notes = Notes(clock, UnavailableError(429, "Busy", "", retry_after=7))
    make(notes).due(A)
    await clock.run(30)
    assert notes.runs[1][1] == pytest.approx(7, abs=0.1)


async def test_success_ends_the_count_of_failures(clock: FakeClock, make: Make) -> None:
    notes = Notes(clock, ValueError(), ValueError(), Wake())
    scheduler = make(notes)
    scheduler.due(A)
    await clock.run(0.1)
    assert scheduler.backoff(A) == 1
    await clock.run(30)
    assert (len(notes.runs), scheduler.backoff(A)) == (3, 0)


async def test_stop_lets_a_run_end_and_takes_no_new_one(clock: FakeClock, make: Make) -> None:
    gate = Gate()
    scheduler = make(gate)
    scheduler.due(A)
    await clock.turns()
    stopping = asyncio.ensure_future(scheduler.stop())
    await clock.turns()
    scheduler.due(B)
    gate.open[A].set()
    await stopping
    assert gate.runs == [A]
    assert (scheduler.running, scheduler.alive()) == (0, False)


async def test_a_run_that_does_not_end_is_seen_and_cancelled_at_the_end(
    clock: FakeClock, make: Make
) -> None:
    scheduler = make(Gate())
    scheduler.due(A)
    await clock.run(130)
    assert scheduler.longest_run() == pytest.approx(130)
    await scheduler.stop(grace=0)
    assert scheduler.running == 0


async def test_a_forgotten_key_does_not_wake(clock: FakeClock, make: Make) -> None:
    notes = Notes(clock, Wake(clock.now() + 10))
    scheduler = make(notes)
    scheduler.due(A)
    await clock.run(1)
    scheduler.forget(A)
    await clock.run(100)
    assert len(notes.runs) == 1


async def test_each_run_is_told_with_its_length_and_outcome(clock: FakeClock, make: Make) -> None:
    told: list[tuple[Key, float, bool]] = []
    scheduler = Scheduler(clock, Notes(clock, ValueError()), on_run=lambda *what: told.append(what))
    scheduler.start()
    scheduler.due(A)
    await clock.turns()
    await scheduler.stop()
    assert told == [(A, 0.0, False)]
