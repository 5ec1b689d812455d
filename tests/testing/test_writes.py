"""The API server's write path where the port's contract does not reach: users, owners, deletion."""

from __future__ import annotations

import pytest

from leadsman.errors import ConflictError, InvalidError, NotFoundError
from leadsman.ports import DEPLOYMENT, HTTPROUTE, REPLICASET, SERVICE, Ref
from leadsman.testing import FakeKube
from leadsman.testing.fake_kube.patches import json_patch, merge_patch, three_way
from leadsman.testing.fake_kube.trees import same_template, stamp, unstamp
from tests.testing.manifests import deployment, route, service

SHOP = Ref(DEPLOYMENT, "default", "shop")
ROUTE = Ref(HTTPROUTE, "default", "shop")


def owner_of(body, field):
    return [
        (entry["manager"], entry["operation"])
        for entry in body["metadata"].get("managedFields") or ()
        if field in entry["fieldsV1"].get("f:spec", {})
    ]


@pytest.mark.parametrize(
    ("operations", "result"),
    [
        ([{"op": "add", "path": "/a/-", "value": 3}], {"a": [1, 2, 3], "b": {"c/d": 1}}),
        ([{"op": "add", "path": "/a/0", "value": 0}], {"a": [0, 1, 2], "b": {"c/d": 1}}),
        ([{"op": "add", "path": "/a/2", "value": 9}], {"a": [1, 2, 9], "b": {"c/d": 1}}),
        ([{"op": "remove", "path": "/a/-1"}], {"a": [1], "b": {"c/d": 1}}),
        ([{"op": "replace", "path": "/b/x", "value": 1}], {"a": [1, 2], "b": {"c/d": 1, "x": 1}}),
        ([{"op": "remove", "path": "/b/c~1d"}], {"a": [1, 2], "b": {}}),
        ([{"op": "replace", "path": "/a", "value": None}], {"a": None, "b": {"c/d": 1}}),
        ([{"op": "move", "from": "/a/0", "path": "/b/x"}], {"a": [2], "b": {"c/d": 1, "x": 1}}),
        (
            [{"op": "copy", "from": "/b", "path": "/e"}],
            {"a": [1, 2], "b": {"c/d": 1}, "e": {"c/d": 1}},
        ),
        ([{"op": "test", "path": "/nothing", "value": None}], {"a": [1, 2], "b": {"c/d": 1}}),
    ],
)
def test_json_patch_operations(operations, result) -> None:
    before = {"a": [1, 2], "b": {"c/d": 1}}
    assert json_patch(before, operations) == result
    assert before == {"a": [1, 2], "b": {"c/d": 1}}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/a/3", "value": 1},
        {"op": "replace", "path": "/a/2", "value": 1},
        {"op": "remove", "path": "/a/-3"},
        {"op": "remove", "path": "/nothing"},
        {"op": "add", "path": "/nothing/below", "value": 1},
        {"op": "add", "path": "/a", "no": "value"},
        {"op": "frobnicate", "path": "/a"},
        {"op": "add", "path": "a", "value": 1},
    ],
)
def test_a_json_patch_that_does_not_apply_is_invalid(operation) -> None:
    with pytest.raises(InvalidError):
        json_patch({"a": [1, 2], "b": {}}, [operation])


def test_unchanged_branches_are_shared() -> None:
    before = {"a": {"x": 1}, "b": {"y": [1]}}
    after = json_patch(before, [{"op": "replace", "path": "/a/x", "value": 2}])
    assert after["b"] is before["b"]


