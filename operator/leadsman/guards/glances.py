"""What people read of a guard that looks at a window: worked out when it is told, and only then.

A judge of windows needs one division for its verdict, in every pass; intervals are for people. So a
status keeps the windows that were judged, as they are, and the figures are made of them where the
status is written or explained. They hold for one look: no interval here decides anything.
"""

from __future__ import annotations

from math import floor, inf, sqrt
from typing import NamedTuple

from leadsman.guards.intervals import wilson, z_of
from leadsman.guards.judges import JudgeSpec, Relative, Threshold
from leadsman.guards.verdict import Figures
from leadsman.guards.windows import Reading, Window

LEVEL = 0.95
"""The confidence of the intervals, for this one look."""


class Glance(NamedTuple):
    """The windows that a judge has compared; `stable` only where it looks at both arms."""

    judge: Threshold | Relative
    canary: Window
    stable: Window | None = None


class Told(NamedTuple):
    """Figures as a status has them in words: what a restart knows until there are newer ones."""

    stable_value: str = ""
    estimate: str = ""
    interval: str = ""
    e_value: str = ""
    e_limit: str = ""
    information: str = ""
    detectable: str = ""
    blocks: int | None = None
    bad: int | None = None


def glance(judge: JudgeSpec, reading: Reading) -> Glance | None:
    """Return what a judge of windows looked at; None where there was nothing, or for another."""
    if not reading.canary:
        return None
    if type(judge) is Threshold:
        return Glance(judge, reading.canary[-1])
    if type(judge) is Relative:
        return Glance(judge, reading.canary[-1], reading.stable[-1] if reading.stable else None)
    return None


def figures(seen: Glance) -> Figures | None:
    """Return the figures of a window; None where it has no event."""
    if seen.canary.total <= 0:
        return None
    if isinstance(seen.judge, Threshold):
        return _of_share(seen.judge, seen.canary)
    return None if seen.stable is None else _of_ratio(seen.judge, seen.canary, seen.stable)


def _of_share(judge: Threshold, canary: Window) -> Figures:
    low, high = wilson(canary.bad, canary.total, LEVEL)
    return Figures(
        kind="share",
        estimate=canary.bad / canary.total,
        low=low,
        high=high,
        information=min(1.0, canary.total / max(1, judge.min_events)),
        detectable=_detectable_share(judge.max, canary.total),
        requests=int(canary.total),
        bad=int(canary.bad),
    )


def _of_ratio(judge: Relative, canary: Window, stable: Window) -> Figures | None:
    """The ratio of the shares; its interval is that of the canary's part of all bad events.

    Given how many events are bad in both arms, the canary's number of them is binomial, and a
    Wilson interval for its part is one for the ratio (the argument of `eprocess`, for one look).
    """
    if stable.total <= 0:
        return None
    pace = stable.total / canary.total
    low = high = None
    bad = canary.bad + stable.bad
    if bad > 0:
        part_low, part_high = wilson(canary.bad, bad, LEVEL)
        low, high = _odds(part_low) * pace, _odds(part_high) * pace
    return Figures(
        kind="ratio",
        stable=stable.bad / stable.total,
        estimate=canary.bad / canary.total * (stable.total + 1) / (stable.bad + 0.5),
        low=low,
        high=high,
        information=min(1.0, min(canary.total, stable.total) / max(1, judge.min_events)),
        detectable=_detectable_ratio(judge.max_ratio, pace, bad),
        requests=int(canary.total),
        bad=int(canary.bad),
    )


def _detectable_share(limit: float, events: float) -> float | None:
    """The smallest share of so many events whose interval lies above the limit; None if none.

    Wilson's interval turns the score test round, so its lower end is above the limit exactly where
    the share is beyond the limit by z standard deviations of the limit itself.
    """
    limit = min(max(limit, 0.0), 1.0)
    edge = limit + z_of(LEVEL) * sqrt(limit * (1 - limit) / events)
    share = (floor(edge * events + 1e-9) + 1) / events
    return share if share <= 1 else None


def _detectable_ratio(limit: float, pace: float, bad: float) -> float | None:
    """The smallest ratio whose interval lies above the limit, with so many bad events in all."""
    if bad <= 0:
        return None
    part = limit / (limit + pace)
    share = _detectable_share(part, bad)
    return None if share is None or share >= 1 else _odds(share) * pace


def _odds(part: float) -> float:
    return part / (1 - part) if part < 1 else inf
