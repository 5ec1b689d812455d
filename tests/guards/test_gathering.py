"""Judges that gather: what each says of blocks, of none, and of what it was told before."""

from __future__ import annotations

from typing import Any

import pytest

from leadsman.guards.gathering import GATHERING, conclude, figures_of, gather
from leadsman.guards.judges import (
    Absolute,
    Gathering,
    NegativeControl,
    NonInferiority,
    Relative,
    SampleRatio,
    Sequential,
    SequentialMean,
    judge,
)
from leadsman.guards.memory import Gathered, Place, decode_memory, encode_memory
from leadsman.guards.windows import Block, Reading, Window

SEQUENTIAL = Sequential(0.1, 0.01, 4, 2.0)


def blocks(
    count: int, canary: float, canary_bad: float, stable: float = 300, stable_bad: float = 3
) -> tuple[Block, ...]:
    return tuple(
        Block(float(t), t + 1.0, canary, canary_bad, stable, stable_bad)
        for t in range(1, count + 1)
    )


def reading(*, error: str = "", traffic: bool = True) -> Reading:
    return Reading("g", (Window(9.0, 100.0 if traffic else 0.0, 0.0),), (), error, 9.0)


PLACE = Place(0, 0, 25)

ROWS: dict[str, tuple[Gathering, tuple[Block, ...], str, str]] = {
    "three times the errors are harm": (
        SEQUENTIAL, blocks(60, 100, 3), "Fail", "HarmDetected",
    ),
    "the same rate with much evidence passes": (
        SEQUENTIAL, blocks(200, 100, 1), "Pass", "NoHarmSeen",
    ),
    "the same rate with little evidence is open": (
        SEQUENTIAL, blocks(5, 100, 1), "Inconclusive", "InsufficientData",
    ),
    "no block yet is a warm-up": (SEQUENTIAL, (), "Inconclusive", "WarmingUp"),
    "no error in either arm is no evidence": (
        SEQUENTIAL, blocks(500, 100, 0, 300, 0), "Inconclusive", "InsufficientData",
    ),
    "errors of both arms alike are no harm, however many": (
        SEQUENTIAL, blocks(100, 100, 10, 300, 30), "Pass", "NoHarmSeen",
    ),
    "above an absolute limit": (
        Absolute(0.01, 0.01), blocks(100, 100, 3), "Fail", "HarmDetected",
    ),
    "below an absolute limit": (
        Absolute(0.05, 0.01), blocks(100, 100, 1), "Pass", "NoHarmSeen",
    ),
    "an absolute limit needs twenty expected events": (
        Absolute(0.05, 0.01), blocks(3, 100, 1), "Inconclusive", "InsufficientData",
    ),
    "shown to be no worse": (
        NonInferiority(0.02), blocks(400, 100, 1), "Pass", "NotInferior",
    ),
    "not yet shown to be no worse": (
        NonInferiority(0.0001), blocks(50, 100, 1), "Inconclusive", "InsufficientData",
    ),
    "shown to be worse": (
        NonInferiority(0.01), blocks(200, 100, 8), "Fail", "HarmDetected",
    ),
    "halves that are alike": (
        NegativeControl(), blocks(100, 100, 1, 100, 1), "Pass", "NoHarmSeen",
    ),
    "halves that differ": (
        NegativeControl(), blocks(100, 100, 0, 100, 4), "Confounded", "Confounded",
    ),
    "halves that differ the other way": (
        NegativeControl(), blocks(100, 100, 4, 100, 0), "Confounded", "Confounded",
    ),
    "the split is honoured": (SampleRatio(), blocks(50, 100, 0), "Pass", "WithinLimit"),
    "the split is broken": (
        SampleRatio(), blocks(50, 200, 0), "Confounded", "SampleRatioMismatch",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "seen", "verdict", "reason"), ROWS.values(), ids=ROWS)
def test_verdicts(spec: Gathering, seen: tuple[Block, ...], verdict: str, reason: str) -> None:
    found = gather(spec, PLACE, Gathered(), seen)
    judged = conclude(spec, PLACE, found, reading())
    assert (judged.verdict, judged.reason) == (verdict, reason)
    assert (figures_of(spec, PLACE, found.memory) is None) == (not seen)


def means(count: int, canary: float, stable: float) -> tuple[Block, ...]:
    return tuple(
        Block(float(t), t + 1.0, 10, 10 * (canary + t % 3 * 0.01), 30, 30 * (stable + t % 5 * 0.01))
        for t in range(1, count + 1)
    )


