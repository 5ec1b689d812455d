"""Counters that are disturbed on their way through a real Prometheus, and what guards make of them.

Two arms of one pod each count what the test tells them to, so every number is known to the unit;
Prometheus scrapes them, and the operator's own sampling turns the samples into blocks and verdicts.
Then a target is killed, restarted, hidden from the scrapes, its series are renamed or no numbers:
what cannot be known must read as no data, what was counted meanwhile must come as one larger block,
and nothing may be counted twice, negatively, or as success. Each test ends with a second reader
that starts from nothing and must find the same blocks, to the bit.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from e2e.cluster.backend import Backend
from e2e.harness.targets import METRIC, Forwarder, Shop, Target
from leadsman.adapters.clock import SystemClock
from leadsman.adapters.prometheus import Prometheus
from leadsman.core.evidence import judge_guard
from leadsman.core.spec import GuardSpec
from leadsman.core.status import GuardStatus
from leadsman.guards.judges import Sequential, Threshold
from leadsman.guards.memory import Place
from leadsman.guards.verdict import Reason, Verdict
from leadsman.guards.windows import Block, Reading
from leadsman.runtime.sampler import Sampler

NAMESPACE = f"counters-{os.getpid()}"
KEY = (NAMESPACE, "shop")
QUERY = json.dumps(
    {"ratio": {"bad": {"metric": METRIC, "match": {"code": "500"}}, "total": {"metric": METRIC}}}
)
WINDOW = GuardSpec("window", Threshold(0.1, 60.0, 50), query=QUERY)
EVIDENCE = GuardSpec("evidence", Sequential(alpha=0.01, design_ratio=5.0), query=QUERY)
GUARDS = (WINDOW, EVIDENCE)
STALE = 3.0
"""Seconds: two scrapes and the operator's slack. Older samples are no data."""


async def until(met: Callable[[], object], seconds: float, told: Callable[[], object]) -> None:
    """Wait for something; raises AssertionError with what `told` returns instead."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, f"not within {seconds:g} s: {told()}"
        await asyncio.sleep(0.05)


class Measured:
    """What the operator's sampling has made of both arms until now."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def reading(self, guard: GuardSpec = EVIDENCE) -> Reading:
        """The reading of a guard now."""
        return next(one for one in self.sampler.readings(KEY) if one.guard == guard.name)

    def blocks(self) -> tuple[Block, ...]:
        """All complete blocks so far."""
        return self.reading().blocks

    def counted(self) -> tuple[float, float, float, float]:
        """Requests of the canary and bad ones among them, and stable's."""
        found = self.blocks()
        return (
            sum(one.canary for one in found),
            sum(one.canary_bad for one in found),
            sum(one.stable for one in found),
            sum(one.stable_bad for one in found),
        )

    def judged(self, guard: GuardSpec) -> GuardStatus:
        """What a guard says now, by the function that decides in the cluster."""
        return judge_guard(guard, self.reading(guard), None, time.time(), Place())

    def verdicts(self) -> list[str]:
        """What all guards say now."""
        return [str(self.judged(guard).verdict) for guard in GUARDS]

    def told(self) -> str:
        """What there is, for a failure's message."""
        judged = [self.judged(guard) for guard in GUARDS]
        said = [(one.name, str(one.verdict), str(one.reason)) for one in judged]
        return f"{said}, {self.sampler.details(KEY)}, {self.counted()}, {self.reading()}"

    async def has(self, *counted: float, seconds: float = 20.0) -> None:
        """Wait until exactly this was counted, and nothing beyond it."""
        await until(lambda: self.counted() == counted, seconds, self.told)
        await asyncio.sleep(1.5)
        assert self.counted() == counted, self.told()
        self.is_sound()

    async def passes(self) -> None:
        """Wait until all guards pass."""
        await until(lambda: set(self.verdicts()) == {"Pass"}, 20, self.told)

    def is_sound(self) -> None:
        """No block is negative, begins before its predecessor's end, or has more bad than all."""
        end = 0.0
        for block in self.blocks():
            assert end <= block.start < block.at, self.blocks()
            assert 0 <= block.canary_bad <= block.canary, self.blocks()
            assert 0 <= block.stable_bad <= block.stable, self.blocks()
            end = block.at

    async def is_blind(self, reason: Reason, seconds: float = 15.0) -> None:
        """Wait until every guard has no data for this reason; then none passes for a while."""

        def blind() -> bool:
            judged = [self.judged(guard) for guard in GUARDS]
            return all((o.verdict, o.reason) == (Verdict.NO_DATA, reason) for o in judged)

        await until(blind, seconds, self.told)
        await self.never_passes(3)
        assert blind(), self.told()

    async def never_passes(self, seconds: float) -> None:
        """For so long no guard says anything but that there are no data."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert set(self.verdicts()) == {"NoData"}, self.told()
            await asyncio.sleep(0.1)


@asynccontextmanager
async def measuring(
    shop: Shop, *, since: float | None = None, url: str = ""
) -> AsyncIterator[Measured]:
    """The operator's sampling of both arms, from now on or since a time (Unix seconds)."""
    source = Prometheus(url or shop.url, SystemClock(), allowed=("127.0.0.0/8",))
    sampler = Sampler(SystemClock(), lambda _: source, lambda _: None)
    try:
        sampler.subscribe(KEY, GUARDS, shop.arms(), time.time() if since is None else since)
        yield Measured(sampler)
    finally:
        await sampler.close()


