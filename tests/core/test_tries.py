"""Retries of one revision spend its budget of false rollbacks, however long the history is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leadsman.core.evidence import place
from leadsman.core.policies.unwinding import ended
from leadsman.core.status import HISTORY, Past, Status
from leadsman.core.tries import MOST, tries
from leadsman.core.view import View
from leadsman.guards import budget
from leadsman.runtime.codec import decode_status, encode_status
from tests.core.worlds import NOW, World, middle


def past(outcome: str = "RolledBack", revision: str = "new", counted: int = 0) -> Past:
    return Past(revision, 1, outcome, NOW, NOW, 5, tries=counted)


def over(world: World, outcome: str) -> Status:
    """The status after the world's attempt, as a restarted operator reads it."""
    view = View(world.spec, world.status, world.seen, world.now)
    return decode_status(encode_status(ended(view, outcome, "GuardFailed", "errors"))).status


def test_the_twenty_fifth_try_of_a_revision_has_the_budget_of_the_twenty_fourth_retry() -> None:
    world = middle()
    attempt = world.status.attempt
    spent = []
    for _ in range(25):
        spent.append(budget.of_attempt(0.01, place(world.status).retry))
        status = over(world, "RolledBack")
        assert len(status.history) <= HISTORY
        world = replace(world, status=replace(status, attempt=attempt))
    assert spent == [0.01 / 2**retry for retry in range(25)]
    assert sum(spent) < 0.02


def test_a_promotion_is_no_try_and_gives_nothing_back() -> None:
    world = middle()
    attempt = world.status.attempt
    for outcome in ["RolledBack", "Promoted"] * HISTORY:
        world = replace(world, status=replace(over(world, outcome), attempt=attempt))
    assert place(world.status).retry == HISTORY


@pytest.mark.parametrize(
    ("history", "found"),
    [
        ((), 0),
        ((past(), past("Aborted"), past("Promoted")), 2),
        ((past(counted=23), past(counted=24)), 24),
        ((past(counted=23), past()), 24),
        ((past(counted=23), past(counted=-3)), 24),
        ((past(counted=23), past(counted=MOST)), 24),
        ((past(counted=23), past(revision="other", counted=2)), 23),
        ((past(counted=23), past("Promoted")), 23),
    ],
    ids=[
        "never tried",
        "a history without counts is counted",
        "the newest entry knows",
        "a missing count",
        "a count below zero",
        "a count that cannot be",
        "another revision's tries are its own",
        "a promotion without a count",
    ],
)
def test_a_count_that_is_missing_or_damaged_is_that_of_the_entries(
    history: tuple[Past, ...], found: int
) -> None:
    assert tries(history, "new") == found