@pytest.mark.parametrize("dark", [{"error": "Stale"}, {"error": "Pending"}, {"traffic": False}])
def test_darkness_takes_no_count_away(dark: dict[str, Any]) -> None:
    found = gather(SEQUENTIAL, PLACE, Gathered(), blocks(50, 100, 1))
    before = conclude(SEQUENTIAL, PLACE, found, reading())
    judged = conclude(SEQUENTIAL, PLACE, found, reading(**dark))
    assert judged.verdict == "NoData"
    assert (judged.events, judged.value, judged.limit) == (5000, 0.01, before.limit)
    assert conclude(SEQUENTIAL, PLACE, Gathered(), reading(**dark)).events == 0


@pytest.mark.parametrize(
    ("canary", "blocks_seen", "verdict"),
    [(0.30, 60, "Fail"), (0.105, 60, "Pass"), (0.30, 10, "Inconclusive")],
)
def test_a_mean_is_compared_by_its_margin(canary: float, blocks_seen: int, verdict: str) -> None:
    spec = SequentialMean(0.05, 0.01)
    found = gather(spec, PLACE, Gathered(), means(blocks_seen, canary, 0.10))
    assert conclude(spec, PLACE, found, reading()).verdict == verdict


@pytest.mark.parametrize(
    ("canary", "stable", "lower", "verdict"),
    [(0.5, 0.9, True, "Fail"), (0.9, 0.5, True, "Pass"), (0.5, 0.9, False, "Pass")],
    ids=["a score fell", "a score rose", "a duration fell"],
)
def test_which_way_a_mean_is_worse(canary: float, stable: float, lower: bool, verdict: str) -> None:
    spec = SequentialMean(0.05, 0.01, higher_is_worse=not lower)
    found = gather(spec, PLACE, Gathered(), means(40, canary, stable))
    assert conclude(spec, PLACE, found, reading()).verdict == verdict
    figures = figures_of(spec, PLACE, found.memory)
    assert figures is not None
    assert figures.detectable is not None
    assert (figures.detectable < 0) == lower
    assert abs(figures.detectable) > spec.margin


def test_a_mean_passes_only_once_the_design_would_have_been_shown() -> None:
    seen = means(400, 0.105, 0.10)
    at = []
    for ratio in (1.5, 1.47, 1.45):
        spec = SequentialMean(0.05, 0.01, ratio)
        passes = (
            number
            for number in range(1, 401)
            if conclude(
                spec, PLACE, gather(spec, PLACE, Gathered(), seen[:number]), reading()
            ).verdict
            == "Pass"
        )
        at.append(next(passes))
    assert 20 < at[0] < at[1] < at[2]


ALL = [
    SEQUENTIAL,
    Absolute(0.02),
    NonInferiority(0.01),
    SequentialMean(0.05),
    NegativeControl(),
    SampleRatio(),
]


def test_no_judge_that_gathers_is_left_out() -> None:
    assert {type(one) for one in ALL} == set(GATHERING)


@pytest.mark.parametrize("spec", ALL, ids=lambda one: type(one).__name__)
def test_memory_is_small_and_comes_back_to_the_bit_after_any_block(spec: Gathering) -> None:
    seen = blocks(40, 97, 2)
    whole = gather(spec, Place(3, 0, 25), Gathered(), seen)
    for cut in (1, 7, 39):
        half = gather(spec, Place(3, 0, 25), Gathered(), seen[:cut])
        text = encode_memory(half.memory)
        assert len(text) <= 1024
        again = Gathered(decode_memory(text), half.row, half.failing_since)
        assert again.memory == half.memory
        # The blocks before the cut a second time change nothing.
        assert gather(spec, Place(3, 0, 25), again, seen) == whole


def test_the_longest_memory_of_a_guard_and_of_a_slice_fit_their_places() -> None:
    spec = Sequential(0.1, 0.01, 30, 1.5, slice_alpha=0.001)
    found, part = Gathered(), Gathered()
    for stage in range(30):
        start = 1000.0 * (stage + 1)
        block = (Block(start + 1 / 3, start + 10 / 9, 1e9 / 7, 1e5 / 7, 1e10 / 3, 1e6 / 3),)
        found = gather(spec, Place(stage), found, block)
        part = gather(spec, Place(stage, sliced=True), part, block)
    assert len(encode_memory(found.memory)) <= 1024
    assert len(encode_memory(part.memory)) <= 512


@pytest.mark.parametrize("text", ["", "x", "t1.", "t1AAAA.r1AAAA", "t1AAAAAAAAAAA"])
def test_text_that_is_no_memory_is_none(text: str) -> None:
    assert decode_memory(text) is None