@asynccontextmanager
async def begun(shop: Shop, url: str = "") -> AsyncIterator[Measured]:
    """Measured arms that have counted enough to pass: 2,000 requests each, 50 of them bad."""
    since = time.time()
    async with measuring(shop, since=since, url=url) as measured:
        await until(lambda: len(measured.blocks()) > 0, 30, measured.told)
        await shop.trade(195, 5, 10)
        await measured.has(2000, 50, 2000, 50)
        await measured.passes()
        yield measured
        measured.is_sound()
        await is_read_again(shop, measured, since)


async def is_read_again(shop: Shop, measured: Measured, since: float) -> None:
    """A reader that starts from nothing finds the same blocks in Prometheus, to the bit."""
    known = measured.blocks()
    async with measuring(shop, since=since) as again:
        await until(lambda: len(again.blocks()) >= len(known), 20, again.told)
        assert again.blocks()[: len(known)] == known


@pytest.fixture(scope="module")
def namespace(cluster: Backend) -> Iterator[str]:
    """The namespace of these tests."""
    made = cluster.run(["kubectl", "create", "namespace", NAMESPACE])
    assert made.returncode == 0, made.stderr
    yield NAMESPACE
    cluster.run(["kubectl", "delete", "namespace", NAMESPACE, "--wait=false"])


