"""Wrong manifests, each with the words that its refusal must contain.

No two are the same; where several are against one rule of one field, they break it in different
ways (another way to write a wrong percentage, another judge without its counters). The end-to-end
suite gives each to a real API server; the unit tests give each to the models, so that both readers
refuse the same. A row says what is changed in a manifest that is otherwise right (`BASES`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.manifests import (
    refused_contract,
    refused_evidence,
    refused_guard,
    refused_plan,
    refused_rollout,
    refused_source,
)
from tests.manifests.rows import ABSENT, GUARD, Row, stage


@dataclass(frozen=True)
class Case:
    """A wrong manifest: the field and the rule it is against, and what the refusal must say."""

    kind: str
    field: str
    rule: str
    manifest: Mapping[str, Any]
    says: tuple[str, ...]

    @property
    def id(self) -> str:
        """A name for test reports."""
        return f"{self.kind}-{self.field}-{self.rule}"


_BASES: dict[str, Mapping[str, Any]] = {
    "Rollout": {
        "targetRef": {"kind": "Deployment", "name": "shop"},
        "traffic": {"gatewayAPI": {"routeRefs": [{"name": "shop"}]}},
        "planRef": {"name": "canary"},
        "contractRefs": [{"name": "shop-slo"}],
    },
    "RolloutPlan": {"stages": [stage("half", 50, hold="1m"), stage("full", 100)]},
    "ReleaseContract": {"guards": [{"name": "errors", "guardRef": {"name": "errors"}}]},
    "Guard": GUARD,
    "MetricsSource": {"prometheus": {"address": "http://prometheus:9090"}},
}
BASES: dict[str, dict[str, Any]] = {
    kind: {
        "apiVersion": "leadsman.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "wrong"},
        "spec": spec,
    }
    for kind, spec in _BASES.items()
}
"""One right manifest of each kind."""

_TABLES: dict[str, tuple[Row, ...]] = {
    "Rollout": refused_rollout.ROWS,
    "RolloutPlan": refused_plan.ROWS,
    "ReleaseContract": refused_contract.ROWS + refused_evidence.CONTRACT_ROWS,
    "Guard": refused_guard.ROWS + refused_evidence.GUARD_ROWS,
    "MetricsSource": refused_source.ROWS,
}


def cases() -> tuple[Case, ...]:
    """Return all wrong manifests."""
    return tuple(
        Case(kind, field, rule, changed(BASES[kind], change), says)
        for kind, rows in _TABLES.items()
        for field, rule, change, says in rows
    )


def changed(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a manifest with some fields (dotted paths) set or left out."""
    manifest: dict[str, Any] = copy.deepcopy(dict(base))
    for path, value in change.items():
        *outer, last = path.split(".")
        place = manifest
        for part in outer:
            place = place.setdefault(part, {})
        if value is ABSENT:
            place.pop(last, None)
        else:
            place[last] = copy.deepcopy(value)
    return manifest