MISSING = {
    "a query that failed": ({"error": "Timeout"}, "NoData", "MetricsUnavailable"),
    "a stale source": ({"error": "Stale"}, "NoData", "Stale"),
    "no series at all": ({"error": "Empty"}, "NoData", "NoTraffic"),
    "nothing asked yet": ({"error": "Pending"}, "NoData", "InsufficientData"),
    "no request of the canary": ({"traffic": False}, "NoData", "NoTraffic"),
}


@pytest.mark.parametrize(("seen", "verdict", "reason"), MISSING.values(), ids=MISSING)
def test_without_data_nothing_passes_and_nothing_is_forgotten(
    seen: dict[str, Any], verdict: str, reason: str
) -> None:
    found = gather(SEQUENTIAL, PLACE, Gathered(), blocks(200, 100, 1))
    judged = conclude(SEQUENTIAL, PLACE, found, reading(**seen))
    assert (judged.verdict, judged.reason) == (verdict, reason)
    assert gather(SEQUENTIAL, PLACE, found, ()) is found


def test_harm_that_was_shown_stays_shown_without_data() -> None:
    found = gather(SEQUENTIAL, PLACE, Gathered(), blocks(60, 100, 3))
    assert conclude(SEQUENTIAL, PLACE, found, reading(error="Timeout")).verdict == "Fail"
    later = tuple(block._replace(start=block.start + 100, at=block.at + 100, canary_bad=0.0)
                  for block in blocks(60, 100, 0))  # fmt: skip
    healed = gather(SEQUENTIAL, PLACE, found, later)
    assert conclude(SEQUENTIAL, PLACE, healed, reading()).verdict == "Fail"
    assert healed.row == found.row + 60
    assert healed.failing_since == found.failing_since


def test_a_gap_is_one_larger_block_with_the_same_counts() -> None:
    small = gather(SEQUENTIAL, PLACE, Gathered(), blocks(30, 100, 1))
    large = gather(SEQUENTIAL, PLACE, Gathered(), (Block(1.0, 31.0, 3000.0, 30.0, 9000.0, 90.0),))
    assert small.memory is not None
    assert large.memory is not None
    assert small.memory[2:6] == large.memory[2:6]
    assert conclude(SEQUENTIAL, PLACE, large, reading()).verdict != "Fail"


WRONG = [
    Block(5.0, 5.0, 100, 50, 100, 0),
    Block(9.0, 6.0, 100, 50, 100, 0),
    Block(5.0, 6.0, float("nan"), 50, 100, 0),
    Block(5.0, 6.0, 100, 500, 100, 0),
    Block(5.0, float("inf"), 100, 50, 100, 0),
    Block(5.0, 6.0, -100, 50, 100, 0),
]


@pytest.mark.parametrize("block", WRONG, ids=repr)
def test_a_block_that_is_not_sound_changes_no_evidence(block: Block) -> None:
    found = gather(SEQUENTIAL, PLACE, Gathered(), blocks(3, 100, 1))
    again = gather(SEQUENTIAL, PLACE, found, (block,))
    assert again.memory is not None
    assert found.memory is not None
    assert again == found


def test_retries_of_a_revision_need_twice_the_evidence_each() -> None:
    limits = []
    for retry in range(3):
        found = gather(SEQUENTIAL, Place(retry=retry), Gathered(), blocks(2, 100, 1))
        figures = figures_of(SEQUENTIAL, Place(retry=retry), found.memory)
        assert figures is not None
        assert figures.log_limit is not None
        limits.append(figures.log_limit)
    assert limits[1] - limits[0] == pytest.approx(0.6931, abs=1e-4)
    assert limits[2] - limits[1] == pytest.approx(0.6931, abs=1e-4)


RELATIVE = {
    "twice stable's share": (Window(9, 1000, 20), Window(9, 4000, 40), "Fail"),
    "as good as stable": (Window(9, 1000, 10), Window(9, 4000, 40), "Pass"),
    "the canary's first error while stable has none": (
        Window(9, 1000, 1), Window(9, 400, 0), "Pass",
    ),
    "too few requests of stable": (Window(9, 1000, 90), Window(9, 40, 0), "Inconclusive"),
    "too few requests of the canary": (Window(9, 40, 30), Window(9, 400, 0), "Inconclusive"),
}  # fmt: skip


@pytest.mark.parametrize(("canary", "stable", "verdict"), RELATIVE.values(), ids=RELATIVE)
def test_relative(canary: Window, stable: Window, verdict: str) -> None:
    spec = Relative(1.5, 60.0, 50)
    assert judge(spec, Reading("g", (canary,), (stable,), "", 9.0)).verdict == verdict
