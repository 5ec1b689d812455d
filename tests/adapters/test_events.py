"""Events: told once, never late, never in the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from leadsman.adapters.events import QUEUE, EventNotifier, event_body, micro_time
from leadsman.errors import ApiError, ForbiddenError
from leadsman.ports import EVENT, Body, Kind, Notice, Notifier, Ref
from leadsman.testing.clock import FakeClock

ROLLOUT: Body = {
    "metadata": {"namespace": "ns", "name": "shop", "uid": "u1", "resourceVersion": "7"},
    "spec": {"secret": "x"},
}


class Sink:
    def __init__(self) -> None:
        self.created: list[Body] = []
        self.patched: list[tuple[str, Any]] = []
        self.error: ApiError | None = None

    async def create(self, kind: Kind, namespace: str, body: Body) -> Body:
        if self.error:
            raise self.error
        assert (kind, namespace) == (EVENT, body["metadata"]["namespace"])
        self.created.append(body)
        return body

    async def patch(self, ref: Ref, operations: Any) -> Body:
        self.patched.append((ref.name, operations))
        return {}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
async def notifier(sink: Sink, clock: FakeClock) -> AsyncIterator[EventNotifier]:
    made = EventNotifier(sink, clock, instance="pod-1")  # type: ignore[arg-type]
    made.start()
    yield made
    await made.stop(grace=0.01)


async def test_a_notice_becomes_an_event_about_the_rollout(
    notifier: EventNotifier, sink: Sink, clock: FakeClock
) -> None:
    assert isinstance(notifier, Notifier)
    notifier.notify(ROLLOUT, Notice("RolledBack", "errors 7%", warning=True, about={"guard": "e"}))
    await clock.turns()
    (event,) = sink.created
    assert (event["type"], event["reason"], event["note"]) == (
        "Warning",
        "RolledBack",
        "errors 7%",
    )
    assert event["regarding"]["kind"] == "Rollout"
    assert event["regarding"]["uid"] == "u1"
    assert event["reportingController"] == "leadsman.dev/leadsman"
    assert event["metadata"]["annotations"] == {"leadsman.dev/guard": "e"}
    assert "secret" not in str(event)


async def test_a_repeated_notice_is_told_once_and_then_as_a_series(
    notifier: EventNotifier, sink: Sink, clock: FakeClock
) -> None:
    for _ in range(5):
        notifier.notify(ROLLOUT, Notice("Holding", "why"))
        await clock.run(100)
    assert len(sink.created) == 1
    await clock.run(200)
    notifier.notify(ROLLOUT, Notice("Holding", "why"))
    await clock.turns()
    ((name, operations),) = sink.patched
    assert name == sink.created[0]["metadata"]["name"]
    assert operations[0]["value"]["count"] == 6


async def test_another_notice_in_between_makes_it_news_again(
    notifier: EventNotifier, sink: Sink, clock: FakeClock
) -> None:
    for reason in ("A", "B", "A"):
        notifier.notify(ROLLOUT, Notice(reason, "why"))
        await clock.run(1)
    assert [event["reason"] for event in sink.created] == ["A", "B", "A"]
    assert len({event["metadata"]["name"] for event in sink.created}) == 3


async def test_a_flood_is_dropped_and_counted_and_never_raises(
    sink: Sink, clock: FakeClock
) -> None:
    drops: list[int] = []
    notifier = EventNotifier(sink, clock, on_drop=lambda: drops.append(1))  # type: ignore[arg-type]
    for number in range(QUEUE + 10):
        notifier.notify(ROLLOUT, Notice("A", str(number)))
    assert (notifier.dropped, len(drops)) == (10, 10)


async def test_an_api_that_refuses_costs_the_event_and_nothing_else(
    notifier: EventNotifier, sink: Sink, clock: FakeClock
) -> None:
    sink.error = ForbiddenError(403, "Forbidden", "")
    notifier.notify(ROLLOUT, Notice("A", "1"))
    await clock.turns()
    sink.error = None
    notifier.notify(ROLLOUT, Notice("A", "2"))
    await clock.turns()
    assert (notifier.dropped, [event["note"] for event in sink.created]) == (1, ["2"])


async def test_what_is_queued_is_told_before_the_end(sink: Sink, clock: FakeClock) -> None:
    notifier = EventNotifier(sink, clock)  # type: ignore[arg-type]
    notifier.notify(ROLLOUT, Notice("A", "1"))
    notifier.start()
    await notifier.stop()
    assert len(sink.created) == 1


def test_an_event_is_within_the_limits_of_the_api() -> None:
    about = {**ROLLOUT["metadata"], "name": "x" * 253}
    event = event_body(about, Notice("R" * 300, "m" * 5000, about={"k": "v" * 999}), 1.5, "i" * 300)
    assert len(event["metadata"]["name"]) <= 253
    assert len(event["note"]) == 1024
    assert (len(event["reason"]), len(event["reportingInstance"])) == (128, 128)
    assert event["eventTime"] == micro_time(1.5) == "1970-01-01T00:00:01.500000Z"
