"""Which phase a Rollout is in, and that the chain leaves out only what would be silent."""

from __future__ import annotations

import pytest

from leadsman.core import decide
from leadsman.core.phases import Phase, phase_of
from leadsman.core.status import Direction, Heading
from leadsman.core.view import View

from .chain import check_left_out
from .worlds import NOW, World, at_rest, handing_over, middle, rolling_back


def phase(world: World) -> Phase:
    return phase_of(View(world.spec, world.status, world.seen, world.now))


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (middle(), Phase.MEASURING),
        (middle(measuring_since=None), Phase.SHIFTING),
        (middle(commanded_at=None, accepted_at=None, measuring_since=None), Phase.SHIFTING),
        (middle(commanded_at=None), Phase.SHIFTING),
        (middle(routed_at=None), Phase.SHIFTING),
        (middle(direction=Direction(Heading.STEPPING_BACK, NOW)), Phase.MEASURING),
        (handing_over(), Phase.HANDING_OVER),
        (handing_over(released_at=NOW), Phase.RELEASED),
        (rolling_back(), Phase.ROLLING_BACK),
        (rolling_back(released_at=NOW), Phase.RELEASED),
        (at_rest(), Phase.REST),
    ],
)
def test_the_phase_of(world, expected):
    assert phase(world) is expected
    check_left_out(world.spec, world.status, world.seen, world.now)


def test_every_policy_has_a_phase_and_every_phase_a_policy():
    assert all(phases for _, phases in decide.CHAIN)
    assert set().union(*(phases for _, phases in decide.CHAIN)) == set(Phase)


def test_the_order_is_the_same_in_every_phase():
    order = [policy for policy, _ in decide.CHAIN]
    assert len(order) == len(set(order))
    for some in decide._IN_PHASE:
        places = [order.index(policy) for policy in some]
        assert places == sorted(places)
