"""References followed: numbers in the core's units, several contracts as one, problems by name."""

from __future__ import annotations

from typing import Any

import pytest

from leadsman.core.spec import (
    Absence,
    HoldMode,
    InCluster,
    Missing,
    OnFail,
    OnInconclusive,
    RolloutSpec,
    Stage,
    Strategy,
    Trigger,
)
from leadsman.guards.judges import Threshold
from leadsman.ports import (
    GUARD,
    METRICSSOURCE,
    NAMESPACE,
    RELEASECONTRACT,
    ROLLOUT,
    ROLLOUTPLAN,
    Body,
    Kind,
)
from leadsman.runtime.resolve import Resolver, route_rules
from leadsman.runtime.store import OwnStore
from leadsman.testing import FakeKube
from tests.runtime.worlds import NS, contract, plan, promql_contract, rollout, source

THRESHOLD = {"threshold": {"max": "2.5%", "window": "1m30s", "minEvents": 40}}


def stored(kind: Kind, name: str, spec: Any, namespace: str = NS) -> Body:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1"},
        "spec": spec,
    }


def lro(name: str = "shop", at: str = "2026-01-01T00:00:00Z", **spec: Any) -> Body:
    body = rollout(name, **spec)
    for field in [key for key, value in body["spec"].items() if value is None]:
        del body["spec"][field]
    body["metadata"] |= {
        "uid": name,
        "generation": 3,
        "resourceVersion": "5",
        "creationTimestamp": at,
    }
    return body


def guard(**judge: Any) -> dict[str, Any]:
    return {"errors": {"preset": "Traefik"}, "judge": judge or THRESHOLD}


async def resolved(body: Body, *others: Body, kube: FakeKube | None = None) -> RolloutSpec:
    store = OwnStore()
    kinds = {k.kind: k for k in (ROLLOUT, ROLLOUTPLAN, RELEASECONTRACT, GUARD, METRICSSOURCE)}
    default = source()
    default["metadata"] |= {"uid": "s", "resourceVersion": "1"}
    for one in (default, *others, body):
        store.observe(kinds[one["kind"]], one)
    kube = kube or FakeKube()
    return await Resolver(store, kube, kube.clock).resolve(body)


def reasons(spec: RolloutSpec) -> list[str]:
    return [one.reason for one in spec.problems]


async def test_a_plan_in_the_cores_units() -> None:
    spec = await resolved(
        lro(
            hold="Paused",
            inCluster="Required",
            plan={
                "stages": [
                    {"name": "a", "weight": 5, "hold": "1m30s", "maxHold": "1h", "replicas": 3},
                    {"name": "b", "weight": 100},
                ],
                "settle": "500ms",
            },
        )
    )
    assert spec.problems == ()
    assert (spec.hold, spec.in_cluster) == (HoldMode.PAUSED, InCluster.REQUIRED)
    assert spec.terms is not None
    assert spec.terms.plan.stages == (
        Stage("a", 5, 90.0, 3600.0, 3),
        Stage("b", 100),
    )
    assert (spec.terms.plan.settle, spec.terms.plan.progress_deadline) == (0.5, 600.0)


async def test_an_approval_that_nobody_could_give_is_refused_at_once() -> None:
    stages = [{"name": "all", "weight": 100, "approval": {"count": 1}}]
    spec = await resolved(lro(plan={"stages": stages}))
    assert reasons(spec) == ["PlanInvalid"]
    assert "plan.stages[0].approval" in spec.problems[0].message


