"""An absolute limit: is the canary's share of bad events above what was promised?

For when there is nothing to compare with: at 100 %, or without a baseline. The evidence is the
beta-binomial mixture of Howard et al. (2021, proposition 7, one-sided): the likelihood of the
counts, averaged over the shares above the limit with a Beta density whose mean is the limit, over
their likelihood at the limit. For any true share at or below the limit its expectation never
exceeds 1, however often it is looked at. Two totals are all that must be remembered. The interval
for the share inverts the two-sided mixture by bisection: hundreds of evaluations, for reports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, inf, isfinite, lgamma, log, log1p
from typing import NamedTuple

from leadsman.guards.blocks import Block
from leadsman.guards.packing import pack, unpack

KIND = "a1"
TINY = 1e-300


@dataclass(frozen=True, slots=True)
class AbsoluteSettings:
    """The limit (share, 0..1) and the level `alpha`; sharpest after `expected` events at the limit.

    `expected` moves no guarantee, only where the test is strongest.
    """

    alpha: float
    limit: float
    expected: float = 10.0
    prior: tuple[float, float] = field(init=False)
    start: float = field(init=False)

    def __post_init__(self) -> None:
        theta = min(max(self.limit, 1e-9), 1 - 1e-9)
        a, b = beta_prior(theta, self.expected * (1 - theta), 2 * self.alpha)
        object.__setattr__(self, "limit", theta)
        object.__setattr__(self, "prior", (a, b))
        object.__setattr__(self, "start", log_beta_below(b, a, 1 - theta))

    @property
    def bar(self) -> float:
        """The log evidence at which the guard fails."""
        return -log(self.alpha)


class AbsoluteState(NamedTuple):
    """The canary's events so far; `at` is the last block's end (Unix seconds, 0: none)."""

    at: float = 0.0
    total: float = 0.0
    bad: float = 0.0
    log_e: float = 0.0
    max_log_e: float = 0.0


def update(settings: AbsoluteSettings, state: AbsoluteState, block: Block) -> AbsoluteState:
    """Add the canary's side of a block; one counted before, or not sound, changes nothing."""
    total, bad = block.canary, block.canary_bad
    if not (isfinite(block.at) and block.start >= state.at and block.at > block.start):
        return state
    if not (0 <= bad <= total < 1e15):
        return state
    if total <= 0:
        return state._replace(at=block.at)
    total, bad = state.total + total, state.bad + bad
    log_e = log_evidence(settings, total, bad)
    return AbsoluteState(block.at, total, bad, log_e, max(state.max_log_e, log_e))


def log_evidence(settings: AbsoluteSettings, total: float, bad: float) -> float:
    """Return ln of the evidence that the share is above the limit, for these totals."""
    a, b = settings.prior
    theta = settings.limit
    mixed = log_beta_below(b + total - bad, a + bad, 1 - theta) - settings.start
    return mixed - bad * log(theta) - (total - bad) * log1p(-theta)


def encode(state: AbsoluteState) -> str:
    """Return the state as text that gives the same bits back."""
    return pack(KIND, state)


def decode(text: str) -> AbsoluteState | None:
    """Return the very state that was encoded, or None for anything else."""
    numbers = unpack(KIND, text)
    return AbsoluteState(*numbers) if numbers is not None and len(numbers) == 5 else None


def interval(
    total: float, bad: float, alpha: float = 0.05, tuned: float = 1000.0
) -> tuple[float, float]:
    """Return the always-valid interval for a share; narrowest after `tuned` events."""
    if total <= 0:
        return 0.0, 1.0
    share = min(max(bad / total, 0.0), 1.0)

    def outside(theta: float) -> bool:
        a, b = beta_prior(theta, tuned * theta * (1 - theta), 0.05)
        mixed = log_beta(a + bad, b + total - bad) - log_beta(a, b)
        return mixed - bad * log(theta) - (total - bad) * log1p(-theta) >= -log(alpha)

    return (
        0.0 if bad <= 0 else _edge(outside, share, 1e-12),
        1.0 if bad >= total else _edge(outside, share, 1 - 1e-12),
    )


def detectable(settings: AbsoluteSettings, total: float) -> float | None:
    """Return the smallest share of so many events that would show harm; None if not even all."""
    return smallest_share(
        lambda bad: log_evidence(settings, total, bad) >= settings.bar, settings.limit, total
    )


def smallest_share(shows: Callable[[int], bool], above: float, total: float) -> float | None:
    """Return the smallest share above `above` of so many events that shows something, or None.

    `shows` is asked with whole numbers of events, and stays true once it is.
    """
    below, shown = int(above * total), int(total)
    if shown < 1 or not shows(shown):
        return None
    while shown - below > 1:
        middle = (below + shown) // 2
        below, shown = (below, middle) if shows(middle) else (middle, shown)
    return shown / total


def normal_scale(variance: float, alpha: float) -> float:
    """Return the mixture's scale that is sharpest when the variance process is at `variance`.

    Howard et al. (2021), proposition 3: two-sided at `alpha`; pass 2 alpha for one side.
    """
    nats = 2 * log(1 / alpha)
    return variance / (nats + log(1 + nats)) if nats > 0 else variance


def beta_prior(theta: float, variance: float, alpha: float) -> tuple[float, float]:
    """Return the Beta parameters with mean `theta`, sharpest at this variance of the count."""
    both = theta * (1 - theta)
    r = max(normal_scale(variance, alpha) - both, 1e-3 * both)
    return r / (1 - theta), r / theta


def log_beta(a: float, b: float) -> float:
    """Return ln B(a, b)."""
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def log_beta_below(a: float, b: float, x: float) -> float:
    """Return ln of the incomplete beta integral, not regularised, from 0 to `x` in 0..1.

    Continued fraction (Abramowitz and Stegun 26.5.8), evaluated by Lentz's method, in logarithms:
    tails far below the smallest float keep their size.
    """
    if x <= 0:
        return -inf
    whole = log_beta(a, b)
    if x >= 1:
        return whole
    if x < (a + 1) / (a + b + 2):
        return _log_tail(a, b, x)
    rest = _log_tail(b, a, 1 - x) - whole
    return whole + log1p(-min(exp(min(rest, 0.0)), 1 - 1e-16))


def _log_tail(a: float, b: float, x: float) -> float:
    fraction = c = 1.0
    d = 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > TINY else TINY)
    fraction = d
    for m in range(1, 20_000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + step * d
            d = 1 / (d if abs(d) > TINY else TINY)
            c = 1 + step / c
            c = c if abs(c) > TINY else TINY
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return a * log(x) + b * log1p(-x) - log(a) + log(max(fraction, TINY))


def _edge(outside: Callable[[float], bool], inside: float, end: float) -> float:
    inside = min(max(inside, 1e-12), 1 - 1e-12)
    if not outside(end):
        return round(end)
    for _ in range(60):
        middle = (inside + end) / 2
        inside, end = (inside, middle) if outside(middle) else (middle, end)
    return end
