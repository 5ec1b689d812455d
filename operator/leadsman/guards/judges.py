"""Judges: a reading compared with what was promised gives a verdict.

Every function here is total: no reading makes it raise, and a reading without enough data is never
a Pass. The judges that look at windows are here; those that gather evidence from block to block are
described here and work in `gathering`. What this version cannot judge is named by `Unsupported`, so
that a contract which asks for it holds and says so instead of passing by accident.
"""

from __future__ import annotations

from dataclasses import dataclass

from leadsman.guards.verdict import Judged, Reason, Verdict
from leadsman.guards.windows import Reading, Window


@dataclass(frozen=True, slots=True)
class Threshold:
    """The share of bad events in a window must stay at or below `max` (0..1).

    `window` is in seconds; with fewer than `min_events` events in it there is no verdict.
    """

    max: float
    window: float
    min_events: int


@dataclass(frozen=True, slots=True)
class Relative:
    """The canary's share of bad events must stay at or below `max_ratio` times stable's.

    `window` is in seconds; both arms need `min_events` events in it.
    """

    max_ratio: float
    window: float
    min_events: int


@dataclass(frozen=True, slots=True)
class Sequential:
    """Harm is shown when the rate ratio is above 1 + `tolerance`, at the error rate `alpha`.

    `alpha` is the guard's part of the contract's budget, `slice_alpha` that of each slice; `stages`
    the number of planned stages; `design_ratio` the worsening by which enough evidence is measured;
    `overdispersion` the noise of one arm against the other beyond counting (tau squared).
    """

    tolerance: float = 0.1
    alpha: float = 0.01
    stages: int = 1
    design_ratio: float = 1.5
    overdispersion: float = 0.0
    slice_alpha: float = 0.0


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """The canary must be shown to be no worse than stable by `margin`, a difference of shares."""

    margin: float
    alpha: float = 0.05


@dataclass(frozen=True, slots=True)
class SequentialMean:
    """Harm is shown when the mean is worse than stable's by more than `margin`, in its unit.

    `design_ratio`: how many times stable's mean must not stay hidden; above 1, also where lower is
    worse: 1.5 is half of stable's mean more, or less.
    """

    margin: float
    alpha: float = 0.01
    design_ratio: float = 1.5
    higher_is_worse: bool = True


@dataclass(frozen=True, slots=True)
class Absolute:
    """Harm is shown when the canary's share is above `max`, without looking at stable."""

    max: float
    alpha: float = 0.01
    slice_alpha: float = 0.0


