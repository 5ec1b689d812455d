"""Wrong manifests, each with the words that its refusal must contain.

No two are against the same rule of the same field. The end-to-end suite gives each to a real API
server; the unit tests give each to the models, so that both readers refuse the same. A row says
what is changed in a manifest that is otherwise right (`BASES`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ABSENT = object()
"""As a value: the field is left out."""


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


def _stage(name: str, weight: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "weight": weight, **more}


_GUARD = {
    "errors": {"preset": "Traefik"},
    "judge": {"threshold": {"max": "5%", "window": "30s", "minEvents": 100}},
}
_RATIO = {
    "bad": {"metric": "requests_total", "matchRegex": {"code": "5.."}},
    "total": {"metric": "requests_total"},
}
_BASES: dict[str, Mapping[str, Any]] = {
    "Rollout": {
        "targetRef": {"kind": "Deployment", "name": "shop"},
        "traffic": {"gatewayAPI": {"routeRefs": [{"name": "shop"}]}},
        "planRef": {"name": "canary"},
        "contractRefs": [{"name": "shop-slo"}],
    },
    "RolloutPlan": {"stages": [_stage("half", 50, hold="1m"), _stage("full", 100)]},
    "ReleaseContract": {"guards": [{"name": "errors", "guardRef": {"name": "errors"}}]},
    "Guard": _GUARD,
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

Change = dict[str, Any]
Row = tuple[str, str, Change, tuple[str, ...]]

_NAME = "must be the name of a Kubernetes object"
_SHORT = "must be a short name"
_DURATION = 'must be a duration such as "30s"'
_PERCENT = 'must be a percentage from "0%" to "100%"'
_ONE = "exactly one of"
_MANY_ROUTES = [{"name": f"shop-{number}"} for number in range(9)]
_TEMPLATE = {"metadata": {"name": "shop"}, "spec": {"rules": []}}
_ROUTES = "spec.traffic.gatewayAPI.routeRefs"
_OWN = "spec.traffic.gatewayAPI"

_ROLLOUT: tuple[Row, ...] = (
    ("spec", "required", {"spec": ABSENT}, ("spec: Required value",)),
    ("metadata.name", "rule", {"metadata.name": "a" * 64}, ("at most 63 characters",)),
    (
        "spec.targetRef",
        "required",
        {"spec.targetRef": ABSENT},
        ("spec.targetRef: Required value",),
    ),
    (
        "spec.targetRef.kind",
        "enum",
        {"spec.targetRef.kind": "StatefulSet"},
        ("spec.targetRef.kind", 'supported values: "Deployment"'),
    ),
    (
        "spec.targetRef.kind",
        "required",
        {"spec.targetRef.kind": ABSENT},
        ("spec.targetRef.kind: Required value",),
    ),
    (
        "spec.targetRef.apiVersion",
        "enum",
        {"spec.targetRef.apiVersion": "extensions/v1beta1"},
        ("spec.targetRef.apiVersion", 'supported values: "apps/v1"'),
    ),
    (
        "spec.targetRef.name",
        "pattern",
        {"spec.targetRef.name": "Shop"},
        ("spec.targetRef.name", _NAME),
    ),
    (
        "spec.targetRef.name",
        "required",
        {"spec.targetRef.name": ABSENT},
        ("spec.targetRef.name: Required value",),
    ),
    (
        "spec.targetRef.name",
        "maxLength",
        {"spec.targetRef.name": "a" * 254},
        ("spec.targetRef.name", "253"),
    ),
    ("spec.traffic", "required", {"spec.traffic": ABSENT}, ("spec.traffic: Required value",)),
    (
        "spec.traffic",
        "provider",
        {"spec.traffic": {}},
        ("spec.traffic", "exactly one provider must be set: gatewayAPI"),
    ),
    (
        _OWN,
        "union",
        {f"{_OWN}.template": _TEMPLATE},
        (_OWN, "exactly one of routeRefs, template must be set"),
    ),
    (_ROUTES, "minItems", {_ROUTES: []}, (_ROUTES, "at least 1 item")),
    (_ROUTES, "maxItems", {_ROUTES: _MANY_ROUTES}, (_ROUTES, "at most 8 items")),
    (
        _ROUTES,
        "unique",
        {_ROUTES: [{"name": "shop"}, {"name": "shop", "ruleName": "main"}]},
        (_ROUTES, "must name each rule of a route once"),
    ),
    (
        f"{_ROUTES}[].kind",
        "enum",
        {_ROUTES: [{"name": "shop", "kind": "TCPRoute"}]},
        (f"{_ROUTES}[0].kind", '"HTTPRoute", "GRPCRoute"'),
    ),
    (
        f"{_ROUTES}[].name",
        "pattern",
        {_ROUTES: [{"name": "shop/main"}]},
        (f"{_ROUTES}[0].name", _NAME),
    ),
    (
        f"{_ROUTES}[].name",
        "required",
        {_ROUTES: [{"ruleName": "main"}]},
        (f"{_ROUTES}[0].name: Required value",),
    ),
    (
        f"{_ROUTES}[].ruleName",
        "pattern",
        {_ROUTES: [{"name": "shop", "ruleName": "Main rule"}]},
        (f"{_ROUTES}[0].ruleName", "must be the name of a rule of the route"),
    ),
    (
        f"{_OWN}.template.metadata",
        "required",
        {_OWN: {"template": {"spec": {"rules": []}}}},
        (f"{_OWN}.template.metadata: Required value",),
    ),
    (
        f"{_OWN}.template.metadata.name",
        "pattern",
        {_OWN: {"template": {"metadata": {"name": "SHOP"}, "spec": {"rules": []}}}},
        (f"{_OWN}.template.metadata.name", _NAME),
    ),
    (
        f"{_OWN}.template.metadata.labels",
        "maxProperties",
        {
            _OWN: {
                "template": {
                    "metadata": {"name": "shop", "labels": {f"l{n}": "x" for n in range(33)}},
                    "spec": {"rules": []},
                }
            }
        },
        (f"{_OWN}.template.metadata.labels", "at most 32"),
    ),
    (
        f"{_OWN}.template.spec",
        "required",
        {_OWN: {"template": {"metadata": {"name": "shop"}}}},
        (f"{_OWN}.template.spec: Required value",),
    ),
    (
        f"{_OWN}.template.spec",
        "minProperties",
        {_OWN: {"template": {"metadata": {"name": "shop"}, "spec": {}}}},
        (f"{_OWN}.template.spec", "at least 1 propert"),
    ),
    (
        f"{_OWN}.template.kind",
        "enum",
        {_OWN: {"template": {"kind": "TLSRoute", **_TEMPLATE}}},
        (f"{_OWN}.template.kind", '"HTTPRoute", "GRPCRoute"'),
    ),
    (
        "spec.serviceRefs",
        "unique",
        {"spec.serviceRefs": [{"name": "shop"}, {"name": "shop"}]},
        ("spec.serviceRefs[1]: Duplicate value",),
    ),
    (
        "spec.serviceRefs",
        "maxItems",
        {"spec.serviceRefs": _MANY_ROUTES},
        ("spec.serviceRefs", "at most 8 items"),
    ),
    (
        "spec.serviceRefs[].name",
        "pattern",
        {"spec.serviceRefs": [{"name": "shop.default.svc."}]},
        ("spec.serviceRefs[0].name", _NAME),
    ),
    ("spec.hold", "enum", {"spec.hold": "None"}, ("spec.hold", '"Policy", "Paused"')),
    (
        "spec.inCluster",
        "enum",
        {"spec.inCluster": "Canary"},
        ("spec.inCluster", '"Stable", "Shared", "Required"'),
    ),
    (
        "spec",
        "plan",
        {"spec.plan": {"strategy": "Immediate"}},
        ("spec: Invalid value", "exactly one of planRef, plan must be set"),
    ),
    (
        "spec",
        "contract",
        {"spec.unguarded": "for a try"},
        ("spec: Invalid value", "exactly one of contractRefs, contract, unguarded must be set"),
    ),
    (
        "spec.planRef.name",
        "required",
        {"spec.planRef": {}},
        ("spec.planRef.name: Required value",),
    ),
    (
        "spec.planRef.name",
        "pattern",
        {"spec.planRef.name": "other/canary"},
        ("spec.planRef.name", _NAME),
    ),
    (
        "spec.contractRefs",
        "maxItems",
        {"spec.contractRefs": [{"name": f"slo-{number}"} for number in range(5)]},
        ("spec.contractRefs", "at most 4 items"),
    ),
    (
        "spec.contractRefs",
        "minItems",
        {"spec.contractRefs": []},
        ("spec.contractRefs", "at least 1 item"),
    ),
    (
        "spec.contractRefs",
        "unique",
        {"spec.contractRefs": [{"name": "slo"}, {"name": "slo"}]},
        ("spec.contractRefs[1]: Duplicate value",),
    ),
    (
        "spec.unguarded",
        "minLength",
        {"spec.contractRefs": ABSENT, "spec.unguarded": ""},
        ("spec.unguarded", "at least 3 chars"),
    ),
    (
        "spec.unguarded",
        "maxLength",
        {"spec.contractRefs": ABSENT, "spec.unguarded": "because " * 40},
        ("spec.unguarded", "256"),
    ),
    (
        "spec.unguarded",
        "type",
        {"spec.contractRefs": ABSENT, "spec.unguarded": True},
        ("spec.unguarded", "must be of type string"),
    ),
    (
        "spec.plan.stages",
        "last",
        {"spec.planRef": ABSENT, "spec.plan": {"stages": [_stage("half", 50)]}},
        ("spec.plan.stages", "must end with weight 100"),
    ),
    (
        "spec.contract.guards[].guard.judge",
        "union",
        {
            "spec.contractRefs": ABSENT,
            "spec.contract": {
                "guards": [
                    {"name": "errors", "guard": {"errors": {"preset": "Traefik"}, "judge": {}}}
                ]
            },
        },
        ("spec.contract.guards[0].guard.judge", "exactly one of threshold, relative"),
    ),
)

_PLAN: tuple[Row, ...] = (
    (
        "spec.strategy",
        "enum",
        {"spec.strategy": "canary"},
        ("spec.strategy", '"Canary", "BlueGreen", "ABTest", "Immediate"'),
    ),
    (
        "spec",
        "stages",
        {"spec.stages": ABSENT},
        ("spec: Invalid value", "stages must have at least one stage"),
    ),
    ("spec.stages", "minItems", {"spec.stages": []}, ("spec.stages", "at least 1 item")),
    (
        "spec.stages",
        "maxItems",
        {"spec.stages": [_stage(f"s{number}", 100) for number in range(31)]},
        ("spec.stages", "at most 30 items"),
    ),
    (
        "spec.stages",
        "immediate",
        {"spec.strategy": "Immediate"},
        ("spec.stages", "must be left out or be one stage with weight 100"),
    ),
    (
        "spec.stages",
        "order",
        {"spec.stages": [_stage("half", 50), _stage("less", 20), _stage("full", 100)]},
        ("spec.stages", "each weight must be at least the one before"),
    ),
    (
        "spec.stages",
        "last",
        {"spec.stages": [_stage("fifth", 20), _stage("half", 50)]},
        ("spec.stages", "stages must end with weight 100"),
    ),
    (
        "spec.stages",
        "unique",
        {"spec.stages": [_stage("full", 50), _stage("full", 100)]},
        ("spec.stages[1]: Duplicate value",),
    ),
    (
        "spec.stages[].name",
        "required",
        {"spec.stages": [{"weight": 100}]},
        ("spec.stages[0].name: Required value",),
    ),
    (
        "spec.stages[].name",
        "pattern",
        {"spec.stages": [_stage("5 %", 100)]},
        ("spec.stages[0].name", _SHORT),
    ),
    (
        "spec.stages[].name",
        "maxLength",
        {"spec.stages": [_stage("a" * 64, 100)]},
        ("spec.stages[0].name", "63"),
    ),
    (
        "spec.stages[].weight",
        "required",
        {"spec.stages": [{"name": "full"}]},
        ("spec.stages[0].weight: Required value",),
    ),
    (
        "spec.stages[].weight",
        "maximum",
        {"spec.stages": [_stage("full", 101)]},
        ("spec.stages[0].weight", "less than or equal to 100"),
    ),
    (
        "spec.stages[].weight",
        "minimum",
        {"spec.stages": [_stage("less", -1), _stage("full", 100)]},
        ("spec.stages[0].weight", "greater than or equal to 0"),
    ),
    (
        "spec.stages[].weight",
        "type",
        {"spec.stages": [_stage("full", "100%")]},
        ("spec.stages[0].weight", "must be of type integer"),
    ),
    (
        "spec.stages[].hold",
        "pattern",
        {"spec.stages": [_stage("full", 100, hold="2 minutes")]},
        ("spec.stages[0].hold", _DURATION),
    ),
    (
        "spec.stages[].hold",
        "range",
        {"spec.stages": [_stage("full", 100, hold="169h")]},
        ("spec.stages[0].hold", "from 0s to 168h"),
    ),
    (
        "spec.stages[].hold",
        "maxLength",
        {"spec.stages": [_stage("full", 100, hold="0" * 24 + "s")]},
        ("spec.stages[0].hold", "24"),
    ),
    (
        "spec.stages[].maxHold",
        "rule",
        {"spec.stages": [_stage("full", 100, hold="2m", maxHold="1m")]},
        ("spec.stages[0].maxHold", "maxHold must be at least hold"),
    ),
    (
        "spec.stages[].maxHold",
        "pattern",
        {"spec.stages": [_stage("full", 100, maxHold="1d")]},
        ("spec.stages[0].maxHold", _DURATION),
    ),
    (
        "spec.stages[].maxHold",
        "range",
        {"spec.stages": [_stage("full", 100, maxHold="721h")]},
        ("spec.stages[0].maxHold", "from 0s to 720h"),
    ),
    (
        "spec.stages[].replicas",
        "minimum",
        {"spec.stages": [_stage("full", 100, replicas=0)]},
        ("spec.stages[0].replicas", "greater than or equal to 1"),
    ),
    (
        "spec.stages[].replicas",
        "maximum",
        {"spec.stages": [_stage("full", 100, replicas=10_001)]},
        ("spec.stages[0].replicas", "less than or equal to 10000"),
    ),
    (
        "spec.stages[].approval.count",
        "minimum",
        {"spec.stages": [_stage("full", 100, approval={"count": 0})]},
        ("spec.stages[0].approval.count", "greater than or equal to 1"),
    ),
    (
        "spec.stages[].approval.count",
        "maximum",
        {"spec.stages": [_stage("full", 100, approval={"count": 11})]},
        ("spec.stages[0].approval.count", "less than or equal to 10"),
    ),
    ("spec.settle", "pattern", {"spec.settle": "5"}, ("spec.settle", _DURATION)),
    ("spec.settle", "range", {"spec.settle": "11m"}, ("spec.settle", "from 0s to 10m")),
    ("spec.settle", "type", {"spec.settle": 5}, ("spec.settle", "must be of type string")),
    (
        "spec.progressDeadline",
        "pattern",
        {"spec.progressDeadline": "10min"},
        ("spec.progressDeadline", _DURATION),
    ),
    (
        "spec.progressDeadline",
        "range",
        {"spec.progressDeadline": "0s"},
        ("spec.progressDeadline", "from 1s to 24h"),
    ),
    (
        "spec.promotion",
        "enum",
        {"spec.promotion": "Replace"},
        ("spec.promotion", '"HandOver", "RollingUpdate"'),
    ),
    (
        "spec.scaleDownDelay",
        "pattern",
        {"spec.scaleDownDelay": "-30s"},
        ("spec.scaleDownDelay", _DURATION),
    ),
    (
        "spec.scaleDownDelay",
        "range",
        {"spec.scaleDownDelay": "25h"},
        ("spec.scaleDownDelay", "from 0s to 24h"),
    ),
)


def _guards(**more: Any) -> list[dict[str, Any]]:
    return [{"name": "errors", "guardRef": {"name": "errors"}, **more}]


_CONTRACT: tuple[Row, ...] = (
    ("spec.guards", "required", {"spec.guards": ABSENT}, ("spec.guards: Required value",)),
    ("spec.guards", "minItems", {"spec.guards": []}, ("spec.guards", "at least 1 item")),
    (
        "spec.guards",
        "maxItems",
        {"spec.guards": [{"name": f"g{n}", "guardRef": {"name": "g"}} for n in range(21)]},
        ("spec.guards", "at most 20 items"),
    ),
    (
        "spec.guards",
        "unique",
        {"spec.guards": _guards() * 2},
        ("spec.guards[1]: Duplicate value",),
    ),
    (
        "spec.guards[].name",
        "pattern",
        {"spec.guards": _guards(name="Error rate")},
        ("spec.guards[0].name", _SHORT),
    ),
    (
        "spec.guards[]",
        "union",
        {"spec.guards": _guards(guard=_GUARD)},
        ("spec.guards[0]", "exactly one of guardRef, guard must be set"),
    ),
    (
        "spec.guards[].guardRef.name",
        "pattern",
        {"spec.guards": _guards(guardRef={"name": "errors_total"})},
        ("spec.guards[0].guardRef.name", _NAME),
    ),
    (
        "spec.guards[].onFail",
        "enum",
        {"spec.guards": _guards(onFail="Abort")},
        ("spec.guards[0].onFail", '"Rollback", "Hold", "Warn"'),
    ),
    (
        "spec.guards[].trigger.consecutive",
        "minimum",
        {"spec.guards": _guards(trigger={"consecutive": 0})},
        ("spec.guards[0].trigger.consecutive", "greater than or equal to 1"),
    ),
    (
        "spec.guards[].trigger.consecutive",
        "maximum",
        {"spec.guards": _guards(trigger={"consecutive": 101})},
        ("spec.guards[0].trigger.consecutive", "less than or equal to 100"),
    ),
    (
        "spec.guards[].trigger.sustainedFor",
        "pattern",
        {"spec.guards": _guards(trigger={"sustainedFor": "5 min"})},
        ("spec.guards[0].trigger.sustainedFor", _DURATION),
    ),
    (
        "spec.guards[].trigger.sustainedFor",
        "range",
        {"spec.guards": _guards(trigger={"sustainedFor": "25h"})},
        ("spec.guards[0].trigger.sustainedFor", "from 0s to 24h"),
    ),
    (
        "spec.falseRollback",
        "pattern",
        {"spec.falseRollback": "1"},
        ("spec.falseRollback", _PERCENT),
    ),
    (
        "spec.falseRollback",
        "rule",
        {"spec.falseRollback": "0%"},
        ("spec.falseRollback", "above 0% and at most 20%"),
    ),
    ("spec.noData.after", "pattern", {"spec.noData.after": "3"}, ("spec.noData.after", _DURATION)),
    (
        "spec.noData.after",
        "range",
        {"spec.noData.after": "0s"},
        ("spec.noData.after", "from 1s to 24h"),
    ),
    (
        "spec.noData.action",
        "enum",
        {"spec.noData.action": "Pass"},
        ("spec.noData.action", '"Hold", "Rollback", "Proceed"'),
    ),
    (
        "spec.noTraffic.after",
        "pattern",
        {"spec.noTraffic.after": "3 m"},
        ("spec.noTraffic.after", _DURATION),
    ),
    (
        "spec.noTraffic.action",
        "enum",
        {"spec.noTraffic.action": "Warn"},
        ("spec.noTraffic.action", '"Hold", "Rollback", "Proceed"'),
    ),
    (
        "spec.maxBlind",
        "order",
        {"spec.maxBlind": {"freezeAfter": "10m", "stepBackAfter": "5m"}},
        ("spec.maxBlind.stepBackAfter", "stepBackAfter must be at least freezeAfter"),
    ),
    (
        "spec.maxBlind.freezeAfter",
        "range",
        {"spec.maxBlind": {"freezeAfter": "0s"}},
        ("spec.maxBlind.freezeAfter", "from 1s to 24h"),
    ),
    (
        "spec.onInconclusive",
        "enum",
        {"spec.onInconclusive": "Proceed"},
        ("spec.onInconclusive", '"Hold", "Promote", "Rollback"'),
    ),
    (
        "spec.designRatio",
        "pattern",
        {"spec.designRatio": "1.5x"},
        ("spec.designRatio", 'must be a number in quotes, such as "1.5"'),
    ),
    (
        "spec.designRatio",
        "type",
        {"spec.designRatio": 1.5},
        ("spec.designRatio", "must be of type string"),
    ),
    (
        "spec.designRatio",
        "rule",
        {"spec.designRatio": "1"},
        ("spec.designRatio", "must be above 1"),
    ),
)

_THRESHOLD = "spec.judge.threshold"


def _measured(**measure: Any) -> Change:
    return {"spec.errors": ABSENT, **{f"spec.{name}": value for name, value in measure.items()}}


def _judged(**judge: Any) -> Change:
    return {"spec.judge": judge}


_GUARDS: tuple[Row, ...] = (
    (
        "spec",
        "union",
        {"spec.latency": {"preset": "Traefik", "above": "250ms"}},
        ("spec: Invalid value", "exactly one of errors, latency, ratio, histogram, promQL"),
    ),
    ("spec.judge", "required", {"spec.judge": ABSENT}, ("spec.judge: Required value",)),
    (
        "spec.judge",
        "union",
        {"spec.judge.absolute": {"max": "1%"}},
        ("spec.judge: Invalid value", "exactly one of threshold, relative"),
    ),
    (
        "spec.judge",
        "query",
        {**_measured(promQL={"query": "up"}), **_judged(sequential={})},
        ("spec.judge", "promQL gives no counters: its judge must be threshold or sequentialMean"),
    ),
    (
        "spec.judge",
        "mean",
        _judged(sequentialMean={"margin": "1ms"}),
        ("spec.judge", "measure by histogram, latency or promQL"),
    ),
    (
        "spec.judge",
        "requests",
        {
            **_measured(histogram={"metric": "seconds", "above": "1s"}),
            **_judged(sampleRatio={}),
        },
        ("spec.judge", "measure by errors or ratio"),
    ),
    (
        "spec.errors.preset",
        "enum",
        {"spec.errors.preset": "Nginx"},
        ("spec.errors.preset", '"Traefik", "Pod"'),
    ),
    (
        "spec.errors.preset",
        "required",
        {"spec.errors": {}},
        ("spec.errors.preset: Required value",),
    ),
    (
        "spec.latency.above",
        "required",
        _measured(latency={"preset": "Traefik"}),
        ("spec.latency.above: Required value",),
    ),
    (
        "spec.latency.above",
        "pattern",
        _measured(latency={"preset": "Traefik", "above": "0ms"}),
        ("spec.latency.above", "must be a latency above zero"),
    ),
    (
        "spec.latency.preset",
        "enum",
        _measured(latency={"preset": "Istio", "above": "1s"}),
        ("spec.latency.preset", '"Traefik", "Pod"'),
    ),
    (
        "spec.ratio.bad",
        "required",
        _measured(ratio={"total": {"metric": "requests_total"}}),
        ("spec.ratio.bad: Required value",),
    ),
    (
        "spec.ratio.total",
        "required",
        _measured(ratio={"bad": {"metric": "requests_total"}}),
        ("spec.ratio.total: Required value",),
    ),
    (
        "spec.ratio.bad.metric",
        "pattern",
        _measured(ratio={**_RATIO, "bad": {"metric": 'requests_total{code="500"}'}}),
        ("spec.ratio.bad.metric", "must be a metric's name"),
    ),
    (
        "spec.ratio.bad.match",
        "keys",
        _measured(
            ratio={**_RATIO, "bad": {"metric": "requests_total", "match": {"__name__": "up"}}}
        ),
        ("spec.ratio.bad.match", "keys must be names of labels"),
    ),
    (
        "spec.ratio.bad.match",
        "maxProperties",
        _measured(
            ratio={
                **_RATIO,
                "bad": {"metric": "m_total", "match": {f"l{n}": "x" for n in range(9)}},
            }
        ),
        ("spec.ratio.bad.match", "at most 8"),
    ),
    (
        "spec.ratio.bad.matchRegex",
        "keys",
        _measured(
            ratio={**_RATIO, "bad": {"metric": "m_total", "matchRegex": {'c"}) or up{a': "x"}}}
        ),
        ("spec.ratio.bad.matchRegex", "keys must be names of labels"),
    ),
    (
        "spec.ratio.bad.matchRegex{}",
        "maxLength",
        _measured(
            ratio={**_RATIO, "bad": {"metric": "m_total", "matchRegex": {"code": "5" * 257}}}
        ),
        ("spec.ratio.bad.matchRegex", "256"),
    ),
    (
        "spec.ratio.arm.by",
        "enum",
        _measured(ratio={**_RATIO, "arm": {"by": "Version", "label": "version"}}),
        ("spec.ratio.arm.by", '"Pod", "Service", "Label"'),
    ),
    (
        "spec.ratio.arm.label",
        "pattern",
        _measured(ratio={**_RATIO, "arm": {"by": "Label", "label": "app.kubernetes.io/version"}}),
        ("spec.ratio.arm.label", "must be a label's name"),
    ),
    (
        "spec.histogram.metric",
        "pattern",
        _measured(histogram={"metric": "request-seconds", "above": "1s"}),
        ("spec.histogram.metric", "must be a metric's name"),
    ),
    (
        "spec.histogram.above",
        "pattern",
        _measured(histogram={"metric": "request_seconds", "above": "0.25"}),
        ("spec.histogram.above", "must be a latency above zero"),
    ),
    (
        "spec.promQL.query",
        "minLength",
        _measured(promQL={"query": ""}),
        ("spec.promQL.query", "at least 1 chars"),
    ),
    (
        "spec.promQL.query",
        "maxLength",
        _measured(promQL={"query": "x" * 2049}),
        ("spec.promQL.query", "2048"),
    ),
    (
        f"{_THRESHOLD}.max",
        "required",
        {f"{_THRESHOLD}.max": ABSENT},
        (f"{_THRESHOLD}.max: Required value",),
    ),
    (f"{_THRESHOLD}.max", "pattern", {f"{_THRESHOLD}.max": "5"}, (f"{_THRESHOLD}.max", _PERCENT)),
    (
        f"{_THRESHOLD}.max",
        "type",
        {f"{_THRESHOLD}.max": 0.05},
        (f"{_THRESHOLD}.max", "must be of type string"),
    ),
    (
        f"{_THRESHOLD}.window",
        "pattern",
        {f"{_THRESHOLD}.window": "30 s"},
        (f"{_THRESHOLD}.window", _DURATION),
    ),
    (
        f"{_THRESHOLD}.window",
        "range",
        {f"{_THRESHOLD}.window": "2h"},
        (f"{_THRESHOLD}.window", "from 1s to 1h"),
    ),
    (
        f"{_THRESHOLD}.minEvents",
        "required",
        {f"{_THRESHOLD}.minEvents": ABSENT},
        (f"{_THRESHOLD}.minEvents: Required value",),
    ),
    (
        f"{_THRESHOLD}.minEvents",
        "minimum",
        {f"{_THRESHOLD}.minEvents": 0},
        (f"{_THRESHOLD}.minEvents", "greater than or equal to 1"),
    ),
    (
        "spec.judge.relative.maxRatio",
        "pattern",
        _judged(relative={"maxRatio": "150%", "minEvents": 50}),
        ("spec.judge.relative.maxRatio", "must be a number in quotes"),
    ),
    (
        "spec.judge.relative.maxRatio",
        "rule",
        _judged(relative={"maxRatio": "0.0", "minEvents": 50}),
        ("spec.judge.relative.maxRatio", "must be above zero"),
    ),
    (
        "spec.judge.sequential.tolerance",
        "pattern",
        _judged(sequential={"tolerance": "0.1"}),
        ("spec.judge.sequential.tolerance", _PERCENT),
    ),
    (
        "spec.judge.nonInferiority.margin",
        "required",
        _judged(nonInferiority={}),
        ("spec.judge.nonInferiority.margin: Required value",),
    ),
    (
        "spec.judge.sequentialMean.margin",
        "pattern",
        {
            **_measured(latency={"preset": "Pod", "above": "1s"}),
            **_judged(sequentialMean={"margin": "one ms"}),
        },
        ("spec.judge.sequentialMean.margin", "must be a latency, a percentage or a number"),
    ),
    (
        "spec.judge.absolute.max",
        "pattern",
        _judged(absolute={"max": "101%"}),
        ("spec.judge.absolute.max", _PERCENT),
    ),
    (
        "spec.slices.values",
        "maxItems",
        {"spec.slices": {"label": "route", "values": [f"/{n}" for n in range(21)]}},
        ("spec.slices.values", "at most 20 items"),
    ),
    (
        "spec.slices.values",
        "unique",
        {"spec.slices": {"label": "route", "values": ["/", "/"]}},
        ("spec.slices.values[1]: Duplicate value",),
    ),
    (
        "spec.slices.label",
        "pattern",
        {"spec.slices": {"label": "http-route", "values": ["/"]}},
        ("spec.slices.label", "must be a label's name"),
    ),
    (
        "spec.slices",
        "query",
        {
            **_measured(promQL={"query": "up"}),
            "spec.slices": {"label": "route", "values": ["/"]},
        },
        ("spec.slices", "leave slices out with promQL"),
    ),
    (
        "spec.family",
        "enum",
        {"spec.family": "Traffic"},
        ("spec.family", '"Errors", "Latency", "Quality", "Saturation"'),
    ),
    (
        "spec.sourceRef.name",
        "pattern",
        {"spec.sourceRef": {"name": "http://prometheus:9090"}},
        ("spec.sourceRef.name", _NAME),
    ),
)

_ADDRESS = "spec.prometheus.address"
_CREDENTIALS = "spec.prometheus.credentials"

_SOURCE: tuple[Row, ...] = (
    (
        "spec.prometheus",
        "required",
        {"spec.prometheus": ABSENT},
        ("spec.prometheus: Required value",),
    ),
    (_ADDRESS, "required", {_ADDRESS: ABSENT}, (f"{_ADDRESS}: Required value",)),
    (
        _ADDRESS,
        "pattern",
        {_ADDRESS: "http://admin:secret@prometheus:9090"},
        (_ADDRESS, "must be http:// or https://, a host, and perhaps a port and a path"),
    ),
    (_ADDRESS, "maxLength", {_ADDRESS: "http://" + "a" * 512}, (_ADDRESS, "512")),
    (
        "spec.prometheus.timeout",
        "pattern",
        {"spec.prometheus.timeout": "2"},
        ("spec.prometheus.timeout", _DURATION),
    ),
    (
        "spec.prometheus.timeout",
        "range",
        {"spec.prometheus.timeout": "1m"},
        ("spec.prometheus.timeout", "from 100ms to 30s"),
    ),
    (
        _CREDENTIALS,
        "union",
        {_CREDENTIALS: {"file": "/var/run/token", "secretRef": {"name": "token"}}},
        (_CREDENTIALS, "exactly one of file, secretRef must be set"),
    ),
    (
        f"{_CREDENTIALS}.file",
        "pattern",
        {_CREDENTIALS: {"file": "token"}},
        (f"{_CREDENTIALS}.file", "must be an absolute path"),
    ),
    (
        f"{_CREDENTIALS}.file",
        "rule",
        {_CREDENTIALS: {"file": "/var/run/../token"}},
        (f"{_CREDENTIALS}.file", "must not contain '..'"),
    ),
    (
        f"{_CREDENTIALS}.secretRef.name",
        "pattern",
        {_CREDENTIALS: {"secretRef": {"name": "kube-system/token"}}},
        (f"{_CREDENTIALS}.secretRef.name", _NAME),
    ),
    (
        f"{_CREDENTIALS}.secretRef.key",
        "pattern",
        {_CREDENTIALS: {"secretRef": {"name": "token", "key": "a/b"}}},
        (f"{_CREDENTIALS}.secretRef.key", "must be a key of a Secret"),
    ),
    (
        "spec.allowPromQL",
        "type",
        {"spec.allowPromQL": "yes"},
        ("spec.allowPromQL", "must be of type boolean"),
    ),
    (
        "spec.namespaces.from",
        "enum",
        {"spec.namespaces": {"from": "Same"}},
        ("spec.namespaces.from", '"All", "Selector"'),
    ),
    (
        "spec.namespaces",
        "selector",
        {"spec.namespaces": {"from": "Selector"}},
        ("spec.namespaces.matchLabels", "must be set with from Selector, and only then"),
    ),
    (
        "spec.limits.queriesPerSecond",
        "minimum",
        {"spec.limits": {"queriesPerSecond": 0}},
        ("spec.limits.queriesPerSecond", "greater than or equal to 1"),
    ),
    (
        "spec.limits.queriesPerSecond",
        "maximum",
        {"spec.limits": {"queriesPerSecond": 101}},
        ("spec.limits.queriesPerSecond", "less than or equal to 100"),
    ),
    (
        "spec.limits.series",
        "maximum",
        {"spec.limits": {"series": 1_000_001}},
        ("spec.limits.series", "less than or equal to 1000000"),
    ),
    (
        "spec.limits.bodyBytes",
        "minimum",
        {"spec.limits": {"bodyBytes": 1}},
        ("spec.limits.bodyBytes", "greater than or equal to 1024"),
    ),
)

_ROWS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    ("Rollout", _ROLLOUT),
    ("RolloutPlan", _PLAN),
    ("ReleaseContract", _CONTRACT),
    ("Guard", _GUARDS),
    ("MetricsSource", _SOURCE),
)


def cases() -> tuple[Case, ...]:
    """Return all wrong manifests."""
    return tuple(
        Case(kind, field, rule, changed(BASES[kind], change), says)
        for kind, rows in _ROWS
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
