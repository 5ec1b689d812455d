"""What makes an arm another than its Service, and what the API server merely fills in."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from leadsman.adapters.workloads import arms
from leadsman.core.observation import Role
from leadsman.testing.fake_kube.patches import json_patch

ROLLOUT = {"metadata": {"name": "lro", "namespace": "ns", "uid": "u"}}
STORED: dict[str, Any] = {
    "type": "ClusterIP",
    "clusterIP": "10.0.0.1",
    "clusterIPs": ["10.0.0.1"],
    "ipFamilies": ["IPv4"],
    "ipFamilyPolicy": "SingleStack",
    "sessionAffinity": "None",
    "internalTrafficPolicy": "Cluster",
    "selector": {"app": "shop"},
    "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
}
"""A Service as the API server stores it."""


def service(**spec: Any) -> dict[str, Any]:
    """The user's Service; None leaves a field out."""
    given = copy.deepcopy(STORED) | spec
    kept = {key: value for key, value in given.items() if value is not None}
    return {"metadata": {"name": "shop", "namespace": "ns", "resourceVersion": "3"}, "spec": kept}


def arm(revision: str = "h", **spec: Any) -> dict[str, Any]:
    """An arm of the Service above, as stored."""
    body = arms.arm_service(service(), Role.STABLE, revision, ROLLOUT, pinned=True)
    stored = STORED | {"clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9"]} | body["spec"] | spec
    metadata = body["metadata"] | {"resourceVersion": "7"}
    return {
        "metadata": metadata,
        "spec": {key: value for key, value in stored.items() if value is not None},
    }


HTTP = {"name": "http", "port": 80, "targetPort": "http"}
SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as made": ({}, {}),
    "no protocol": ({"ports": [HTTP]}, {}),
    "no target port": (
        {"ports": [{"port": 80}]},
        {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]},
    ),
    "node port": ({"type": "NodePort", "ports": [{**HTTP, "nodePort": 30080}]}, {}),
    "headless": ({"clusterIP": "None"}, {}),
    "headless without ports": ({"clusterIP": "None", "ports": []}, {}),
    "pinned": ({"selector": {"app": "shop", "pod-template-hash": "old"}}, {}),
    "no affinity given": ({"sessionAffinity": None, "internalTrafficPolicy": None}, {}),
    "publish said": ({"publishNotReadyAddresses": False}, {}),
    "affinity filled in": (
        {"sessionAffinity": "ClientIP"},
        {
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
        },
    ),
    "address families completed": (
        {"ipFamilyPolicy": "PreferDualStack"},
        {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4", "IPv6"]},
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_what_the_api_server_fills_in_and_what_is_the_services_own_is_no_change(case: str) -> None:
    users, ours = SAME[case]
    assert arms.arm_changes(arm(**ours), service(**users)) == []


STICKY = {"clientIP": {"timeoutSeconds": 60}}
OTHER: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "target port": ({"ports": [{**HTTP, "targetPort": 8080}]}, {}, ["ports"]),
    "protocol": ({"ports": [{**HTTP, "protocol": "UDP"}]}, {}, ["ports"]),
    "application protocol": ({"ports": [{**HTTP, "appProtocol": "h2c"}]}, {}, ["ports"]),
    "selector": ({"selector": {"app": "other"}}, {}, ["selector"]),
    "affinity": (
        {"sessionAffinity": "ClientIP", "sessionAffinityConfig": STICKY},
        {},
        ["sessionAffinity", "sessionAffinityConfig"],
    ),
    "affinity ends": (
        {},
        {"sessionAffinity": "ClientIP", "sessionAffinityConfig": STICKY},
        ["sessionAffinity", "sessionAffinityConfig"],
    ),
    "traffic policy": ({"internalTrafficPolicy": "Local"}, {}, ["internalTrafficPolicy"]),
    "distribution": ({"trafficDistribution": "PreferClose"}, {}, ["trafficDistribution"]),
    "distribution ends": ({}, {"trafficDistribution": "PreferClose"}, ["trafficDistribution"]),
    "unready ends": ({}, {"publishNotReadyAddresses": True}, ["publishNotReadyAddresses"]),
}


@pytest.mark.parametrize("revision", ["", "h"])
@pytest.mark.parametrize("case", OTHER)
def test_a_change_of_the_service_is_one_patch_after_which_there_is_none(
    case: str, revision: str
) -> None:
    users, ours, changed = OTHER[case]
    stale, given = arm(revision, **ours), service(**users)
    assert [one["path"] for one in arms.arm_changes(stale, given)] == [
        f"/spec/{key}" for key in changed
    ]
    wanted = arms.arm_service(given, Role.STABLE, revision, ROLLOUT, pinned=True)
    after = json_patch(stale, arms.arm_patch(stale, wanted))
    assert arms.arm_changes(after, given) == []
    assert arms.arm_patch(after, wanted) == []
    assert after["spec"]["selector"].get("pod-template-hash", "") == revision
    assert after["spec"]["clusterIP"] == "10.0.0.9"
