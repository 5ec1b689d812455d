"""Reading Gateway API routes: forms, problems, who wrote last, whether accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from leadsman.adapters.routers.gateway_api import (
    MAX_BACKENDS,
    leaks,
    not_accepted,
    read_rules,
    services_named,
)
from leadsman.core.observation import Form
from leadsman.core.status import Original
from leadsman.ports import ArmNames

ARMS = {"shop": ArmNames("shop-stable", "shop-canary")}
REST = [{"name": "shop", "port": 80}]
SPLIT = [{"name": "shop-stable", "weight": 80}, {"name": "shop-canary", "weight": 20}]


def route(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "shop",
            "namespace": "ns",
            "resourceVersion": "7",
            "generation": 3,
            "managedFields": more.pop("managed", []),
        },
        "spec": {"parentRefs": [{"name": "gw", "namespace": "gateway"}], "rules": list(rules)},
        "status": more.pop("status", {}),
    }


def rule(backends: list[dict[str, Any]], name: str = "main", **more: Any) -> dict[str, Any]:
    return {"name": name, "backendRefs": backends, **more} if name else {"backendRefs": backends}


def entry(manager: str, time: str, *fields: str, **more: Any) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    spot = tree
    for part in fields:
        spot = spot.setdefault(f"f:{part}", {})
    return {"manager": manager, "time": time, "operation": "Update", "fieldsV1": tree, **more}


FORMS = [
    (REST, Form.REST, 0, 0),
    (SPLIT, Form.ARMS, 80, 20),
    (list(reversed(SPLIT)), Form.ARMS, 80, 20),
    ([{"name": "shop-stable"}, {"name": "shop-canary", "weight": 0}], Form.ARMS, 1, 0),
    ([{"name": "shop", "kind": "Service", "group": "", "namespace": "ns"}], Form.REST, 0, 0),
]


@pytest.mark.parametrize(("backends", "form", "stable", "canary"), FORMS)
def test_the_form_of_a_rule(
    backends: list[dict[str, Any]], form: Form, stable: int, canary: int
) -> None:
    (found,) = read_rules(route(rule(backends)), "HTTPRoute", ARMS).rules
    assert (found.form, found.stable, found.canary) == (form, stable, canary)
    assert found.permanent == (form is Form.ARMS)
    if not canary:
        assert json.loads(found.backends) == backends


@pytest.mark.parametrize("weights", [({"weight": 90}, {"weight": 10}), ({}, {})])
def test_a_rule_that_names_the_arms_rests_with_nothing_on_the_canarys(
    weights: tuple[dict[str, int], dict[str, int]],
) -> None:
    stable, canary = ({**one, **two} for one, two in zip(SPLIT, weights, strict=True))
    for backends in ([stable, canary], [canary, stable]):
        (found,) = read_rules(route(rule(backends)), "HTTPRoute", ARMS).rules
        rest = {one["name"]: one.pop("weight") for one in json.loads(found.backends)}
        assert rest == {"shop-stable": 100, "shop-canary": 0}


REFUSED = [
    (route(rule([*REST, {"name": "other"}])), "", "RuleShared", "other backends"),
    (route(rule([SPLIT[0]])), "", "RuleShared", "other backends"),
    (route(rule([*SPLIT, {"name": "x"}])), "", "RuleShared", "serviceRefs"),
    (route(rule(REST), rule(REST)), "", "AmbiguousRule", "main"),
    (route(rule(REST), rule(REST)), "main", "AmbiguousRule", "main"),
    (route(rule(REST)), "api", "RuleMissing", "main"),
    (route(rule(REST, "")), "api", "RuleMissing", "none has a name"),
    (route(rule([{"name": "other"}])), "", "RuleMissing", "shop"),
    (route(rule([{"name": "shop", "kind": "Backend"}])), "", "RuleMissing", "shop"),
    (route(rule([{"name": "shop", "namespace": "far"}])), "", "RuleMissing", "shop"),
    (route(), "", "RuleMissing", "shop"),
    (route(rule([{"name": "shop", "x": "y" * MAX_BACKENDS}])), "", "RuleShared", "remembered"),
]


@pytest.mark.parametrize(("body", "name", "reason", "says"), REFUSED)
def test_what_cannot_be_shifted_is_a_problem(
    body: dict[str, Any], name: str, reason: str, says: str
) -> None:
    found = read_rules(body, "HTTPRoute", ARMS, name)
    assert found.rules == ()
    assert found.problems[0].reason == reason
    assert says in found.problems[0].message


def test_another_rule_of_the_same_name_does_not_matter_where_a_rule_is_named() -> None:
    body = route(rule(REST), rule([{"name": "x"}], "twice"), rule([{"name": "x"}], "twice"))
    assert [one.name for one in read_rules(body, "HTTPRoute", ARMS, "main").rules] == ["main"]


def test_all_rules_that_name_the_service_belong_together() -> None:
    body = route(rule(REST, ""), rule([{"name": "files"}], "f"), rule(REST, "api"))
    found = read_rules(body, "GRPCRoute", ARMS).rules
    assert [(one.kind, one.index, one.name) for one in found] == [
        ("GRPCRoute", 0, ""),
        ("GRPCRoute", 2, "api"),
    ]


def test_an_attempts_rule_is_found_by_name_wherever_it_went() -> None:
    original = Original("HTTPRoute", "shop", 0, "main", "shop", json.dumps(REST))
    body = route(rule([{"name": "new"}], "first"), rule(SPLIT))
    (found,) = read_rules(body, "HTTPRoute", ARMS, "", [original]).rules
    assert (found.index, found.form, found.permanent) == (1, Form.ARMS, False)


def test_an_attempts_rule_that_became_something_else_is_still_seen() -> None:
    original = Original("HTTPRoute", "shop", 0, "", "shop", json.dumps(SPLIT))
    (found,) = read_rules(route(rule([{"name": "x"}], "")), "HTTPRoute", ARMS, "", [original]).rules
    assert (found.form, found.permanent) == (Form.OTHER, True)


def test_an_attempts_rule_that_is_gone_is_a_problem() -> None:
    original = Original("HTTPRoute", "shop", 0, "main", "shop", json.dumps(REST))
    found = read_rules(route(rule(REST, "other")), "HTTPRoute", ARMS, "", [original])
    assert (found.rules, found.problems[0].reason) == ((), "RuleMissing")


WRITERS = [
    ([], "", False),
    ([entry("leadsman", "2026-01-01T00:00:01Z", "spec", "rules")], "leadsman", True),
    (
        [
            entry("kubectl", "2026-01-01T00:00:02Z", "spec", "rules"),
            entry("leadsman", "2026-01-01T00:00:01Z", "spec", "rules"),
        ],
        "kubectl",
        False,
    ),
    (
        [
            entry("leadsman", "2026-01-01T00:00:01Z", "spec", "rules"),
            entry("gateway", "2026-01-01T00:00:09Z", "status", "parents", subresource="status"),
            entry("helm", "2026-01-01T00:00:09Z", "spec", "hostnames"),
        ],
        "leadsman",
        True,
    ),
    (
        [
            entry("leadsman", "2026-01-01T00:00:01Z", "spec", "rules"),
            entry("x", "2026-01-01T00:00:09Z", "spec", "rules", subresource="status"),
        ],
        "leadsman",
        True,
    ),
]


@pytest.mark.parametrize(("managed", "writer", "ours"), WRITERS)
def test_the_last_writer_of_the_rules(managed: list[Any], writer: str, ours: bool) -> None:
    (found,) = read_rules(route(rule(REST), managed=managed), "HTTPRoute", ARMS).rules
    assert (found.writer, found.ours) == (writer, ours)


def answered(generation: int = 3, gateway: str = "gw", **states: str) -> dict[str, Any]:
    states = {"Accepted": "True", "ResolvedRefs": "True", **states}
    return {
        "parentRef": {"name": gateway, "namespace": "gateway"},
        "conditions": [
            {"type": kind, "status": state, "reason": "R", "observedGeneration": generation}
            for kind, state in states.items()
            if state
        ],
    }


ACCEPTANCE = [
    ([answered()], ""),
    ([], "has not answered"),
    ([answered(2)], "has not seen generation 3"),
    ([answered(Accepted="False")], "Accepted=False (R)"),
    ([answered(ResolvedRefs="False")], "ResolvedRefs=False (R)"),
    ([answered(ResolvedRefs="")], "nothing about ResolvedRefs"),
    ([answered(), answered(2, "second")], "gateway/second"),
    ([answered(gateway="other")], "gateway/gw has not answered"),
]


@pytest.mark.parametrize(("parents", "says"), ACCEPTANCE)
def test_a_route_is_accepted_when_every_parent_says_so(parents: list[Any], says: str) -> None:
    why = not_accepted(route(rule(REST), status={"parents": parents}))
    assert says in why
    assert bool(why) == bool(says)


def test_a_rule_that_is_not_listed_leaks() -> None:
    body = route(rule(REST), rule(REST, "api"))
    assert leaks(body, "HTTPRoute", ["shop"], [("HTTPRoute", "shop", "")]) == ()
    (found,) = leaks(body, "HTTPRoute", ["shop"], [("HTTPRoute", "shop", "main")])
    assert found.reason == "UnlistedRule"
    assert "rule api of HTTPRoute shop" in found.message
    assert len(leaks(body, "HTTPRoute", ["shop"], [])) == 2
    assert leaks(body, "HTTPRoute", ["other"], []) == ()


def test_the_services_that_rules_name() -> None:
    body = route(rule([*REST, {"name": "b", "kind": "X"}]), rule([{"name": "c"}], "api"))
    assert services_named(body, "") == ("shop", "c")
    assert services_named(body, "api") == ("c",)


@pytest.mark.parametrize("broken", [{}, {"rules": None}, {"rules": ["x"]}, {"rules": [{}]}])
def test_a_damaged_route_is_a_problem_and_no_error(broken: dict[str, Any]) -> None:
    body = {"metadata": {"name": "shop", "namespace": "ns"}, "spec": broken}
    assert read_rules(body, "HTTPRoute", ARMS).problems[0].reason == "RuleMissing"
