"""Blocks: the pieces of time in which the two arms are compared.

A block begins where the one before it ended, the first one when the weight arrived. It ends at the
first sample, at least a second later, by which each arm has been sampled again. So it lasts one
interval of the slower arm, a gap becomes one larger block, and nothing in it depends on when
somebody looked: the samples alone decide, and a replay of them gives the same bits. What arrives
late, with a time inside a block that is already complete, is left out of the blocks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import isfinite
from typing import NamedTuple

from leadsman.guards.windows import SLACK, ArmCounts, Block

__all__ = ["Block", "blocks", "cut", "usable"]

SHORTEST = 1.0
"""The least length of a block, seconds."""


class Running(NamedTuple):
    """One arm: sample times in rising order and the sums up to each, and the sums before the first.

    `times` are Unix seconds; `total` and `bad` are as long as `times`.
    """

    times: list[float]
    total: list[float]
    bad: list[float]
    total_before: float = 0.0
    bad_before: float = 0.0


def blocks(canary: ArmCounts, stable: ArmCounts, since: float, after: float) -> tuple[Block, ...]:
    """Return the complete blocks that start at or after `after`, oldest first.

    `since` is when the weight arrived and `after` the end of the last block that was used (anything
    earlier than `since` if there is none), both Unix seconds.
    """
    return cut(_running(canary), _running(stable), max(since, after))


def cut(canary: Running, stable: Running, start: float) -> tuple[Block, ...]:
    """Cut two arms into blocks from Unix time `start` on."""
    found: list[Block] = []
    while (end := _end(canary.times, stable.times, start)) is not None:
        events, bad = _between(canary, start, end)
        others, others_bad = _between(stable, start, end)
        found.append(Block(start, end, events, bad, others, others_bad))
        start = end
    return tuple(found)


def usable(block: Block, after: float) -> bool:
    """Whether a block is sound, and none of it lies before `after` (Unix seconds)."""
    return (
        block.start >= after
        and block.at > block.start
        and isfinite(block.at)
        and 0 <= block.canary_bad <= block.canary < 1e15
        and 0 <= block.stable_bad <= block.stable < 1e15
    )


def _running(arm: ArmCounts) -> Running:
    return Running(
        arm._times,  # noqa: SLF001 (read only: the sums are kept in time order there)
        arm._total,  # noqa: SLF001
        arm._bad,  # noqa: SLF001
        arm._total_before,  # noqa: SLF001
        arm._bad_before,  # noqa: SLF001
    )


def _end(canary: list[float], stable: list[float], start: float) -> float | None:
    first, other = bisect_right(canary, start), bisect_right(stable, start)
    if first == len(canary) or other == len(stable):
        return None
    earliest = max(canary[first], stable[other], start + SHORTEST - SLACK)
    first, other = bisect_left(canary, earliest, first), bisect_left(stable, earliest, other)
    ends = canary[first : first + 1] + stable[other : other + 1]
    return min(ends, default=None)


def _between(arm: Running, start: float, end: float) -> tuple[float, float]:
    before, last = bisect_right(arm.times, start) - 1, bisect_right(arm.times, end) - 1
    total = arm.total[last] - (arm.total[before] if before >= 0 else arm.total_before)
    bad = arm.bad[last] - (arm.bad[before] if before >= 0 else arm.bad_before)
    return total, min(max(bad, 0.0), total)