async def test_references_are_followed_to_the_guard() -> None:
    spec = await resolved(
        lro(
            plan=None,
            contract=None,
            planRef={"name": "p"},
            contractRefs=[{"name": "c"}],
        ),
        stored(ROLLOUTPLAN, "p", {"strategy": "Immediate"}),
        stored(
            RELEASECONTRACT,
            "c",
            {
                "guards": [
                    {
                        "name": "errors",
                        "guardRef": {"name": "g"},
                        "onFail": "Hold",
                        "trigger": {"consecutive": 3, "sustainedFor": "5m"},
                    }
                ],
                "noData": {"after": "1m", "action": "Rollback"},
            },
        ),
        stored(GUARD, "g", guard()),
    )
    assert spec.problems == ()
    assert spec.terms is not None
    assert spec.terms.plan.strategy is Strategy.IMMEDIATE
    (found,) = spec.terms.contract.guards
    assert found.judge == Threshold(0.025, 90.0, 40)
    assert (found.on_fail, found.trigger) == (OnFail.HOLD, Trigger(3, 300.0))
    assert found.query == '{"errors":{"preset":"Traefik"}}'
    assert spec.terms.contract.no_data == Missing(60.0, Absence.ROLLBACK)


async def test_of_several_contracts_every_guard_counts_and_the_stricter_word() -> None:
    first = {**contract(), "noData": {"after": "1m", "action": "Proceed"}}
    second = {
        **contract(),
        "noData": {"after": "5m", "action": "Hold"},
        "onInconclusive": "Rollback",
        "maxBlind": {"freezeAfter": "1m", "stepBackAfter": "2m"},
    }
    spec = await resolved(
        lro(contract=None, contractRefs=[{"name": "a"}, {"name": "b"}]),
        stored(RELEASECONTRACT, "a", first),
        stored(RELEASECONTRACT, "b", second),
    )
    assert spec.terms is not None
    found = spec.terms.contract
    assert [one.name for one in found.guards] == ["errors.0", "errors.1"]
    assert found.no_data == Missing(300.0, Absence.HOLD)
    assert (found.freeze_after, found.step_back_after) == (60.0, 120.0)
    assert found.on_inconclusive is OnInconclusive.ROLLBACK


async def test_unguarded_is_a_contract_without_guards() -> None:
    spec = await resolved(lro(contract=None, unguarded="a test"))
    assert spec.terms is not None
    assert spec.terms.contract.guards == ()
    assert spec.unguarded == "a test"


MISSING: list[tuple[dict[str, Any], str, str]] = [
    ({"plan": None, "planRef": {"name": "p"}}, "ReferenceMissing", "spec.planRef"),
    (
        {"contract": None, "contractRefs": [{"name": "c"}]},
        "ReferenceMissing",
        "spec.contractRefs[0]",
    ),
    (
        {"contract": {"guards": [{"name": "e", "guardRef": {"name": "g"}}]}},
        "ReferenceMissing",
        "spec.contract.guards[0].guardRef",
    ),
    (
        {"contract": {"guards": [{"name": "e", "guard": {**guard(), "sourceRef": {"name": "x"}}}]}},
        "SourceMissing",
        "MetricsSource x",
    ),
    (
        {"contract": promql_contract()},
        "SourceForbidden",
        "spec.allowPromQL",
    ),
    (
        {
            "contract": {
                "guards": [
                    {"name": "e", "guard": {**guard(), "slices": {"label": "r", "values": ["a"]}}}
                ]
            }
        },
        "MeasureUnsupported",
        "slices",
    ),
    (
        {"plan": {"strategy": "ABTest", "stages": [{"name": "a", "weight": 100}]}},
        "StrategyUnsupported",
        "ABTest",
    ),
    ({"plan": plan((50, "1s"))}, "PlanInvalid", "stages must end with weight 100"),
    ({"plan": {"stages": [{"name": "a", "weight": 100, "hold": "x"}]}}, "PlanInvalid", "hold"),
]


@pytest.mark.parametrize(("change", "reason", "says"), MISSING)
async def test_what_is_wrong_is_named_with_its_field(
    change: dict[str, Any], reason: str, says: str
) -> None:
    spec = await resolved(lro(**change))
    assert reasons(spec) == [reason]
    assert says in spec.problems[0].message
    assert spec.target == "shop"


