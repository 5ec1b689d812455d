"""Pods, endpoints and the gateway: what users meet, and when."""

from __future__ import annotations

import pytest

from leadsman.ports import DEPLOYMENT, ENDPOINTSLICE, HTTPROUTE, POD, Ref
from leadsman.testing import Behaviour, FakeKube
from tests.testing.manifests import deployment, route, service

ROUTE = Ref(HTTPROUTE, "default", "shop")


@pytest.fixture
def shop(kube: FakeKube) -> FakeKube:
    for manifest in (deployment(), service(), route()):
        kube.user_apply(manifest)
    kube.advance(3)
    return kube


def state(kube, name):
    (found,) = kube.peek(Ref(POD, "default", name))["status"]["containerStatuses"]
    return found


def first(kube):
    return kube.pods("default")[0]["metadata"]["name"]


def ready_replicas(kube):
    return kube.deployment("default", "shop")["status"].get("readyReplicas", 0)


def test_a_pod_is_ready_after_its_delay(kube: FakeKube) -> None:
    kube.user_apply(deployment(env={"READY_AFTER_MS": "2500"}))
    kube.advance(2.4)
    assert ready_replicas(kube) == 0
    kube.advance(0.1)
    assert ready_replicas(kube) == 4


def test_an_unready_pod_leaves_the_endpoints_and_comes_back(shop: FakeKube) -> None:
    name = first(shop)
    shop.kubelet.set_ready("default", name, False)
    shop.settle()
    assert name not in shop.service_traffic("default", "shop").pods
    assert ready_replicas(shop) == 3
    shop.kubelet.set_ready("default", name, None)
    shop.settle()
    assert name in shop.service_traffic("default", "shop").pods


