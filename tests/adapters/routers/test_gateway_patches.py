"""Writing Gateway API routes: two weights, exact restores, and the tests that fence them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from leadsman.adapters.routers import managed
from leadsman.adapters.routers.factory import ROUTES
from leadsman.adapters.workloads.managed_fields import forget_patch
from leadsman.core.status import Original
from leadsman.ports import HTTPROUTE, ArmNames, Ref
from leadsman.testing import FakeKube
from tests.adapters.routers.test_gateway_api import ARMS, REST, SPLIT, entry, route, rule

ROUTER = ROUTES["HTTPRoute"].router
RICH = [
    {
        "name": "shop",
        "port": 80,
        "weight": 3,
        "kind": "Service",
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}],
    }
]


def patched(body: dict[str, Any], canary: int, *, lowering: bool = False) -> list[Any]:
    rules = ROUTER.read(body, "HTTPRoute", ARMS).rules
    return list(ROUTER.weights(body, rules, canary, ARMS, lowering=lowering))


def guarded(patch: list[Any]) -> list[str]:
    return [one["path"] for one in patch if one["op"] == "test"]


def test_raising_tests_the_version_and_lowering_tests_names_only() -> None:
    body = route(rule(SPLIT))
    names = [
        "/spec/rules/0/name",
        "/spec/rules/0/backendRefs/0/name",
        "/spec/rules/0/backendRefs/1/name",
    ]
    assert guarded(patched(body, 50)) == ["/metadata/resourceVersion", *names]
    assert guarded(patched(body, 0, lowering=True)) == names


@pytest.mark.parametrize("canary", [0, 1, 20, 50, 99, 100])
def test_the_weights_add_up_and_touch_nothing_else(canary: int) -> None:
    changes = [one for one in patched(route(rule(SPLIT)), canary) if one["op"] != "test"]
    if canary == 20:
        assert changes == []
        return
    assert [one["path"] for one in changes] == [
        "/spec/rules/0/backendRefs/0/weight",
        "/spec/rules/0/backendRefs/1/weight",
    ]
    assert [one["value"] for one in changes] == [100 - canary, canary]


def test_a_rule_at_rest_becomes_two_arms_with_all_its_fields() -> None:
    (change,) = [one for one in patched(route(rule(RICH)), 5) if one["op"] != "test"]
    assert change["value"] == [
        {**RICH[0], "name": "shop-stable", "weight": 95},
        {**RICH[0], "name": "shop-canary", "weight": 5},
    ]


def test_several_rules_move_in_one_patch() -> None:
    body = route(rule(SPLIT), rule([{"name": "x"}], "other"), rule(REST, ""))
    patch = patched(body, 30)
    assert [one["path"] for one in patch if one["op"] != "test"] == [
        "/spec/rules/0/backendRefs/0/weight",
        "/spec/rules/0/backendRefs/1/weight",
        "/spec/rules/2/backendRefs",
    ]
    assert guarded(patch).count("/metadata/resourceVersion") == 1


def test_a_rule_that_names_both_arms_and_more_can_still_be_lowered() -> None:
    body = route(rule([*SPLIT, {"name": "x", "weight": 1}]))
    original = Original("HTTPRoute", "shop", 0, "main", "shop", json.dumps(REST))
    rules = ROUTER.read(body, "HTTPRoute", ARMS, "", [original]).rules
    patch = ROUTER.weights(body, rules, 0, ARMS, lowering=True)
    assert [one["value"] for one in patch if one["op"] == "add"] == [100, 0]


def test_a_rule_that_names_no_arm_is_left_alone() -> None:
    original = Original("HTTPRoute", "shop", 0, "main", "shop", json.dumps(REST))
    body = route(rule([{"name": "x"}]))
    rules = ROUTER.read(body, "HTTPRoute", ARMS, "", [original]).rules
    assert ROUTER.weights(body, rules, 0, ARMS, lowering=True) == []


def test_a_restore_is_exact_and_idempotent() -> None:
    original = Original("HTTPRoute", "shop", 0, "main", "shop", json.dumps(RICH))
    patch = ROUTER.restore(route(rule(SPLIT)), [original])
    assert patch[-1] == {"op": "replace", "path": "/spec/rules/0/backendRefs", "value": RICH}
    assert patch[0]["path"] == "/metadata/resourceVersion"
    assert ROUTER.restore(route(rule(RICH)), [original]) == []
    assert ROUTER.restore(route(), [original]) == []


async def test_on_a_server_nothing_but_the_rules_backends_changes_and_the_restore_is_exact() -> (
    None
):
    kube = FakeKube()
    body = route(rule(RICH), rule([{"name": "files", "port": 1}], "files"))
    body |= {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    del body["status"], body["metadata"]["resourceVersion"], body["metadata"]["managedFields"]
    kube.user_apply(body)
    ref = Ref(HTTPROUTE, "ns", "shop")
    stored = await kube.get(ref)
    rules = ROUTER.read(stored, "HTTPRoute", ARMS).rules
    originals = [Original("HTTPRoute", "shop", 0, "main", "shop", rules[0].backends)]
    shifted = await kube.patch(ref, ROUTER.weights(stored, rules, 20, ARMS, lowering=False))
    other = copy.deepcopy(shifted["spec"])
    other["rules"][0]["backendRefs"] = stored["spec"]["rules"][0]["backendRefs"]
    assert other == stored["spec"]
    assert ROUTER.read(shifted, "HTTPRoute", ARMS, "", originals).rules[0].ours
    restored = await kube.patch(ref, ROUTER.restore(shifted, originals))
    assert restored["spec"] == stored["spec"]
    left = await kube.patch(ref, forget_patch(restored, "leadsman", "spec", "rules"))
    assert all(one["manager"] != "leadsman" for one in left["metadata"]["managedFields"])
    changed = copy.deepcopy(body)
    changed["spec"]["rules"][0]["backendRefs"][0]["weight"] = 5
    kube.user_apply(changed, manager="helm", server_side=True, force=True)


def test_the_only_entry_is_never_dropped() -> None:
    body = route(rule(REST), managed=[entry("leadsman", "2026-01-01T00:00:01Z", "spec", "rules")])
    assert forget_patch(body, "leadsman", "spec", "rules") == []


def rollout_with(spec: dict[str, Any]) -> dict[str, Any]:
    template = {"kind": "GRPCRoute", "metadata": {"name": "owned"}, "spec": spec}
    return {
        "metadata": {"name": "lro", "namespace": "ns", "uid": "u"},
        "spec": {"traffic": {"gatewayAPI": {"template": template}}},
    }


def test_a_managed_route_is_the_template_with_a_label_of_ours_and_no_owner() -> None:
    body = managed.manifest(rollout_with({"rules": []}))
    assert body is not None
    assert body["kind"] == "GRPCRoute"
    assert body["metadata"]["labels"] == {"leadsman.dev/rollout": "lro"}
    assert "ownerReferences" not in body["metadata"]
    assert managed.manifest({"metadata": {}, "spec": {}}) is None


@pytest.mark.parametrize("place", ["hostnames", "filters", "timeouts"])
def test_what_somebody_adds_to_a_managed_route_is_drift(place: str) -> None:
    rules = [{"backendRefs": [{"name": "a"}]}]
    wanted = managed.manifest(rollout_with({"rules": rules}))
    assert wanted is not None
    stored = copy.deepcopy(wanted)
    stored["metadata"]["resourceVersion"] = "7"
    added = stored["spec"] if place == "hostnames" else stored["spec"]["rules"][0]
    added[place] = ["x"]
    assert managed.drift(stored, wanted) == ("changed", None)
    assert managed.keep_patch(stored, wanted)[-1]["value"] == wanted["spec"]


def test_a_managed_route_without_rules_gets_the_servers_own() -> None:
    wanted = managed.manifest(rollout_with({}))
    assert wanted is not None
    stored = copy.deepcopy(wanted)
    stored["spec"]["rules"] = [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}]
    assert managed.drift(stored, wanted) == ("", None)


def test_a_managed_route_drifts_when_it_says_something_else_but_not_by_defaults() -> None:
    wanted = managed.manifest(rollout_with({"rules": [{"backendRefs": [{"name": "a"}]}]}))
    assert wanted is not None
    stored = copy.deepcopy(wanted)
    stored["metadata"]["resourceVersion"] = "1"
    stored["spec"]["rules"][0]["backendRefs"][0]["weight"] = 1
    assert managed.drift(stored, wanted) == ("", None)
    assert managed.drift(None, wanted) == ("missing", None)
    stored["spec"]["rules"].append({})
    assert managed.drift(stored, wanted) == ("changed", None)
    assert managed.keep_patch(stored, wanted)[-1]["value"] == wanted["spec"]
    stored["metadata"]["labels"] = {}
    drift, problem = managed.drift(stored, wanted)
    assert drift == ""
    assert problem is not None
    assert problem.reason == "Conflicted"


def test_arm_names_are_values() -> None:
    assert ARMS["shop"] == ArmNames("shop-stable", "shop-canary")
