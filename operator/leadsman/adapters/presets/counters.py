"""Counters and histograms that users name, and the pods' own well-known ones.

The metric is the user's word, so its `namespace` label is always compared with the Rollout's
namespace: a team can only ask about its own series.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leadsman.adapters.presets.arms import ArmBy, Arms, names_pattern
from leadsman.adapters.presets.buckets import bounds_of
from leadsman.adapters.presets.patterns import checked
from leadsman.adapters.presets.shape import (
    Condition,
    QueryInvalidError,
    Role,
    Shape,
    exactly,
    label_name,
    label_value,
    literal,
    metric_name,
    slow_roles,
)

_RESERVED = frozenset({"namespace", "le"})
POD_ERROR = Condition("code", "5..")


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter that a user named, with its conditions."""

    metric: str
    conditions: tuple[Condition, ...] = ()


def counter(body: Mapping[str, Any]) -> Counter:
    """Read `{metric, match, matchRegex}`. Raises QueryInvalidError."""
    conditions = [
        Condition(_free(label), literal(label_value(value)))
        for label, value in sorted((body.get("match") or {}).items())
    ]
    conditions += [
        Condition(_free(label), checked(label_value(value)))
        for label, value in sorted((body.get("matchRegex") or {}).items())
    ]
    return Counter(metric_name(body["metric"]), tuple(conditions))


def ratio(arms: Arms, bad: Counter, total: Counter, by: ArmBy, label: str) -> Shape:
    """Return the shape of the share of bad events."""
    if bad.metric == total.metric:
        roles: tuple[Role, ...] = (
            Role(bad.metric, 1, 1, (*total.conditions, *bad.conditions)),
            Role(bad.metric, 0, 1, bad.conditions),
            Role(total.metric, 1, 0, total.conditions),
        )
    else:
        roles = (
            Role(bad.metric, 0, 1, bad.conditions),
            Role(total.metric, 1, 0, total.conditions),
        )
    shared = tuple(each for each in total.conditions if each in bad.conditions)
    return _shape(arms, roles, by, label, shared)


def shares(arms: Arms, roles: tuple[Role, ...], by: ArmBy, label: str) -> Shape:
    """Return the shape of any roles, told apart by a label that the scrape gives."""
    return _shape(arms, roles, by, label, ())


def histogram(arms: Arms, source: Counter, bounds: tuple[str, ...], by: ArmBy, label: str) -> Shape:
    """Return the shape of the share of events above a bound, given in all its spellings."""
    roles = slow_roles(source.metric, bounds, source.conditions)
    return _shape(arms, roles, by, label, source.conditions, bounds)


def pod_errors(arms: Arms) -> Shape:
    """Return the shape of the share of requests that the pods themselves counted as failed."""
    total = Counter("http_requests_total")
    return ratio(arms, Counter(total.metric, (POD_ERROR,)), total, "Pod", "pod")


def pod_latency(arms: Arms, above: float) -> Shape:
    """Return the shape of the share of requests that took the pods longer than `above` seconds."""
    source = Counter("http_request_duration_seconds")
    return histogram(arms, source, bounds_of(above), "Pod", "pod")


def _shape(
    arms: Arms,
    roles: tuple[Role, ...],
    by: ArmBy,
    label: str,
    shared: tuple[Condition, ...],
    bounds: tuple[str, ...] = (),
) -> Shape:
    canary, stable = names_pattern(arms.canary, by), names_pattern(arms.stable, by)
    nothing = exactly([])
    return Shape(
        roles=roles,
        arm_label=label_name(label),
        asked=tuple(pattern for pattern in (canary, stable) if pattern != nothing),
        canary=canary,
        stable=stable,
        namespace=label_value(arms.namespace),
        matchers=tuple((each.label, "=~", each.pattern) for each in shared),
        bounds=bounds,
    )


def _free(label: str) -> str:
    if label in _RESERVED:
        raise QueryInvalidError(f"label {label!r} is set by the operator")
    return label_name(label)
