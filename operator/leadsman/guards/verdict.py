"""The words of a judgement: verdict, level, reason, and the record that carries them.

Verdicts say what the evidence shows, levels how bad it is; neither says what is done about it,
which is the contract's business. Reasons are a closed list, so that a status, an event and a test
can name them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """What the evidence shows. Only FAIL may roll a release back; only PASS may advance it."""

    PASS = "Pass"  # noqa: S105 (a verdict, no password)
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"
    NO_DATA = "NoData"
    CONFOUNDED = "Confounded"


class Level(StrEnum):
    """How bad it is. EMERGENCY is made of several guards, so no single judgement has it."""

    NONE = "None"
    WARNING = "Warning"
    CRITICAL = "Critical"
    EMERGENCY = "Emergency"


class Reason(StrEnum):
    """Why the verdict is what it is."""

    WITHIN_LIMIT = "WithinLimit"
    THRESHOLD_BREACHED = "ThresholdBreached"
    UNCONFIRMED = "Unconfirmed"
    INSUFFICIENT_DATA = "InsufficientData"
    NO_TRAFFIC = "NoTraffic"
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    WARMING_UP = "WarmingUp"
    STALE = "Stale"
    NO_SUCH_BUCKET = "NoSuchBucket"
    QUERY_INVALID = "QueryInvalid"
    JUDGE_UNSUPPORTED = "JudgeUnsupported"


WARNING_BAND = 0.1
"""A value within this share below its limit is a warning."""


class Judged(NamedTuple):
    """One judgement of one guard.

    `value` and `limit` are shares in 0..1 (None where nothing was measured), `events` is the number
    of events behind the value, `at` the Unix time in seconds of the newest sample that was judged.
    """

    verdict: Verdict
    reason: Reason
    value: float | None
    limit: float | None
    events: int
    at: float | None


def level_of(judged: Judged) -> Level:
    """Return CRITICAL for a Fail, WARNING for a value close below its limit, otherwise NONE."""
    if judged.verdict is Verdict.FAIL:
        return Level.CRITICAL
    value, limit = judged.value, judged.limit
    if value is None or limit is None or judged.verdict is not Verdict.PASS:
        return Level.NONE
    return Level.WARNING if limit > 0 and value >= limit * (1 - WARNING_BAND) else Level.NONE
