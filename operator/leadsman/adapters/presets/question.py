"""A guard's question, as the API writes it, becomes a Shape.

The question is the measuring part of a Guard's spec as plain JSON: exactly one of errors, latency,
ratio, histogram or promQL. It may come from a record of an older version of the operator, so
nothing is taken for granted; what cannot be asked raises QueryInvalidError with a sentence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from leadsman.adapters.presets import counters, promql, traefik
from leadsman.adapters.presets.arms import ArmBy, Arms
from leadsman.adapters.presets.buckets import bounds_of
from leadsman.adapters.presets.shape import QueryInvalidError, Shape
from leadsman.adapters.presets.table import PRESETS, Preset

_LATENCY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s)")
_ARM_BY: dict[str, ArmBy] = {"Pod": "Pod", "Service": "Service", "Label": "Label"}


def shape_of(question: str | Mapping[str, Any], arms: Arms) -> Shape:
    """Return the series that answer a question about these arms. Raises QueryInvalidError."""
    body = _parsed(question)
    try:
        if body.get("slices"):
            raise QueryInvalidError("slices come with a later version")
        if measure := body.get("errors"):
            return _preset(measure).errors(arms)
        if measure := body.get("latency"):
            return _preset(measure).latency(arms, seconds_of(measure["above"]))
        if measure := body.get("ratio"):
            by, label = _arm(measure)
            bad, total = counters.counter(measure["bad"]), counters.counter(measure["total"])
            return counters.ratio(arms, bad, total, by, label)
        if measure := body.get("histogram"):
            by, label = _arm(measure)
            source, bounds = counters.counter(measure), bounds_of(seconds_of(measure["above"]))
            return counters.histogram(arms, source, bounds, by, label)
        if measure := body.get("promQL"):
            return promql.expression(arms, measure["query"])
    except (KeyError, TypeError, AttributeError) as error:
        raise QueryInvalidError("the question is damaged") from error
    raise QueryInvalidError("the question has none of errors, latency, ratio, histogram, promQL")


def router_total(arms: Arms, questions: Iterable[str | Mapping[str, Any]] = ()) -> Shape:
    """Return the shape that counts the router's requests by arm. Raises QueryInvalidError.

    Which router it is, the presets of the Rollout's own questions say; Traefik if none does.
    """
    for question in questions:
        body = _parsed(question)
        for measure in (body.get("errors"), body.get("latency")):
            name = measure.get("preset") if isinstance(measure, Mapping) else None
            preset = PRESETS.get(name) if isinstance(name, str) else None
            if preset is not None and preset.router is not None:
                return preset.router(arms)
    return traefik.requests(arms)


def seconds_of(text: str) -> float:
    """Return the seconds of a latency such as "250ms". Raises QueryInvalidError."""
    match = _LATENCY.fullmatch(text)
    if match is None:
        raise QueryInvalidError(f"not a latency: {text[:40]!r}")
    number = float(match.group(1))
    return number / 1000 if match.group(2) == "ms" else number


def _parsed(question: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(question, str):
        return question
    try:
        body = json.loads(question)
    except (ValueError, RecursionError) as error:
        raise QueryInvalidError("the question is not JSON") from error
    if not isinstance(body, dict):
        raise QueryInvalidError("the question is not an object")
    return body


def _preset(measure: Mapping[str, Any]) -> Preset:
    name = measure["preset"]
    found = PRESETS.get(name) if isinstance(name, str) else None
    if found is None:
        raise QueryInvalidError(f"no such preset: {str(name)[:40]!r}")
    return found


def _arm(measure: Mapping[str, Any]) -> tuple[ArmBy, str]:
    arm = measure.get("arm") or {}
    by = _ARM_BY.get(arm.get("by") or "Pod")
    if by is None:
        raise QueryInvalidError("arm.by must be Pod, Service or Label")
    return by, arm.get("label") or "pod"
