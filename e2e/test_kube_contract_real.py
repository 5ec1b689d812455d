"""The Kube port's contract, kept by the real adapter against a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import pytest

from e2e.cluster.backend import Backend
from e2e.conftest import namespace_of
from leadsman.adapters.kube import KubeApi
from leadsman.errors import InvalidError, NotFoundError
from leadsman.ports import CONTROLLERREVISION, NAMESPACE, SERVICE, Kube, Ref
from tests.contract.test_kube_contract import KubeContract, a_service


class TestKubeApi(KubeContract):
    """KubeApi keeps the contract."""

    @pytest.fixture
    async def kube(self, cluster: Backend) -> AsyncIterator[KubeApi]:
        api = await KubeApi.connect(str(cluster.kubeconfig))
        yield api
        await api.close()

    @pytest.fixture
    async def namespace(self, kube: KubeApi, request: pytest.FixtureRequest) -> AsyncIterator[str]:
        name = namespace_of(request)
        await kube.create(NAMESPACE, "", {"metadata": {"name": name}})
        yield name
        await kube.delete(Ref(NAMESPACE, "", name))

    async def settle(self, kube: Kube, done: Callable[[], Awaitable[bool]]) -> None:
        del kube
        for _ in range(300):
            if await done():
                return
            await asyncio.sleep(0.1)

    def test_it_is_the_port(self, kube: KubeApi) -> None:
        assert isinstance(kube, Kube)

    async def test_a_kind_that_is_not_served_is_not_found(self, kube: KubeApi) -> None:
        with pytest.raises(NotFoundError):
            await kube.get_path("/apis/nobody.leadsman.dev/v1")

    async def test_a_chunked_list_is_whole(self, kube: KubeApi, namespace: str) -> None:
        names = [f"many-{number}" for number in range(7)]
        for name in names:
            await kube.create(SERVICE, namespace, a_service(name))
        listing = await kube._list(SERVICE, namespace, [], chunk=2)
        assert [item["metadata"]["name"] for item in listing.items] == names

    async def test_what_we_create_can_be_patched_by_others(
        self, kube: KubeApi, namespace: str
    ) -> None:
        body = {"metadata": {"name": "terms"}, "revision": 1, "data": {"a": [1, "<&>ü", 0.1]}}
        await kube.create(CONTROLLERREVISION, namespace, body)
        label = {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}
        answer = await kube.patch(Ref(CONTROLLERREVISION, namespace, "terms"), [label])
        assert answer["data"] == body["data"]

    async def test_versions_are_those_of_the_objects(self, kube: KubeApi, namespace: str) -> None:
        made = await kube.create(SERVICE, namespace, a_service())
        version = made["metadata"]["resourceVersion"]
        assert await kube.versions(SERVICE, namespace) == {(namespace, "shop"): version}
        assert int(await kube.latest(SERVICE, namespace)) >= int(version)

    async def test_a_watch_tells_of_wanted_objects_only(
        self, kube: KubeApi, namespace: str
    ) -> None:
        since = await kube.latest(SERVICE, namespace)
        for name in ("other", "mine"):
            await kube.create(SERVICE, namespace, a_service(name))
        asked: list[str] = []

        def wanted(_: str, name: str) -> bool:
            asked.append(name)
            return name == "mine"

        watch = kube.watch(SERVICE, namespace, since=since, wanted=wanted)
        assert isinstance(watch, AsyncGenerator)
        async with asyncio.timeout(20):
            event = await anext(watch)
        await watch.aclose()
        assert event.body["metadata"]["name"] == "mine"
        assert asked == ["other", "mine"]

    async def test_a_wrong_value_is_invalid_even_where_something_was_tested(
        self, kube: KubeApi, namespace: str
    ) -> None:
        await kube.create(SERVICE, namespace, a_service())
        test = {"op": "test", "path": "/spec/selector/app", "value": "shop"}
        wrong = {"op": "replace", "path": "/spec/ports/0/port", "value": 99_999_999}
        with pytest.raises(InvalidError):
            await kube.patch(Ref(SERVICE, namespace, "shop"), [test, wrong])
