"""The Deployment controller, table by table: what a hand-over of a ReplicaSet rests on."""

from __future__ import annotations

import pytest

from leadsman.ports import DEPLOYMENT, REPLICASET, Ref
from leadsman.testing import Behaviour, FakeKube
from leadsman.testing.fake_kube.scaling import DESIRED, MAXIMUM, plan_scale, saturated
from tests.testing.manifests import deployment, service

SHOP = Ref(DEPLOYMENT, "default", "shop")


def a_set(name, replicas, available=None, desired=None, maximum=None, age=0):
    marks = {}
    if desired is not None:
        marks[DESIRED] = str(desired)
    if maximum is not None:
        marks[MAXIMUM] = str(maximum)
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": f"2026-01-05T12:00:{age:02d}Z",
            "annotations": marks,
        },
        "spec": {"replicas": replicas},
        "status": {"availableReplicas": replicas if available is None else available},
    }


def a_deployment(replicas, surge="25%", strategy="RollingUpdate", running=0):
    rolling = {"maxSurge": surge, "maxUnavailable": "25%"}
    told = {"type": strategy} | ({"rollingUpdate": rolling} if strategy != "Recreate" else {})
    return {"spec": {"replicas": replicas, "strategy": told}, "status": {"replicas": running}}


@pytest.mark.parametrize(
    ("why", "d", "new", "old", "sizes"),
    [
        ("one active set follows", a_deployment(5), None, [a_set("a", 3)], {"a": 5}),
        (
            "an active old set follows too",
            a_deployment(5),
            a_set("n", 0),
            [a_set("a", 3)],
            {"a": 5},
        ),
        ("none active: the new one", a_deployment(2), a_set("n", 0), [a_set("a", 0)], {"n": 2}),
        (
            "none active and no new one: the newest",
            a_deployment(2),
            None,
            [a_set("a", 0, age=1), a_set("b", 0, age=2)],
            {"b": 2},
        ),
        (
            "a saturated new set empties the others",
            a_deployment(4),
            a_set("n", 4, desired=4),
            [a_set("a", 4), a_set("b", 1), a_set("c", 0)],
            {"a": 0, "b": 0},
        ),
        (
            "without the annotation it is not saturated: in proportion to what runs",
            a_deployment(4, running=8),
            a_set("n", 4),
            [a_set("a", 4, maximum=5)],
            {"a": 2, "n": 3},
        ),
        (
            "counted from a status that has not seen the adopted pods yet",
            a_deployment(4, running=4),
            a_set("n", 4),
            [a_set("a", 4, maximum=5)],
            {"a": 0, "n": 5},
        ),
        (
            "scaled from seven to six just before the adoption: the new set shrinks to two",
            a_deployment(6, running=7),
            a_set("n", 7, desired=7, age=9),
            [a_set("a", 6, desired=6, maximum=8, age=1)],
            {"a": 6, "n": 2},
        ),
        (
            "scaled to nothing",
            a_deployment(0),
            a_set("n", 2, desired=4),
            [a_set("a", 3, desired=4, maximum=5)],
            {"a": 0, "n": 0},
        ),
        (
            "scaled up in the middle of a rollout",
            a_deployment(20),
            a_set("n", 5, desired=10, maximum=13, age=2),
            [a_set("a", 8, desired=10, maximum=13, age=1)],
            {"a": 15, "n": 10},
        ),
        (
            "scaled down in the middle of a rollout",
            a_deployment(5),
            a_set("n", 5, desired=10, maximum=13, age=2),
            [a_set("a", 8, desired=10, maximum=13, age=1)],
            {"a": 4, "n": 3},
        ),
        (
            "Recreate is not scaled in proportion",
            a_deployment(5, strategy="Recreate"),
            a_set("n", 2),
            [a_set("a", 3)],
            {},
        ),
    ],
)
def test_sizes_when_scaled_or_paused(why, d, new, old, sizes) -> None:
    planned = {obj["metadata"]["name"]: count for obj, count, _ in plan_scale(d, new, old)}
    assert planned == sizes, why


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (a_set("n", 4, desired=4), True),
        (a_set("n", 4, available=3, desired=4), False),
        (a_set("n", 4, desired=5), False),
        (a_set("n", 4), False),
        (a_set("n", 5, desired=4), False),
        (None, False),
    ],
)
def test_saturation_needs_size_annotation_and_availability(new, expected) -> None:
    assert saturated(a_deployment(4), new) is expected


def image(kube, tag):
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": tag}]
    kube.user_patch(SHOP, patch)


