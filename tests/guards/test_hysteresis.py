"""Hysteresis of the judges that gather: when a guard that failed is well again, and when not."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadsman.guards import bounds, ratios
from leadsman.guards.gathering import conclude, gather
from leadsman.guards.judges import (
    Absolute,
    Gathering,
    NonInferiority,
    Sequential,
    SequentialMean,
)
from leadsman.guards.memory import Gathered, Place
from leadsman.guards.verdict import Judged
from leadsman.guards.windows import Block, Reading, Window

PLACE = Place(0, 0, 25)
SEQUENTIAL = Sequential(0.0, 0.01, 1, 2.0)
EVIDENCE = (SEQUENTIAL, Absolute(0.02))
BOUNDS = (NonInferiority(0.01), SequentialMean(0.01))
LIT = Reading("g", (Window(9.0, 100.0, 1.0),), (), "", 9.0)
DARK = Reading("g", (), (), "Timeout", 9.0)


def blocks(bad: list[int]) -> tuple[Block, ...]:
    """Blocks of a second in which so many of the canary's 100 requests fail, 2 of stable's 200."""
    return tuple(Block(float(t), t + 1.0, 100, n, 200, 2) for t, n in enumerate(bad, 1))


def course(spec: Gathering, seen: tuple[Block, ...], hysteresis: float) -> list[Gathered]:
    def add(found: Gathered, block: Block) -> Gathered:
        return gather(spec, PLACE, found, (block,), hysteresis)

    return list(accumulate(seen, add, initial=Gathered()))[1:]


class Row(NamedTuple):
    """What a guard's row must be, from nothing but what is compared with the limit."""

    count: int = 0
    since: float | None = None

    def then(self, at: float, value: float, limit: float, hysteresis: float) -> Row:
        if value >= limit:
            return Row(self.count + 1, at if self.since is None else self.since)
        return self if value > limit * (1 - hysteresis) else Row()


def compared(spec: Gathering, found: Gathered) -> tuple[float, float]:
    assert found.memory is not None
    method = ratios if isinstance(spec, Sequential) else bounds
    return method.present(spec, PLACE, found.memory.state)  # type: ignore[arg-type]


counts = st.lists(st.sampled_from([0, 0, 2, 2, 8]), min_size=30, max_size=90)


@pytest.mark.parametrize("spec", EVIDENCE + BOUNDS, ids=lambda one: type(one).__name__)
@given(counts, st.sampled_from([0.05, 0.3, 0.9]))
@settings(max_examples=15, deadline=None)
def test_a_row_lasts_until_the_evidence_is_below_its_limit_by_the_hysteresis(
    spec: Gathering, bad: list[int], hysteresis: float
) -> None:
    seen, row = blocks(bad), Row()
    for block, found in zip(seen, course(spec, seen, hysteresis), strict=True):
        value, limit = compared(spec, found)
        row = row.then(block.at, value, limit, hysteresis)
        assert (found.row, found.failing_since) == row
        judged = conclude(spec, PLACE, found, LIT, hysteresis)
        assert (judged.verdict == "Fail") == (value >= limit)
        assert (judged.reason == "Unconfirmed") == (row.count > 0 and value < limit)


@pytest.mark.parametrize("spec", EVIDENCE + BOUNDS, ids=lambda one: type(one).__name__)
@given(counts)
@settings(max_examples=10, deadline=None)
def test_without_hysteresis_a_row_ends_with_the_first_block_that_shows_no_harm(
    spec: Gathering, bad: list[int]
) -> None:
    seen = blocks(bad)
    row, largest = Row(), float("-inf")
    for block, found in zip(seen, course(spec, seen, 0.0), strict=True):
        value, limit = compared(spec, found)
        largest = max(largest, value)
        # An e-value that reached its limit once has shown harm for good.
        shown = largest if spec in EVIDENCE else value
        row = row.then(block.at, shown, limit, 0.0)
        assert (found.row, found.failing_since) == row
        assert (conclude(spec, PLACE, found, LIT).verdict == "Fail") == (row.count > 0)
    assert found == gather(spec, PLACE, Gathered(), seen)


@pytest.mark.parametrize("spec", EVIDENCE + BOUNDS, ids=lambda one: type(one).__name__)
def test_a_hysteresis_never_touches_the_evidence_itself(spec: Gathering) -> None:
    seen = blocks([8] * 25 + [0] * 30)
    plain = [found.memory for found in course(spec, seen, 0.0)]
    assert [found.memory for found in course(spec, seen, 0.5)] == plain


def at_dip(spec: Gathering, hysteresis: float) -> tuple[Gathered, Gathered, Gathered]:
    """A guard that fails, the first block after it within the hysteresis, and the first beyond."""
    found = course(spec, blocks([8] * 25 + [0] * 400), hysteresis)
    failed = next(n for n, one in enumerate(found) if one.row)
    value_of = [compared(spec, one) for one in found]
    dip = next(n for n in range(failed, 425) if value_of[n][0] < value_of[n][1])
    well = next(n for n in range(dip, 425) if not found[n].row)
    return found[dip - 1], found[dip], found[well]


def said(spec: Gathering, found: Gathered, reading: Reading = LIT) -> tuple[str, str]:
    judged: Judged = conclude(spec, PLACE, found, reading, 0.4)
    return str(judged.verdict), str(judged.reason)


@pytest.mark.parametrize("spec", EVIDENCE + BOUNDS, ids=lambda one: type(one).__name__)
def test_a_dip_within_the_hysteresis_is_unconfirmed_and_below_it_the_guard_is_well(
    spec: Gathering,
) -> None:
    failing, dip, well = at_dip(spec, 0.4)
    assert said(spec, failing) == said(spec, failing, DARK) == ("Fail", "HarmDetected")
    assert said(spec, dip) == ("Inconclusive", "Unconfirmed")
    assert (dip.row, dip.failing_since) == (failing.row, failing.failing_since)
    assert said(spec, dip, DARK) == ("NoData", "MetricsUnavailable")
    assert said(spec, well)[0] in {"Pass", "Inconclusive"}
    assert said(spec, well)[1] != "Unconfirmed"
    assert (well.row, well.failing_since) == (0, None)
