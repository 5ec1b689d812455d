"""The judges that bound a number: `absolute`, `nonInferiority`, `sequentialMean`.

`absolute` tests the canary's share against a limit of its own, by an e-value; `nonInferiority` and
`sequentialMean` bound the difference of shares, or of means, at all times. A gate passes when the
bound says so; a test for harm passes when so much was seen that harm would have been shown. A bound
may widen again, so a fail by it is told anew with each block.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf, isfinite, log

from leadsman.guards import absolute, budget, difference, gauges
from leadsman.guards.absolute import AbsoluteSettings, AbsoluteState
from leadsman.guards.difference import DifferenceSettings, DifferenceState
from leadsman.guards.gauges import MeanSettings, MeanState
from leadsman.guards.judges import Absolute, NonInferiority, SequentialMean
from leadsman.guards.memory import Memory, Place, State
from leadsman.guards.verdict import EVIDENCE_BAND, Figures, Reason, Verdict
from leadsman.guards.windows import Block

EXPECTED = 20.0
"""Events at the limit that an absolute guard must have been able to see before it passes."""

Spec = Absolute | NonInferiority | SequentialMean


@lru_cache(maxsize=4096)
def _absolute(limit: float, alpha: float, retry: int) -> AbsoluteSettings:
    return AbsoluteSettings(alpha=budget.of_attempt(alpha, retry), limit=limit)


@lru_cache(maxsize=4096)
def _difference(margin: float, alpha: float, retry: int) -> DifferenceSettings:
    return DifferenceSettings(alpha=budget.of_attempt(alpha, retry), margin=margin)


@lru_cache(maxsize=4096)
def _mean(spec: SequentialMean, retry: int) -> MeanSettings:
    return MeanSettings(
        alpha=budget.of_attempt(spec.alpha, retry),
        margin=spec.margin,
        higher_is_worse=spec.higher_is_worse,
    )


def absolute_settings(spec: Absolute, place: Place) -> AbsoluteSettings:
    """The settings of an absolute limit; a slice has its own level."""
    return _absolute(spec.max, spec.slice_alpha if place.sliced else spec.alpha, place.retry)


def start(spec: Spec, place: Place) -> State:
    """No evidence yet."""
    del place
    if isinstance(spec, Absolute):
        return AbsoluteState()
    return DifferenceState() if isinstance(spec, NonInferiority) else MeanState()


def step(spec: Spec, place: Place, state: State, block: Block) -> State:
    """Add a block; one that was counted changes nothing."""
    if isinstance(spec, Absolute) and isinstance(state, AbsoluteState):
        return absolute.update(absolute_settings(spec, place), state, block)
    if isinstance(state, DifferenceState):
        return difference.update(state, block)
    if isinstance(state, MeanState) and block.canary > 0 and block.stable > 0:
        return gauges.update(
            state,
            block.at,
            block.canary_bad / block.canary,
            block.stable_bad / block.stable,
        )
    return state


def fails(spec: Spec, place: Place, state: State) -> bool:
    """Whether harm is shown: ever, by an e-value; now, by a bound."""
    if isinstance(spec, Absolute) and isinstance(state, AbsoluteState):
        return state.max_log_e >= absolute_settings(spec, place).bar
    if isinstance(spec, NonInferiority) and isinstance(state, DifferenceState):
        return difference.is_harmful(_difference(spec.margin, spec.alpha, place.retry), state)
    if isinstance(spec, SequentialMean) and isinstance(state, MeanState):
        return gauges.is_harmful(_mean(spec, place.retry), state)
    return False


def present(spec: Spec, place: Place, state: State) -> tuple[float, float]:
    """The log evidence of now and its limit, or the lower bound of the worsening and the margin."""
    if isinstance(spec, Absolute) and isinstance(state, AbsoluteState):
        return state.log_e, absolute_settings(spec, place).bar
    if isinstance(spec, NonInferiority) and isinstance(state, DifferenceState):
        settings = _difference(spec.margin, spec.alpha, place.retry)
        return difference.bounds(settings, state)[0], spec.margin
    if isinstance(spec, SequentialMean) and isinstance(state, MeanState):
        means = _mean(spec, place.retry)
        return gauges.worsening_at_least(means, state), spec.margin
    return -inf, 0.0


def judged(spec: Spec, place: Place, memory: Memory) -> tuple[Verdict, Reason, bool]:
    """Verdict and reason of evidence that shows no harm, and whether it is close to some."""
    state = memory.state
    if isinstance(spec, Absolute) and isinstance(state, AbsoluteState):
        near = state.log_e >= absolute_settings(spec, place).bar - EVIDENCE_BAND
        enough = place.sliced or state.total * spec.max >= EXPECTED
    elif isinstance(spec, NonInferiority) and isinstance(state, DifferenceState):
        near = False
        settings = _difference(spec.margin, spec.alpha, place.retry)
        if difference.is_not_inferior(settings, state):
            return Verdict.PASS, Reason.NOT_INFERIOR, near
        enough = False
    else:
        near = enough = False
        if isinstance(spec, SequentialMean) and isinstance(state, MeanState):
            means = _mean(spec, place.retry)
            near = gauges.log_evidence(means, state) >= -log(means.alpha) - EVIDENCE_BAND
            enough = _information(spec, place, memory, state) >= 1
    if enough:
        return Verdict.PASS, Reason.NO_HARM_SEEN, near
    return Verdict.INCONCLUSIVE, Reason.INSUFFICIENT_DATA, near


def _information(spec: SequentialMean, place: Place, memory: Memory, state: MeanState) -> float:
    means = _mean(spec, place.retry)
    stable = memory.stable_bad / memory.stable if memory.stable else 0.0
    return gauges.information(means, state, gauges.design(means, spec.design_ratio, stable))


def limit(spec: Spec, memory: Memory) -> float | None:
    """The canary's share that would just be tolerated; None for a mean."""
    if isinstance(spec, Absolute):
        return spec.max
    if isinstance(spec, SequentialMean) or memory.stable <= 0:
        return None
    return min(1.0, memory.stable_bad / memory.stable + spec.margin)