def held(kube, replicas=4, *, ready=True):
    """A paused Deployment at shop:2, its old set full, and a canary set of another owner."""
    kube.user_apply(deployment(replicas=replicas))
    kube.advance(3)
    operations = [
        {"op": "add", "path": "/spec/paused", "value": True},
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "shop:2"},
    ]
    kube.user_patch(SHOP, operations)
    kube.advance(1)
    body = kube.deployment("default", "shop")
    template = body["spec"]["template"]
    labels = {"app": "shop", "pod-template-hash": "canary"}
    template["metadata"]["labels"] = labels
    owner = kube.user_create(service("holder"))
    canary = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": "shop-canary",
            "namespace": "default",
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": "holder",
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }
    if not ready:
        kube.kubelet.behaviour = lambda _pod: Behaviour(ready_after=None)
    kube.user_create(canary)
    kube.advance(3)


def release(kube, replicas=4, *, mark=True):
    """Give the canary set away, with the annotation that makes it saturated or without."""
    operations = [{"op": "remove", "path": "/metadata/ownerReferences"}]
    if mark:
        marks = {DESIRED: str(replicas)}
        operations.append({"op": "add", "path": "/metadata/annotations", "value": marks})
    kube.user_patch(Ref(REPLICASET, "default", "shop-canary"), operations, "leadsman")


