"""The judge `sampleRatio`: does the canary get the part of the traffic that was commanded?

A broken split says nothing about the release and everything about the comparison: the verdict is
Confounded, with the reason SampleRatioMismatch, and the stage holds. Routers round and restart, so
a share within a twentieth of the weight counts as honoured.
"""

from __future__ import annotations

from functools import lru_cache

from leadsman.guards import absolute, share
from leadsman.guards.judges import SampleRatio
from leadsman.guards.memory import Memory, Place, State
from leadsman.guards.share import ShareSettings, ShareState
from leadsman.guards.verdict import Figures, Reason, Verdict
from leadsman.guards.windows import Block

SLACK = 0.05
"""The part of the weight that the arrived share may be off."""
ENOUGH = 200.0
"""Requests under one weight before a split counts as checked."""


@lru_cache(maxsize=64)
def _settings(alpha: float) -> ShareSettings:
    return ShareSettings(alpha=alpha, slack=SLACK)


def start(spec: SampleRatio, place: Place) -> State:
    """No evidence yet."""
    del spec, place
    return ShareState()


def step(spec: SampleRatio, place: Place, state: State, block: Block) -> State:
    """Add a block; one that was counted changes nothing."""
    if not isinstance(state, ShareState):
        return state
    weight = place.weight / 100
    return share.update(_settings(spec.alpha), state, block.at, weight, block.canary, block.stable)


def fails(spec: SampleRatio, place: Place, state: State) -> bool:
    """Never: a broken split is no fault of the release."""
    del spec, place, state
    return False


def present(spec: SampleRatio, place: Place, state: State) -> tuple[float, float]:
    """The log evidence of now, and its limit."""
    del place
    return (state.log_e if isinstance(state, ShareState) else 0.0), _settings(spec.alpha).limit


def judged(spec: SampleRatio, place: Place, memory: Memory) -> tuple[Verdict, Reason, bool]:
    """Confounded while the split is broken, Inconclusive before it was checked."""
    state = memory.state
    if not isinstance(state, ShareState):
        return Verdict.INCONCLUSIVE, Reason.INSUFFICIENT_DATA, False
    if state.log_e >= _settings(spec.alpha).limit:
        return Verdict.CONFOUNDED, Reason.SAMPLE_RATIO_MISMATCH, True
    if state.total < ENOUGH and 0 < place.weight < 100:
        return Verdict.INCONCLUSIVE, Reason.INSUFFICIENT_DATA, False
    return Verdict.PASS, Reason.WITHIN_LIMIT, False


def limit(spec: SampleRatio, memory: Memory) -> float | None:
    """The commanded share."""
    del spec
    state = memory.state
    return state.weight if isinstance(state, ShareState) else None


def figures(spec: SampleRatio, place: Place, memory: Memory) -> Figures:
    """What people read about the evidence."""
    del place
    state = memory.state
    if not isinstance(state, ShareState):
        return Figures("share")
    low, high = absolute.interval(state.total, state.canary)
    settings = _settings(spec.alpha)
    return Figures(
        kind="share",
        estimate=state.canary / state.total if state.total else None,
        low=low,
        high=high,
        log_e=state.log_e,
        log_limit=settings.limit,
        information=min(1.0, state.total / ENOUGH),
        detectable=share.detectable(settings, state),
        blocks=memory.blocks,
        requests=int(memory.canary),
    )
