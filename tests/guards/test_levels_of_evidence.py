"""Warning is told of each judge of evidence while it is within a tenth of what it takes to fail."""

from __future__ import annotations

from collections.abc import Callable
from math import log

import pytest

from leadsman.guards.gathering import conclude, figures_of, gather
from leadsman.guards.judges import Absolute, Gathering, Sequential, SequentialMean
from leadsman.guards.memory import Gathered, Place
from leadsman.guards.verdict import Level, Verdict
from leadsman.guards.windows import Block, Reading, Window

PLACE = Place(stage=0, retry=0, weight=20)
READ = Reading("g", (Window(1.0, 10, 0),), (Window(1.0, 10, 0),), "", 1.0)


def errors(number: int) -> Block:
    """Canary fails two in a hundred, stable one."""
    return Block(number * 5.0, number * 5.0 + 5, 100, 2, 400, 4)


def seconds(number: int) -> Block:
    """The canary's mean is a bit higher than stable's, and neither is the same twice."""
    wobble = (0.0, 0.2, -0.15, 0.1, -0.2, 0.05)[number % 6]
    return Block(number * 5.0, number * 5.0 + 5, 100, 100 * (1.06 + wobble), 400, 400)


@pytest.mark.parametrize(
    ("spec", "block"),
    [
        (Sequential(tolerance=0.0, design_ratio=2.0), errors),
        (Absolute(max=0.01), errors),
        (SequentialMean(margin=0.03), seconds),
    ],
    ids=["sequential", "absolute", "sequentialMean"],
)
def test_close_to_harm_is_a_warning_and_farther_is_none(
    spec: Gathering, block: Callable[[int], Block]
) -> None:
    found, levels = Gathered(), []
    for number in range(400):
        found = gather(spec, PLACE, found, (block(number),))
        judged = conclude(spec, PLACE, found, READ)
        if judged.verdict is Verdict.FAIL:
            break
        assert found.memory is not None
        shown = figures_of(spec, PLACE, found.memory)
        assert shown.log_e is not None
        assert shown.log_limit is not None
        close = shown.log_e >= shown.log_limit - log(10)
        assert judged.level is (Level.WARNING if close else Level.NONE)
        levels.append(judged.level)
    assert judged.verdict is Verdict.FAIL
    assert set(levels) == {Level.WARNING, Level.NONE}
