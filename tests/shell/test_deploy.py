"""The manifests of `deploy/`: least rights, a restricted pod, policies that block nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from leadsman.runtime.sources import SECRETS

DEPLOY = Path(__file__).parents[2] / "deploy"
USER = "system:serviceaccount:leadsman-system:leadsman"


def objects(name: str) -> list[dict[str, Any]]:
    return [body for body in yaml.safe_load_all((DEPLOY / name).read_text()) if body]


def rights() -> dict[str, set[str]]:
    """Verbs by `group/resource`."""
    found: dict[str, set[str]] = {}
    for body in objects("rbac.yaml"):
        for rule in body.get("rules", ()):
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    found.setdefault(f"{group}/{resource}", set()).update(rule["verbs"])
    return found


READ = {"get", "list", "watch"}

ALLOWED = {
    "leadsman.dev/rollouts": READ | {"patch"},
    "leadsman.dev/rolloutplans": READ,
    "leadsman.dev/releasecontracts": READ,
    "leadsman.dev/guards": READ,
    "leadsman.dev/metricssources": READ,
    "leadsman.dev/rollouts/status": {"patch"},
    "leadsman.dev/rolloutplans/status": {"patch"},
    "leadsman.dev/releasecontracts/status": {"patch"},
    "leadsman.dev/guards/status": {"patch"},
    "leadsman.dev/metricssources/status": {"patch"},
    "leadsman.dev/rollouts/finalizers": {"update"},
    "gateway.networking.k8s.io/httproutes": READ | {"patch", "create", "delete"},
    "gateway.networking.k8s.io/grpcroutes": READ | {"patch", "create", "delete"},
    "gateway.networking.k8s.io/backendtlspolicies": {"list", "watch"},
    "gateway.networking.k8s.io/gateways": {"list", "watch"},
    "gateway.networking.k8s.io/gatewayclasses": {"list", "watch"},
    "apps/deployments": READ | {"patch"},
    "apps/replicasets": READ | {"create", "patch", "delete"},
    "apps/controllerrevisions": {"get", "list", "create", "delete"},
    "/services": READ | {"create", "patch", "delete"},
    "/pods": READ,
    "/namespaces": READ,
    "discovery.k8s.io/endpointslices": READ,
    "admissionregistration.k8s.io/mutatingadmissionpolicies": {"get", "list"},
    "admissionregistration.k8s.io/mutatingadmissionpolicybindings": {"get", "list"},
    "autoscaling/horizontalpodautoscalers": {"list"},
    "events.k8s.io/events": {"create", "patch"},
}


def test_the_operator_has_these_rights_and_no_others() -> None:
    assert rights() == ALLOWED


def test_no_right_can_widen_itself_or_read_a_secret() -> None:
    for what, verbs in rights().items():
        assert "*" not in what
        assert "secrets" not in what
        assert not verbs & {"*", "escalate", "bind", "impersonate", "deletecollection"}


def test_only_the_operators_service_account_is_bound() -> None:
    for body in objects("rbac.yaml"):
        for subject in body.get("subjects", ()):
            assert (subject["kind"], subject["namespace"], subject["name"]) == (
                "ServiceAccount",
                "leadsman-system",
                "leadsman",
            )


def test_the_pod_fits_the_restricted_profile() -> None:
    namespace = objects("namespace.yaml")[0]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    (deployment,) = objects("operator.yaml")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    pod = deployment["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "leadsman"
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)


def test_the_pod_sees_one_secret_where_sources_look_for_it() -> None:
    (deployment,) = objects("operator.yaml")
    pod = deployment["spec"]["template"]["spec"]
    ((mount,), (volume,)) = (pod["containers"][0]["volumeMounts"], pod["volumes"])
    name = volume["secret"]["secretName"]
    assert volume["secret"]["optional"]
    assert mount["readOnly"]
    assert Path(mount["mountPath"]) == SECRETS / name
    # Group-readable for the user that the pod runs as, and nobody else's.
    assert volume["secret"]["defaultMode"] == 0o440
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]
    assert name in (DEPLOY.parent / "docs" / "operations.md").read_text()


@pytest.mark.parametrize("name", ["leadsman-hold", "leadsman-freeze"])
def test_a_policy_has_the_rollouts_as_parameters_and_cannot_block_anybody(name: str) -> None:
    policy, binding = (
        body for body in objects("policies.yaml") if body["metadata"]["name"] == name
    )
    assert policy["spec"]["failurePolicy"] == "Ignore"
    assert policy["spec"]["paramKind"] == {
        "apiVersion": "leadsman.dev/v1alpha1",
        "kind": "Rollout",
    }
    assert binding["spec"]["policyName"] == name
    assert binding["spec"]["paramRef"] == {"selector": {}, "parameterNotFoundAction": "Allow"}
    governed = policy["spec"]["matchConditions"][0]["expression"]
    assert "deletionTimestamp" in governed


def test_only_the_operator_may_unpause_while_an_attempt_runs() -> None:
    (hold, _) = (b for b in objects("policies.yaml") if b["metadata"]["name"] == "leadsman-hold")
    expressions = " ".join(c["expression"] for c in hold["spec"]["matchConditions"])
    assert f"request.userInfo.username != '{USER}'" in expressions


def test_the_freeze_holds_every_way_to_scale() -> None:
    policy = next(b for b in objects("policies.yaml") if b["metadata"]["name"] == "leadsman-freeze")
    (rule,) = policy["spec"]["matchConstraints"]["resourceRules"]
    assert rule["resources"] == ["deployments", "deployments/scale"]
    (mutation,) = policy["spec"]["mutations"]
    assert mutation["patchType"] == "JSONPatch"
