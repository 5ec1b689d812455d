"""Power: what a sequential guard can see with the traffic that there is, and how soon.

"No alarm" means nothing while an alarm could not have come. A guard has gathered enough when a
release that is worse by the design ratio would by now have crossed the limit: each bad event
carries KL(q || p0) nats about that, p0 being the canary's share of bad events at the tolerated
ratio and q at the design ratio, and the limit is ln(1/alpha) plus ln(K/g0) for not knowing the
ratio beforehand. The same sum, turned round, gives the smallest ratio that would have been seen,
and with rates in place of counts the minutes until it is. With a tolerance the design ratio is
compared with what is tolerated, not with 1: otherwise a guard would pass before it could fail.
A design ratio that is tolerated can never be seen, so its information stays 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf, log

from leadsman.guards.eprocess import RatioSettings, RatioState, divergence

LARGEST = 1000.0
"""Ratios above this are not looked for."""


def target(settings: RatioSettings) -> float:
    """Return the nats that a guard needs before silence means something."""
    return settings.limit + log(len(settings.points) / settings.global_weight)


def information_fraction(settings: RatioSettings, state: RatioState) -> float:
    """Return the information gathered over the information needed; 1 or more is enough."""
    return state.information / target(settings)


def detectable_ratio(settings: RatioSettings, state: RatioState) -> float | None:
    """Return the smallest ratio of rates that the blocks so far would have shown, None if none.

    With constant shares it is the design ratio exactly when the information fraction is 1.
    """
    if state.events <= 0:
        return None
    share = state.expected / state.events
    return _smallest(settings, lambda ratio: state.events * _nats(settings, ratio, share))


def plannable_ratio(
    settings: RatioSettings, requests: float, error_rate: float, weight: float, minutes: float
) -> float | None:
    """Return the smallest ratio that a stage can be expected to show, None if none below 1000.

    `requests` a second in both arms together, `error_rate` of stable and the canary's `weight` are
    shares in 0..1, `minutes` the length of the stage.
    """
    return _smallest(
        settings, lambda ratio: minutes * _speed(settings, ratio, requests, error_rate, weight)
    )


def minutes_to_detect(
    settings: RatioSettings, ratio: float, requests: float, error_rate: float, weight: float
) -> float:
    """Return about how many minutes a canary `ratio` times worse goes on before the guard fails.

    Units as for `plannable_ratio`; infinite if the ratio is tolerated or there is no traffic.
    """
    speed = _speed(settings, ratio, requests, error_rate, weight)
    return target(settings) / speed if speed > 0 else inf


def part_gained(stages: Iterable[tuple[float, float | None]]) -> float:
    """Return the part of the evidence for the design ratio that stages give together.

    Of each stage its hold and the minutes that the ratio takes there; None or 0 gives nothing.
    """
    return sum(hold / minutes for hold, minutes in stages if minutes)


def overdispersion(batches: list[tuple[float, float, float]], minutes: float) -> float:
    """Estimate `tau2` from releases that never were: batches of two alike halves of an arm.

    A batch of `minutes` is (bad events of half a, of both, half a's share of the requests). The
    estimate (excess of the squared deviations over binomial variance, relative to its square) is 0
    unless the excess is beyond two standard errors, because of noise it is often positive.
    """
    excess = fourth = squares = 0.0
    for bad, both, share in batches:
        variance = both * share * (1 - share)
        excess += (bad - both * share) ** 2 - variance
        fourth += 2 * variance**2 + variance * (1 - 6 * share * (1 - share))
        squares += variance**2
    if squares <= 0 or excess <= 2 * max(fourth, 0.0) ** 0.5:
        return 0.0
    return minutes * excess / squares


def _nats(settings: RatioSettings, ratio: float, share: float) -> float:
    """Nats per bad event, of which `share` would be the canary's if the rates were alike."""
    if settings.two_sided:
        return divergence(ratio, share)
    if ratio <= settings.ratio0:
        return 0.0
    tolerated = settings.ratio0 * share
    return divergence(ratio / settings.ratio0, tolerated / (tolerated + 1 - share))


def _speed(
    settings: RatioSettings, ratio: float, requests: float, error_rate: float, weight: float
) -> float:
    """Nats a minute, tempered as the evidence is."""
    canary = min(1.0, ratio * error_rate)
    bad = 60 * requests * (weight * canary + (1 - weight) * error_rate)
    if bad <= 0 or not 0 < weight < 1:
        return 0.0
    tolerated = settings.ratio0 * weight
    p0 = tolerated / (tolerated + 1 - weight)
    temper = settings.phi + settings.tau2 * bad * p0 * (1 - p0)
    return bad * _nats(settings, canary / error_rate, weight) / temper


def _smallest(settings: RatioSettings, nats: Callable[[float], float]) -> float | None:
    needed = target(settings)
    low, high = (1.0 if settings.two_sided else settings.ratio0), LARGEST
    if nats(high) < needed:
        return None
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if nats(middle) >= needed else (middle, high)
    return high
