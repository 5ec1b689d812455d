"""The watch cache's rules: fresh after every fault, never older than our own writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from leadsman.errors import ApiError, ForbiddenError, GoneError, UnavailableError
from leadsman.ports import POD, Body, Kind, Listing, WatchEvent
from leadsman.runtime.informer import Informer
from leadsman.testing.clock import FakeClock


def pod(name: str, version: int, uid: str = "", **fields: Any) -> Body:
    about = {"namespace": "ns", "name": name, "uid": uid or name, "resourceVersion": str(version)}
    return {"metadata": {**about, **fields}}


class Script:
    """A Kube whose lists and watches are written by the test."""

    def __init__(self) -> None:
        self.lists: list[Listing | ApiError] = []
        self.events: asyncio.Queue[WatchEvent | ApiError | None] = asyncio.Queue()
        self.listed = 0
        self.since: list[str] = []
        self.open = 0

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> Listing:
        self.listed += 1
        answer = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        if isinstance(answer, ApiError):
            raise answer
        return answer

    async def watch(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "", since: str
    ) -> AsyncIterator[WatchEvent]:
        self.since.append(since)
        self.open += 1
        try:
            while (event := await self.events.get()) is not None:
                if isinstance(event, ApiError):
                    raise event
                yield event
        finally:
            self.open -= 1

    def send(self, type: str, body: Body) -> None:  # noqa: A002
        self.events.put_nowait(WatchEvent(type, body))  # type: ignore[arg-type]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def kube() -> Script:
    script = Script()
    script.lists = [Listing((pod("a", 5),), "10")]
    return script


@pytest.fixture
async def informer(kube: Script, clock: FakeClock) -> AsyncIterator[Informer]:
    made = Informer(kube, clock, POD, "ns", labels="app=shop")  # type: ignore[arg-type]
    made.start()
    await clock.turns()
    yield made
    await made.stop()
    assert kube.open == 0


def versions(informer: Informer) -> dict[str, str]:
    return {i["metadata"]["name"]: i["metadata"]["resourceVersion"] for i in informer.items()}


async def test_it_lists_then_watches_from_there(
    informer: Informer, kube: Script, clock: FakeClock
) -> None:
    assert informer.synced
    assert (versions(informer), kube.since) == ({"a": "5"}, ["10"])
    kube.send("ADDED", pod("b", 11))
    kube.send("MODIFIED", pod("a", 12))
    await clock.turns()
    assert versions(informer) == {"a": "12", "b": "11"}
    kube.send("DELETED", pod("b", 13))
    await clock.turns()
    assert versions(informer) == {"a": "12"}
    assert informer.get("b") is None


async def test_a_watch_that_ends_goes_on_from_the_last_version_without_a_list(
    informer: Informer, kube: Script, clock: FakeClock
) -> None:
    kube.send("BOOKMARK", {"metadata": {"resourceVersion": "40"}})
    await clock.run(290)
    kube.events.put_nowait(None)
    await clock.turns()
    assert (kube.since, kube.listed) == (["10", "40"], 1)


async def test_an_expired_version_leads_to_a_list_that_also_finds_deletions(
    informer: Informer, kube: Script, clock: FakeClock
) -> None:
    kube.lists = [Listing((pod("b", 20),), "21")]
    kube.events.put_nowait(GoneError(410, "Expired", ""))
    await clock.run(1)
    assert versions(informer) == {"b": "20"}
    assert kube.since[-1] == "21"


async def test_a_lost_watch_is_followed_by_a_list_and_the_error_is_a_value_meanwhile(
    informer: Informer, kube: Script, clock: FakeClock
) -> None:
    kube.lists = [UnavailableError(503, "Down", ""), Listing((pod("a", 30),), "31")]
    kube.events.put_nowait(UnavailableError(0, "Timeout", ""))
    await clock.turns()
    assert informer.error == "Timeout"
    assert informer.synced
    assert versions(informer) == {"a": "5"}
    await clock.run(0.3)
    assert informer.error == "Down"
    await clock.run(2)
    assert (informer.error, versions(informer)) == ("", {"a": "30"})


async def test_faults_are_answered_with_growing_pauses_for_ever(
    kube: Script, clock: FakeClock
) -> None:
    kube.lists = [ForbiddenError(403, "Forbidden", "")]
    informer = Informer(kube, clock, POD, "ns")  # type: ignore[arg-type]
    informer.start()
    await clock.run(60)
    early = kube.listed
    assert 5 <= early <= 14
    await clock.run(3600)
    assert kube.listed - early <= 3600 / 15 + 1
    kube.lists = [Listing((), "9")]
    await clock.run(31)
    assert informer.synced
    await informer.stop()


async def test_a_server_that_ends_each_watch_at_once_is_not_polled_hot(
    informer: Informer, kube: Script, clock: FakeClock
) -> None:
    for _ in range(1000):
        kube.events.put_nowait(None)
    await clock.run(30)
    assert len(kube.since) < 20


async def test_it_knows_when_it_last_heard_from_the_server(
    informer: Informer, kube: Script, clock: FakeClock
) -> None:
    await clock.run(50)
    assert informer.age() == pytest.approx(50)
    kube.send("BOOKMARK", {"metadata": {"resourceVersion": "40"}})
    await clock.turns()
    assert informer.age() == 0


async def test_our_own_write_is_there_at_once_and_older_events_do_not_undo_it(
    informer: Informer, kube: Script, clock: FakeClock
) -> None:
    informer.observe_write(pod("a", 20))
    kube.send("MODIFIED", pod("a", 15))
    await clock.turns()
    assert versions(informer) == {"a": "20"}
    kube.send("MODIFIED", pod("a", 21))
    await clock.turns()
    assert versions(informer) == {"a": "21"}


async def test_an_old_answer_does_not_undo_a_newer_event(informer: Informer) -> None:
    informer.observe_write(pod("a", 4))
    assert versions(informer) == {"a": "5"}


async def test_what_we_created_survives_a_list_that_was_on_its_way(
    informer: Informer, kube: Script, clock: FakeClock
) -> None:
    informer.observe_write(pod("new", 50))
    kube.lists = [Listing((pod("a", 5),), "49")]
    kube.events.put_nowait(GoneError(410, "Expired", ""))
    await clock.run(1)
    assert versions(informer) == {"a": "5", "new": "50"}
    kube.lists = [Listing((pod("a", 5),), "60")]
    kube.events.put_nowait(GoneError(410, "Expired", ""))
    await clock.run(5)
    assert versions(informer) == {"a": "5"}


async def test_what_we_deleted_does_not_come_back_by_an_old_event(
    informer: Informer, kube: Script, clock: FakeClock
) -> None:
    informer.observe_delete("a")
    assert informer.items() == ()
    kube.send("MODIFIED", pod("a", 9))
    await clock.turns()
    assert informer.items() == ()
    kube.send("DELETED", pod("a", 12))
    kube.send("ADDED", pod("a", 13, uid="another"))
    await clock.turns()
    assert versions(informer) == {"a": "13"}


async def test_what_we_deleted_but_is_kept_by_a_finalizer_is_seen(
    informer: Informer, kube: Script, clock: FakeClock
) -> None:
    informer.observe_delete("a")
    kube.send("MODIFIED", pod("a", 12, deletionTimestamp="2026-01-01T00:00:00Z"))
    await clock.turns()
    assert versions(informer) == {"a": "12"}


async def test_a_late_deletion_of_a_former_object_spares_its_successor(
    informer: Informer, kube: Script, clock: FakeClock
) -> None:
    informer.observe_write(pod("a", 20, uid="second"))
    kube.send("DELETED", pod("a", 19, uid="a"))
    await clock.turns()
    assert versions(informer) == {"a": "20"}


async def test_versions_that_are_not_numbers_are_taken_as_they_come(
    kube: Script, clock: FakeClock
) -> None:
    informer = Informer(kube, clock, POD, "ns")  # type: ignore[arg-type]
    opaque = pod("a", 1)
    opaque["metadata"]["resourceVersion"] = "x7"
    kube.lists = [Listing((opaque,), "x9")]
    informer.start()
    await clock.turns()
    later = pod("a", 1)
    later["metadata"]["resourceVersion"] = "c3"
    kube.send("MODIFIED", later)
    await clock.turns()
    assert versions(informer) == {"a": "c3"}
    await informer.stop()


async def test_a_transform_drops_what_nobody_reads_and_listeners_hear_old_and_new(
    kube: Script, clock: FakeClock
) -> None:
    heard: list[tuple[Body | None, Body | None]] = []

    def names_only(body: Body) -> Body:
        about = body["metadata"]
        return {"metadata": {k: v for k, v in about.items() if k != "managedFields"}}

    kube.lists = [Listing((pod("a", 5, managedFields=[{}]),), "10")]
    informer = Informer(
        kube,  # type: ignore[arg-type]
        clock,
        POD,
        "ns",
        transform=names_only,
        on_change=lambda old, new: heard.append((old, new)),
    )
    informer.start()
    await clock.turns()
    kube.send("DELETED", pod("a", 11))
    await clock.turns()
    assert heard == [(None, pod("a", 5)), (pod("a", 5), None)]
    await informer.stop()


async def test_a_listener_that_fails_does_not_end_the_watch(kube: Script, clock: FakeClock) -> None:
    def fail(old: Body | None, new: Body | None) -> None:
        raise ValueError

    informer = Informer(kube, clock, POD, "ns", on_change=fail)  # type: ignore[arg-type]
    informer.start()
    await clock.run(5)
    assert informer.error == ""
    assert versions(informer) == {"a": "5"}
    assert kube.open == 1
    await informer.stop()
