"""Gauges: one value an arm and block (a score, a cost, a calibration error), compared in pairs.

What both arms share at one time (load, time of day) cancels in the difference of a block, and a
difference is symmetric where one arm's values are skewed; a raw series is not judged. Two
sequences of bounds are kept from the same three sums. The anytime t (Lindon et al.) knows that the
variance is estimated; harm is called by it, two-sided at alpha, of which one side is used.
AsympCS (Waudby-Smith et al. 2024) is tighter with many blocks and is what promotion asks. Both
are asymptotic for values that are not Gaussian, so neither speaks before 20 blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, inf, isfinite, log, log1p, sqrt
from typing import NamedTuple

from leadsman.guards.packing import pack, unpack

LEAST = 20
"""Fewer paired blocks than this bound nothing."""

KIND = "g1"


@dataclass(frozen=True, slots=True)
class MeanSettings:
    """What one guard tests about canary less stable, in the gauge's own unit.

    `margin` is how much worse is tolerated; `higher_is_worse` says which way worse is; the bounds
    are narrowest after `tuned` blocks.
    """

    alpha: float
    margin: float = 0.0
    higher_is_worse: bool = True
    tuned: float = 40.0
    scale: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", asymptotic_scale(self.tuned, self.alpha))


class MeanState(NamedTuple):
    """Pairs, mean and sum of squared deviations of the differences; `at` Unix s, 0: none."""

    at: float = 0.0
    pairs: int = 0
    mean: float = 0.0
    squares: float = 0.0


def update(state: MeanState, at: float, canary: float, stable: float) -> MeanState:
    """Add a block's pair of values at Unix time `at`; not later or not finite: no change."""
    difference = canary - stable
    if not (isfinite(at) and at > state.at and isfinite(difference) and abs(difference) < 1e100):
        return state
    if abs(difference) <= 1e-12 * abs(canary):
        # Two gauges that are always equal differ by rounding, always the same way: no harm.
        difference = 0.0
    pairs = state.pairs + 1
    away = difference - state.mean
    mean = state.mean + away / pairs
    return MeanState(at, pairs, mean, state.squares + away * (difference - mean))


def asymptotic_scale(tuned: float, alpha: float) -> float:
    """Return rho of AsympCS, which makes it narrowest after `tuned` observations."""
    nats = -2 * log(alpha)
    return sqrt((nats + log(1 + nats)) / tuned)


def asymptotic_radius(
    state: MeanState, alpha: float, scale: float, *, one_sided: bool = False
) -> float:
    """Return half the width of AsympCS around the mean; infinite below two blocks."""
    if state.pairs < 2:
        return inf
    deviation = sqrt(state.squares / state.pairs)
    return deviation * normal_radius(float(state.pairs), alpha, scale, one_sided) / state.pairs


def normal_radius(variance: float, alpha: float, scale: float, one_sided: bool) -> float:
    """Return the bound on a sum whose variance process has reached `variance`.

    Robbins' normal mixture with 1 / scale^2 as its prior variance process.
    """
    grown = variance * scale * scale + 1
    root = sqrt(grown)
    nats = log1p(root / (2 * alpha)) if one_sided else log(root / alpha)
    return sqrt(2 * grown / (scale * scale) * nats)


def t_log_evidence(state: MeanState, against: float = 0.0, g: float = 1.0) -> float:
    """Return the log Bayes factor of the anytime t against the mean `against`; `g` its prior."""
    freedom = state.pairs - 1
    if freedom < 1:
        return 0.0
    ratio = g / (g + state.pairs)
    away = (state.mean - against) ** 2
    noise = state.squares / freedom / state.pairs
    if noise <= 0:
        # All differences are alike: the factor's limit where t is 0 or infinite.
        grown = 0.0 if away <= 0 else -log(ratio)
    else:
        square = away / noise
        grown = log1p(square / freedom) - log1p(ratio * square / freedom)
    return 0.5 * log(ratio) + (freedom + 1) / 2 * grown


