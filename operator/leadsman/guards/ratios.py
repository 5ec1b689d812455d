"""The judges that compare two rates by the e-process: `sequential` and `negativeControl`.

`sequential` fails once the evidence of harm has ever reached its limit: what was shown stays shown.
It passes when so much evidence was gathered that the contract's design ratio would have been seen
(the information target), and not before. `negativeControl` compares two halves of stable's own
pods and is confounded while they differ: the traffic may settle, so that is taken back.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf

from leadsman.guards import absolute, band, budget, eprocess, power
from leadsman.guards.eprocess import RatioSettings, RatioState
from leadsman.guards.judges import NegativeControl, Sequential
from leadsman.guards.memory import Memory, Place, State
from leadsman.guards.verdict import EVIDENCE_BAND, Figures, Reason, Verdict
from leadsman.guards.windows import Block

LEAST_BEYOND = 1.2
"""A design ratio is at least so many times the tolerated one: nothing could show less."""

RESTARTS = 7
"""With so many restarts, totals and the interval's own sums fit into 1 kB of status."""

Spec = Sequential | NegativeControl


@lru_cache(maxsize=4096)
def settings_of(spec: Spec, retry: int = 0, *, sliced: bool = False) -> RatioSettings:
    """Return the settings of a judge; a slice has its own level and no restarts.

    Each retry of a revision is tested at half the level of the one before: retries spend the
    budget and do not refill it.
    """
    if isinstance(spec, NegativeControl):
        return RatioSettings(alpha=spec.alpha, two_sided=True)
    alpha = spec.slice_alpha if sliced else spec.alpha
    return RatioSettings(
        alpha=budget.of_attempt(alpha, retry),
        tolerance=spec.tolerance,
        stages=1 if sliced else spec.stages,
        restarts=RESTARTS,
        tau2=spec.overdispersion,
        design_ratio=max(spec.design_ratio, LEAST_BEYOND * (1 + spec.tolerance)),
    )


def start(spec: Spec, place: Place) -> RatioState:
    """No evidence yet."""
    return eprocess.empty(settings_of(spec, place.retry, sliced=place.sliced))


def step(spec: Spec, place: Place, state: State, block: Block) -> State:
    """Add a block; one that was counted changes nothing."""
    if not isinstance(state, RatioState):
        return state
    return eprocess.update(
        settings_of(spec, place.retry, sliced=place.sliced), state, block, place.stage
    )


def fails(spec: Spec, place: Place, state: State) -> bool:
    """Whether harm has been shown; a control never fails."""
    if isinstance(spec, NegativeControl) or not isinstance(state, RatioState):
        return False
    return state.max_log_e >= settings_of(spec, place.retry, sliced=place.sliced).limit


def present(spec: Spec, place: Place, state: State) -> tuple[float, float]:
    """The log evidence of now, which may have fallen since it was largest, and its limit."""
    limit = settings_of(spec, place.retry, sliced=place.sliced).limit
    return (state.log_e if isinstance(state, RatioState) else -inf), limit


def judged(spec: Spec, place: Place, memory: Memory) -> tuple[Verdict, Reason, bool]:
    """Verdict and reason of evidence that shows no harm, and whether it is close to some."""
    state, settings = memory.state, settings_of(spec, place.retry, sliced=place.sliced)
    if not isinstance(state, RatioState):
        return Verdict.INCONCLUSIVE, Reason.INSUFFICIENT_DATA, False
    near = state.log_e >= settings.limit - EVIDENCE_BAND
    if isinstance(spec, NegativeControl):
        if state.log_e >= settings.limit:
            return Verdict.CONFOUNDED, Reason.CONFOUNDED, True
        return Verdict.PASS, Reason.NO_HARM_SEEN, False
    if place.sliced or power.information_fraction(settings, state) >= 1:
        return Verdict.PASS, Reason.NO_HARM_SEEN, near
    return Verdict.INCONCLUSIVE, Reason.INSUFFICIENT_DATA, near


def limit(spec: Spec, memory: Memory) -> float | None:
    """The canary's share that would just be tolerated, by stable's."""
    if isinstance(spec, NegativeControl) or memory.stable <= 0:
        return None
    return min(1.0, (1 + spec.tolerance) * memory.stable_bad / memory.stable)


def figures(spec: Spec, place: Place, memory: Memory) -> Figures:
    """What people read about the evidence."""
    state, settings = memory.state, settings_of(spec, place.retry, sliced=place.sliced)
    if not isinstance(state, RatioState):
        return Figures("ratio")
    if isinstance(spec, NegativeControl):
        low, high = _of_halves(state)
    else:
        low, high = (None, None) if memory.band is None else band.interval(memory.band)
    return Figures(
        kind="ratio",
        stable=memory.stable_bad / memory.stable if memory.stable else None,
        estimate=eprocess.mh_ratio(state),
        low=low,
        high=high,
        log_e=state.log_e,
        log_limit=settings.limit,
        information=power.information_fraction(settings, state),
        detectable=power.detectable_ratio(settings, state),
        blocks=memory.blocks,
        requests=int(memory.canary),
        bad=int(memory.canary_bad),
    )


def _of_halves(state: RatioState) -> tuple[float | None, float | None]:
    """The always-valid interval of the ratio by the totals: the halves' shares hardly change.

    Of all bad events the number in one half is binomial, given how many there are.
    """
    bad = state.canary_bad + state.stable_bad
    if bad <= 0 or state.canary <= 0:
        return None, None
    pace = state.stable / state.canary
    low, high = absolute.interval(bad, state.canary_bad)
    return low / (1 - low) * pace, high / (1 - high) * pace if high < 1 else inf
