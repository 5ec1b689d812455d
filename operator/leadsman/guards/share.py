"""The share: does the router split the traffic as it was told?

If it does not, or if labels put requests into the wrong arm, every comparison of the arms is in
doubt; the verdict is Confounded, not Fail. With the weight p0 and m requests, x of them the
canary's, the evidence is the Dirichlet-multinomial mixture of Lindon and Malek (2022): two totals
and a closed form. Each stretch of constant weight is a test of its own; the i-th gets the part
1 / (i (i + 1)) of the whole, which sums to 1 however many there will be, so that the weighted sum
is again an e-process. Routers round, and a split by connection is less regular than a coin:
`slack` takes every share within that part of the weight for honoured, `phi` divides the counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, isfinite, lgamma, log, log1p
from typing import NamedTuple

from leadsman.guards.absolute import smallest_share
from leadsman.guards.packing import pack, unpack

KIND = "s1"


@dataclass(frozen=True, slots=True)
class ShareSettings:
    """The level `alpha`, the tolerated part of the weight (`slack`, 0..1), `phi` (1: a coin).

    `concentration` is how near to the weight a broken split is looked for, in requests.
    """

    alpha: float
    slack: float = 0.0
    phi: float = 1.0
    concentration: float = 100.0

    @property
    def limit(self) -> float:
        """The log evidence at which the split counts as broken."""
        return -log(self.alpha)


class ShareState(NamedTuple):
    """What was counted; `at` is the end of the last block, Unix seconds (0: none).

    `past` is the log of the sum of the stretches that are over, weighted, and empty at -1e9;
    `stretch` the present one's number from 1 and `weight` its weight (share, 0..1).
    """

    at: float = 0.0
    past: float = -1e9
    stretch: int = 1
    weight: float = 0.0
    canary: float = 0.0
    total: float = 0.0
    log_e: float = 0.0
    max_log_e: float = 0.0


def update(
    settings: ShareSettings,
    state: ShareState,
    at: float,
    weight: float,
    canary: float,
    stable: float,
) -> ShareState:
    """Add the requests of both arms up to Unix time `at`, all of them routed with one weight.

    Not later, not finite or negative: no change. A weight of 0 or 1 has no split to test.
    """
    total = canary + stable
    if not (isfinite(at) and at > state.at and canary >= 0 and stable >= 0 and total < 1e15):
        return state
    if not 0 < weight < 1 or total <= 0:
        return state._replace(at=at)
    if weight == state.weight or state.total <= 0:
        past, stretch = state.past, state.stretch
        canary, total = canary + state.canary, total + state.total
    else:
        over = _log_evidence(settings, state.weight, state.canary, state.total)
        past = _log_sum(state.past, over - log(state.stretch * (state.stretch + 1)))
        stretch = state.stretch + 1
    log_e = _mixture(settings, past, stretch, weight, canary, total)
    return ShareState(at, past, stretch, weight, canary, total, log_e, max(state.max_log_e, log_e))


def detectable(settings: ShareSettings, state: ShareState) -> float | None:
    """Return the smallest share above the weight that would show a broken split by now, or None.

    Of as many requests as there were under the present weight.
    """

    def shows(canary: int) -> bool:
        return settings.limit <= _mixture(
            settings, state.past, state.stretch, state.weight, canary, state.total
        )

    if not 0 < state.weight < 1 or state.total < 1 or shows(int(state.weight * state.total)):
        return None
    return smallest_share(shows, state.weight, state.total)


def log_evidence_of_counts(
    counts: Sequence[float], shares: Sequence[float], concentration: float = 100.0
) -> float:
    """Return ln of the evidence that counts do not follow these shares (summing to 1)."""
    parts = [
        lgamma(concentration * share + count)
        - lgamma(concentration * share)
        - (count * log(share) if count else 0.0)
        for count, share in zip(counts, shares, strict=True)
    ]
    return lgamma(concentration) - lgamma(concentration + sum(counts)) + sum(parts)


def encode(state: ShareState) -> str:
    """Return the state as text that gives the same bits back."""
    return pack(KIND, state)


def decode(text: str) -> ShareState | None:
    """Return the very state that was encoded, or None for anything else."""
    numbers = unpack(KIND, text)
    if numbers is None or len(numbers) != 8 or numbers[2] < 1:
        return None
    return ShareState(numbers[0], numbers[1], int(numbers[2]), *numbers[3:])


def _log_evidence(settings: ShareSettings, weight: float, canary: float, total: float) -> float:
    canary, total = canary / settings.phi, total / settings.phi
    log_e = log_evidence_of_counts(
        (canary, total - canary), (weight, 1 - weight), settings.concentration
    )
    if settings.slack <= 0:
        return log_e
    # Evidence against every tolerated share is that against the likeliest one of them.
    low, high = weight * (1 - settings.slack), min(weight * (1 + settings.slack), 1 - 1e-12)
    best = min(max(canary / total, low), high)
    return log_e - canary * log(best / weight) - (total - canary) * (log1p(-best) - log1p(-weight))


def _mixture(
    settings: ShareSettings, past: float, stretch: int, weight: float, canary: float, total: float
) -> float:
    present = _log_evidence(settings, weight, canary, total)
    log_e = _log_sum(past, present - log(stretch * (stretch + 1)))
    # The stretches to come are at evidence 1, and 1/(n+1) is what is left for them.
    return _log_sum(log_e, -log(stretch + 1))


def _log_sum(one: float, other: float) -> float:
    high, low = max(one, other), min(one, other)
    return high + log1p(exp(low - high))
