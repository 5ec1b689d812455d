"""Shared watch caches: one for equal questions, none for nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from leadsman.ports import POD, SERVICE, Body, Kind, Listing, WatchEvent
from leadsman.runtime.informers import InformerSet
from leadsman.testing.clock import FakeClock


class Open:
    """A Kube that counts open watches."""

    def __init__(self) -> None:
        self.open = 0
        self.bodies: list[Body] = []

    async def list(self, kind: Kind, namespace: str = "", **_: Any) -> Listing:
        return Listing(tuple(self.bodies), "1")

    async def watch(self, kind: Kind, namespace: str = "", **_: Any) -> AsyncIterator[WatchEvent]:
        self.open += 1
        try:
            await FakeClock().sleep(3600)
            yield WatchEvent("BOOKMARK", {})
        finally:
            self.open -= 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def kube() -> Open:
    return Open()


@pytest.fixture
async def informers(kube: Open, clock: FakeClock) -> AsyncIterator[InformerSet]:
    made = InformerSet(kube, clock)  # type: ignore[arg-type]
    yield made
    await made.close()
    assert (kube.open, len(made)) == (0, 0)


def slim(body: Body) -> Body:
    return body


async def test_equal_questions_share_one_watch(
    informers: InformerSet, kube: Open, clock: FakeClock
) -> None:
    leases = [informers.open(POD, "ns", labels="a=b", transform=slim) for _ in range(3)]
    await clock.turns()
    assert (len(informers), kube.open) == (1, 1)
    assert leases[0].informer is leases[2].informer


@pytest.mark.parametrize(
    "other",
    [
        {"kind": SERVICE},
        {"namespace": "other"},
        {"labels": "c=d"},
        {"fields": "metadata.name=x"},
        {"transform": None},
    ],
)
async def test_another_question_is_another_watch(
    informers: InformerSet, other: dict[str, Any]
) -> None:
    question: dict[str, Any] = {"kind": POD, "namespace": "ns", "transform": slim}
    informers.open(**question)
    informers.open(**{**question, **other})
    assert len(informers) == 2


async def test_the_last_to_close_ends_the_watch(
    informers: InformerSet, kube: Open, clock: FakeClock
) -> None:
    first, second = informers.open(POD, "ns"), informers.open(POD, "ns")
    await clock.turns()
    first.close()
    first.close()
    await clock.turns()
    assert (len(informers), kube.open) == (1, 1)
    second.close()
    await clock.turns()
    assert (len(informers), kube.open) == (0, 0)
    again = informers.open(POD, "ns")
    await clock.turns()
    assert (again.informer.synced, kube.open) == (True, 1)


async def test_each_user_hears_changes_until_it_closes(
    informers: InformerSet, clock: FakeClock
) -> None:
    heard: list[str] = []
    first = informers.open(POD, "ns", on_change=lambda *_: heard.append("first"))
    informers.open(POD, "ns", on_change=lambda *_: heard.append("second"))
    await clock.turns()
    body = {"metadata": {"namespace": "ns", "name": "a", "uid": "a", "resourceVersion": "5"}}
    first.informer.observe_write(body)
    first.close()
    later = {"metadata": {**body["metadata"], "resourceVersion": "6"}}
    first.informer.observe_write(later)
    assert heard == ["first", "second", "second"]
