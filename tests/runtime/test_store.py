"""The store's rules: the newer version wins, and whatever changes wakes whom it concerns."""

from __future__ import annotations

from typing import Any

import pytest

from leadsman.ports import (
    DEPLOYMENT,
    GUARD,
    METRICSSOURCE,
    RELEASECONTRACT,
    ROLLOUT,
    ROLLOUTPLAN,
    Body,
    Listing,
)
from leadsman.runtime.store import OwnStore


def thing(
    name: str, version: int, spec: Any = None, *, namespace: str = "ns", **about: Any
) -> Body:
    metadata = {"namespace": namespace, "name": name, "uid": name, "resourceVersion": str(version)}
    return {"metadata": {**metadata, "generation": version, **about}, "spec": spec or {}}


def rollout(name: str, version: int = 1, target: str = "shop", **spec: Any) -> Body:
    return thing(
        name,
        version,
        {
            "targetRef": {"kind": "Deployment", "name": target},
            "traffic": {"gatewayAPI": {"routeRefs": [{"name": f"{target}-route"}]}},
            "planRef": {"name": "canary"},
            "contractRefs": [{"name": "slo"}],
            **spec,
        },
    )


class Heard:
    def __init__(self) -> None:
        self.keys: list[str] = []
        self.targets: list[tuple[str, str]] = []
        self.store = OwnStore(
            lambda key: self.keys.append(key[1]), lambda *target: self.targets.append(target)
        )

    def since(self) -> list[str]:
        keys, self.keys[:] = list(self.keys), []
        return keys


@pytest.fixture
def heard() -> Heard:
    heard = Heard()
    store = heard.store
    store.observe(METRICSSOURCE, thing("default", 1, namespace=""))
    store.observe(GUARD, thing("errors", 1, {"errors": {}}))
    store.observe(RELEASECONTRACT, thing("slo", 1, {"guards": [{"guardRef": {"name": "errors"}}]}))
    store.observe(ROLLOUTPLAN, thing("canary", 1))
    store.observe(ROLLOUT, rollout("one"))
    store.observe(ROLLOUT, rollout("two", target="cart", planRef={"name": "other"}))
    assert heard.since() == []
    store.put_target("ns", "shop", None)
    store.put_target("ns", "cart", None)
    assert heard.since() == ["one", "two"]
    return heard


@pytest.mark.parametrize(
    ("kind", "body", "due"),
    [
        (ROLLOUTPLAN, thing("canary", 9), ["one"]),
        (ROLLOUTPLAN, thing("other", 9), ["two"]),
        (ROLLOUTPLAN, thing("canary", 9, namespace="elsewhere"), []),
        (RELEASECONTRACT, thing("slo", 9), ["one", "two"]),
        (GUARD, thing("errors", 9), ["one", "two"]),
        (GUARD, thing("unused", 9), []),
        (METRICSSOURCE, thing("default", 9, namespace=""), ["one", "two"]),
        (METRICSSOURCE, thing("other", 9, namespace=""), []),
        (DEPLOYMENT, thing("shop", 9), ["one"]),
        (DEPLOYMENT, thing("stranger", 9), []),
    ],
)
def test_an_edit_wakes_the_rollouts_that_it_concerns(
    heard: Heard, kind: Any, body: Body, due: list[str]
) -> None:
    heard.store.observe(kind, body)
    assert heard.since() == due


def test_an_inline_contract_and_guard_name_their_source(heard: Heard) -> None:
    contract = {"guards": [{"guard": {"sourceRef": {"name": "mine"}}}]}
    heard.store.observe(ROLLOUT, rollout("three", target="pay", contract=contract))
    heard.since()
    heard.store.observe(METRICSSOURCE, thing("mine", 2, namespace=""))
    assert heard.since() == ["three"]


def test_what_is_not_newer_changes_and_wakes_nothing(heard: Heard) -> None:
    heard.store.observe(ROLLOUT, rollout("one", 10, target="new"))
    heard.since()
    heard.store.observe(ROLLOUT, rollout("one", 10, target="new"))
    heard.store.observe(ROLLOUT, rollout("one", 9, target="old"))
    assert heard.since() == []
    assert heard.store.governs("ns", "new")
    assert not heard.store.governs("ns", "old")


def test_a_change_of_the_status_alone_wakes_nothing_but_is_kept(heard: Heard) -> None:
    body = rollout("one", 20)
    body["metadata"]["generation"] = 1
    heard.store.observe(ROLLOUT, {**body, "status": {"display": {}}})
    assert heard.since() == []
    assert "status" in (heard.store.rollout(("ns", "one")) or {})


@pytest.mark.parametrize(
    "about",
    [
        {"deletionTimestamp": "2026-01-01T00:00:00Z"},
        {"annotations": {"a": "b"}},
        {"finalizers": ["x"]},
        {"generation": 2},
    ],
)
def test_a_change_of_anything_else_wakes_the_rollout(heard: Heard, about: dict[str, Any]) -> None:
    body = rollout("one", 20)
    body["metadata"] |= {"generation": 1, **about}
    heard.store.observe(ROLLOUT, body)
    assert heard.since() == ["one"]


def test_our_own_write_is_taken_at_once_and_its_event_wakes_nothing(heard: Heard) -> None:
    body = rollout("one", 30)
    heard.store.observe_write(ROLLOUT, body)
    heard.store.observe(ROLLOUT, body)
    assert heard.since() == []
    assert (heard.store.rollout(("ns", "one")) or {})["metadata"]["resourceVersion"] == "30"


