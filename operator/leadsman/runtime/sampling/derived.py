"""The series that a guard's judge needs, made from the series of its question.

A judge of windows or of rates takes the question's shape as it is. A slice is the same series with
one more label to compare. A mean takes the histogram's sum in place of its bucket. The control of
stable against itself takes stable's pods in two halves, told by a hash of the pod's name: the same
pods fall into the same halves in every process, and in a replay years later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from leadsman.adapters.presets.arms import Arms
from leadsman.adapters.presets.question import seconds_of, shape_of
from leadsman.adapters.presets.shape import (
    Condition,
    QueryInvalidError,
    Role,
    Shape,
    label_name,
    label_value,
    literal,
)
from leadsman.core.spec import GuardSpec
from leadsman.guards.counters import ArmName
from leadsman.guards.judges import NegativeControl, SequentialMean


@dataclass(frozen=True, slots=True)
class Wanted:
    """The shapes of one guard: the whole's and each slice's. `scale` turns a sum into seconds."""

    whole: Shape
    slices: tuple[Shape, ...] = ()
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class HalvedShape(Shape):
    """Stable's series in two halves, by pod: "canary" and "stable" name the halves."""

    def arm_of(self, labels: Mapping[str, str]) -> ArmName | None:
        """Return the half that a series of a stable pod belongs to."""
        if Shape.arm_of(self, labels) != "stable":
            return None
        return "canary" if is_first_half(labels.get(self.arm_label, "")) else "stable"


def is_first_half(pod: str) -> bool:
    """Return whether a pod of this name belongs to the first half."""
    return hashlib.sha256(pod.encode()).digest()[0] % 2 == 0


def wanted_of(guard: GuardSpec, arms: Arms) -> Wanted:
    """Return the shapes that a guard needs. Raises QueryInvalidError."""
    question = _question(guard.query)
    asked = {name: part for name, part in question.items() if name != "slices"}
    whole = shape_of(asked, arms)
    scale = 1.0
    if isinstance(guard.judge, NegativeControl):
        whole = _halved(whole, asked)
    elif isinstance(guard.judge, SequentialMean):
        whole, scale = _mean(whole, asked)
    return Wanted(whole, _sliced(whole, question.get("slices"), guard.slices), scale)


def _question(query: str) -> dict[str, Any]:
    try:
        question = json.loads(query)
    except (ValueError, RecursionError) as error:
        raise QueryInvalidError("the question is not JSON") from error
    if not isinstance(question, dict):
        raise QueryInvalidError("the question is not an object")
    return question


def _sliced(whole: Shape, slices: Any, values: tuple[str, ...]) -> tuple[Shape, ...]:
    if not values:
        return ()
    try:
        label = label_name(slices["label"])
    except (KeyError, TypeError) as error:
        raise QueryInvalidError("slices: the question names no label") from error
    found = []
    for value in values:
        condition = Condition(label, literal(label_value(value)))
        roles = tuple(
            replace(role, conditions=(*role.conditions, condition)) for role in whole.roles
        )
        found.append(replace(whole, roles=roles))
    return tuple(found)


def _halved(whole: Shape, asked: Mapping[str, Any]) -> Shape:
    measure = next(iter(asked.values()), None)
    by = (measure.get("arm") or {}).get("by", "Pod") if isinstance(measure, dict) else ""
    preset = measure.get("preset") if isinstance(measure, dict) else None
    if by != "Pod" or (whole.arm_label != "pod" and preset is not None):
        raise QueryInvalidError(
            "negativeControl halves stable's pods: measure by ratio or histogram with arm.by Pod,"
            " or by a preset of the pods' own metrics"
        )
    return HalvedShape(**{one.name: getattr(whole, one.name) for one in fields(whole)})


def _mean(whole: Shape, asked: Mapping[str, Any]) -> tuple[Shape, float]:
    """The mean of a histogram: its sum over its count, in seconds where the bounds are."""
    if whole.is_expression:
        return whole, 1.0
    count = next((role for role in whole.roles if role.metric.endswith("_count")), None)
    if count is None or not whole.bounds:
        raise QueryInvalidError("sequentialMean needs a histogram: measure by latency or histogram")
    name = count.metric.removesuffix("_count")
    roles = (
        Role(f"{name}_count", 1, 0, count.conditions),
        Role(f"{name}_sum", 0, 1, count.conditions),
    )
    measure = next(iter(asked.values()))
    above = seconds_of(measure["above"])
    bound = min((abs(float(text) / above - 1), float(text)) for text in whole.bounds)[1]
    return replace(whole, roles=roles, bounds=()), above / bound