def test_a_rolling_update_keeps_to_surge_and_availability(kube: FakeKube) -> None:
    kube.user_apply(
        deployment(replicas=8, strategy={"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}})
    )
    kube.advance(3)
    lowest, highest = [8], [8]

    def watch(change) -> None:
        if change.kind == REPLICASET:
            sizes = kube.sizes("default").values()
            highest.append(sum(size for size, _, _ in sizes))
            lowest.append(sum(available for _, available, _ in sizes))

    kube.on_change(watch)
    image(kube, "shop:2")
    kube.advance(30)
    assert max(highest) <= 10
    assert min(lowest) >= 7
    assert sorted(size for size, _, _ in kube.sizes("default").values()) == [0, 8]


def test_a_complete_rollout_is_told_in_the_status(kube: FakeKube) -> None:
    kube.user_apply(deployment())
    kube.advance(3)
    image(kube, "shop:2")
    kube.advance(20)
    body = kube.deployment("default", "shop")
    status = body["status"]
    assert status["observedGeneration"] == body["metadata"]["generation"]
    assert [status[f"{kind}Replicas"] for kind in ("updated", "ready", "available")] == [4, 4, 4]
    reasons = {item["type"]: item["reason"] for item in status["conditions"]}
    assert reasons == {
        "Available": "MinimumReplicasAvailable",
        "Progressing": "NewReplicaSetAvailable",
    }
    assert body["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"


def test_a_version_that_never_gets_ready_exceeds_its_deadline(kube: FakeKube) -> None:
    kube.user_apply(deployment(progressDeadlineSeconds=30))
    kube.advance(3)
    kube.kubelet.behaviour = lambda _pod: Behaviour(ready_after=None)
    image(kube, "shop:2")
    kube.advance(60)
    body = kube.deployment("default", "shop")
    reasons = {item["type"]: item["reason"] for item in body["status"]["conditions"]}
    assert reasons["Progressing"] == "ProgressDeadlineExceeded"
    assert body["status"]["availableReplicas"] >= 3


def test_a_paused_deployment_makes_no_set_and_says_so(kube: FakeKube) -> None:
    kube.user_apply(deployment())
    kube.advance(3)
    kube.user_patch(SHOP, {"spec": {"paused": True}})
    image(kube, "shop:2")
    kube.advance(10)
    assert len(kube.sizes("default")) == 1
    conditions = kube.deployment("default", "shop")["status"]["conditions"]
    assert "DeploymentPaused" in {item["reason"] for item in conditions}


def test_a_paused_deployment_is_still_scaled(kube: FakeKube) -> None:
    kube.user_apply(deployment())
    kube.advance(3)
    kube.user_patch(SHOP, {"spec": {"paused": True}})
    kube.user_scale("default", "shop", 7)
    kube.advance(5)
    assert [size for size, _, _ in kube.sizes("default").values()] == [7]


def test_a_released_saturated_set_is_adopted_and_the_others_emptied_at_once(kube) -> None:
    held(kube)
    before = {pod["metadata"]["uid"] for pod in kube.pods("default", "pod-template-hash=canary")}
    release(kube)
    kube.settle()
    sizes = kube.sizes("default")
    assert sizes.pop("shop-canary") == (4, 4, "Deployment/shop")
    assert [size for size, _, _ in sizes.values()] == [0]
    kube.advance(3)
    kept = {pod["metadata"]["uid"] for pod in kube.pods("default")}
    assert kept == before
    assert kube.deployment("default", "shop")["spec"]["paused"] is True


def sizes_passed(kube):
    """The sizes of the canary set that were stored one after the other."""
    seen = []

    def watch(change) -> None:
        if change.name == "shop-canary" and change.new is not None:
            size = change.new["spec"]["replicas"]
            if not seen or seen[-1] != size:
                seen.append(size)

    kube.on_change(watch)
    return seen


def test_a_released_set_without_the_annotation_is_scaled_in_proportion(kube) -> None:
    held(kube)
    seen = sizes_passed(kube)
    release(kube, mark=False)
    kube.settle()
    # Never saturated: first more than all (the status had not counted its pods), then cut to size.
    assert seen == [4, 5, 4]


def test_a_released_set_with_unready_pods_takes_the_place_of_a_ready_one(kube) -> None:
    held(kube, ready=False)
    release(kube)
    kube.settle()
    sizes = kube.sizes("default")
    assert sizes.pop("shop-canary") == (4, 0, "Deployment/shop")
    assert [size for size, _, _ in sizes.values()] == [0]


def test_a_scale_just_before_the_release_shrinks_the_canary(kube) -> None:
    held(kube, replicas=7)
    kube.user_scale("default", "shop", 6)
    kube.settle()
    release(kube, 7)
    kube.settle()
    sizes = {name: size for name, (size, _, _) in kube.sizes("default").items()}
    assert sizes == {"shop-canary": 2, next(name for name in sizes if name != "shop-canary"): 6}


def test_the_oldest_set_with_the_template_is_the_new_one(kube: FakeKube) -> None:
    kube.user_apply(deployment())
    kube.advance(3)
    first = next(iter(kube.sizes("default")))
    image(kube, "shop:2")
    kube.advance(20)
    image(kube, "shop:1")
    kube.advance(20)
    assert kube.sizes("default")[first][0] == 4
    body = kube.peek(Ref(REPLICASET, "default", first))
    marks = body["metadata"]["annotations"]
    assert marks["deployment.kubernetes.io/revision"] == "3"
    assert marks["deployment.kubernetes.io/revision-history"] == "1"


def test_undo_goes_back_to_the_set_before(kube: FakeKube) -> None:
    kube.user_apply(deployment())
    kube.advance(3)
    first = next(iter(kube.sizes("default")))
    image(kube, "shop:2")
    kube.advance(20)
    kube.user_undo("default", "shop")
    kube.advance(20)
    assert kube.sizes("default")[first][0] == 4


def test_old_sets_beyond_the_history_limit_go(kube: FakeKube) -> None:
    kube.user_apply(deployment(revisionHistoryLimit=2))
    kube.advance(3)
    for number in range(2, 7):
        image(kube, f"shop:{number}")
        kube.advance(20)
    assert len(kube.sizes("default")) == 3


def test_recreate_stops_all_old_pods_first(kube: FakeKube) -> None:
    kube.user_apply(deployment(strategy={"type": "Recreate"}))
    kube.advance(3)
    both = []

    def watch(change) -> None:
        pods = kube.cluster.store.each(change.kind) if change.kind.kind == "Pod" else ()
        both.append(len({pod["spec"]["containers"][0]["image"] for pod in pods}))

    kube.on_change(watch)
    image(kube, "shop:2")
    kube.advance(20)
    assert max(both) == 1
    assert sorted(size for size, _, _ in kube.sizes("default").values()) == [0, 4]


def test_availability_waits_for_min_ready_seconds(kube: FakeKube) -> None:
    kube.user_apply(deployment(minReadySeconds=5))
    kube.advance(3)
    status = kube.deployment("default", "shop")["status"]
    assert status["readyReplicas"] == 4
    assert status.get("availableReplicas", 0) == 0
    kube.advance(5)
    assert kube.deployment("default", "shop")["status"]["availableReplicas"] == 4


def test_a_set_of_somebody_else_is_never_claimed(kube: FakeKube) -> None:
    held(kube)
    release(kube)
    kube.settle()
    assert kube.sizes("default")["shop-canary"][2] == "Deployment/shop"
    owner = kube.peek_all(REPLICASET, "default", "pod-template-hash=canary")[0]
    reference = {**owner["metadata"]["ownerReferences"][0], "uid": "somebody", "name": "else"}
    kube.user_patch(
        Ref(REPLICASET, "default", "shop-canary"),
        [{"op": "replace", "path": "/metadata/ownerReferences", "value": [reference]}],
    )
    assert kube.sizes("default")["shop-canary"][2] == "Deployment/else"


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_controllers_ends_the_same(seed: int) -> None:
    def chooser(pending):
        nonlocal seed
        seed = seed * 1_103_515_245 + 12_345
        return (seed >> 8) % len(pending)

    kube = FakeKube()
    kube.user_apply(deployment())
    kube.advance(3, chooser)
    image(kube, "shop:2")
    kube.advance(60, chooser)
    assert sorted(size for size, _, _ in kube.sizes("default").values()) == [0, 4]
    assert len(kube.pods("default")) == 4
