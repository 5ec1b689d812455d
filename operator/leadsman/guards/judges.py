"""Judges: a reading compared with what was promised gives a verdict.

Every function here is total: no reading makes it raise, and a reading without enough data is never
a Pass. Judges that need statistics are named by `Unsupported`, so that a contract which asks for
one holds and says so instead of passing by accident.
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
class Unsupported:
    """A judge that this version cannot work out; `kind` is its name in the API."""

    kind: str


JudgeSpec = Threshold | Unsupported


_REASON_OF_ERROR = {
    "Pending": Reason.INSUFFICIENT_DATA,
    "Empty": Reason.NO_TRAFFIC,
    "Stale": Reason.STALE,
    "NoSuchBucket": Reason.NO_SUCH_BUCKET,
    "QueryInvalid": Reason.QUERY_INVALID,
}


def judge(spec: JudgeSpec, reading: Reading, at_least: int = 1) -> Judged:
    """Judge the newest window of a reading; Fail needs `at_least` failing windows in a row."""
    if isinstance(spec, Unsupported):
        return Judged(
            Verdict.INCONCLUSIVE, Reason.JUDGE_UNSUPPORTED, None, None, 0, reading.last_sample
        )
    if reading.error:
        reason = _REASON_OF_ERROR.get(reading.error, Reason.METRICS_UNAVAILABLE)
        return Judged(Verdict.NO_DATA, reason, None, spec.max, 0, reading.last_sample)
    return judge_threshold(spec, reading.canary, at_least)


def judge_threshold(threshold: Threshold, canary: tuple[Window, ...], at_least: int = 1) -> Judged:
    """Judge the newest of the canary's windows against a limit.

    No window or no event is NoData, too few events are Inconclusive. A share above the limit is a
    Fail if the newest `at_least` windows are all above it, otherwise Inconclusive (Unconfirmed).
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
        return Judged(Verdict.PASS, Reason.WITHIN_LIMIT, value, limit, events, newest.at)
    if at_least > 1 and breaches(threshold, canary) < at_least:
        return Judged(Verdict.INCONCLUSIVE, Reason.UNCONFIRMED, value, limit, events, newest.at)
    return Judged(Verdict.FAIL, Reason.THRESHOLD_BREACHED, value, limit, events, newest.at)


def breaches(threshold: Threshold, canary: tuple[Window, ...]) -> int:
    """Return how many of the newest windows, in a row, are conclusive and above the limit."""
    count = 0
    for window in reversed(canary):
        enough = window.total >= threshold.min_events and window.total > 0
        if not enough or window.bad / window.total <= threshold.max:
            break
        count += 1
    return count
