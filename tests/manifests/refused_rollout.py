"""Wrong Rollouts."""

from __future__ import annotations

from tests.manifests.rows import ABSENT, NAME, Row, stage

_MANY_ROUTES = [{"name": f"shop-{number}"} for number in range(9)]
_TEMPLATE = {"metadata": {"name": "shop"}, "spec": {"rules": []}}
_ROUTES = "spec.traffic.gatewayAPI.routeRefs"
_OWN = "spec.traffic.gatewayAPI"

ROWS: tuple[Row, ...] = (
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
        ("spec.targetRef.name", NAME),
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
        (f"{_ROUTES}[0].name", NAME),
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
        (f"{_OWN}.template.metadata.name", NAME),
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
        ("spec.serviceRefs[0].name", NAME),
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
        ("spec.planRef.name", NAME),
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
        {"spec.planRef": ABSENT, "spec.plan": {"stages": [stage("half", 50)]}},
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
