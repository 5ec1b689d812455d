"""What counts as a request of the operator: all that it asks, and the sweep beside it."""

from __future__ import annotations

from datetime import UTC, datetime

from bench.bed import without_sweep
from e2e.harness.audit import Request


def asked(at: float, verb: str, resource: str, namespace: str = "") -> Request:
    told = datetime.fromtimestamp(at, UTC).isoformat()
    return Request(told, "leadsman", verb, resource, "", namespace, "", 200)


def test_gets_of_the_whole_cluster_count_as_those_of_a_namespace_do() -> None:
    some = [
        asked(0, "get", "mutatingadmissionpolicies"),
        asked(1, "patch", "httproutes", "shop"),
        asked(2, "list", "pods", "shop"),
        asked(3, "list", "httproutes"),
    ]
    assert without_sweep(some) == (some, [])


def test_the_sweeps_lists_are_told_apart() -> None:
    swept = [
        asked(10.0, "list", "metricssources"),
        asked(10.1, "list", "rollouts"),
        asked(10.3, "list", "deployments", "shop"),
        asked(10.3, "list", "horizontalpodautoscalers", "shop"),
        asked(10.4, "list", "httproutes"),
    ]
    others = [
        asked(9.9, "list", "deployments", "shop"),
        asked(9.9, "list", "horizontalpodautoscalers", "shop"),
        asked(10.2, "list", "pods", "shop"),
        asked(10.2, "get", "rollouts", "shop"),
        asked(20.0, "list", "httproutes"),
    ]
    mixed = sorted([*swept, *others], key=lambda one: one.at)
    assert without_sweep(mixed) == (others, swept)


def test_a_later_sweep_is_one_of_its_own() -> None:
    swept = [asked(at, "list", "rollouts") for at in (10.0, 310.0)]
    assert without_sweep(swept) == ([], swept)
