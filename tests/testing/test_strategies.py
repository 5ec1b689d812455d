"""Any story leaves the cluster in memory consistent: the laws that Kubernetes itself keeps."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadsman.ports import DEPLOYMENT, HTTPROUTE, POD, REPLICASET, SERVICE
from leadsman.testing import FakeKube, FakeMetrics
from leadsman.testing.strategies import (
    Scene,
    deletions,
    edits,
    faults,
    heal,
    orders,
    pod_events,
    seconds,
)
from tests.testing.manifests import deployment, rollout, route, service

STORY = st.lists(st.tuples(st.one_of(edits(), pod_events(), faults()), seconds()), max_size=12)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def scene(order=None) -> Scene:
    kube = FakeKube()
    made = Scene(kube, metrics=FakeMetrics(kube))
    for kind, manifest in (
        (DEPLOYMENT, deployment()),
        (SERVICE, service()),
        (HTTPROUTE, route()),
    ):
        made.manifests[kind] = manifest
        kube.user_apply(manifest)
    kube.advance(5, order)
    return made


@QUICK
@given(STORY, orders())
def test_versions_only_grow_and_owners_are_single(story, order) -> None:
    made = scene(order)
    last = {}

    def watch(change) -> None:
        version = int(change.last["metadata"]["resourceVersion"])
        uid = change.last["metadata"]["uid"]
        assert version > last.get(uid, 0)
        last[uid] = version
        owners = change.last["metadata"].get("ownerReferences") or ()
        assert sum(1 for owner in owners if owner.get("controller")) <= 1
        if change.kind == REPLICASET:
            assert change.last["spec"]["replicas"] >= 0

    made.kube.on_change(watch)
    for event, wait in story:
        event.apply(made)
        made.kube.advance(wait, order)


@QUICK
@given(STORY, orders())
def test_without_an_operator_the_deployment_comes_to_rest_complete(story, order) -> None:
    made = scene(order)
    for event, wait in story:
        event.apply(made)
        made.kube.advance(wait, order)
    heal(made)
    made.kube.advance(900, order)
    body = made.kube.deployment("default", "shop")
    replicas = body["spec"]["replicas"]
    assert body["status"]["observedGeneration"] == body["metadata"]["generation"]
    living = [pod for pod in made.kube.pods("default") if pod["status"].get("phase") != "Failed"]
    assert len(living) == replicas
    assert body["status"].get("availableReplicas", 0) == replicas
    assert len(made.kube.service_traffic("default", "shop").pods) == replicas
    before = made.kube.cluster.store.revision
    made.kube.advance(600, order)
    assert made.kube.cluster.store.revision == before


@QUICK
@given(STORY)
def test_shares_always_add_up(story) -> None:
    made = scene()
    for event, wait in story:
        event.apply(made)
        made.kube.advance(wait)
        traffic = made.kube.traffic("default", "shop")
        assert abs(sum(traffic.pods.values()) + traffic.lost - 1) < 1e-9


@QUICK
@given(STORY, deletions(), seconds())
def test_what_is_deleted_leaves_nothing_of_its_own(story, deletion, wait) -> None:
    made = scene()
    made.kube.user_apply(rollout())
    for event, pause in story:
        event.apply(made)
        made.kube.advance(pause)
    deletion.apply(made)
    made.kube.advance(wait)
    heal(made)
    made.kube.advance(900)
    store = made.kube.cluster.store
    for kind in (POD, REPLICASET):
        for body in store.all(kind):
            for owner in body["metadata"].get("ownerReferences") or ():
                assert store.of_uid(owner["uid"]) is not None
