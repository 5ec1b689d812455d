"""What guards say, in the API's form: verdicts for people, evidence as text that keeps its bits.

The figures of a statistic are worked out from the evidence whenever they are told, so they are
written for people and never read back.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import exp, inf, log
from typing import Any

from leadsman.adapters.workloads.moments import format_time
from leadsman.core.status import GuardStatus, SliceStatus, StageOutlook
from leadsman.guards.memory import encode_memory
from leadsman.guards.verdict import Figures
from leadsman.ports import Body

WORD, NAME, STATE, SLICE_STATE = 64, 128, 1024, 512


def percent(share: float | None) -> str | None:
    """Return a share in 0..1 as people read it, to four digits: 0.004 is "0.4%"."""
    if share is None:
        return None
    text = f"{Decimal(f'{share:.4g}') * 100:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "%"


def encode_guard(one: GuardStatus) -> Body:
    """Return a guard's status as the API stores it."""
    return _present(
        {
            "name": one.name,
            "verdict": str(one.verdict),
            "level": str(one.level),
            "reason": one.reason[:WORD],
            "since": format_time(one.since),
            "value": percent(one.value),
            "limit": percent(one.limit),
            "events": one.events,
            "consecutive": one.row or None,
            "failingSince": _moment(one.failing_since),
            "noDataSince": _moment(one.no_data_since),
            "state": _state(encode_memory(one.evidence) or one.state, STATE),
            "slice": one.slice[:NAME],
            **_figures(one.figures),
            "slices": [_encode_slice(part) for part in one.slices] or None,
        }
    )


def encode_outlook(one: StageOutlook) -> Body:
    """Return what a stage can show as the API stores it; the numbers come back to the bit."""
    return _present(
        {
            "stage": one.stage,
            "detectable": None if one.detectable is None else repr(one.detectable),
            "minutes": repr(one.minutes),
        }
    )


def decode_outlook(stage: str, detectable: str, minutes: str) -> StageOutlook:
    """Return what was encoded; a number that cannot be read is as good as none."""
    return StageOutlook(stage, _float(detectable), _float(minutes) or inf)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _encode_slice(one: SliceStatus) -> Body:
    return _present(
        {
            "name": one.name[:NAME],
            "verdict": str(one.verdict),
            "level": None if one.level == "None" else str(one.level),
            "reason": one.reason[:WORD],
            "value": percent(one.value),
            "events": one.events,
            "consecutive": one.row or None,
            "failingSince": _moment(one.failing_since),
            "state": _state(encode_memory(one.evidence), SLICE_STATE),
        }
    )


def _figures(figures: Figures | None) -> Body:
    if figures is None:
        return {}
    shown = _number if figures.kind in ("ratio", "mean") else percent
    value = _number if figures.kind == "mean" else percent
    low, high = shown(figures.low), shown(figures.high)
    return {
        "stableValue": value(figures.stable),
        "estimate": shown(figures.estimate),
        "interval": None if low is None or high is None else f"{low} to {high}",
        "eValue": _evidence(figures.log_e),
        "eLimit": _evidence(figures.log_limit),
        "information": None if figures.information is None else f"{figures.information:.0%}",
        "detectable": _number(figures.detectable),
        "blocks": figures.blocks,
        "bad": figures.bad,
    }


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"


def _evidence(log_e: float | None) -> str | None:
    """An e-value from its natural logarithm, also one that no float holds."""
    if log_e is None:
        return None
    if -300 < log_e < 300:
        return f"{exp(log_e):.4g}"
    return f"1e{log_e / log(10):.0f}"


def _state(text: str, length: int) -> str | None:
    return text if len(text) <= length else None


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else format_time(seconds)


def _present(tree: Mapping[str, Any]) -> Body:
    return {key: value for key, value in tree.items() if value is not None and value != ""}