def figures(spec: Spec, place: Place, memory: Memory) -> Figures:
    """What people read about the evidence."""
    state = memory.state
    requests, bad = int(memory.canary), int(memory.canary_bad)
    stable = memory.stable_bad / memory.stable if memory.stable else None
    if isinstance(spec, Absolute) and isinstance(state, AbsoluteState):
        low, high = absolute.interval(state.total, state.bad)
        return Figures(
            kind="share",
            estimate=state.bad / state.total if state.total else None,
            low=low,
            high=high,
            log_e=state.log_e,
            log_limit=absolute_settings(spec, place).bar,
            information=state.total * spec.max / EXPECTED,
            detectable=absolute.detectable(absolute_settings(spec, place), state.total),
            blocks=memory.blocks,
            requests=requests,
            bad=bad,
        )
    if isinstance(spec, NonInferiority) and isinstance(state, DifferenceState):
        settings = _difference(spec.margin, spec.alpha, place.retry)
        low, high = difference.bounds(settings, state)
        radius = (high - low) / 2
        return Figures(
            kind="difference",
            stable=stable,
            estimate=difference.estimate(state),
            low=_finite(low),
            high=_finite(high),
            information=gauges.part(spec.margin, radius),
            detectable=_finite(spec.margin + radius),
            blocks=memory.blocks,
            requests=requests,
            bad=bad,
        )
    if isinstance(spec, SequentialMean) and isinstance(state, MeanState):
        means = _mean(spec, place.retry)
        radius = gauges.t_radius(state, means.alpha)
        shown = gauges.detectable(means, state)
        return Figures(
            kind="mean",
            stable=stable,
            estimate=state.mean,
            low=_finite(state.mean - radius),
            high=_finite(state.mean + radius),
            log_e=gauges.log_evidence(means, state),
            log_limit=-log(means.alpha),
            information=_information(spec, place, memory, state),
            detectable=_finite(shown if spec.higher_is_worse else -shown),
            blocks=memory.blocks,
            requests=requests,
        )
    return Figures("share")


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
