"""What a plan can show from the traffic seen, and the condition that says when it cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from leadsman.core.evidence import weigh
from leadsman.core.outlook import doubt, look_out, requests_a_second, silence
from leadsman.core.spec import Contract, GuardSpec, OnFail, Plan, Stage, Terms
from leadsman.core.status import Condition, StageOutlook, Status
from leadsman.guards.judges import Sequential
from leadsman.guards.windows import Block, Reading, Window
from tests.core.worlds import NOW, World, middle

PLAN = Plan((Stage("five", 5, 600), Stage("quarter", 25, 600), Stage("full", 100, 60)))


def contract(design: float = 1.5) -> Contract:
    judge = Sequential(0.0, 0.01, 2, design)
    return Contract(guards=(GuardSpec("errors", judge),), design_ratio=design)


def seen(
    rate: float,
    blocks: int = 30,
    errors: float = 0.005,
    guard: str = "errors",
    until: float = NOW,
) -> Reading:
    canary, stable = rate * 0.25, rate * 0.75
    counted = tuple(
        Block(until - blocks + n, until - blocks + n + 1.0, canary, 0, stable, stable * errors)
        for n in range(blocks)
    )
    windows = (Window(until, canary * 60, 0),), (Window(until, stable * 60, 0),)
    return Reading(guard, *windows, "", until, counted)


def looked(rate: float, design: float = 1.5, **more: Any) -> tuple[StageOutlook, ...]:
    made, reading = contract(design), seen(rate, **more)
    attempt = replace(middle().status.attempt, weight_since=NOW - 100)
    guards = weigh(made, (reading,), (), NOW).guards
    return look_out(PLAN, made, attempt, guards, (reading,), 0)


@pytest.mark.parametrize(
    ("rate", "design", "five", "quarter"),
    [(50, 1.5, 90, 23.6), (50, 2, 25.5, 6.8), (2000, 1.5, 2.3, 0.59), (2, 2, 637, 170)],
)
def test_minutes_are_those_of_the_design_table(
    rate: float, design: float, five: float, quarter: float
) -> None:
    found = looked(rate, design)
    assert [one.stage for one in found] == ["five", "quarter"]
    assert [one.minutes for one in found] == pytest.approx([five, quarter], rel=0.04)


def test_what_a_stage_can_show_takes_as_long_as_its_hold() -> None:
    for one in looked(50):
        assert one.detectable is not None
        again = looked(50, one.detectable)
        assert next(o.minutes for o in again if o.stage == one.stage) == pytest.approx(10, rel=0.01)


def test_before_enough_blocks_or_without_an_error_no_minutes_are_worked_out() -> None:
    assert looked(50, blocks=5) == ()
    assert looked(50, errors=0.0) == ()
    assert requests_a_second(Reading("errors", (), (), "Stale", None), NOW) == 0


def test_a_plan_that_is_long_enough_is_sound() -> None:
    assert doubt(PLAN, contract(2), looked(50, 2)) == ""
    assert doubt(PLAN, contract(), ()) == ""


def test_guards_that_are_asked_for_different_ratios_are_told_with_all_of_them() -> None:
    strict, lax = contract(1.5).guards[0], contract(2).guards[0]
    both = Contract(guards=(strict, replace(lax, name="others")), design_ratio=1.5)
    assert "that 1.5 or 2 times the bad events need" in doubt(PLAN, both, looked(2))


def test_a_plan_that_is_too_short_is_told_with_its_figures_and_decides_nothing() -> None:
    terms = Terms(replace(PLAN, stages=middle().seen.terms.plan.stages), contract())
    world = middle().but(terms=terms, readings=(seen(2),), weight_since=NOW - 100)
    once = world.decide()
    assert once.status.attempt.outlook
    twice = world.but(status=once.status).decide()
    (sound,) = [one for one in twice.status.conditions if one.type == "ContractSound"]
    assert (sound.status, sound.reason) == ("False", "CannotDetect")
    assert "1.5 times the bad events" in sound.message
    assert twice.status.attempt.outlook is once.status.attempt.outlook
    assert twice.why.policy == "measure"


def guarded(*guards: GuardSpec) -> World:
    """A release in a stage of 25 %, judged by these guards."""
    made = Contract(guards=guards, design_ratio=1.5)
    terms = Terms(replace(PLAN, stages=middle().seen.terms.plan.stages), made)
    return middle().but(terms=terms, weight_since=NOW - 100)


def passed(world: World, status: Status, *readings: Reading, later: float = 0.0) -> Status:
    """The status after a pass with these readings, `later` seconds after the first."""
    now = NOW + later
    return world.but(status=status, readings=readings, now=now).decide().status


def soundness(status: Status) -> Condition:
    (found,) = [one for one in status.conditions if one.type == "ContractSound"]
    return found


GATE = contract().guards[0]


def test_a_gate_that_sees_nothing_bad_is_told_that_it_cannot_detect_and_what_to_do() -> None:
    world = guarded(GATE)
    found = soundness(passed(world, world.status, seen(500, errors=0.0)))
    assert (found.status, found.reason) == ("False", "CannotDetect")
    for part in ("guard errors has seen at least 10000 requests", "absolute", "designRatio"):
        assert part in found.message


def test_a_gate_that_saw_little_is_not_told_yet() -> None:
    world = guarded(GATE)
    found = soundness(passed(world, world.status, seen(500, errors=0.0, blocks=19)))
    assert (found.status, found.reason) == ("True", "Sound")


def test_the_text_about_silence_is_the_same_while_its_rounded_count_is() -> None:
    world = guarded(GATE)
    first = passed(world, world.status, seen(500, errors=0.0))
    second = passed(world, first, seen(500, errors=0.0, blocks=10, until=NOW + 10), later=10)
    assert soundness(second) is soundness(first)
    many = passed(world, second, seen(500, errors=0.0, blocks=20, until=NOW + 30), later=30)
    assert "at least 20000 requests" in soundness(many).message
    assert soundness(many).since == soundness(first).since


def test_silence_is_over_with_the_first_bad_event_and_the_plan_is_worked_out() -> None:
    world = guarded(GATE)
    silent = passed(world, world.status, seen(500, errors=0.0))
    bad = seen(500, errors=0.02, blocks=5, until=NOW + 5)
    loud = passed(world, silent, bad, later=5)
    assert loud.attempt is not None
    assert loud.attempt.outlook
    after = passed(world, loud, bad, later=5)
    assert "no bad one" not in soundness(after).message


def test_a_silent_gate_is_told_beside_one_that_can_be_planned() -> None:
    world = guarded(GATE, replace(GATE, name="slow"))
    slow = seen(50_000, errors=0.02, guard="slow")
    once = passed(world, world.status, seen(50_000, errors=0.0), slow)
    twice = passed(world, once, seen(50_000, errors=0.0), slow)
    assert twice.attempt is not None
    assert twice.attempt.outlook
    assert soundness(twice).reason == "CannotDetect"
    assert "guard errors has seen" in soundness(twice).message
    assert "guard slow" not in soundness(twice).message


def test_a_gate_that_is_known_later_counts_where_it_takes_longer() -> None:
    world = guarded(GATE, replace(GATE, name="slow"))
    slow = seen(50, errors=0.2, guard="slow")
    first = passed(world, world.status, seen(50, errors=0.0), slow)
    bad = seen(50, errors=0.01, blocks=5, until=NOW + 5)
    second = passed(world, first, bad, replace(slow, blocks=()), later=5)
    assert first.attempt is not None
    assert second.attempt is not None
    early, late = first.attempt.outlook, second.attempt.outlook
    assert sum(one.minutes for one in late) > 10 * sum(one.minutes for one in early) > 0


def test_a_gate_whose_source_is_silent_when_another_becomes_known_counts_on() -> None:
    world = guarded(GATE, replace(GATE, name="slow"))
    quiet = seen(50, errors=0.0, guard="slow")
    first = passed(world, world.status, seen(50, errors=0.01), quiet)
    dark = replace(seen(50, errors=0.01), canary=(), blocks=())
    loud = seen(50, errors=0.2, guard="slow", blocks=5, until=NOW + 5)
    second = passed(world, first, dark, loud, later=5)
    assert first.attempt is not None
    assert second.attempt is not None
    assert second.attempt.guards[1].evidence.stable_bad > 0
    assert second.attempt.outlook is first.attempt.outlook


def test_a_guard_that_only_warns_keeps_no_stage_and_is_not_told() -> None:
    world = guarded(replace(GATE, on_fail=OnFail.WARN))
    status = passed(world, world.status, seen(500, errors=0.0))
    assert status.attempt is not None
    assert status.attempt.guards[0].evidence is not None
    assert soundness(status).reason == "Sound"
    assert silence(world.seen.terms.contract, status.attempt.guards) == ""


def test_what_is_told_of_silence_stays_while_the_canary_has_no_weight() -> None:
    world = guarded(GATE)
    silent = passed(world, world.status, seen(500, errors=0.0))
    rolled = world.but(status=silent, readings=()).but(weight=0).decide().status
    assert soundness(rolled).message == soundness(silent).message
