"""A canary whose containers are started again while it is judged: told once a stage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leadsman.core.actions import Emit
from leadsman.core.decision import Persist
from leadsman.core.observation import Fault, Pod
from tests.core.worlds import NOW, World, middle, pods

ENTERED = NOW - 20


def restarted(*moments: float | None, **more: object) -> World:
    """A canary of as many pods, each last started again at its moment."""
    old = pods(0)
    new = [Pod(f"new-{n}", "new", ready=True, restarted_at=at) for n, at in enumerate(moments)]
    return middle(pods=(*old, *new), **more)


def told(world: World) -> list[str]:
    return [one.message for one in world.decide().actions if isinstance(one, Emit)]


@pytest.mark.parametrize(
    ("moments", "says"),
    [
        ((None, None), ""),
        ((NOW - 1, None), ""),
        ((NOW - 1, NOW - 2, None), "2 of 3 canary pods"),
        ((NOW - 1,), "1 of 1 canary pods"),
        ((ENTERED - 1, ENTERED - 1), ""),
    ],
)
def test_more_than_half_of_the_canary_in_this_stage_is_worth_telling(
    moments: tuple[float | None, ...], says: str
) -> None:
    said = told(restarted(*moments))
    assert [one[: len(says)] for one in said] == ([says] if says else [])


def test_it_is_told_once_and_the_hold_goes_on() -> None:
    world = restarted(NOW - 1, NOW - 1)
    first = world.decide()
    assert (first.why.policy, first.persist) == ("restarting", Persist.SOON)
    (event,) = first.actions
    assert isinstance(event, Emit)
    assert (event.reason, event.warning) == ("CandidateRestarting", True)
    said = {one.type: (one.status, one.reason) for one in first.status.conditions}
    assert said["CanarySteady"] == ("False", "CandidateRestarting")
    assert first.status.attempt.stage == world.status.attempt.stage
    later = world.but(status=first.status, now=NOW + 5)
    assert (later.decide().why.policy, later.decide().actions) == ("measure", ())


def test_the_next_stage_begins_without_it_and_its_own_restarts_are_news() -> None:
    first = restarted(NOW - 1, NOW - 1).decide()
    attempt = first.status.attempt
    stage = replace(attempt.stage, entered_at=NOW)
    next_stage = replace(first.status, attempt=replace(attempt, stage=stage))
    calm = restarted(NOW - 1, NOW - 1, status=next_stage).decide()
    assert "CanarySteady" not in {one.type for one in calm.status.conditions}
    assert told(restarted(NOW + 3, NOW + 3, status=calm.status, now=NOW + 4))


def test_containers_that_fail_are_a_reason_to_roll_back_and_not_this_one() -> None:
    world = restarted(NOW - 1)
    one = replace(world.seen.pods[-1], fault=Fault.EXITED)
    decision = world.but(pods=(*world.seen.pods[:-1], one)).decide()
    assert decision.why.policy == "breach"
    assert [one.reason for one in decision.actions if isinstance(one, Emit)] == ["RolledBack"]
