"""What guards say, in the API's form: verdicts for people, evidence as text that keeps its bits.

The figures of a statistic are worked out from the evidence whenever they are told. They are for
people: what a restart reads of them is told again until there are newer ones, and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from math import exp, inf, log
from typing import Any

from leadsman.adapters.workloads.moments import format_time, parse_time
from leadsman.api.schema import camel
from leadsman.core.status import GuardStatus, SliceStatus, StageOutlook
from leadsman.guards import glances
from leadsman.guards.glances import Glance, Told
from leadsman.guards.memory import encode_memory
from leadsman.guards.verdict import Figures
from leadsman.guards.windows import RECENT, Block
from leadsman.ports import Body

_NUMBER = r"(-?\d{1,16}(?:\.\d+)?(?:e[+-]?\d{1,2})?)"
_BLOCK = re.compile(
    rf"(\S+) {_NUMBER}s canary {_NUMBER}/{_NUMBER} stable {_NUMBER}/{_NUMBER}", re.ASCII
)
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
            **_told(one),
            "slices": [_encode_slice(part) for part in one.slices] or None,
            "lastBlocks": [encode_block(block) for block in one.recent[-RECENT:]] or None,
        }
    )


def _told(one: GuardStatus) -> Body:
    """The figures for people; what was told before a restart stands until there are newer ones."""
    seen = one.glance
    if one.figures is None and isinstance(seen, Told):
        return {camel(name): value for name, value in seen._asdict().items()}
    return _figures(one.figures or (glances.figures(seen) if isinstance(seen, Glance) else None))


def encode_block(one: Block) -> str:
    """Return a block in a line: when it ended, how long it was, bad and all events by arm."""
    canary = f"{_count(one.canary_bad)}/{_count(one.canary)}"
    stable = f"{_count(one.stable_bad)}/{_count(one.stable)}"
    seconds = _count(round(one.at - one.start, 3))
    return f"{format_time(one.at)} {seconds}s canary {canary} stable {stable}"


def decode_block(text: str) -> Block | None:
    """Return the block of a line, to the digits that are in it; None for anything else."""
    found = _BLOCK.fullmatch(text)
    at = None if found is None else parse_time(found[1])
    if found is None or at is None:
        return None
    seconds, canary_bad, canary, stable_bad, stable = map(float, found.groups()[1:])
    return Block(round(at - seconds, 3), at, canary, canary_bad, stable, stable_bad)


def _count(value: float) -> str:
    """A whole number as it is, also a large one; any other to the digits that people read."""
    return str(int(value)) if value.is_integer() else f"{value:.6g}"


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
        "detectable": _detectable(figures),
        "blocks": figures.blocks or None,
        "bad": figures.bad,
    }


def _detectable(figures: Figures) -> str | None:
    """The smallest worsening: a difference has a sign, a share has per cent, a ratio neither."""
    value = figures.detectable
    if value is None or figures.kind == "ratio":
        return _number(value)
    text = _number(value) if figures.kind == "mean" else percent(value)
    return text if figures.kind == "share" or value < 0 else f"+{text}"


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
