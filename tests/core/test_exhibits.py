"""The newest blocks of the guards that fired are kept with the rollback and with the refusal."""

from __future__ import annotations

from dataclasses import replace

from leadsman.core.exhibits import SHOWN, snapshot
from leadsman.core.spec import Contract, GuardSpec, Terms
from leadsman.guards.judges import Threshold
from leadsman.guards.windows import RECENT, Block, Reading, Window
from tests.core.worlds import NOW, PLAN, World, middle

BLOCKS = tuple(Block(NOW - 21 + n, NOW - 20 + n, 40.0, 12.0, 160.0, 0.0) for n in range(20))


def world(*shares: float, recent: tuple[Block, ...] = BLOCKS) -> World:
    guards = tuple(GuardSpec(f"g{n}", Threshold(0.05, 15.0, 50)) for n in range(len(shares)))
    readings = tuple(
        Reading(f"g{n}", (Window(NOW, 1000, 1000 * share),), (), "", NOW, recent=recent)
        for n, share in enumerate(shares)
    )
    return middle().but(terms=Terms(PLAN, Contract(guards)), readings=readings)


def test_a_guard_that_rolls_back_takes_its_newest_blocks_with_it() -> None:
    decision = world(0.3, 0.001).decide()
    assert decision.why.policy == "breach"
    failed, passed = decision.status.attempt.guards
    assert failed.recent == BLOCKS[-RECENT:]
    assert passed.recent == ()


def test_a_guard_that_passes_or_waits_remembers_no_blocks() -> None:
    decision = world(0.001).decide()
    assert [one.recent for one in decision.status.attempt.guards] == [()]


def test_of_many_that_fire_together_the_first_few_are_shown() -> None:
    decision = world(*[0.3] * (SHOWN + 2)).decide()
    shown = [one.recent != () for one in decision.status.attempt.guards]
    assert shown == [True] * SHOWN + [False] * 2


def test_where_nobody_kept_the_newest_blocks_those_not_yet_counted_serve() -> None:
    seen = world(0.3, recent=())
    reading = replace(seen.seen.readings[0], blocks=BLOCKS[:3])
    evidence = seen.but(readings=(reading,))
    assert evidence.decide().status.attempt.guards[0].recent == BLOCKS[:3]


def test_they_stay_with_the_refusal() -> None:
    guards = world(0.3).decide().status.attempt.guards
    (kept,) = snapshot(guards)
    assert kept.recent == BLOCKS[-RECENT:]