@pytest.mark.parametrize("damage", [{}, {"targetRef": 3}, {"plan": []}, {"traffic": None}])
async def test_a_damaged_rollout_is_a_problem_and_never_an_error(damage: dict[str, Any]) -> None:
    body = lro()
    body["spec"] = {"targetRef": {"kind": "Deployment", "name": "shop"}, **damage}
    if damage.get("targetRef") == 3:
        body["spec"]["targetRef"] = {"name": ["x"]}
    spec = await resolved(body)
    assert reasons(spec) == ["PlanInvalid"]
    assert spec.terms is None


async def test_a_damaged_reference_blames_the_referenced_object() -> None:
    spec = await resolved(
        lro(plan=None, planRef={"name": "p"}), stored(ROLLOUTPLAN, "p", {"stages": []})
    )
    assert reasons(spec) == ["PlanInvalid"]
    assert spec.problems[0].message.startswith("RolloutPlan p:")


@pytest.mark.parametrize(("allowed", "expected"), [(True, []), (False, ["SourceForbidden"])])
async def test_a_query_of_ones_own_needs_a_source_that_takes_it(
    allowed: bool, expected: list[str]
) -> None:
    own = {
        "promQL": {"query": 'up{pod=~"{{arm.pods}}"}'},
        "judge": {"threshold": {"max": "5%", "minEvents": 400}},
    }
    place = source()
    place["metadata"] |= {"uid": "s", "resourceVersion": "2"}
    place["spec"]["allowPromQL"] = allowed
    spec = await resolved(lro(contract={"guards": [{"name": "own", "guard": own}]}), place)
    assert reasons(spec) == expected


@pytest.mark.parametrize(
    ("labels", "expected"), [({"team": "a"}, []), ({"team": "b"}, ["SourceForbidden"])]
)
async def test_a_source_admits_namespaces_by_their_labels(
    labels: dict[str, str], expected: list[str]
) -> None:
    kube = FakeKube()
    kube.user_create(
        {
            "apiVersion": NAMESPACE.api_version,
            "kind": "Namespace",
            "metadata": {"name": NS, "labels": labels},
        }
    )
    limited = source()
    limited["metadata"] |= {"uid": "s", "resourceVersion": "2"}
    limited["spec"]["namespaces"] = {"from": "Selector", "matchLabels": {"team": "a"}}
    assert reasons(await resolved(lro(), limited, kube=kube)) == expected


def routed(*refs: dict[str, Any]) -> dict[str, Any]:
    return {"traffic": {"gatewayAPI": {"routeRefs": list(refs)}}}


OTHER_TARGET = {"targetRef": {"kind": "Deployment", "name": "other"}}
CONFLICTS: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({**OTHER_TARGET}, True),
    ({**OTHER_TARGET, **routed({"name": "far"})}, False),
    ({**OTHER_TARGET, **routed({"name": "shop", "ruleName": "api"})}, True),
    ({**OTHER_TARGET, **routed({"name": "shop", "kind": "GRPCRoute"})}, False),
]


@pytest.mark.parametrize(("change", "conflict"), CONFLICTS)
async def test_the_younger_of_two_rollouts_is_conflicted(
    change: dict[str, Any], conflict: bool
) -> None:
    older, younger = lro("b-older"), lro("a-younger", at="2026-01-02T00:00:00Z", **change)
    spec = await resolved(younger, older)
    assert reasons(spec) == (["Conflicted"] if conflict else [])
    assert reasons(await resolved(older, younger)) == []


async def test_two_rules_of_one_route_do_not_conflict() -> None:
    older = lro("older", **OTHER_TARGET, **routed({"name": "shop", "ruleName": "a"}))
    younger = lro("younger", **routed({"name": "shop", "ruleName": "b"}))
    assert reasons(await resolved(younger, older)) == []


def test_what_a_rollout_shifts() -> None:
    assert route_rules(lro(**routed({"name": "a", "ruleName": "r"}, {"name": "b"}))) == (
        ("HTTPRoute", "a", "r"),
        ("HTTPRoute", "b", ""),
    )
    template = {"kind": "GRPCRoute", "metadata": {"name": "own"}, "spec": {}}
    body = lro(traffic={"gatewayAPI": {"template": template}})
    assert route_rules(body) == (("GRPCRoute", "own", ""),)
