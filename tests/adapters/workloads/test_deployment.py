"""A Deployment read and moved: templates, facts, faults, patches with their preconditions."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from leadsman.adapters.workloads import deployment, deployment_moves
from leadsman.adapters.workloads.factory import DEPLOYMENTS
from leadsman.adapters.workloads.moments import format_time, parse_time
from leadsman.adapters.workloads.templates import SAFE_ALPHABET, same_template, template_hash
from leadsman.core.observation import Fault, Owner
from leadsman.ports import REPLICASET, Ref
from leadsman.testing import FakeKube

TEMPLATE = {
    "metadata": {"labels": {"app": "shop"}, "annotations": {"a": "b"}, "creationTimestamp": None},
    "spec": {"containers": [{"name": "app", "image": "registry:5000/shop:v1.8.2"}]},
}
ROLLOUT = {"metadata": {"name": "lro", "namespace": "ns", "uid": "rollout-uid"}}


def body(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "shop",
            "namespace": "ns",
            "uid": "d",
            "resourceVersion": "5",
            "generation": 2,
        },
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": copy.deepcopy(TEMPLATE),
            **spec,
        },
        "status": {
            "observedGeneration": 2,
            "replicas": 4,
            "updatedReplicas": 4,
            "availableReplicas": 4,
        },
    }


def replica_set(name: str = "shop-1", owner: str = "d", **spec: Any) -> dict[str, Any]:
    owners = [{"kind": "Deployment", "name": "shop", "uid": owner, "controller": True}]
    return {
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": f"uid-{name}",
            "resourceVersion": "9",
            "generation": 1,
            "labels": {"app": "shop", "pod-template-hash": name.rpartition("-")[2]},
            "ownerReferences": owners if owner else [],
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"replicas": 2, "template": copy.deepcopy(TEMPLATE), **spec},
        "status": {"observedGeneration": 1, "readyReplicas": 2, "availableReplicas": 1},
    }


def test_the_templates_name_is_a_frozen_format() -> None:
    # This value is in the status of running clusters: a change here starts rollouts there.
    assert template_hash(TEMPLATE) == template_hash(TEMPLATE)
    assert template_hash({"metadata": {"labels": {"app": "shop"}}, "spec": {}}) == FROZEN
    assert set(template_hash(TEMPLATE)) <= set(SAFE_ALPHABET)
    assert len(template_hash(TEMPLATE)) == 10


FROZEN = "th8pr557xf"


def test_pod_template_hash_and_a_null_creation_time_make_no_version() -> None:
    other = copy.deepcopy(TEMPLATE)
    del other["metadata"]["creationTimestamp"]
    other["metadata"]["labels"]["pod-template-hash"] = "abc"
    assert same_template(TEMPLATE, other)
    assert template_hash(TEMPLATE) == template_hash(other)
    assert "pod-template-hash" in other["metadata"]["labels"]
    other["spec"]["containers"][0]["image"] = "shop:2"
    assert not same_template(TEMPLATE, other)
    assert template_hash(TEMPLATE) != template_hash(other)


def test_the_target() -> None:
    found = DEPLOYMENTS.target(body(paused=True, strategy={"type": "Recreate"}))
    assert (found.replicas, found.paused, found.recreate, found.complete) == (4, True, True, True)
    assert found.version == "v1.8.2"
    assert not found.deleting


@pytest.mark.parametrize(
    "change",
    [
        {"observedGeneration": 1},
        {"updatedReplicas": 3},
        {"replicas": 5},
        {"availableReplicas": 3},
    ],
)
def test_a_deployment_is_complete_as_kubectl_says_it(change: dict[str, int]) -> None:
    one = body()
    assert deployment.complete(one)
    one["status"] |= change
    assert not deployment.complete(one)


VERSIONS = [
    ("shop:v2", {}, "v2"),
    ("registry:5000/shop", {}, ""),
    ("shop@sha256:0123456789abcdef", {}, "0123456789ab"),
    ("shop:v2@sha256:01", {}, "v2"),
    ("shop:v2", {"app.kubernetes.io/version": "2.0"}, "2.0"),
]


@pytest.mark.parametrize(("image", "labels", "says"), VERSIONS)
def test_the_version_as_people_call_it(image: str, labels: dict[str, str], says: str) -> None:
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"image": image}]}}
    assert deployment.version(template) == says


@pytest.mark.parametrize(
    ("owner", "says"),
    [
        ("d", Owner.DEPLOYMENT),
        ("rollout-uid", Owner.ROLLOUT),
        ("", Owner.NONE),
        ("x", Owner.OTHER),
    ],
)
def test_who_controls_a_set(owner: str, says: Owner) -> None:
    (found,) = DEPLOYMENTS.sets([replica_set(owner=owner)], body(), "rollout-uid")
    assert found.owner is says
    assert (found.revision, found.replicas, found.ready, found.available) == ("1", 2, 2, 1)
    assert found.matches
    assert found.observed


REFUSED_PODS = [
    (
        'pods "shop-1-x7k2p" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=8,'
        " limited: pods=8",
        "exceeded quota: pods, requested: pods=1, used: pods=8, limited: pods=8",
    ),
    ('Pod "shop-1-x7k2p" is invalid: spec.x: Required value', "spec.x: Required value"),
    (
        'admission webhook "a.b" denied the request: no',
        'admission webhook "a.b" denied the request: no',
    ),
    ("", "FailedCreate"),
    ("x" * 999, "x" * 256),
]


@pytest.mark.parametrize(("message", "says"), REFUSED_PODS)
def test_why_pods_cannot_be_made_without_the_name_of_the_one_that_was_tried(
    message: str, says: str
) -> None:
    failing = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}
    one = replica_set()
    one["status"]["conditions"] = [{**failing, "message": message}]
    (found,) = DEPLOYMENTS.sets([one], body(), "rollout-uid")
    assert found.failure == says
    one["status"]["conditions"][0]["status"] = "False"
    (found,) = DEPLOYMENTS.sets([one], body(), "rollout-uid")
    assert found.failure == ""


SELECTORS = [
    ({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2"),
    (
        {
            "matchExpressions": [
                {"key": "x", "operator": "In", "values": ["b", "a"]},
                {"key": "y", "operator": "NotIn", "values": ["c"]},
                {"key": "z", "operator": "Exists"},
                {"key": "w", "operator": "DoesNotExist"},
            ]
        },
        "x in (a,b),y notin (c),z,!w",
    ),
]


@pytest.mark.parametrize(("selector", "says"), SELECTORS)
def test_a_selector_as_a_query(selector: dict[str, Any], says: str) -> None:
    assert deployment.selector_text(selector) == says


def pod(**status: Any) -> dict[str, Any]:
    meta = status.pop("metadata", {})
    return {"metadata": {"name": "p", **meta}, "status": status}


def container(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "app", **state}]}


def ended(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason}}


def waiting(reason: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason}}


EVICTED = {"conditions": [{"type": "DisruptionTarget", "status": "True"}]}
DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
FAULTS = [
    (pod(), Fault.NONE),
    (pod(**container(state={"running": {}})), Fault.NONE),
    (pod(**container(state=ended(1))), Fault.EXITED),
    (pod(**container(state=ended(0, "Completed"))), Fault.NONE),
    (pod(**container(state={"running": {}}, lastState=ended(1))), Fault.EXITED),
    (pod(**container(state=ended(137, "OOMKilled"))), Fault.OUT_OF_MEMORY),
    (pod(**container(state=waiting("CrashLoopBackOff"), lastState=ended(1))), Fault.CRASH_LOOP),
    (pod(**container(state=waiting("ImagePullBackOff"))), Fault.IMAGE),
    (pod(**container(state=waiting("ErrImagePull"))), Fault.IMAGE),
    (pod(**container(state=waiting("InvalidImageName"))), Fault.IMAGE),
    (pod(**container(state=waiting("ContainerCreating"))), Fault.NONE),
    (pod(phase="Failed", reason="Evicted", **container(state=ended(137))), Fault.EVICTED),
    (pod(**EVICTED, **container(state=ended(143))), Fault.EVICTED),
    (pod(metadata=DELETED, **container(state=ended(143))), Fault.NONE),
    (pod(metadata=DELETED, **EVICTED), Fault.EVICTED),
    (pod(initContainerStatuses=[{"name": "i", "state": ended(2)}]), Fault.EXITED),
]


@pytest.mark.parametrize(("one", "says"), FAULTS)
def test_whose_fault_it_is(one: dict[str, Any], says: Fault) -> None:
    assert deployment.fault(one) is says


@pytest.mark.parametrize(
    ("container", "says"),
    [
        ({"restartCount": 0, "state": {"running": {"startedAt": "2026-01-05T12:00:00Z"}}}, None),
        ({"restartCount": 2, "state": {"running": {"startedAt": "2026-01-05T12:00:09Z"}}}, 9.0),
        (
            {
                "restartCount": 1,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 0, "finishedAt": "2026-01-05T12:00:07Z"}},
            },
            7.0,
        ),
        ({"restartCount": 1, "state": {"running": {"startedAt": "yesterday"}}}, None),
        ({"restartCount": 1}, None),
    ],
    ids=["never", "runs again", "between", "no time", "nothing"],
)
def test_when_a_pod_was_started_again(container: dict[str, Any], says: float | None) -> None:
    noon = parse_time("2026-01-05T12:00:00Z")
    at = deployment.restarted_at({"metadata": {}, "status": {"containerStatuses": [{}, container]}})
    assert (None if at is None or noon is None else at - noon) == says


def test_pods_of_other_owners_are_none_of_ours() -> None:
    sets = DEPLOYMENTS.sets([replica_set()], body(), "rollout-uid")
    mine = pod(metadata={"name": "a", "ownerReferences": [{"uid": "uid-shop-1", "controller": 1}]})
    mine["metadata"]["ownerReferences"][0]["controller"] = True
    assert [one.name for one in DEPLOYMENTS.pods([mine, pod()], sets)] == ["a"]


def test_pods_of_the_attempt_count_while_their_deleted_set_is_gone_and_they_are_not() -> None:
    reference = {"uid": "uid-gone", "controller": True}
    labels = {"app": "shop", "pod-template-hash": "hash"}
    left = pod(metadata={"name": "a", "labels": labels, "ownerReferences": [reference]})
    assert DEPLOYMENTS.pods([left], ()) == ()
    assert [one.name for one in DEPLOYMENTS.pods([left], (), "hash")] == ["a"]


def test_the_canary_is_the_set_that_the_deployment_would_have_made() -> None:
    one = DEPLOYMENTS.canary(body(minReadySeconds=3), ROLLOUT, "hash", 2)
    assert one["metadata"]["name"] == "shop-hash"
    assert one["metadata"]["labels"] == {"app": "shop", "pod-template-hash": "hash"}
    assert one["spec"]["selector"]["matchLabels"] == one["metadata"]["labels"]
    assert one["spec"]["template"]["metadata"]["annotations"] == {"a": "b"}
    assert one["spec"]["minReadySeconds"] == 3
    (owner,) = one["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Rollout", "rollout-uid", True)
    assert same_template(one["spec"]["template"], TEMPLATE)


def test_a_move_that_is_made_already_is_no_write() -> None:
    ours = replica_set(owner="rollout-uid")
    assert DEPLOYMENTS.pause(body(paused=True), "d", "5", paused=True) == []
    assert DEPLOYMENTS.pause(body(), "d", "5", paused=False) == []
    assert DEPLOYMENTS.take_over(ours, ROLLOUT, "u", "9") == []
    assert DEPLOYMENTS.release(replica_set(), ROLLOUT, "u", "9", 4) == []
    assert deployment_moves.scale_patch(ours, 2, "9") == []
    assert deployment_moves.give_back_patch(replica_set(), ROLLOUT, "u", "9") == []


MOVES = [
    DEPLOYMENTS.pause(body(), "d", "5", paused=True),
    DEPLOYMENTS.pause(body(paused=True), "d", "5", paused=False),
    DEPLOYMENTS.take_over(replica_set(), ROLLOUT, "u", "9"),
    DEPLOYMENTS.release(replica_set(owner="rollout-uid"), ROLLOUT, "u", "9", 4),
    deployment_moves.scale_patch(replica_set(), 3, "9"),
    deployment_moves.give_back_patch(replica_set(owner="rollout-uid"), ROLLOUT, "u", "9"),
]


@pytest.mark.parametrize("move", MOVES)
def test_every_move_tests_the_version_first(move: list[dict[str, Any]]) -> None:
    paths = [one["path"] for one in move if one["op"] == "test"]
    assert "/metadata/resourceVersion" in paths
    first_change = next(i for i, one in enumerate(move) if one["op"] != "test")
    assert move[first_change - 1]["op"] == "test"


async def test_taken_over_released_and_given_back_on_a_server() -> None:
    kube = FakeKube()
    one = body()
    one |= {"apiVersion": "apps/v1", "kind": "Deployment"}
    for field in ("uid", "resourceVersion", "generation"):
        del one["metadata"][field]
    del one["status"]
    one["spec"]["template"]["metadata"].pop("creationTimestamp")
    kube.user_apply(one)
    kube.advance(3)
    (found,) = (await kube.list(REPLICASET, "ns")).items
    about = found["metadata"]
    ref = Ref(REPLICASET, "ns", about["name"])
    taken = await kube.patch(
        ref, DEPLOYMENTS.take_over(found, ROLLOUT, about["uid"], about["resourceVersion"])
    )
    assert [o["kind"] for o in taken["metadata"]["ownerReferences"]] == ["Rollout"]
    version = taken["metadata"]["resourceVersion"]
    back = await kube.patch(
        ref, deployment_moves.give_back_patch(taken, ROLLOUT, about["uid"], version)
    )
    assert back["spec"]["replicas"] == 0
    assert not back["metadata"].get("ownerReferences")
    kube.settle()
    back = await kube.get(ref)
    assert [o["kind"] for o in back["metadata"]["ownerReferences"]] == ["Deployment"]
    version = back["metadata"]["resourceVersion"]
    taken = await kube.patch(ref, DEPLOYMENTS.take_over(back, ROLLOUT, about["uid"], version))
    version = taken["metadata"]["resourceVersion"]
    freed = await kube.patch(ref, DEPLOYMENTS.release(taken, ROLLOUT, about["uid"], version, 4))
    assert not freed["metadata"].get("ownerReferences")
    assert freed["metadata"]["annotations"][deployment_moves.DESIRED] == "4"


def test_moments_keep_milliseconds() -> None:
    assert format_time(1767614400.123) == "2026-01-05T12:00:00.123Z"
    for at in (0.0, 1767614400.001, 1767614400.999):
        assert parse_time(format_time(at)) == at
    assert parse_time("2026-01-05T12:00:00Z") == 1767614400.0
    for wrong in (None, 3, "", "yesterday", "2026-01-05T12:00:00"):
        assert parse_time(wrong) is None
