"""The Notifier port's contract, kept by the one that posts Events to a real API server.

What the Events look like in the end is read by a second client, so that an API server which takes
them in another form than they were sent is noticed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from e2e.cluster.backend import Backend
from e2e.conftest import namespace_of
from leadsman.adapters.clock import SystemClock
from leadsman.adapters.events import EventNotifier
from leadsman.adapters.kube import KubeApi
from leadsman.ports import EVENT, NAMESPACE, Body, Notice, Ref
from tests.contract import test_notifier_contract as contract

NOWHERE = "https://127.0.0.1:1"
"""An address at which nobody listens."""

CONTRACTS = contract.SHOP["metadata"]["namespace"]
"""The namespace as the contract's tests name it."""


class Posting:
    """The notifier's own way to the API server: it can be cut, and its requests are counted."""

    def __init__(self, kube: KubeApi, requests: list[str]) -> None:
        self.kube = kube
        self.requests = requests
        self._there = kube._configuration.host

    def cut(self, down: bool) -> None:
        """From now on nobody answers, or the API server does again."""
        self.kube._configuration.host = NOWHERE if down else self._there


class RealSink:
    """The Events of a namespace of a real cluster, told as if it had the contract's name."""

    def __init__(self, kube: KubeApi, namespace: str, way: Posting, told: EventNotifier) -> None:
        self._kube = kube
        self._namespace = namespace
        self._way = way
        self._notifier = told
        self._events: list[Body] = []

    async def heard(self) -> list[tuple[Any, ...]]:
        """Everything so far, in the order in which the API server stored it."""
        await self._notifier._queue.join()
        listing = await self._kube.list(EVENT, self._namespace)
        self._events = sorted(
            listing.items, key=lambda one: int(one["metadata"]["resourceVersion"])
        )
        return [
            (
                CONTRACTS if body["regarding"]["namespace"] == self._namespace else "",
                body["regarding"]["name"],
                body["reason"],
                body["note"],
                body["type"] == "Warning",
            )
            for body in self._events
        ]

    def requests(self) -> int:
        """How many requests the notifier has sent."""
        return len(self._way.requests)

    def fail(self, down: bool) -> None:
        """The API server cannot be reached, or answers again."""
        self._way.cut(down)

    def everything(self) -> str:
        """All Events that were heard, as they are stored."""
        return str(self._events)


class TestEventNotifier(contract.NotifierContract):
    """EventNotifier keeps the contract on KubeApi."""

    @pytest.fixture
    async def kube(self, cluster: Backend) -> AsyncIterator[KubeApi]:
        api = await KubeApi.connect(str(cluster.kubeconfig))
        yield api
        await api.close()

    @pytest.fixture
    async def way(self, cluster: Backend) -> AsyncIterator[Posting]:
        sent: list[str] = []

        def observe(verb: str, what: str, status: int, seconds: float) -> None:
            del status, seconds
            sent.append(f"{verb} {what}")

        api = await KubeApi.connect(str(cluster.kubeconfig), observe=observe)
        yield Posting(api, sent)
        await api.close()

    @pytest.fixture
    async def namespace(
        self, kube: KubeApi, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[str]:
        """A namespace for each test, in which the contract's Rollout is taken to be."""
        name = namespace_of(request)
        await kube.create(NAMESPACE, "", {"metadata": {"name": name}})
        about = {**contract.SHOP["metadata"], "namespace": name}
        monkeypatch.setattr(contract, "SHOP", {**contract.SHOP, "metadata": about})
        yield name
        await kube.delete(Ref(NAMESPACE, "", name))

    @pytest.fixture
    async def notifier(self, way: Posting, namespace: str) -> AsyncIterator[EventNotifier]:
        del namespace  # it must be there first
        made = EventNotifier(way.kube, SystemClock(), instance="contract")
        made.start()
        yield made
        await made.stop()

    @pytest.fixture
    def sink(
        self, kube: KubeApi, way: Posting, namespace: str, notifier: EventNotifier
    ) -> RealSink:
        return RealSink(kube, namespace, way, notifier)

    async def test_a_repeated_notice_is_one_event(
        self, notifier: EventNotifier, sink: RealSink
    ) -> None:
        for _ in range(3):
            notifier.notify(contract.SHOP, Notice("A", "again"))
        assert [one[3] for one in await sink.heard()] == ["again"]
        assert sink.requests() == 1