def test_a_deployment_is_kept_only_while_a_rollout_names_it(heard: Heard) -> None:
    heard.store.observe(DEPLOYMENT, thing("stranger", 2))
    heard.store.observe(DEPLOYMENT, thing("shop", 2))
    assert heard.store.deployment("ns", "stranger") is None
    assert heard.store.deployment("ns", "shop") is not None
    heard.store.observe(ROLLOUT, rollout("one", 9), deleted=True)
    assert heard.since() == ["one", "one"]
    assert not heard.store.deployment_known("ns", "shop")


def test_a_new_rollout_is_due_when_its_target_is_known_and_not_before(heard: Heard) -> None:
    heard.store.observe(ROLLOUT, rollout("three", target="pay"))
    assert heard.targets[-1] == ("ns", "pay")
    assert heard.since() == []
    assert not heard.store.deployment_known("ns", "pay")
    heard.store.put_target("ns", "pay", None)
    assert heard.store.deployment_known("ns", "pay")
    assert heard.since() == ["three"]


def test_a_target_that_cannot_be_read_is_not_waited_for(heard: Heard) -> None:
    heard.store.observe(ROLLOUT, rollout("three", target="pay"))
    heard.store.target_unread("ns", "pay")
    assert heard.since() == ["three"]
    heard.store.observe(ROLLOUT, rollout("three", 2, target="pay"))
    assert heard.since() == ["three"]


def test_an_answer_that_is_older_than_an_event_is_dropped(heard: Heard) -> None:
    heard.store.observe(DEPLOYMENT, thing("shop", 8))
    heard.store.put_target("ns", "shop", thing("shop", 7))
    assert (heard.store.deployment("ns", "shop") or {})["metadata"]["resourceVersion"] == "8"


def test_a_deleted_deployment_is_absent_but_a_late_deletion_spares_its_successor(
    heard: Heard,
) -> None:
    heard.store.observe(DEPLOYMENT, thing("shop", 2, uid="first"))
    heard.store.observe(DEPLOYMENT, thing("shop", 5, uid="second"))
    heard.store.observe(DEPLOYMENT, thing("shop", 4, uid="first"), deleted=True)
    assert heard.store.deployment("ns", "shop") is not None
    heard.store.observe(DEPLOYMENT, thing("shop", 6, uid="second"), deleted=True)
    assert heard.store.deployment("ns", "shop") is None
    assert heard.store.deployment_known("ns", "shop")


def test_a_list_finds_what_events_missed_deletions_too(heard: Heard) -> None:
    listing = Listing((rollout("two", 40, target="pay"), rollout("new", 41)), "42")
    heard.store.observe_list(ROLLOUT, "", listing)
    assert sorted(set(heard.since())) == ["new", "one"]
    heard.store.put_target("ns", "pay", None)
    assert heard.since() == ["two"]
    assert heard.store.rollout(("ns", "one")) is None
    assert heard.store.targets() == (("ns", "pay"), ("ns", "shop"))


def test_a_list_of_one_namespace_says_nothing_about_another(heard: Heard) -> None:
    heard.store.observe_list(ROLLOUT, "other", Listing((), "99"))
    assert len(heard.store.rollouts()) == 2


def test_what_is_newer_than_a_list_survives_it(heard: Heard) -> None:
    heard.store.observe(ROLLOUT, rollout("fresh", 50))
    heard.store.observe_list(ROLLOUT, "", Listing((), "45"))
    assert [body["metadata"]["name"] for body in heard.store.rollouts()] == ["fresh"]


def test_rollouts_on_one_target_or_route_hear_of_each_other(heard: Heard) -> None:
    heard.store.observe(ROLLOUT, rollout("rival", 60))
    assert heard.since() == ["one", "rival"]
    heard.store.observe(ROLLOUT, rollout("rival", 60), deleted=True)
    assert heard.since() == ["one", "rival"]


def test_managed_fields_are_not_kept_and_the_given_body_is_not_changed(heard: Heard) -> None:
    body = rollout("big", 70)
    body["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    heard.store.observe(ROLLOUT, body)
    assert "managedFields" not in (heard.store.rollout(("ns", "big")) or {})["metadata"]
    assert "managedFields" in body["metadata"]


@pytest.mark.parametrize("spec", [None, [], {"contractRefs": "x", "contract": {"guards": [None]}}])
def test_a_misshapen_spec_disturbs_nobody(heard: Heard, spec: Any) -> None:
    body = thing("odd", 80)
    body["spec"] = spec
    heard.store.observe(ROLLOUT, body)
    heard.store.observe(GUARD, thing("errors", 81))
    assert "one" in heard.since()


def test_a_source_that_changed_is_told_by_name_and_once(heard: Heard) -> None:
    names: list[str] = []
    heard.store.on_source = names.append
    heard.store.observe(METRICSSOURCE, thing("default", 90, namespace=""))
    heard.store.observe(METRICSSOURCE, thing("default", 90, namespace=""))
    heard.store.observe(METRICSSOURCE, thing("default", 91, namespace=""), deleted=True)
    assert names == ["default", "default"]


def test_an_answer_from_before_a_deletion_does_not_undo_it(heard: Heard) -> None:
    heard.store.observe(DEPLOYMENT, thing("shop", 5), deleted=True)
    heard.store.put_target("ns", "shop", thing("shop", 4))
    assert heard.store.deployment("ns", "shop") is None
    heard.store.put_target("ns", "shop", thing("shop", 6, uid="second"))
    assert heard.store.deployment("ns", "shop") is not None


def test_reading_again_what_is_known_wakes_nobody(heard: Heard) -> None:
    heard.store.put_target("ns", "shop", None)
    assert heard.since() == []
    heard.store.put_target("ns", "shop", thing("shop", 4))
    assert heard.since() == ["one"]
    heard.store.put_target("ns", "shop", thing("shop", 4))
    assert heard.since() == []