def test_merge_patch_removes_by_null_and_replaces_lists() -> None:
    assert merge_patch({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": None}, "d": [2]}) == {
        "a": {"c": 2},
        "d": [2],
    }


def test_three_way_apply_keeps_what_others_added_and_removes_what_the_manifest_dropped() -> None:
    was = {"spec": {"replicas": 3, "x": 1}}
    want = {"spec": {"x": 2}}
    live = {"spec": {"replicas": 3, "x": 1, "paused": True}}
    assert three_way(DEPLOYMENT, was, want, live) == {"spec": {"x": 2, "paused": True}}


def test_templates_are_compared_as_kubernetes_does() -> None:
    one = {"metadata": {"labels": {"a": "b", "pod-template-hash": "x"}}, "spec": {"volumes": []}}
    other = {"metadata": {"labels": {"a": "b"}}, "spec": {}}
    assert same_template(one, other)
    assert not same_template(one, {"metadata": {"labels": {"a": "c"}}, "spec": {}})


def test_timestamps_round_trip() -> None:
    for second in (0, 951_782_400, 1_767_614_400, 4_102_444_799):
        assert unstamp(stamp(second)) == second
    assert stamp(1_767_614_400.9) == "2026-01-05T12:00:00Z"


def test_client_side_apply_of_the_same_manifest_changes_nothing(kube: FakeKube) -> None:
    kube.user_apply(deployment())
    kube.advance(3)
    before = kube.peek(SHOP)
    kube.user_apply(deployment())
    assert kube.peek(SHOP) == before


def test_client_side_apply_leaves_alone_what_the_manifest_never_named(kube: FakeKube) -> None:
    kube.user_apply(deployment())
    kube.user_patch(SHOP, {"spec": {"paused": True}}, "leadsman")
    kube.user_apply(deployment("shop:2"))
    found = kube.peek(SHOP)
    assert found["spec"]["paused"] is True
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:2"


def test_client_side_apply_resets_a_routes_backends(kube: FakeKube) -> None:
    kube.user_apply(route())
    before = kube.peek(ROUTE)["spec"]
    arms = route(("shop-stable", 80), ("shop-canary", 20))["spec"]["rules"]
    kube.user_patch(ROUTE, {"spec": {"rules": arms}}, "leadsman")
    assert owner_of(kube.peek(ROUTE), "f:rules") == [("leadsman", "Update")]
    kube.user_apply(route())
    assert kube.peek(ROUTE)["spec"] == before
    assert owner_of(kube.peek(ROUTE), "f:rules") == [("kubectl-client-side-apply", "Update")]


def test_server_side_apply_conflicts_with_another_owner_and_takes_it_by_force(kube) -> None:
    kube.user_apply(route(), server_side=True)
    arms = route(("shop-stable", 80), ("shop-canary", 20))["spec"]["rules"]
    kube.user_patch(ROUTE, {"spec": {"rules": arms}}, "leadsman")
    with pytest.raises(ConflictError) as raised:
        kube.user_apply(route(), server_side=True)
    assert "leadsman" in raised.value.message
    kube.user_apply(route(), server_side=True, force=True)
    assert owner_of(kube.peek(ROUTE), "f:rules") == [("kubectl", "Apply")]


def test_server_side_apply_of_a_changed_route_conflicts_until_the_owner_is_dropped(kube) -> None:
    kube.user_apply(route(), server_side=True)
    stored = kube.peek(ROUTE)["spec"]["rules"]
    arms = route(("shop-stable", 80), ("shop-canary", 20))["spec"]["rules"]
    kube.user_patch(ROUTE, {"spec": {"rules": arms}}, "leadsman")
    kube.user_patch(ROUTE, {"spec": {"rules": stored}}, "leadsman")
    changed = route(("another", 1))
    with pytest.raises(ConflictError):
        kube.user_apply(changed, server_side=True)
    entries = kube.peek(ROUTE)["metadata"]["managedFields"]
    at = next(i for i, entry in enumerate(entries) if entry["manager"] == "leadsman")
    kube.user_patch(ROUTE, [{"op": "remove", "path": f"/metadata/managedFields/{at}"}], "leadsman")
    kube.user_apply(changed, server_side=True)
    assert kube.peek(ROUTE)["spec"]["rules"][0]["backendRefs"][0]["name"] == "another"


def test_server_side_apply_owns_a_selector_as_one_value(kube: FakeKube) -> None:
    ref = Ref(SERVICE, "default", "shop")
    kube.user_apply(service(), server_side=True)
    pin = {"spec": {"selector": {"pod-template-hash": "abc"}}}
    kube.user_patch(ref, pin, "leadsman")
    with pytest.raises(ConflictError):
        kube.user_apply(service(), server_side=True)
    kube.user_apply(service(), server_side=True, force=True)
    assert kube.peek(ref)["spec"]["selector"] == {"app": "shop"}


def test_server_side_apply_removes_what_it_no_longer_names(kube: FakeKube) -> None:
    with_pause = deployment(paused=True)
    kube.user_apply(with_pause, server_side=True)
    kube.user_apply(deployment(), server_side=True)
    assert "paused" not in kube.peek(SHOP)["spec"]


def test_server_side_apply_of_the_same_manifest_changes_nothing(kube: FakeKube) -> None:
    for manifest in (deployment(), service(), route()):
        kube.user_apply(manifest, server_side=True)
        before = kube.cluster.store.revision
        kube.clock.advance(5)
        kube.user_apply(manifest, server_side=True)
        assert kube.cluster.store.revision == before


def test_the_time_of_an_owner_moves_with_each_change_and_not_without(kube: FakeKube) -> None:
    kube.user_apply(route())

    def written(weight: int) -> str:
        kube.clock.advance(10)
        operations = [
            {"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": weight}
        ]
        body = kube.user_patch(ROUTE, operations, "leadsman")
        (entry,) = [e for e in body["metadata"]["managedFields"] if e["manager"] == "leadsman"]
        return entry["time"]

    first = written(5)
    assert written(6) > first
    assert written(6) == written(6)


def test_a_selector_is_immutable_and_two_controllers_are_refused(kube: FakeKube) -> None:
    kube.user_apply(deployment())
    kube.settle()
    with pytest.raises(InvalidError):
        kube.user_patch(SHOP, {"spec": {"selector": {"matchLabels": {"app": "x"}}}})
    (found,) = kube.peek_all(REPLICASET, "default")
    (first,) = found["metadata"]["ownerReferences"]
    second = {**first, "uid": "another"}
    with pytest.raises(InvalidError):
        kube.user_patch(
            Ref(REPLICASET, "default", found["metadata"]["name"]),
            [{"op": "add", "path": "/metadata/ownerReferences/-", "value": second}],
        )


def test_deleting_a_deployment_takes_its_sets_and_pods_along(kube: FakeKube) -> None:
    kube.user_apply(deployment())
    kube.advance(3)
    kube.user_delete(SHOP)
    kube.advance(3)
    assert kube.peek_all(REPLICASET, "default") == []
    assert kube.pods("default") == []


def test_orphaned_sets_stay_and_are_adopted_by_a_new_deployment(kube: FakeKube) -> None:
    kube.user_apply(deployment())
    kube.advance(3)
    uids = {pod["metadata"]["uid"] for pod in kube.pods("default")}
    kube.user_delete(SHOP, orphan=True)
    kube.advance(3)
    ((name, (_, _, owner)),) = kube.sizes("default").items()
    assert owner == ""
    kube.user_apply(deployment())
    kube.advance(3)
    assert kube.sizes("default")[name][2] == "Deployment/shop"
    assert {pod["metadata"]["uid"] for pod in kube.pods("default")} == uids


def test_an_object_of_an_owner_that_never_was_is_collected(kube: FakeKube) -> None:
    body = service()
    body["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "Service", "name": "x", "uid": "never"}
    ]
    kube.user_create(body)
    kube.settle()
    with pytest.raises(NotFoundError):
        kube.cluster.server.must(Ref(SERVICE, "default", "shop"))


def test_two_runs_are_equal(kube: FakeKube) -> None:
    def run() -> list[object]:
        own = FakeKube()
        seen: list[object] = []
        own.on_change(lambda change: seen.append(change.last))
        own.user_apply(deployment())
        own.advance(2)
        own.user_apply(deployment("shop:2"))
        own.advance(20)
        return seen

    assert run() == run()
