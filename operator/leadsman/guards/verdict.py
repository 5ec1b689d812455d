"""The words of a judgement: verdict, level, reason, and the record that carries them.

Verdicts say what the evidence shows, levels how bad it is; neither says what is done about it,
which is the contract's business. Reasons are a closed list, so that a status, an event and a test
can name them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from leadsman.guards.words import plain


@plain
class Verdict(StrEnum):
    """What the evidence shows. Only FAIL may roll a release back; only PASS may advance it."""

    PASS = "Pass"  # noqa: S105 (a verdict, no password)
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"
    NO_DATA = "NoData"
    CONFOUNDED = "Confounded"


@plain
class Level(StrEnum):
    """How bad it is. EMERGENCY is made of several guards, so no single judgement has it."""

    NONE = "None"
    WARNING = "Warning"
    CRITICAL = "Critical"
    EMERGENCY = "Emergency"


@plain
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
    HARM_DETECTED = "HarmDetected"
    NO_HARM_SEEN = "NoHarmSeen"
    NOT_INFERIOR = "NotInferior"
    CONFOUNDED = "Confounded"
    SAMPLE_RATIO_MISMATCH = "SampleRatioMismatch"


WARNING_BAND = 0.1
"""A value within this share below its limit is a warning."""


EVIDENCE_BAND = math.log(10)
"""Evidence within this much (natural logarithm) of its limit is a warning: an e-value of a tenth.

By chance that happens ten times as often as a false alarm."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a statistic says beyond a value and a limit; for people, but for the evidence itself.

    `stable`: stable's value. `estimate`: the rate ratio, or the difference, as `kind` says
    ("ratio", "difference", "share", "mean"); `low` and `high` its confidence sequence. `log_e` is
    the natural logarithm of the e-value, `log_limit` that of what it takes to fail. `information`
    is the share of the evidence that a stage needs to pass, `detectable` the smallest worsening
    that would have been seen by now: a ratio, a difference (below 0 where lower is worse) or a
    share, as `kind` says. `blocks`, `requests` and `bad` are what the canary was counted
    by: blocks, requests, and how many of them were bad.
    """

    kind: str
    stable: float | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    log_e: float | None = None
    log_limit: float | None = None
    information: float | None = None
    detectable: float | None = None
    blocks: int = 0
    requests: int = 0
    bad: int = 0


class Judged(NamedTuple):
    """One judgement of one guard.

    `value` and `limit` are shares in 0..1 (None where nothing was measured), `events` is the number
    of events behind the value, `at` the Unix time in seconds of the newest sample that was judged.
    `level` is None where it follows from value and limit.
    """

    verdict: Verdict
    reason: Reason
    value: float | None
    limit: float | None
    events: int
    at: float | None
    level: Level | None = None
    figures: Figures | None = None


def level_of(judged: Judged) -> Level:
    """Return CRITICAL for a Fail, WARNING for a value close below its limit, otherwise NONE.

    A judge that knows better says it itself.
    """
    if judged.verdict is Verdict.FAIL:
        return Level.CRITICAL
    if judged.level is not None:
        return judged.level
    value, limit = judged.value, judged.limit
    if value is None or limit is None or judged.verdict is not Verdict.PASS:
        return Level.NONE
    return Level.WARNING if limit > 0 and value >= limit * (1 - WARNING_BAND) else Level.NONE
