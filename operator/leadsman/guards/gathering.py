"""Judges that gather evidence: block by block, remembered from pass to pass and over restarts.

A window is forgotten when it has been judged; what these judges count stays counted. `gather` puts
the new blocks on top of what is remembered, `conclude` says what that shows, `figures_of` what
people read of it. All are pure, and a block that was counted already changes nothing, so the same
reading can be judged twice.

Fail is decided by what was counted and by nothing else: a source that goes silent afterwards does
not take it back. Everything short of Fail needs data that are there now.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, Protocol, TypeGuard

from leadsman.guards import band, bounds, ratios, splits
from leadsman.guards.blocks import usable
from leadsman.guards.judges import (
    Absolute,
    Gathering,
    JudgeSpec,
    NegativeControl,
    NonInferiority,
    SampleRatio,
    Sequential,
    SequentialMean,
    reason_of,
)
from leadsman.guards.memory import Gathered, Memory, Place, State
from leadsman.guards.verdict import Figures, Judged, Level, Reason, Verdict
from leadsman.guards.windows import Block, Reading


class Method(Protocol):
    """One family of statistics: the module of its judges has these functions."""

    def start(self, spec: Any, place: Place) -> State:
        """No evidence yet."""
        ...

    def step(self, spec: Any, place: Place, state: State, block: Block) -> State:
        """Add a block; one that was counted changes nothing."""
        ...

    def fails(self, spec: Any, place: Place, state: State) -> bool:
        """Whether harm is shown."""
        ...

    def present(self, spec: Any, place: Place, state: State) -> tuple[float, float]:
        """What is compared with a limit, as of the last block, and the limit."""
        ...

    def judged(self, spec: Any, place: Place, memory: Memory) -> tuple[Verdict, Reason, bool]:
        """Verdict and reason where no harm is shown, and whether it is close to that."""
        ...

    def limit(self, spec: Any, memory: Memory) -> float | None:
        """The share that would just be tolerated."""
        ...

    def figures(self, spec: Any, place: Place, memory: Memory) -> Figures:
        """What people read about the evidence."""
        ...


_RATIOS: Method = ratios
_BOUNDS: Method = bounds
_SPLITS: Method = splits
_METHODS: dict[type, Method] = {
    Sequential: _RATIOS,
    NegativeControl: _RATIOS,
    Absolute: _BOUNDS,
    NonInferiority: _BOUNDS,
    SequentialMean: _BOUNDS,
    SampleRatio: _SPLITS,
}
_START = Gathered()

GATHERING = (Sequential, NonInferiority, SequentialMean, Absolute, NegativeControl, SampleRatio)
"""The judges of this module, for isinstance."""


def gathers(spec: JudgeSpec) -> TypeGuard[Gathering]:
    """Whether a judge gathers evidence; several times as fast as isinstance, in every pass."""
    return type(spec) in _METHODS


def gather(
    spec: Gathering,
    place: Place,
    before: Gathered,
    blocks: tuple[Block, ...],
    hysteresis: float = 0.0,
) -> Gathered:
    """Put blocks, oldest first, on top of what was gathered before; the same object if none counts.

    Evidence of another kind of judge is dropped. `hysteresis`, a share of the limit: a guard that
    fails stays in its row until its present evidence has fallen so far below the limit; a block
    between the two neither counts nor ends the row.
    """
    method = _METHODS[type(spec)]
    memory, row, since = before
    for block in blocks:
        if not _is_sound(spec, block, 0.0 if memory is None else memory.at):
            continue
        if memory is None:
            drawn = isinstance(spec, Sequential) and not place.sliced
            memory = Memory(
                0.0,
                0,
                0.0,
                0.0,
                0.0,
                0.0,
                method.start(spec, place),
                band.RatioBand() if drawn else None,
            )
        state = method.step(spec, place, memory.state, block)
        picture = memory.band
        if picture is not None and isinstance(spec, Sequential):
            picture = band.update(ratios.settings_of(spec, place.retry), picture, block)
        memory = Memory(
            block.at,
            memory.blocks + 1,
            memory.canary + block.canary,
            memory.canary_bad + block.canary_bad,
            memory.stable + block.stable,
            memory.stable_bad + block.stable_bad,
            state,
            picture,
        )
        if not hysteresis:
            failing = method.fails(spec, place, state)
        else:
            failing = _shows_harm(spec, place, state)
            if row and not failing and _is_above(method.present(spec, place, state), hysteresis):
                continue
        row = row + 1 if failing else 0
        since = (block.at if since is None else since) if failing else None
    return before if memory is before.memory else Gathered(memory, row, since)


def _is_above(present: tuple[float, float], hysteresis: float = 0.0) -> bool:
    """Whether what is compared has not fallen below its limit by a share of it.

    Of evidence the logarithms are compared. Below a limit of 0 nothing lies between.
    """
    value, limit = present
    if not hysteresis:
        return value >= limit
    return value > limit - hysteresis * abs(limit)


def _is_sound(spec: Gathering, block: Block, after: float) -> bool:
    if not isinstance(spec, SequentialMean):
        return usable(block, after)
    # The sum of a mean may be of any size and sign.
    return (
        after <= block.start < block.at
        and all(map(isfinite, block))
        and block.canary >= 0
        and block.stable >= 0
    )


def conclude(
    spec: Gathering,
    place: Place,
    found: Gathered,
    reading: Reading,
    hysteresis: float = 0.0,
) -> Judged:
    """Say what the evidence shows, given what is known now; `hysteresis` is that of `gather`.

    A silent source, such as under a new weight until its first sample, takes no verdict of harm
    back and no count away: the events are those of the whole attempt at all times. Harm that an
    e-value showed once stays shown, unless a hysteresis says when it is over.
    """
    memory, last = found.memory, reading.last_sample
    within = False
    if memory is not None and found.row:
        if not hysteresis or _shows_harm(spec, place, memory.state):
            return _shown(spec, memory, Verdict.FAIL, Reason.HARM_DETECTED, Level.CRITICAL, last)
        within = True
    dark = _dark(reading)
    if memory is None:
        if dark is not None:
            return Judged(Verdict.NO_DATA, dark, None, None, 0, last)
        return Judged(Verdict.INCONCLUSIVE, Reason.WARMING_UP, None, None, 0, last)
    if dark is not None:
        return _shown(spec, memory, Verdict.NO_DATA, dark, Level.NONE, last)
    if within:
        return _shown(spec, memory, Verdict.INCONCLUSIVE, Reason.UNCONFIRMED, Level.NONE, last)
    verdict, reason, near = _METHODS[type(spec)].judged(spec, place, memory)
    return _shown(spec, memory, verdict, reason, Level.WARNING if near else Level.NONE, last)


def _shows_harm(spec: Gathering, place: Place, state: State) -> bool:
    """Whether the evidence of this moment is harm, whatever was shown before."""
    method = _METHODS[type(spec)]
    return method.fails(spec, place, state) and _is_above(method.present(spec, place, state))


def _dark(reading: Reading) -> Reason | None:
    """Why nothing is known of the canary now; None where something is."""
    if reading.error:
        return reason_of(reading.error)
    if not reading.canary or reading.canary[-1].total <= 0:
        return Reason.NO_TRAFFIC
    return None


def figures_of(spec: Gathering, place: Place, memory: Memory | None) -> Figures | None:
    """Return the figures of the evidence for people; None before there is any."""
    return None if memory is None else _METHODS[type(spec)].figures(spec, place, memory)


def _shown(
    spec: Gathering,
    memory: Memory,
    verdict: Verdict,
    reason: Reason,
    level: Level,
    last: float | None,
) -> Judged:
    value: float | None = None
    if memory.canary > 0 and not isinstance(spec, SequentialMean):
        value = min(1.0, memory.canary_bad / memory.canary)
    limit = _METHODS[type(spec)].limit(spec, memory)
    return Judged(verdict, reason, value, limit, int(memory.canary), last, level)
