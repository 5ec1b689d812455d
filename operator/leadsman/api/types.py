"""The scalars of the API: durations, shares, ratios, latencies, names, and how to read them.

The API has no floats, because they do not survive every client unchanged. Shares are strings such
as "0.5%", latencies "120ms", durations GEP-2257 strings such as "1h30m". Each type carries its
pattern, its length and a rule with a message that a person can act on: a bare pattern in an error
message helps nobody. The `parse_*` functions turn a string into seconds or into a number.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from leadsman.api.schema import Extra, Rule

DURATION = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
PERCENT = r"^(100(\.0{1,6})?|[0-9]{1,2}(\.[0-9]{1,6})?)%$"
RATIO = r"^[0-9]{1,4}(\.[0-9]{1,6})?$"
LATENCY = r"^(0\.[0-9]{0,2}[1-9]|[1-9][0-9]{0,5}(\.[0-9]{1,3})?)(ms|s)$"
MARGIN = r"^[0-9]{1,6}(\.[0-9]{1,6})?(%|ms|s)?$"
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
METRIC = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"
LABEL = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
REASON = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"

_UNIT_SECONDS = {
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
_PART = re.compile(r"([0-9]+)(ms|h|m|s)")


def parse_duration(text: str) -> float:
    """Return the seconds of a GEP-2257 duration such as "1h30m" or "250ms".

    Raises ValueError if the text is not one.
    """
    if not re.fullmatch(DURATION, text):
        raise ValueError(f"not a duration: {text!r}")
    parts = _PART.findall(text)
    return float(sum(Decimal(number) * _UNIT_SECONDS[unit] for number, unit in parts))


def parse_percent(text: str) -> float:
    """Return the share in 0..1 of a percentage such as "0.5%".

    Raises ValueError if the text is not one.
    """
    if not re.fullmatch(PERCENT, text):
        raise ValueError(f"not a percentage: {text!r}")
    return float(Decimal(text[:-1]) / 100)


def parse_ratio(text: str) -> float:
    """Return the number of a ratio such as "1.5".

    Raises ValueError if the text is not one.
    """
    if not re.fullmatch(RATIO, text):
        raise ValueError(f"not a ratio: {text!r}")
    return float(text)


def parse_latency(text: str) -> float:
    """Return the seconds of a latency such as "250ms" or "1.5s".

    Raises ValueError if the text is not one.
    """
    if not re.fullmatch(LATENCY, text):
        raise ValueError(f"not a latency: {text!r}")
    unit = "ms" if text.endswith("ms") else "s"
    return float(Decimal(text.removesuffix(unit)) * _UNIT_SECONDS[unit])


def parse_margin(text: str) -> float:
    """Return a margin as a number: a share for "1%", seconds for "1ms", itself for "0.02".

    Raises ValueError if the text is not one.
    """
    if not re.fullmatch(MARGIN, text):
        raise ValueError(f"not a margin: {text!r}")
    if text.endswith("%"):
        return float(Decimal(text[:-1]) / 100)
    for unit in ("ms", "s"):
        if text.endswith(unit):
            return float(Decimal(text.removesuffix(unit)) * _UNIT_SECONDS[unit])
    return float(text)


def formed(pattern: str, message: str) -> Rule:
    """Return the rule that says in words what a pattern says in signs."""
    compiled = re.compile(pattern)
    return Rule(
        cel=f"self.matches({cel_string(pattern)})",
        message=message,
        holds=lambda text: compiled.fullmatch(text) is not None,
    )


def cel_string(text: str) -> str:
    """Return the text as a CEL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def between(low: str, high: str) -> Rule:
    """Return the rule that a duration lies between two others, both allowed."""
    least, most = parse_duration(low), parse_duration(high)

    def holds(text: str) -> bool:
        return not re.fullmatch(DURATION, text) or least <= parse_duration(text) <= most

    return Rule(
        # The pattern's own rule speaks about a malformed text; this one is silent then.
        cel=(
            f"!self.matches('{DURATION}') || "
            f"(duration(self) >= duration('{low}') && duration(self) <= duration('{high}'))"
        ),
        message=f"must be a duration from {low} to {high}",
        holds=holds,
    )


Duration = Annotated[
    str,
    Field(max_length=24),
    Extra("pattern", DURATION),
    formed(DURATION, 'must be a duration such as "30s", "5m" or "1h30m" (units h, m, s, ms)'),
]
"""A GEP-2257 duration; `parse_duration` gives seconds."""

Percent = Annotated[
    str,
    Field(max_length=11),
    Extra("pattern", PERCENT),
    formed(PERCENT, 'must be a percentage from "0%" to "100%", such as "5%" or "0.5%"'),
]
"""A share in percent; `parse_percent` gives 0..1."""

Ratio = Annotated[
    str,
    Field(max_length=11),
    Extra("pattern", RATIO),
    formed(RATIO, 'must be a number in quotes, such as "1.5"'),
]
"""A plain number; `parse_ratio` gives it."""

Latency = Annotated[
    str,
    Field(max_length=12),
    Extra("pattern", LATENCY),
    formed(LATENCY, 'must be a latency above zero, such as "250ms" or "1.5s"'),
]
"""A time that a request took; `parse_latency` gives seconds."""

Margin = Annotated[
    str,
    Field(max_length=16),
    Extra("pattern", MARGIN),
    formed(MARGIN, 'must be a latency, a percentage or a number: "1ms", "0.5%", "0.02"'),
]
"""A difference that still counts as equal; `parse_margin` gives a number."""

ObjectName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Extra("pattern", DNS_NAME),
    formed(
        DNS_NAME,
        "must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.', "
        "with a letter or digit at both ends",
    ),
]
"""The name of an object in the same namespace (of a cluster-scoped one for `sourceRef`)."""

Name = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Extra("pattern", DNS_LABEL),
    formed(
        DNS_LABEL,
        "must be a short name: lower-case letters, digits and '-', "
        "with a letter or digit at both ends",
    ),
]
"""The name of an item inside an object: a stage, a guard."""

RuleName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Extra("pattern", DNS_NAME),
    formed(
        DNS_NAME,
        "must be the name of a rule of the route: lower-case letters, digits, '-' and '.', "
        "with a letter or digit at both ends",
    ),
]
"""The name of a route's rule (`spec.rules[].name` of the route)."""

MetricName = Annotated[
    str,
    Field(min_length=1, max_length=128),
    Extra("pattern", METRIC),
    formed(METRIC, "must be a metric's name: letters, digits, '_' and ':', not a digit first"),
]
"""The name of a Prometheus metric."""

LabelName = Annotated[
    str,
    Field(min_length=1, max_length=128),
    Extra("pattern", LABEL),
    formed(LABEL, "must be a label's name: letters, digits and '_', not a digit first"),
]
"""The name of a Prometheus label."""

Word = Annotated[str, Field(max_length=64)]
"""One word, or a number as people read it."""

Timestamp = Annotated[str, Field(max_length=40), Extra("format", "date-time")]
"""A moment in UTC, RFC 3339, fractions of a second allowed."""

Revision = Annotated[str, Field(max_length=63)]
"""The pod-template-hash of a ReplicaSet."""
