"""The difference of two rates: is the canary at most `margin` worse, in bad events per event?

Promotion asks for proof that a release is not inferior; that it was not proven harmful is not
enough. Blocks are weighted by n_c n_b / N (Mantel and Haenszel), so that a change of weight or of
the day's errors between blocks cannot pose as a difference, and the weighted sum is bounded at
all times by the Lyapunov form of AsympCS (Waudby-Smith et al. 2024). Its variance is that between
blocks, but never less than the binomial one at the pooled rate: blocks without a single error
look as if they had no noise at all, and would prove anything. It is asymptotic, so it bounds
nothing before 20 blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from statistics import NormalDist
from typing import NamedTuple

from leadsman.guards.blocks import Block, usable
from leadsman.guards.gauges import LEAST, asymptotic_scale, normal_radius
from leadsman.guards.packing import pack, unpack

KIND = "d1"


@dataclass(frozen=True, slots=True)
class DifferenceSettings:
    """The level `alpha`, one-sided, and the `margin` as a share: 0.005 is half a point worse.

    The bound is narrowest once the canary would have had about `tuned` bad events.
    """

    alpha: float
    margin: float
    tuned: float = 10.0
    scale: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", asymptotic_scale(self.tuned, self.alpha))


class DifferenceState(NamedTuple):
    """Weighted sums over blocks; `at` is the last block's end, Unix seconds (0: none).

    `weights` sums w, `squares` w^2, `sum` w D, `sum_w` w^2 D and `sum_d` w^2 D^2, where D is the
    canary's rate less stable's; `events` and `bad` are both arms together.
    """

    at: float = 0.0
    blocks: int = 0
    weights: float = 0.0
    squares: float = 0.0
    sum: float = 0.0
    sum_w: float = 0.0
    sum_d: float = 0.0
    events: float = 0.0
    bad: float = 0.0


def update(state: DifferenceState, block: Block) -> DifferenceState:
    """Add a block; one that was counted, or is not sound, changes nothing."""
    if not usable(block, state.at):
        return state
    if block.canary <= 0 or block.stable <= 0:
        return state._replace(at=block.at)
    events = block.canary + block.stable
    weight = block.canary * block.stable / events
    apart = weight * (block.canary_bad / block.canary - block.stable_bad / block.stable)
    return DifferenceState(
        block.at,
        state.blocks + 1,
        state.weights + weight,
        state.squares + weight * weight,
        state.sum + apart,
        state.sum_w + apart * weight,
        state.sum_d + apart * apart,
        state.events + events,
        state.bad + block.canary_bad + block.stable_bad,
    )


def estimate(state: DifferenceState) -> float | None:
    """Return the canary's rate less stable's (-1..1), None before the first block."""
    return state.sum / state.weights if state.weights > 0 else None


def bounds(settings: DifferenceSettings, state: DifferenceState) -> tuple[float, float]:
    """Return the lower and the upper bound of the difference, each one-sided at level alpha."""
    if state.blocks < LEAST:
        return -inf, inf
    mean = state.sum / state.weights
    between = state.sum_d - 2 * mean * state.sum_w + mean * mean * state.squares
    rate = (state.bad + 1) / (state.events + 2)
    variance = max(between, rate * (1 - rate) * state.weights)
    radius = normal_radius(variance, settings.alpha, settings.scale, True) / state.weights
    return mean - radius, mean + radius


def is_not_inferior(settings: DifferenceSettings, state: DifferenceState) -> bool:
    """Whether the canary is at most `margin` worse, beyond doubt at level alpha."""
    return bounds(settings, state)[1] <= settings.margin


def is_harmful(settings: DifferenceSettings, state: DifferenceState) -> bool:
    """Whether the canary is more than `margin` worse, beyond doubt at level alpha."""
    return bounds(settings, state)[0] > settings.margin


def sample_size(margin: float, rate: float, alpha: float = 0.025, z_power: float = 1.2816) -> float:
    """Return about how many events an arm needs to prove `margin` in a single look.

    `rate` is the share of bad events in both arms; `z_power` the normal quantile of the power (90 %
    by default). Bounds that hold at all times need about 1.8 times as many (alpha 0.025, 0.5 %).
    """
    z = NormalDist().inv_cdf(1 - alpha)
    return (z + z_power) ** 2 * 2 * rate * (1 - rate) / (margin * margin) if margin > 0 else inf


def encode(state: DifferenceState) -> str:
    """Return the state as text that gives the same bits back."""
    return pack(KIND, state)


def decode(text: str) -> DifferenceState | None:
    """Return the very state that was encoded, or None for anything else."""
    numbers = unpack(KIND, text)
    if numbers is None or len(numbers) != 9:
        return None
    return DifferenceState(numbers[0], int(numbers[1]), *numbers[2:])
