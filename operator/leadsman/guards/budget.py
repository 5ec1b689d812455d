"""The budget: one chance of a false rollback, shared by all that may roll back.

The chances of guards, slices and attempts add up whatever ties them to each other, so what a
contract allows is divided: among its sequential guards by weight; inside a guard half for the
whole and half for its slices; and each retry of the same revision has half of what the attempt
before it had. So one attempt has at most what the contract allows, a, and all attempts at one
revision, a + a/2 + a/4 and so on, at most twice that, however often it is tried. For one verdict
over all guards the weighted mean of the evidence is a single e-value with the whole budget; it is
also sharper when several guards are a little worse. Which guard it was, its own share says.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum, inf, log


def of_attempt(total: float, retries: int) -> float:
    """Return the budget (0..1) of an attempt that `retries` failed ones came before."""
    return total / float(1 << min(max(retries, 0), 60))


def of_guards(total: float, weights: Sequence[float]) -> tuple[float, ...]:
    """Return each guard's budget, in proportion to weights above 0; equal ones for equal shares."""
    whole = fsum(weights)
    return tuple(total * weight / whole for weight in weights) if whole > 0 else ()


def of_slices(alpha: float, slices: int) -> tuple[float, float]:
    """Return a guard's budget for the whole and for each of its slices (0 where there is none)."""
    if slices <= 0:
        return alpha, 0.0
    return alpha / 2, alpha / 2 / slices


def mean_log_evidence(weights: Sequence[float], logs: Sequence[float]) -> float:
    """Return ln of the weighted mean of e-values that are given by their logarithms.

    The weights sum to at most 1; what is missing counts as evidence 0. Valid under any dependence.
    """
    top = max(logs, default=-inf)
    if top == -inf:
        return -inf
    total = fsum(w * exp(value - top) for w, value in zip(weights, logs, strict=True))
    return top + log(total) if total > 0 else -inf


def offender(weights: Sequence[float], logs: Sequence[float]) -> int | None:
    """Return the index of what contributes most to that mean, the first of equals."""
    scores = [value + log(w) if w > 0 else -inf for w, value in zip(weights, logs, strict=True)]
    return scores.index(max(scores)) if scores else None