@pytest.fixture
def shop(cluster: Backend, namespace: str, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """Two arms, each with one pod that has counted nothing yet."""
    del namespace
    number = request.node.session.items.index(request.node)
    canary, stable = (Target(cluster, NAMESPACE, f"{arm}-{number}") for arm in ("canary", "stable"))
    for arm in (canary, stable):
        arm.ready()
    yield Shop(canary, stable, cluster.prometheus_url)
    for arm in (canary, stable):
        arm.kubectl("delete", "deployment", arm.name, "--wait=false")


async def test_a_killed_target_is_no_data_and_never_a_success(shop):
    async with begun(shop) as measured:
        shop.canary.scale(0)
        killed = time.time()
        await measured.is_blind(Reason.NO_TRAFFIC)
        last = measured.reading().last_sample
        assert last is not None
        assert last < killed + STALE
        shop.stable.count(500, 5)
        await asyncio.sleep(3)
        assert measured.counted() == (2000, 50, 2000, 50), measured.told()
        shop.stable.scale(0)
        await measured.is_blind(Reason.STALE)
        # Who begins to look only now must not take what was seen before for an answer.
        async with measuring(shop) as later:
            await later.never_passes(5)
            assert later.counted() == (0, 0, 0, 0)


async def test_a_process_that_restarts_with_counters_at_zero_is_counted_on_never_negatively(shop):
    async with begun(shop) as measured:
        shop.canary.crash()
        await until(lambda: shop.canary.restarts() == 1 and shop.canary.pods(), 30, measured.told)
        shop.canary.count(39, 1)
        await measured.has(2040, 51, 2000, 50, seconds=40)
        (seen,) = shop.samples().values()
        assert seen.index(39) > seen.index(1950), seen  # one series, and it did go back
        shop.canary.count(100)
        await measured.has(2140, 51, 2000, 50)
        await measured.passes()


async def test_scrapes_that_stop_leave_a_gap_which_is_one_larger_block(shop):
    async with begun(shop) as measured:
        before = len(measured.blocks())
        shop.canary.scraped(False)
        await measured.is_blind(Reason.NO_TRAFFIC)
        shop.canary.count(290, 10)
        shop.stable.count(392, 8)
        await asyncio.sleep(3)
        assert measured.counted() == (2000, 50, 2000, 50), measured.told()
        shop.canary.scraped(True)
        await measured.has(2300, 60, 2400, 58, seconds=40)
        larger = [one for one in measured.blocks()[before:] if one.at - one.start > STALE]
        assert [one[2:] for one in larger] == [(300, 10, 400, 8)], measured.told()
        await measured.passes()


async def test_a_gap_in_which_the_weight_changes_is_dropped(shop):
    async with begun(shop) as measured:
        shop.canary.scraped(False)
        await measured.is_blind(Reason.NO_TRAFFIC)
        shop.canary.count(100, 50)
        changed = time.time()
        shop.canary.count(100, 50)
        async with measuring(shop, since=changed) as anew:
            shop.canary.scraped(True)
            await until(lambda: len(anew.blocks()) > 0, 40, anew.told)
            shop.canary.count(60, 1)
            shop.stable.count(60, 1)
            await anew.has(61, 1, 61, 1)
        # Under the old weight it would have been one larger block.
        await measured.has(2361, 151, 2061, 51)


async def test_renamed_series_are_no_data_until_they_have_their_name_again(shop):
    async with begun(shop) as measured:
        shop.canary.tell(metric="shop_answers_total")
        await measured.is_blind(Reason.NO_TRAFFIC)
        shop.canary.count(190, 10)
        async with measuring(shop) as later:
            await later.is_blind(Reason.NO_TRAFFIC)
            assert later.reading().last_sample is None
        assert measured.counted() == (2000, 50, 2000, 50), measured.told()
        shop.canary.tell(metric=METRIC)
        await measured.has(2200, 60, 2000, 50)
        await measured.passes()


async def test_without_a_series_for_errors_there_were_none_and_the_first_error_counts(shop):
    async with measuring(shop, since=time.time()) as measured:
        await until(lambda: len(measured.blocks()) > 0, 30, measured.told)
        shop.canary.count(500)
        shop.stable.count(500, 5)
        await measured.has(500, 0, 505, 5)
        assert measured.judged(WINDOW).verdict == Verdict.PASS, measured.told()
        shop.canary.count(0, 3)
        await measured.has(503, 3, 505, 5)


@pytest.mark.parametrize("value", ["NaN", "+Inf"])
async def test_what_is_no_number_is_dropped_and_what_came_meanwhile_counts(shop, value):
    async with begun(shop) as measured:
        shop.canary.tell(value=value)
        await measured.is_blind(Reason.NO_TRAFFIC)
        shop.canary.count(190, 10)
        await asyncio.sleep(2)
        assert measured.counted() == (2000, 50, 2000, 50), measured.told()
        shop.canary.tell(value="")
        await measured.has(2200, 60, 2000, 50)
        await measured.passes()


async def test_pods_that_come_and_go_are_counted_each_from_its_own_beginning(shop):
    def all_scraped() -> bool:
        pods = shop.canary.pods()
        return len(pods) == 2 and pods.keys() <= shop.samples().keys()

    async with begun(shop) as measured:
        shop.canary.scale(2)
        await until(all_scraped, 40, measured.told)
        shop.canary.count(49, 1)
        await measured.has(2100, 52, 2000, 50)
        gone = min(shop.canary.pods())
        shop.canary.kubectl("delete", "pod", gone, "--wait=false")
        await until(lambda: gone not in shop.canary.pods() and all_scraped(), 40, measured.told)
        shop.canary.count(99, 1)
        await measured.has(2300, 54, 2000, 50)
        await measured.passes()


async def test_a_source_that_cannot_be_reached_loses_nothing_that_was_scraped(shop):
    way = Forwarder(shop.url)
    await way.open()
    try:
        async with begun(shop, way.url) as measured:
            await way.close()
            await measured.is_blind(Reason.METRICS_UNAVAILABLE)
            shop.canary.count(290, 10)
            shop.stable.count(392, 8)
            await asyncio.sleep(3)
            assert measured.counted() == (2000, 50, 2000, 50), measured.told()
            await way.open()
            await measured.has(2300, 60, 2400, 58, seconds=40)
            await measured.passes()
    finally:
        await way.close()