def test_a_crash_is_told_and_backs_off(shop: FakeKube) -> None:
    name = first(shop)
    shop.kubelet.crash("default", name, exit_code=3)
    shop.settle()
    found = state(shop, name)
    assert found["state"]["terminated"]["exitCode"] == 3
    assert found["ready"] is False
    shop.advance(1)
    found = state(shop, name)
    assert found["restartCount"] == 1
    assert "running" in found["state"]
    assert found["lastState"]["terminated"]["exitCode"] == 3
    shop.kubelet.crash("default", name)
    shop.settle()
    assert state(shop, name)["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    shop.advance(10)
    assert state(shop, name)["restartCount"] == 2


def test_a_version_that_crash_loops_goes_on_doing_so(kube: FakeKube) -> None:
    kube.user_apply(deployment(env={"CRASH_AFTER_MS": "2000", "EXIT_CODE": "7"}))
    kube.advance(60)
    counts = [state(kube, pod["metadata"]["name"])["restartCount"] for pod in kube.pods("default")]
    assert all(count >= 3 for count in counts)


def test_an_image_that_cannot_be_pulled_never_starts(kube: FakeKube) -> None:
    kube.user_apply(deployment("missing:1"))
    kube.advance(20)
    assert state(kube, first(kube))["state"]["waiting"]["reason"] == "ImagePullBackOff"
    assert kube.pods("default")[0]["status"]["phase"] == "Pending"


@pytest.mark.parametrize("pressure", [False, True])
def test_an_evicted_pod_is_replaced(shop: FakeKube, pressure) -> None:
    name = first(shop)
    shop.kubelet.evict("default", name, pressure=pressure)
    shop.settle()
    body = shop.peek(Ref(POD, "default", name))
    conditions = {item["type"]: item for item in body["status"]["conditions"]}
    assert conditions["DisruptionTarget"]["status"] == "True"
    assert (body["status"]["phase"] == "Failed") is pressure
    assert ("deletionTimestamp" in body["metadata"]) is not pressure
    shop.advance(5)
    assert ready_replicas(shop) == 4


def test_a_terminating_pod_serves_but_is_not_ready(shop: FakeKube) -> None:
    name = first(shop)
    shop.user_delete(Ref(POD, "default", name))
    shop.settle()
    (found,) = shop.peek_all(ENDPOINTSLICE, "default")
    (endpoint,) = [each for each in found["endpoints"] if each["targetRef"]["name"] == name]
    assert endpoint["conditions"] == {"ready": False, "serving": True, "terminating": True}
    shop.advance(1)
    assert shop.peek(Ref(POD, "default", name)) is None


def test_the_unready_are_deleted_first(shop: FakeKube) -> None:
    name = first(shop)
    shop.kubelet.set_ready("default", name, False)
    shop.settle()
    shop.user_scale("default", "shop", 3)
    shop.settle()
    assert "deletionTimestamp" in shop.peek(Ref(POD, "default", name))["metadata"]


def test_a_quota_forbids_pods_and_the_set_says_so(shop: FakeKube) -> None:
    shop.replicasets.quota["default"] = 5
    shop.user_scale("default", "shop", 8)
    shop.advance(2)
    assert len(shop.pods("default")) == 5
    conditions = shop.deployment("default", "shop")["status"]["conditions"]
    assert "FailedCreate" in {item["reason"] for item in conditions}
    del shop.replicasets.quota["default"]
    shop.advance(10)
    assert ready_replicas(shop) == 8


def test_a_routes_conditions_carry_its_generation(shop: FakeKube) -> None:
    shop.user_apply(route(("shop", 90), ("absent", 10)))
    shop.advance(1)
    body = shop.peek(ROUTE)
    (parent,) = body["status"]["parents"]
    told = {item["type"]: item for item in parent["conditions"]}
    assert told["Accepted"]["status"] == "True"
    assert told["ResolvedRefs"]["reason"] == "BackendNotFound"
    assert told["Accepted"]["observedGeneration"] == body["metadata"]["generation"] == 2


def test_a_missing_service_that_comes_resolves_the_route(shop: FakeKube) -> None:
    shop.user_apply(route(("shop", 90), ("late", 10)))
    shop.advance(1)
    shop.user_apply(service("late"))
    shop.advance(1)
    (parent,) = shop.peek(ROUTE)["status"]["parents"]
    assert all(item["status"] == "True" for item in parent["conditions"])


def test_weights_arrive_later_than_the_conditions(shop: FakeKube) -> None:
    shop.gateway.program_after = 1.5
    shop.user_apply(service("other"))
    shop.user_apply(route(("shop", 50), ("other", 50)))
    shop.advance(0.1)
    (parent,) = shop.peek(ROUTE)["status"]["parents"]
    assert parent["conditions"][0]["observedGeneration"] == 2
    assert shop.traffic("default", "shop").services == {"shop": 1.0}
    shop.advance(1.4)
    assert shop.traffic("default", "shop").services == {"shop": 0.5, "other": 0.5}


def test_a_frozen_status_does_not_hold_the_data_plane(shop: FakeKube) -> None:
    shop.gateway.status_frozen = True
    shop.user_apply(service("other"))
    shop.user_apply(route(("other", 1)))
    shop.advance(1)
    (parent,) = shop.peek(ROUTE)["status"]["parents"]
    assert parent["conditions"][0]["observedGeneration"] == 1
    assert shop.traffic("default", "shop").services == {"other": 1.0}
    shop.gateway.thaw()
    shop.advance(1)
    (parent,) = shop.peek(ROUTE)["status"]["parents"]
    assert parent["conditions"][0]["observedGeneration"] == 2


def test_a_frozen_data_plane_does_not_hold_the_status(shop: FakeKube) -> None:
    shop.gateway.dataplane_frozen = True
    shop.user_apply(service("other"))
    shop.user_apply(route(("other", 1)))
    shop.advance(5)
    (parent,) = shop.peek(ROUTE)["status"]["parents"]
    assert parent["conditions"][0]["observedGeneration"] == 2
    assert shop.traffic("default", "shop").services == {"shop": 1.0}
    shop.gateway.thaw()
    shop.advance(1)
    assert shop.traffic("default", "shop").services == {"other": 1.0}


def test_a_refused_route_says_why(shop: FakeKube) -> None:
    shop.gateway.refuses = lambda _route: "UnsupportedValue"
    shop.user_apply(route(("shop", 2)))
    shop.advance(1)
    (parent,) = shop.peek(ROUTE)["status"]["parents"]
    assert parent["conditions"][0]["reason"] == "UnsupportedValue"


def test_shares_add_up_and_what_nobody_gets_is_lost(shop: FakeKube) -> None:
    shop.user_apply(service("empty", nobody="here"))
    shop.user_apply(route(("shop", 80), ("empty", 20)))
    shop.advance(1)
    traffic = shop.traffic("default", "shop")
    assert traffic.lost == pytest.approx(0.2)
    assert sum(traffic.pods.values()) + traffic.lost == pytest.approx(1.0)
    assert len(traffic.pods) == 4
    shop.user_apply(route(("shop", 0), ("empty", 0)))
    shop.advance(1)
    assert shop.traffic("default", "shop").lost == 1.0


def test_a_deleted_route_loses_its_traffic(shop: FakeKube) -> None:
    shop.user_delete(ROUTE)
    assert shop.traffic("default", "shop").lost == 1.0


def test_behaviour_by_callback(kube: FakeKube) -> None:
    def behaviour(pod):
        return (
            Behaviour(ready_after=None) if "bad" in pod["spec"]["containers"][0]["image"] else None
        )

    kube.kubelet.behaviour = behaviour
    kube.user_apply(deployment("bad:1"))
    kube.advance(30)
    assert ready_replicas(kube) == 0
    kube.user_patch(
        Ref(DEPLOYMENT, "default", "shop"),
        [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "good:1"}],
    )
    kube.advance(30)
    assert ready_replicas(kube) == 4
