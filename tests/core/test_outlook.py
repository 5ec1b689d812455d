"""What a plan can show from the traffic seen, and the condition that says when it cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from leadsman.core.evidence import weigh
from leadsman.core.outlook import doubt, look_out, requests_a_second
from leadsman.core.spec import Contract, GuardSpec, Plan, Stage, Terms
from leadsman.core.status import StageOutlook
from leadsman.guards.judges import Sequential
from leadsman.guards.windows import Block, Reading, Window
from tests.core.worlds import NOW, middle

PLAN = Plan((Stage("five", 5, 600), Stage("quarter", 25, 600), Stage("full", 100, 60)))


def contract(design: float = 1.5) -> Contract:
    judge = Sequential(0.0, 0.01, 2, design)
    return Contract(guards=(GuardSpec("errors", judge),), design_ratio=design)


def seen(rate: float, blocks: int = 30, errors: float = 0.005) -> Reading:
    canary, stable = rate * 0.25, rate * 0.75
    counted = tuple(
        Block(NOW - blocks + n, NOW - blocks + n + 1.0, canary, 0, stable, stable * errors)
        for n in range(blocks)
    )
    windows = (Window(NOW, canary * 60, 0),), (Window(NOW, stable * 60, 0),)
    return Reading("errors", *windows, "", NOW, counted)


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


def test_before_enough_blocks_or_without_an_error_nothing_is_said() -> None:
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