@dataclass(frozen=True, slots=True)
class NegativeControl:
    """Two halves of stable's pods must not differ; if they do, the measurement is confounded."""

    alpha: float = 0.05


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """The canary's part of the traffic must be the commanded weight."""

    alpha: float = 0.001


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A judge that this version cannot work out; `kind` is its name in the API."""

    kind: str


Gathering = Sequential | NonInferiority | SequentialMean | Absolute | NegativeControl | SampleRatio
"""The judges that gather evidence block by block and remember it."""

JudgeSpec = (
    Threshold
    | Relative
    | Sequential
    | NonInferiority
    | SequentialMean
    | Absolute
    | NegativeControl
    | SampleRatio
    | Unsupported
)


_REASON_OF_ERROR = {
    "Pending": Reason.INSUFFICIENT_DATA,
    "Empty": Reason.NO_TRAFFIC,
    "Stale": Reason.STALE,
    "NoSuchBucket": Reason.NO_SUCH_BUCKET,
    "QueryInvalid": Reason.QUERY_INVALID,
}


def reason_of(error: str) -> Reason:
    """Return why there is no data, from the error of a reading."""
    return _REASON_OF_ERROR.get(error, Reason.METRICS_UNAVAILABLE)


def judge(
    spec: JudgeSpec,
    reading: Reading,
    at_least: int = 1,
    hysteresis: float = 0.0,
    *,
    failing: bool = False,
) -> Judged:
    """Judge the newest window of a reading; Fail needs `at_least` failing windows in a row.

    `failing`: the guard failed before and is well again only below its limit by `hysteresis` (a
    share of the limit). Judges that gather evidence are `gathering.conclude`'s business.
    """
    if isinstance(spec, Threshold):
        if reading.error:
            reason = reason_of(reading.error)
            return Judged(Verdict.NO_DATA, reason, None, spec.max, 0, reading.last_sample)
        if not hysteresis:
            return judge_threshold(spec, reading.canary, at_least)
        return judge_threshold(spec, reading.canary, at_least, hysteresis, failing=failing)
    if isinstance(spec, Relative):
        if reading.error:
            reason = reason_of(reading.error)
            return Judged(Verdict.NO_DATA, reason, None, None, 0, reading.last_sample)
        return judge_relative(spec, reading, at_least, hysteresis, failing=failing)
    return Judged(
        Verdict.INCONCLUSIVE, Reason.JUDGE_UNSUPPORTED, None, None, 0, reading.last_sample
    )


def judge_threshold(
    threshold: Threshold,
    canary: tuple[Window, ...],
    at_least: int = 1,
    hysteresis: float = 0.0,
    *,
    failing: bool = False,
) -> Judged:
    """Judge the newest of the canary's windows against a limit.

    No window or no event is NoData, too few events are Inconclusive. A share above the limit is a
    Fail if the newest `at_least` windows are all above it, otherwise Inconclusive (Unconfirmed); so
    is one within the hysteresis below the limit of a guard that was failing.
    """
    limit = threshold.max
    if not canary:
        return Judged(Verdict.NO_DATA, Reason.NO_TRAFFIC, None, limit, 0, None)
    newest = canary[-1]
    events = int(newest.total)
    if events <= 0:
        return Judged(Verdict.NO_DATA, Reason.NO_TRAFFIC, None, limit, 0, newest.at)
    # A quotient, because 0.29 * 100 is below 29 while 29 / 100 is exactly the float 0.29.
    value = newest.bad / newest.total
    if events < threshold.min_events:
        return Judged(
            Verdict.INCONCLUSIVE, Reason.INSUFFICIENT_DATA, value, limit, events, newest.at
        )
    if value <= limit:
        if failing and value > limit * (1 - hysteresis):
            return Judged(Verdict.INCONCLUSIVE, Reason.UNCONFIRMED, value, limit, events, newest.at)
        return Judged(Verdict.PASS, Reason.WITHIN_LIMIT, value, limit, events, newest.at)
    if at_least > 1 and breaches(threshold, canary, hysteresis) < at_least:
        return Judged(Verdict.INCONCLUSIVE, Reason.UNCONFIRMED, value, limit, events, newest.at)
    return Judged(Verdict.FAIL, Reason.THRESHOLD_BREACHED, value, limit, events, newest.at)


def breaches(threshold: Threshold, canary: tuple[Window, ...], hysteresis: float = 0.0) -> int:
    """Return how many of the newest windows, in a row, are conclusive and above the limit.

    A window between the limit and the hysteresis below it neither counts nor ends the row."""
    count = 0
    for window in reversed(canary):
        enough = window.total >= threshold.min_events and window.total > 0
        if not enough:
            break
        share = window.bad / window.total
        if share > threshold.max:
            count += 1
        elif share <= threshold.max * (1 - hysteresis):
            break
    return count


def judge_relative(
    relative: Relative,
    reading: Reading,
    at_least: int = 1,
    hysteresis: float = 0.0,
    *,
    failing: bool = False,
) -> Judged:
    """Judge the canary's newest window against stable's, as a threshold that stable sets.

    Half an event is added to stable's bad ones, so that a stable arm without a single error does
    not turn the canary's first one into a breach. All windows of the canary are compared with the
    share of stable's newest window.
    """
    if not reading.canary:
        return Judged(Verdict.NO_DATA, Reason.NO_TRAFFIC, None, None, 0, None)
    at = reading.canary[-1].at
    events = int(reading.canary[-1].total)
    if not reading.stable or reading.stable[-1].total < relative.min_events:
        return Judged(Verdict.INCONCLUSIVE, Reason.INSUFFICIENT_DATA, None, None, events, at)
    stable = reading.stable[-1]
    limit = min(1.0, relative.max_ratio * (stable.bad + 0.5) / (stable.total + 1))
    threshold = Threshold(limit, relative.window, relative.min_events)
    return judge_threshold(threshold, reading.canary, at_least, hysteresis, failing=failing)
