"""What a guard says that rolls nothing back: told at once, once a stage, with its figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leadsman.core.actions import Emit
from leadsman.core.decision import Persist
from leadsman.core.spec import Contract, OnFail, OnInconclusive, Stage, Terms
from tests.core.worlds import CONTRACT, GUARD, NOW, PLAN, World, middle, reading


def world(share: float, on_fail: OnFail = OnFail.ROLLBACK, **more: object) -> World:
    """In the middle of a stage whose hold is not over, with the canary's share of errors."""
    terms = Terms(PLAN, Contract(guards=(replace(GUARD, on_fail=on_fail),)))
    return middle(readings=(reading(share),), terms=terms, **more)


def undecided(choice: OnInconclusive, measuring_for: float) -> World:
    """Three requests, in a stage with a `maxHold` of 10 s."""
    stages = (*PLAN.stages[:1], Stage("quarter", 25, 5, max_hold=10), *PLAN.stages[2:])
    terms = Terms(replace(PLAN, stages=stages), replace(CONTRACT, on_inconclusive=choice))
    since = NOW - measuring_for
    return middle(
        readings=(reading(0, total=3),), terms=terms, measuring_since=since, due_at=since + 5
    )


def told(world: World) -> list[tuple[str, str]]:
    return [(one.reason, one.message) for one in world.decide().actions if isinstance(one, Emit)]


@pytest.mark.parametrize(
    ("name", "share", "on_fail", "reason", "says"),
    [
        ("well", 0.001, OnFail.ROLLBACK, "", ""),
        ("close", 0.048, OnFail.ROLLBACK, "GuardWarning", "4.80% of 1000 requests, limit 5.00%"),
        ("close, holding", 0.048, OnFail.HOLD, "GuardWarning", "the next stage waits"),
        ("close, warning only", 0.048, OnFail.WARN, "", ""),
        ("failed, rolled back", 0.3, OnFail.ROLLBACK, "RolledBack", "30.00%"),
        ("failed, holding", 0.3, OnFail.HOLD, "GuardFailed", "the stage waits, as onFail: Hold"),
        ("failed, warning only", 0.3, OnFail.WARN, "GuardFailed", "only told, as onFail: Warn"),
    ],
)
def test_a_finding_is_an_event_at_once_and_not_when_the_hold_is_over(
    name: str, share: float, on_fail: OnFail, reason: str, says: str
) -> None:
    said = told(world(share, on_fail))
    assert [one for one, _ in said] == ([reason] if reason else []), name
    assert all(says in message for _, message in said), said


@pytest.mark.parametrize("share", [0.048, 0.3])
def test_a_value_that_goes_back_and_forth_over_its_limit_is_one_event_a_stage(share: float) -> None:
    first = world(share, OnFail.HOLD).decide()
    assert (first.why.policy, first.persist) == ("tell", Persist.SOON)
    well = world(0.001, OnFail.HOLD).but(status=first.status, now=NOW + 1).decide()
    assert well.actions == ()
    again = world(share, OnFail.HOLD).but(status=well.status, now=NOW + 2).decide()
    assert (again.why.policy, again.actions) == ("measure", ())


def test_what_was_told_is_forgotten_with_the_stage() -> None:
    first = world(0.3, OnFail.WARN, due_at=NOW - 1).decide()
    passed = world(0.3, OnFail.WARN).but(status=first.status, due_at=NOW - 1).decide()
    assert passed.why.policy == "advance"
    assert passed.status.attempt.stage.told == ()


def test_a_stage_without_evidence_says_at_max_hold_what_follows() -> None:
    assert told(undecided(OnInconclusive.HOLD, 9)) == []
    for choice in (OnInconclusive.HOLD, OnInconclusive.PROMOTE):
        ((reason, message),) = told(undecided(choice, 10))
        assert reason == "GuardInconclusive"
        assert f"onInconclusive: {choice.value}" in message
    ((reason, _),) = told(undecided(OnInconclusive.ROLLBACK, 10))
    assert reason == "RolledBack"


def test_nothing_is_told_before_the_weight_has_arrived() -> None:
    early = world(0.3, OnFail.HOLD, measuring_since=None, due_at=None)
    assert "GuardFailed" not in [reason for reason, _ in told(early)]


def test_the_condition_says_that_a_guard_is_close_to_its_limit() -> None:
    conditions = {one.type: one for one in world(0.048).decide().status.conditions}
    found = conditions["GuardsPassing"]
    assert (found.status, found.reason, found.message) == (
        "True",
        "CloseToLimit",
        "close to the limit: errors",
    )
