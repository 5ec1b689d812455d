"""What every implementation of the `Kube` port must do, run here against FakeKube.

An adapter's test inherits from KubeContract, gives `kube` and `namespace`, and overrides `settle`
where waiting takes something else than letting the fake's controllers run. Routes name a gateway
that does not exist, so that nothing but the test writes their status.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from leadsman.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError
from leadsman.ports import (
    CONTROLLERREVISION,
    DEPLOYMENT,
    FIELD_MANAGER,
    HTTPROUTE,
    REPLICASET,
    SERVICE,
    Body,
    Kube,
    Ref,
    WatchEvent,
)
from leadsman.testing import FakeKube


def a_service(name: str = "shop", **labels: str) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    }


def a_deployment(name: str = "shop") -> Body:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "paused": True,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": "leadsman.dev/demo:1"}]},
            },
        },
    }


def a_route(name: str = "shop") -> Body:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": "nobody"}],
            "rules": [{"name": "main", "backendRefs": [{"name": "shop", "port": 80}]}],
        },
    }


def a_revision(name: str, owner: Body | None = None) -> Body:
    body: Body = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": name},
        "data": {"plan": {"stages": [1, 2]}},
        "revision": 1,
    }
    if owner is not None:
        body["metadata"]["ownerReferences"] = [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
            }
        ]
    return body


def rules_owners(body: Body) -> list[Body]:
    """The managedFields entries that own `spec.rules`."""
    return [
        entry
        for entry in body["metadata"]["managedFields"]
        if "f:rules" in entry["fieldsV1"].get("f:spec", {})
    ]


class KubeContract:
    """The rules. Each test uses names of its own in one namespace."""

    async def settle(self, kube: Kube, done: Callable[[], Awaitable[bool]]) -> None:
        """Wait until controllers have made `done` true."""
        raise NotImplementedError

    # -- create, get --------------------------------------------------------------------------

    async def test_create_answers_with_what_get_reads(self, kube: Kube, namespace: str) -> None:
        made = await kube.create(SERVICE, namespace, a_service("created"))
        assert made == await kube.get(Ref(SERVICE, namespace, "created"))
        meta = made["metadata"]
        assert meta["uid"]
        assert meta["resourceVersion"]
        assert meta["creationTimestamp"].endswith("Z")
        assert meta["namespace"] == namespace
        assert made["spec"]["clusterIP"]

    async def test_create_of_a_taken_name_is_already_exists(
        self, kube: Kube, namespace: str
    ) -> None:
        await kube.create(SERVICE, namespace, a_service("taken"))
        with pytest.raises(AlreadyExistsError) as raised:
            await kube.create(SERVICE, namespace, a_service("taken"))
        assert raised.value.status == 409

    async def test_a_body_that_breaks_a_rule_is_invalid(self, kube: Kube, namespace: str) -> None:
        wrong = a_deployment("wrong")
        wrong["spec"]["template"]["metadata"]["labels"] = {"app": "another"}
        with pytest.raises(InvalidError):
            await kube.create(DEPLOYMENT, namespace, wrong)

    async def test_what_does_not_exist_is_not_found(self, kube: Kube, namespace: str) -> None:
        ref = Ref(SERVICE, namespace, "nothing")
        with pytest.raises(NotFoundError):
            await kube.get(ref)
        with pytest.raises(NotFoundError):
            await kube.patch(ref, [{"op": "add", "path": "/metadata/labels", "value": {}}])
        with pytest.raises(NotFoundError):
            await kube.delete(ref)

    async def test_an_answer_is_the_callers_own(self, kube: Kube, namespace: str) -> None:
        made = await kube.create(SERVICE, namespace, a_service("mine"))
        made["spec"]["selector"]["app"] = "changed"
        kept = await kube.get(Ref(SERVICE, namespace, "mine"))
        assert kept["spec"]["selector"] == {"app": "mine"}

    async def test_two_controllers_of_one_object_are_refused(
        self, kube: Kube, namespace: str
    ) -> None:
        owner = await kube.create(SERVICE, namespace, a_service("two"))
        body = a_revision("two", owner)
        (first,) = body["metadata"]["ownerReferences"]
        first["controller"] = True
        body["metadata"]["ownerReferences"].append({**first, "uid": "another", "name": "another"})
        with pytest.raises(InvalidError):
            await kube.create(CONTROLLERREVISION, namespace, body)

    # -- patch --------------------------------------------------------------------------------

    async def test_patch_answers_with_the_stored_object(self, kube: Kube, namespace: str) -> None:
        await kube.create(SERVICE, namespace, a_service("patched"))
        ref = Ref(SERVICE, namespace, "patched")
        pin = {"op": "add", "path": "/spec/selector/pod-template-hash", "value": "abc"}
        answer = await kube.patch(ref, [pin])
        assert answer["spec"]["selector"] == {"app": "patched", "pod-template-hash": "abc"}
        assert answer == await kube.get(ref)

    async def test_a_failed_test_changes_nothing_and_is_a_conflict(
        self, kube: Kube, namespace: str
    ) -> None:
        made = await kube.create(SERVICE, namespace, a_service("tested"))
        ref = Ref(SERVICE, namespace, "tested")
        wrong: list[dict[str, Any]] = [
            {"op": "test", "path": "/spec/selector/app", "value": "somebody"},
            {"op": "test", "path": "/spec/selector/absent", "value": "x"},
            {"op": "test", "path": "/spec/no/such/parent", "value": "x"},
            {"op": "test", "path": "/metadata/resourceVersion", "value": "1"},
            {"op": "test", "path": "/metadata/uid", "value": "another"},
        ]
        for operation in wrong:
            with pytest.raises(ConflictError):
                await kube.patch(ref, [operation, {"op": "remove", "path": "/spec/selector/app"}])
        assert await kube.get(ref) == made

    async def test_a_stale_resource_version_is_a_conflict(self, kube: Kube, namespace: str) -> None:
        made = await kube.create(SERVICE, namespace, a_service("stale"))
        ref = Ref(SERVICE, namespace, "stale")
        version = made["metadata"]["resourceVersion"]
        touch = {"op": "add", "path": "/spec/selector/x", "value": "1"}
        await kube.patch(ref, [touch])
        again = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/spec/selector/x", "value": "2"},
        ]
        with pytest.raises(ConflictError):
            await kube.patch(ref, again)

    async def test_an_operation_that_does_not_apply_is_invalid(
        self, kube: Kube, namespace: str
    ) -> None:
        await kube.create(SERVICE, namespace, a_service("absent"))
        ref = Ref(SERVICE, namespace, "absent")
        for operation in (
            {"op": "remove", "path": "/spec/selector/absent"},
            {"op": "add", "path": "/spec/no/such/parent", "value": "x"},
        ):
            with pytest.raises(InvalidError):
                await kube.patch(ref, [operation])

    async def test_beside_a_test_an_operation_that_does_not_apply_is_a_conflict(
        self, kube: Kube, namespace: str
    ) -> None:
        await kube.create(SERVICE, namespace, a_service("beside"))
        operations = [
            {"op": "test", "path": "/spec/selector/app", "value": "beside"},
            {"op": "remove", "path": "/spec/selector/absent"},
        ]
        with pytest.raises(ConflictError):
            await kube.patch(Ref(SERVICE, namespace, "beside"), operations)

    async def test_a_replace_adds_what_is_absent(self, kube: Kube, namespace: str) -> None:
        await kube.create(SERVICE, namespace, a_service("replaced"))
        new = {"op": "replace", "path": "/spec/selector/absent", "value": "x"}
        answer = await kube.patch(Ref(SERVICE, namespace, "replaced"), [new])
        assert answer["spec"]["selector"] == {"app": "replaced", "absent": "x"}

    async def test_a_write_that_changes_nothing_takes_no_version(
        self, kube: Kube, namespace: str
    ) -> None:
        made = await kube.create(SERVICE, namespace, a_service("same"))
        ref = Ref(SERVICE, namespace, "same")
        same = {"op": "replace", "path": "/spec/selector/app", "value": "same"}
        answer = await kube.patch(ref, [same])
        assert answer["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]

    async def test_a_dry_run_shows_and_stores_nothing(self, kube: Kube, namespace: str) -> None:
        made = await kube.create(DEPLOYMENT, namespace, a_deployment("dry"))
        ref = Ref(DEPLOYMENT, namespace, "dry")
        more = [{"op": "replace", "path": "/spec/replicas", "value": 3}]
        assert (await kube.patch(ref, more, dry_run=True))["spec"]["replicas"] == 3
        kept = await kube.get(ref)
        assert kept["spec"] == made["spec"]
        assert kept["metadata"]["generation"] == made["metadata"]["generation"]

    async def test_an_immutable_selector_is_refused(self, kube: Kube, namespace: str) -> None:
        await kube.create(DEPLOYMENT, namespace, a_deployment("fixed"))
        operations = [
            {"op": "replace", "path": "/spec/selector/matchLabels/app", "value": "x"},
            {"op": "replace", "path": "/spec/template/metadata/labels/app", "value": "x"},
        ]
        with pytest.raises(InvalidError):
            await kube.patch(Ref(DEPLOYMENT, namespace, "fixed"), operations)

    # -- generation, status, scale ------------------------------------------------------------

    async def test_generation_counts_changes_of_the_spec_only(
        self, kube: Kube, namespace: str
    ) -> None:
        made = await kube.create(HTTPROUTE, namespace, a_route("generation"))
        ref = Ref(HTTPROUTE, namespace, "generation")
        assert made["metadata"]["generation"] == 1
        label = {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}
        assert (await kube.patch(ref, [label]))["metadata"]["generation"] == 1
        weight = {"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 7}
        assert (await kube.patch(ref, [weight]))["metadata"]["generation"] == 2

    async def test_status_and_spec_are_written_apart(self, kube: Kube, namespace: str) -> None:
        made = await kube.create(HTTPROUTE, namespace, a_route("apart"))
        ref = Ref(HTTPROUTE, namespace, "apart")
        told = {
            "parents": [
                {
                    "parentRef": {"name": "nobody"},
                    "controllerName": "leadsman.dev/contract",
                    "conditions": [
                        {
                            "type": "Accepted",
                            "status": "True",
                            "reason": "Accepted",
                            "message": "",
                            "lastTransitionTime": "2026-01-05T12:00:00Z",
                        }
                    ],
                }
            ]
        }
        both: list[Body] = [
            {"op": "add", "path": "/status", "value": told},
            {"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 9},
        ]
        by_status = await kube.patch(ref, both, subresource="status")
        assert by_status["status"]["parents"][0]["controllerName"] == "leadsman.dev/contract"
        assert by_status["spec"] == made["spec"]
        assert by_status["metadata"]["generation"] == 1
        forget: list[Body] = [
            {"op": "replace", "path": "/status/parents", "value": []},
            {"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 9},
        ]
        by_spec = await kube.patch(ref, forget)
        assert by_spec["status"] == by_status["status"]
        assert by_spec["spec"]["rules"][0]["backendRefs"][0]["weight"] == 9

    async def test_the_scale_of_a_deployment(self, kube: Kube, namespace: str) -> None:
        await kube.create(DEPLOYMENT, namespace, a_deployment("scaled"))
        ref = Ref(DEPLOYMENT, namespace, "scaled")
        more = [{"op": "replace", "path": "/spec/replicas", "value": 2}]
        answer = await kube.patch(ref, more, subresource="scale", dry_run=True)
        assert answer["kind"] == "Scale"
        assert answer["spec"]["replicas"] == 2
        assert (await kube.get(ref))["spec"]["replicas"] == 0

    async def test_defaults_are_in_what_is_stored(self, kube: Kube, namespace: str) -> None:
        made = await kube.create(HTTPROUTE, namespace, a_route("defaults"))
        (rule,) = made["spec"]["rules"]
        assert rule["backendRefs"] == [
            {"group": "", "kind": "Service", "name": "shop", "port": 80, "weight": 1}
        ]
        assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]

    # -- delete -------------------------------------------------------------------------------

    async def test_delete_keeps_to_its_preconditions(self, kube: Kube, namespace: str) -> None:
        made = await kube.create(CONTROLLERREVISION, namespace, a_revision("preconditions"))
        ref = Ref(CONTROLLERREVISION, namespace, "preconditions")
        with pytest.raises(ConflictError):
            await kube.delete(ref, uid="00000000-0000-4000-8000-ffffffffffff")
        with pytest.raises(ConflictError):
            await kube.delete(ref, resource_version="1")
        meta = made["metadata"]
        await kube.delete(ref, uid=meta["uid"], resource_version=meta["resourceVersion"])
        with pytest.raises(NotFoundError):
            await kube.get(ref)

    async def test_a_finalizer_keeps_what_is_deleted(self, kube: Kube, namespace: str) -> None:
        body = a_revision("kept")
        body["metadata"]["finalizers"] = ["leadsman.dev/contract"]
        await kube.create(CONTROLLERREVISION, namespace, body)
        ref = Ref(CONTROLLERREVISION, namespace, "kept")
        await kube.delete(ref)
        assert (await kube.get(ref))["metadata"]["deletionTimestamp"]
        more = {"op": "add", "path": "/metadata/finalizers/-", "value": "leadsman.dev/more"}
        with pytest.raises(InvalidError):
            await kube.patch(ref, [more])
        await kube.patch(ref, [{"op": "remove", "path": "/metadata/finalizers/0"}])
        with pytest.raises(NotFoundError):
            await kube.get(ref)

    async def test_dependents_go_with_their_owner(self, kube: Kube, namespace: str) -> None:
        owner = await kube.create(SERVICE, namespace, a_service("owner"))
        await kube.create(CONTROLLERREVISION, namespace, a_revision("dependent", owner))
        await kube.delete(Ref(SERVICE, namespace, "owner"))

        async def gone() -> bool:
            try:
                await kube.get(Ref(CONTROLLERREVISION, namespace, "dependent"))
            except NotFoundError:
                return True
            return False

        await self.settle(kube, gone)
        assert await gone()

    async def test_orphaned_dependents_stay(self, kube: Kube, namespace: str) -> None:
        owner = await kube.create(SERVICE, namespace, a_service("orphaner"))
        await kube.create(CONTROLLERREVISION, namespace, a_revision("orphan", owner))
        await kube.delete(Ref(SERVICE, namespace, "orphaner"), orphan=True)
        ref = Ref(CONTROLLERREVISION, namespace, "orphan")

        async def free() -> bool:
            return not (await kube.get(ref))["metadata"].get("ownerReferences")

        await self.settle(kube, free)
        assert await free()

    # -- list, watch --------------------------------------------------------------------------

    async def test_list_selects_by_labels_and_fields(self, kube: Kube, namespace: str) -> None:
        for name, tier in (("one", "web"), ("two", "db"), ("three", "web")):
            await kube.create(SERVICE, namespace, a_service(f"list-{name}", tier=tier, set="list"))

        async def names(**selectors: str) -> set[str]:
            listing = await kube.list(SERVICE, namespace, **selectors)
            return {item["metadata"]["name"] for item in listing.items}

        assert await names(labels="set=list,tier=web") == {"list-one", "list-three"}
        assert await names(labels="set=list,tier!=web") == {"list-two"}
        assert await names(labels="set=list,tier in (db, cache)") == {"list-two"}
        assert await names(labels="set=list,tier notin (db)") == {"list-one", "list-three"}
        assert await names(labels="set,!tier") == set()
        assert await names(fields="metadata.name=list-two") == {"list-two"}

    async def test_a_watch_tells_what_came_after_the_list(self, kube: Kube, namespace: str) -> None:
        await kube.create(SERVICE, namespace, a_service("before", set="watch"))
        listing = await kube.list(SERVICE, namespace, labels="set=watch")
        assert len(listing.items) == 1
        await kube.create(SERVICE, namespace, a_service("after", set="watch"))
        ref = Ref(SERVICE, namespace, "after")
        await kube.patch(ref, [{"op": "add", "path": "/spec/selector/x", "value": "y"}])
        await kube.delete(ref)
        events = await self._events(kube, namespace, "set=watch", listing.resource_version, 3)
        assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]
        assert {event.body["metadata"]["name"] for event in events} == {"after"}
        versions = [int(event.body["metadata"]["resourceVersion"]) for event in events]
        assert versions == sorted(versions)
        assert versions[0] > int(listing.resource_version)

    async def test_a_watch_tells_what_enters_and_leaves_its_selector(
        self, kube: Kube, namespace: str
    ) -> None:
        await kube.create(SERVICE, namespace, a_service("moving", side="left"))
        listing = await kube.list(SERVICE, namespace, labels="side=right")
        ref = Ref(SERVICE, namespace, "moving")
        for side in ("right", "left"):
            replace = {"op": "replace", "path": "/metadata/labels/side", "value": side}
            await kube.patch(ref, [replace])
        events = await self._events(kube, namespace, "side=right", listing.resource_version, 2)
        assert [event.type for event in events] == ["ADDED", "DELETED"]

    async def _events(
        self, kube: Kube, namespace: str, labels: str, since: str, count: int
    ) -> list[WatchEvent]:
        out: list[WatchEvent] = []
        stream = kube.watch(SERVICE, namespace, labels=labels, since=since)
        async with asyncio.timeout(20):
            async for event in stream:
                if event.type != "BOOKMARK":
                    out.append(event)
                if len(out) == count:
                    break
        assert isinstance(stream, AsyncIterator)
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
        return out

    # -- owners of fields ---------------------------------------------------------------------

    async def test_the_rules_of_a_route_have_one_owner_and_a_time(
        self, kube: Kube, namespace: str
    ) -> None:
        await kube.create(HTTPROUTE, namespace, a_route("owned"))
        ref = Ref(HTTPROUTE, namespace, "owned")
        weight = {"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 3}
        first = await kube.patch(ref, [weight])
        (entry,) = rules_owners(first)
        assert entry["manager"] == FIELD_MANAGER
        assert entry["operation"] == "Update"
        assert len(entry["time"]) == len("2026-01-01T00:00:00Z")
        again = await kube.patch(ref, [weight])
        assert rules_owners(again) == [entry]

    async def test_an_owner_can_be_dropped(self, kube: Kube, namespace: str) -> None:
        body = await kube.create(HTTPROUTE, namespace, a_route("dropped"))
        ref = Ref(HTTPROUTE, namespace, "dropped")
        entries = body["metadata"]["managedFields"]
        at = next(i for i, each in enumerate(entries) if each["manager"] == FIELD_MANAGER)
        # The API server restores the owners when the last of them is removed, so one stays.
        other = {**entries[at], "manager": "somebody", "fieldsV1": {"f:spec": {"f:parentRefs": {}}}}
        answer = await kube.patch(
            ref,
            [
                {
                    "op": "test",
                    "path": f"/metadata/managedFields/{at}/manager",
                    "value": FIELD_MANAGER,
                },
                {"op": "replace", "path": f"/metadata/managedFields/{at}", "value": other},
            ],
        )
        assert rules_owners(answer) == []
        assert answer["spec"] == body["spec"]

    # -- ReplicaSets, as a hand-over moves them --------------------------------------------------

    async def test_a_replica_set_changes_its_controller_in_one_patch(
        self, kube: Kube, namespace: str
    ) -> None:
        one = await kube.create(SERVICE, namespace, a_service("controller-one"))
        two = await kube.create(SERVICE, namespace, a_service("controller-two"))

        def owner(service: Body) -> Body:
            return {
                "apiVersion": "v1",
                "kind": "Service",
                "name": service["metadata"]["name"],
                "uid": service["metadata"]["uid"],
                "controller": True,
            }

        template = a_deployment("set")["spec"]["template"]
        body = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "moved", "ownerReferences": [owner(one)]},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "set"}},
                "template": template,
            },
        }
        made = await kube.create(REPLICASET, namespace, body)
        answer = await kube.patch(
            Ref(REPLICASET, namespace, "moved"),
            [
                {"op": "test", "path": "/metadata/uid", "value": made["metadata"]["uid"]},
                {"op": "replace", "path": "/metadata/ownerReferences", "value": [owner(two)]},
            ],
        )
        assert [each["name"] for each in answer["metadata"]["ownerReferences"]] == [
            "controller-two"
        ]
        assert answer["metadata"]["generation"] == made["metadata"]["generation"]


class TestFakeKube(KubeContract):
    """FakeKube keeps the contract."""

    @pytest.fixture
    def kube(self) -> FakeKube:
        return FakeKube()

    @pytest.fixture
    def namespace(self) -> str:
        return "contract"

    async def settle(self, kube: Kube, done: Callable[[], Awaitable[bool]]) -> None:
        assert isinstance(kube, FakeKube)
        kube.settle()
        assert await done()

    def test_it_is_the_port(self, kube: FakeKube) -> None:
        assert isinstance(kube, Kube)
