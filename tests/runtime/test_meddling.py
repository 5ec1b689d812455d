"""People change the route, or lose the Service, in the middle of a release: nobody is lost for it.

On the cluster in memory, which serves users from what is stored.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from leadsman.errors import ForbiddenError
from leadsman.ports import ROLLOUT, SERVICE, Ref
from tests.property.cluster import Lab
from tests.property.manifests import KEY, ROUTE, ROUTE_MANIFEST, SERVICE_MANIFEST, STABLE_SHOP

UNNAMED = {"gatewayAPI": {"routeRefs": [{"name": "shop"}]}}
NEW: dict[str, Any] = {
    "matches": [{"path": {"type": "PathPrefix", "value": "/new"}}],
    "backendRefs": [{"name": "elsewhere", "port": 80}],
}


def unnamed() -> dict[str, Any]:
    """The route without names of its rules."""
    body = copy.deepcopy(ROUTE_MANIFEST)
    for rule in body["spec"]["rules"]:
        rule.pop("name", None)
    return body


async def at_weight(lab: Lab, weight: int) -> None:
    for _ in range(400):
        if lab.weight() == weight:
            return
        await lab.run(0.25)
    raise AssertionError(f"never at {weight}: {lab.ready()}")


async def released(lab: Lab) -> Lab:
    """The release of v2, with a weight that has arrived."""
    await lab.run(3)
    lab.release("v2")
    await at_weight(lab, 25)
    await lab.run(1.5)
    return lab


def lost(lab: Lab, rule: int = 0) -> float:
    return lab.kube.traffic("default", "shop", rule).lost


# --- the Service -----------------------------------------------------------------------------


async def without_service(how: str, lab: Lab) -> None:
    if how == "deleted":
        lab.kube.user_delete(STABLE_SHOP)
    elif how == "without selector":
        remove = [{"op": "remove", "path": "/spec/selector"}]
        lab.kube.user_patch(STABLE_SHOP, remove, "kubectl-edit")
    else:
        refused = ForbiddenError(403, "Forbidden", "rbac")
        lab.kube.fail_next("get", SERVICE, refused, times=100_000)
    await lab.run(0.5)


@pytest.mark.parametrize("how", ["deleted", "without selector", "unreadable"])
async def test_weight_goes_to_0_also_while_the_service_is_gone(how: str):
    lab = await released(Lab())
    await without_service(how, lab)
    lab.metrics.bad = {"v2"}
    await lab.run(1)
    assert lab.weight() == 0
    await lab.run(60)
    assert lab.weight() == 0
    assert lost(lab) == 0


async def test_the_route_stays_on_the_arms_until_the_service_is_there_again():
    lab = await released(Lab())
    await without_service("deleted", lab)
    lab.metrics.bad = {"v2"}
    await lab.run(120)
    assert lab.versions() == {"v1": 4}
    assert lab.ready()["reason"] == "ServiceMissing"
    assert lost(lab) == 0
    before = len(lab.kube.operator_writes)
    await lab.run(300)
    assert len(lab.kube.operator_writes) == before
    lab.kube.user_apply(SERVICE_MANIFEST)
    await lab.until_rest()
    assert lab.ready()["reason"] == "RolledBack"
    assert lost(lab) == 0
    assert lab.leftovers() == []
    lab.metrics.bad = set()
    lab.release("v3")
    await lab.until_rest()
    assert lab.versions() == {"v3": 4}


async def test_a_rollout_that_is_deleted_meanwhile_goes_and_gives_the_rest_back():
    lab = await released(Lab())
    await without_service("deleted", lab)
    lab.kube.user_delete(Ref(ROLLOUT, *KEY))
    await lab.run(120)
    assert lab.kube.peek(Ref(ROLLOUT, *KEY)) is None
    assert lab.rules() == lab.route_at_rest
    assert lab.leftovers() == []


async def test_a_service_that_was_gone_during_the_hand_over_loses_nobody():
    lab = Lab()
    await lab.run(3)
    lab.release("v2")
    await at_weight(lab, 100)
    await without_service("deleted", lab)
    await lab.run(60)
    assert lost(lab) == 0
    lab.kube.user_apply(SERVICE_MANIFEST)
    await lab.until_rest()
    assert lab.ready()["reason"] == "Promoted"
    assert lab.versions() == {"v2": 4}
    assert lost(lab) == 0
    assert lab.leftovers() == []


@pytest.mark.parametrize("gone", [75, 300])
async def test_a_version_is_not_refused_for_a_service_that_was_gone_for_long(gone: float):
    lab = Lab()
    await lab.run(3)
    lab.release("v2")
    await lab.run(1)
    lab.kube.user_delete(STABLE_SHOP)
    await lab.run(gone)
    lab.kube.user_apply(SERVICE_MANIFEST)
    await lab.until_rest()
    assert lab.ready()["reason"] == "Promoted"
    assert lab.versions() == {"v2": 4}


async def test_a_service_and_a_route_that_were_renamed_meanwhile_do_not_hold_anything_up():
    lab = await released(Lab())
    body = copy.deepcopy(SERVICE_MANIFEST)
    body["metadata"]["name"] = "shop2"
    lab.kube.user_apply(body)
    renamed = [{"name": "shop2", "port": 80}]
    lab.kube.user_patch(
        ROUTE,
        [{"op": "replace", "path": "/spec/rules/0/backendRefs", "value": renamed}],
    )
    lab.kube.user_delete(STABLE_SHOP)
    await lab.until_rest()
    assert lab.versions() == {"v1": 4}
    assert [one["name"] for one in lab.rules()[0]["backendRefs"]] == ["shop2"]
    assert not [name for name in lab.leftovers() if name != "shop2"]


# --- the route's rules -----------------------------------------------------------------------


def insert_by_edit(lab: Lab) -> int:
    lab.kube.user_patch(ROUTE, [{"op": "add", "path": "/spec/rules/0", "value": NEW}])
    return 1


def insert_by_apply(lab: Lab) -> int:
    body = unnamed()
    body["spec"]["rules"].insert(0, NEW)
    lab.kube.user_apply(body)
    return 1


def reverse(lab: Lab) -> int:
    body = unnamed()
    body["spec"]["rules"].reverse()
    lab.kube.user_apply(body)
    return len(body["spec"]["rules"]) - 1


def rename(lab: Lab) -> int:
    change = {"op": "replace", "path": "/spec/rules/0/name", "value": "renamed"}
    lab.kube.user_patch(ROUTE, [change])
    return 0


MEDDLING = [insert_by_edit, insert_by_apply, reverse, rename]


def lab_for(meddle: Any) -> Lab:
    """A route whose rules have no names, but where a name is changed."""
    if meddle is rename:
        return Lab()
    lab = Lab(traffic=UNNAMED)
    lab.kube.user_apply(unnamed())
    return lab


def backends(lab: Lab) -> list[set[str]]:
    """What each rule names."""
    return [{one["name"] for one in rule["backendRefs"]} for rule in lab.rules()]


@pytest.mark.parametrize("meddle", MEDDLING)
async def test_a_bad_version_is_taken_back_though_its_rule_moved(meddle: Any):
    lab = await released(lab_for(meddle))
    place = meddle(lab)
    lab.metrics.bad = {"v2"}
    await lab.run(1.5)
    assert lab.weight() == 0
    await lab.until_rest()
    assert lab.versions() == {"v1": 4}
    assert lab.status()["history"][-1]["reason"].startswith("GuardFailed")
    assert [one == {"shop"} for one in backends(lab)] == [
        number == place for number in range(len(lab.rules()))
    ]
    assert lost(lab, place) == 0
    assert lab.leftovers() == []


@pytest.mark.parametrize("meddle", MEDDLING)
async def test_a_rule_that_moves_after_the_release_goes_back_to_rest(meddle: Any):
    lab = lab_for(meddle)
    await lab.run(3)
    lab.release("v2")
    await at_weight(lab, 100)
    for _ in range(400):
        if (lab.status().get("attempt") or {}).get("releasedAt"):
            break
        await lab.run(0.05)
    place = meddle(lab)
    await lab.until_rest()
    assert lab.versions() == {"v2": 4}
    assert [one == {"shop"} for one in backends(lab)] == [
        number == place for number in range(len(lab.rules()))
    ]
    assert lost(lab, place) == 0
    assert lab.leftovers() == []
