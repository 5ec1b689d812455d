"""The arms of a Service: what they copy, what they never copy, and who is behind them."""

from __future__ import annotations

from typing import Any

import pytest

from leadsman.adapters.workloads import arms
from leadsman.core.observation import Role

ROLLOUT = {"metadata": {"name": "lro", "namespace": "ns", "uid": "u"}}


def service(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "shop",
            "namespace": "ns",
            "resourceVersion": "3",
            "labels": {"team": "a"},
            "annotations": {
                "kept": "1",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "argocd.argoproj.io/tracking-id": "x",
                "meta.helm.sh/release-name": "x",
            },
        },
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.0.0.1",
            "clusterIPs": ["10.0.0.1"],
            "externalTrafficPolicy": "Local",
            "healthCheckNodePort": 31000,
            "loadBalancerIP": "1.2.3.4",
            "sessionAffinity": "ClientIP",
            "internalTrafficPolicy": "Local",
            "selector": {"app": "shop"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "nodePort": 30000}],
            **spec,
        },
    }


def test_an_arm_is_the_users_service_narrowed_and_nothing_more() -> None:
    arm = arms.arm_service(service(), Role.STABLE, "h", ROLLOUT, pinned=True)
    assert arm["spec"] == {
        "type": "ClusterIP",
        "sessionAffinity": "ClientIP",
        "internalTrafficPolicy": "Local",
        "selector": {"app": "shop", "pod-template-hash": "h"},
        "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
    }
    assert arm["metadata"]["annotations"] == {"kept": "1"}
    assert arm["metadata"]["ownerReferences"][0]["uid"] == "u"


@pytest.mark.parametrize(
    ("role", "pinned", "theirs"),
    [
        (Role.CANARY, True, True),
        (Role.CANARY, False, False),
        (Role.STABLE, True, False),
        (Role.STABLE, False, False),
    ],
)
def test_only_the_canary_arm_of_a_pinned_service_carries_the_users_labels(
    role: Role, pinned: bool, theirs: bool
) -> None:
    arm = arms.arm_service(service(), role, "h", ROLLOUT, pinned=pinned)
    assert ("team" in arm["metadata"]["labels"]) is theirs
    assert arm["metadata"]["labels"]["leadsman.dev/arm"] == role.value
    patch = arms.plain_labels_patch(
        arm | {"metadata": arm["metadata"] | {"resourceVersion": "1"}}, service()
    )
    assert bool(patch) is theirs


def test_a_widened_arm_and_one_of_a_pinned_service_select_as_the_user_does() -> None:
    pinned = service(selector={"app": "shop", "pod-template-hash": "old"})
    wide = arms.arm_service(pinned, Role.CANARY, "", ROLLOUT, pinned=False)
    assert wide["spec"]["selector"] == {"app": "shop"}
    narrow = arms.arm_service(pinned, Role.CANARY, "new", ROLLOUT, pinned=True)
    assert narrow["spec"]["selector"]["pod-template-hash"] == "new"


def test_long_names_end_in_a_hash_and_stay_apart() -> None:
    assert arms.arm_name("shop", Role.STABLE) == "shop-stable"
    names = {
        arms.arm_name(service, role)
        for service in ("a" * 63, "a" * 62 + "b", "a" * 55)
        for role in Role
    }
    assert len(names) == 6
    assert all(len(name) <= 63 for name in names)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, None),
        ({"selector": None}, "ServiceUnsuitable"),
        ({"selector": {}}, "ServiceUnsuitable"),
        ({"type": "ExternalName"}, "ServiceUnsuitable"),
    ],
)
def test_a_service_that_can_have_no_arms(spec: dict[str, Any], reason: str | None) -> None:
    problem = arms.unsuitable(service(**spec))
    assert (problem.reason if problem else None) == reason


def test_a_pinned_service_still_selects_the_targets_pods() -> None:
    labels = {"app": "shop", "tier": "x"}
    assert arms.selects(service(), labels)
    assert arms.selects(service(selector={"app": "shop", "pod-template-hash": "h"}), labels)
    assert not arms.selects(service(selector={"app": "other"}), labels)
    assert not arms.selects(service(selector={}), labels)


def test_pin_and_unpin_change_one_key_and_test_the_version() -> None:
    pin = arms.pin_patch(service(), "h", "3")
    assert [one["op"] for one in pin] == ["test", "add"]
    assert pin[1] == {"op": "add", "path": "/spec/selector/pod-template-hash", "value": "h"}
    pinned = service(selector={"app": "shop", "pod-template-hash": "h"})
    assert arms.pin_patch(pinned, "h", "3") == []
    assert arms.unpin_patch(service(), "3") == []
    assert arms.unpin_patch(pinned, "3")[-1]["op"] == "remove"


def endpoint(name: str, ready: bool | None = True) -> dict[str, Any]:
    conditions = {} if ready is None else {"ready": ready}
    return {"targetRef": {"name": name}, "addresses": ["10.1.1.1"], "conditions": conditions}


def slice_of(service_name: str, *endpoints: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"kubernetes.io/service-name": service_name}},
        "endpoints": list(endpoints) or None,
    }


def test_ready_endpoints_count_each_pod_once() -> None:
    slices = [
        slice_of("shop", endpoint("a"), endpoint("b", False), endpoint("c", None)),
        slice_of("shop", endpoint("a")),
        slice_of("other", endpoint("d")),
        slice_of("shop"),
    ]
    assert arms.ready_endpoints(slices, "shop") == {"a", "c"}


def test_a_services_endpoints_by_revision() -> None:
    fact = arms.service_fact(
        service(), ["a", "b", "c", "x"], {"a": "1", "b": "2", "c": "3"}, "1", "2"
    )
    assert (fact.ready_stable, fact.ready_canary, fact.ready_other) == (1, 1, 2)
    assert fact.apply_owner == ""


def test_the_selectors_owner_is_who_applied_it_server_side() -> None:
    one = service()
    fields = {"f:spec": {"f:selector": {}}}
    one["metadata"]["managedFields"] = [
        {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": fields},
        {"manager": "flux", "operation": "Apply", "fieldsV1": fields},
    ]
    assert arms.service_fact(one, [], {}, "1", "2").apply_owner == "flux"


def test_a_policy_on_the_service_is_a_problem() -> None:
    policy = {
        "metadata": {"name": "tls"},
        "spec": {"targetRefs": [{"kind": "Service", "name": "shop"}]},
    }
    assert arms.attached([policy], ["shop"])[0].reason == "BackendPolicyAttached"
    assert arms.attached([policy], ["other"]) == ()