def t_radius(state: MeanState, alpha: float, g: float = 1.0) -> float:
    """Return half the width of the anytime t interval, infinite while nothing is bounded."""
    freedom = state.pairs - 1
    if freedom < 1:
        return inf
    ratio = g / (g + state.pairs)
    q = exp(log(ratio * alpha * alpha) / (freedom + 1))
    if q <= ratio:
        return inf
    error = sqrt(state.squares / freedom / state.pairs)
    return error * sqrt(freedom * (1 - q) / (q - ratio))


def worsening(settings: MeanSettings, state: MeanState) -> float:
    """Return how much worse the canary's mean is, in the gauge's unit; negative: better."""
    return state.mean if settings.higher_is_worse else -state.mean


def worsening_at_least(settings: MeanSettings, state: MeanState) -> float:
    """Return the lower bound of the worsening by the anytime t, minus infinity before 20 blocks."""
    if state.pairs < LEAST:
        return -inf
    return worsening(settings, state) - t_radius(state, settings.alpha)


def worsening_at_most(settings: MeanSettings, state: MeanState) -> float:
    """Return the upper bound of the worsening by one-sided AsympCS, infinite before 20 blocks."""
    if state.pairs < LEAST:
        return inf
    radius = asymptotic_radius(state, settings.alpha, settings.scale, one_sided=True)
    return worsening(settings, state) + radius


def is_harmful(settings: MeanSettings, state: MeanState) -> bool:
    """Whether the canary is worse by more than the margin, beyond doubt at level alpha."""
    return worsening_at_least(settings, state) > settings.margin


def is_not_inferior(settings: MeanSettings, state: MeanState) -> bool:
    """Whether the canary is no worse than the margin, beyond doubt at level alpha."""
    return worsening_at_most(settings, state) <= settings.margin


def detectable(settings: MeanSettings, state: MeanState) -> float:
    """Return the smallest worsening that would be shown by now: the margin and the radius.

    Infinite before 20 blocks.
    """
    if state.pairs < LEAST:
        return inf
    return settings.margin + t_radius(state, settings.alpha)


def design(settings: MeanSettings, ratio: float, stable: float) -> float:
    """Return the worsening that must not stay hidden, by the design ratio and stable's mean.

    That many times stable's mean, where it is beyond the margin, otherwise twice the margin.
    """
    beyond = (ratio - 1) * abs(stable)
    return beyond if beyond > settings.margin else 2 * settings.margin


def information(settings: MeanSettings, state: MeanState, worst: float) -> float:
    """Return the part of the blocks that it takes to detect the worsening `worst` (0..1).

    The radius shrinks with the root of their number. 1 is enough, and never before 20 blocks.
    """
    return min(state.pairs / LEAST, part(worst - settings.margin, t_radius(state, settings.alpha)))


def part(room: float, radius: float) -> float:
    """Return the part (0..1) of the blocks with which a radius fits into the room for it."""
    return 1.0 if radius <= room else (max(room, 0.0) / radius) ** 2


def log_evidence(settings: MeanSettings, state: MeanState) -> float:
    """Return the log evidence that the canary is worse by more than the margin, for reports.

    The anytime t against the margin; 0 while the mean is on the harmless side or blocks are few.
    """
    worse = worsening(settings, state)
    if state.pairs < LEAST or worse <= settings.margin:
        return 0.0
    return t_log_evidence(state, settings.margin if settings.higher_is_worse else -settings.margin)


def encode(state: MeanState) -> str:
    """Return the state as text that gives the same bits back."""
    return pack(KIND, state)


def decode(text: str) -> MeanState | None:
    """Return the very state that was encoded, or None for anything else."""
    numbers = unpack(KIND, text)
    if numbers is None or len(numbers) != 4:
        return None
    return MeanState(numbers[0], int(numbers[1]), numbers[2], numbers[3])
