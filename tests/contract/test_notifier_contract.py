"""What every Notifier must do, run here against FakeNotifier and the one that posts Events.

`sink` is where notices end up: `heard()` waits until all is delivered and returns (namespace, name,
reason, message, warning) of each, `fail` makes the sink refuse.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from leadsman.adapters.events import EventNotifier
from leadsman.errors import UnavailableError
from leadsman.ports import EVENT, Notice, Notifier
from leadsman.testing import FakeClock, FakeKube, FakeNotifier

SHOP: dict[str, Any] = {
    "metadata": {"namespace": "ns", "name": "shop", "uid": "u1", "resourceVersion": "7"},
    "spec": {"token": "hunter2"},
    "status": {"body": "hunter2"},
}
NOTICE = Notice("RolledBack", "errors 7 %", warning=True, about={"guard": "errors"})


class Sink(Protocol):
    """Where notices end up."""

    async def heard(self) -> list[tuple[Any, ...]]: ...

    def requests(self) -> int: ...

    def fail(self, down: bool) -> None: ...

    def everything(self) -> str: ...


class Counting(Notifier, Protocol):
    """A notifier that says how many notices were lost."""

    @property
    def dropped(self) -> int: ...


class NotifierContract:
    """The port's rules. `notifier` and `sink` are fixtures of the inheriting class."""

    def test_it_is_the_port(self, notifier: Notifier) -> None:
        assert isinstance(notifier, Notifier)

    async def test_what_was_told_arrives_with_its_rollout_and_in_order(
        self, notifier: Notifier, sink: Sink
    ) -> None:
        for number in range(5):
            notifier.notify(SHOP, Notice("A", f"message {number}"))
        notifier.notify(SHOP, NOTICE)
        told = await sink.heard()
        assert [one[3] for one in told] == [f"message {n}" for n in range(5)] + ["errors 7 %"]
        assert told[-1] == ("ns", "shop", "RolledBack", "errors 7 %", True)
        assert told[0] == ("ns", "shop", "A", "message 0", False)

    async def test_nothing_is_asked_of_anybody_before_it_returns(
        self, notifier: Notifier, sink: Sink
    ) -> None:
        before = sink.requests()
        notifier.notify(SHOP, NOTICE)
        assert sink.requests() == before
        assert len(await sink.heard()) == 1

    @pytest.mark.parametrize("odd", [{}, {"metadata": None}, {"metadata": {"name": None}}])
    async def test_an_odd_rollout_costs_its_notice_at_the_most(
        self, notifier: Notifier, sink: Sink, odd: dict[str, Any]
    ) -> None:
        notifier.notify(odd, NOTICE)
        notifier.notify(SHOP, NOTICE)
        assert ("ns", "shop", "RolledBack", "errors 7 %", True) in await sink.heard()

    async def test_a_sink_that_fails_costs_what_was_told_meanwhile(
        self, notifier: Counting, sink: Sink
    ) -> None:
        sink.fail(True)
        notifier.notify(SHOP, Notice("A", "lost"))
        await sink.heard()
        sink.fail(False)
        notifier.notify(SHOP, Notice("B", "heard"))
        assert [one[2] for one in await sink.heard()] == ["B"]
        assert notifier.dropped == 1

    async def test_a_flood_raises_nothing_and_what_comes_after_is_heard(
        self, notifier: Notifier, sink: Sink
    ) -> None:
        for number in range(2000):
            notifier.notify(SHOP, Notice("A", str(number)))
        await sink.heard()
        notifier.notify(SHOP, NOTICE)
        assert (await sink.heard())[-1][2] == "RolledBack"

    async def test_the_rollout_is_neither_changed_nor_looked_at_later(
        self, notifier: Notifier, sink: Sink
    ) -> None:
        body = copy.deepcopy(SHOP)
        notifier.notify(body, NOTICE)
        assert body == SHOP
        body["metadata"]["name"] = "another"
        assert (await sink.heard())[0][1] == "shop"

    async def test_nothing_of_spec_or_status_gets_out(self, notifier: Notifier, sink: Sink) -> None:
        notifier.notify(SHOP, NOTICE)
        await sink.heard()
        assert "hunter2" not in sink.everything()


class FakeSink:
    """What a FakeNotifier keeps."""

    def __init__(self, notifier: FakeNotifier) -> None:
        self._notifier = notifier

    async def heard(self) -> list[tuple[Any, ...]]:
        """Everything so far."""
        return [
            (one.namespace, one.name, one.notice.reason, one.notice.message, one.notice.warning)
            for one in self._notifier.told
        ]

    def requests(self) -> int:
        """It asks nobody."""
        return 0

    def fail(self, down: bool) -> None:
        """The sink is down, or works again."""
        self._notifier.down = down

    def everything(self) -> str:
        """All that it holds."""
        return str(self._notifier.told)


class EventSink:
    """The Events of a cluster in memory."""

    def __init__(self, kube: FakeKube, clock: FakeClock) -> None:
        self._kube = kube
        self._clock = clock

    async def heard(self) -> list[tuple[Any, ...]]:
        """Everything so far, in the order in which it was posted."""
        await self._clock.run(0.1)
        for _ in range(100):
            await self._clock.turns()
        posted = [one for one in self._kube.operator_writes if one.verb == "create" and one.changed]
        return [
            (
                body["regarding"]["namespace"],
                body["regarding"]["name"],
                body["reason"],
                body["note"],
                body["type"] == "Warning",
            )
            for body in (one.body for one in posted)
        ]

    def requests(self) -> int:
        """How many requests there were."""
        return len(self._kube.requests)

    def fail(self, down: bool) -> None:
        """The API server refuses Events, or takes them again."""
        if down:
            error = UnavailableError(503, "ServiceUnavailable", "x")
            self._kube.fail_next("*", EVENT, error, times=1000)
        else:
            self._kube.faults.clear()

    def everything(self) -> str:
        """All Events."""
        return str(self._kube.peek_all(EVENT))


class TestFakeNotifier(NotifierContract):
    @pytest.fixture
    def notifier(self) -> FakeNotifier:
        return FakeNotifier(FakeClock())

    @pytest.fixture
    def sink(self, notifier: FakeNotifier) -> Sink:
        return FakeSink(notifier)


class TestEventNotifier(NotifierContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def kube(self, clock: FakeClock) -> FakeKube:
        return FakeKube(clock)

    @pytest.fixture
    async def notifier(self, kube: FakeKube, clock: FakeClock) -> AsyncIterator[EventNotifier]:
        made = EventNotifier(kube, clock)
        made.start()
        yield made
        await made.stop(grace=0.01)

    @pytest.fixture
    def sink(self, kube: FakeKube, clock: FakeClock) -> Sink:
        return EventSink(kube, clock)
