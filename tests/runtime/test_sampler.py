"""The sampler in virtual time: rhythm, shared queries, restarts, wakes, and what must not count."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from leadsman.adapters.presets.arms import ArmNames, Arms
from leadsman.core.spec import GuardSpec, Trigger
from leadsman.core.status import Attempt, Direction, Heading, StageStatus, Status
from leadsman.guards.judges import Threshold, Unsupported, judge
from leadsman.guards.verdict import Reason, Verdict
from leadsman.runtime.sampler import Sampler
from leadsman.testing.clock import FakeClock
from tests.runtime.scraped import REQUESTS, Scraped, errors_guard, traefik

KEY = ("shop", "web")


def arms(name="web", namespace="shop", service="shop"):
    return Arms(
        namespace=namespace,
        routes=(("HTTPRoute", name),),
        canary=ArmNames(services=(f"{service}-canary",), replica_sets=("shop-abc",)),
        stable=ArmNames(services=(f"{service}-stable",), replica_sets=("shop-xyz",)),
    )


class Bed:
    """A sampler on one scraped source, with the wakes recorded."""

    def __init__(self, **scraped):
        self.clock = FakeClock()
        self.source = Scraped(self.clock, **scraped)
        self.woken: list[tuple[float, tuple[str, str]]] = []
        self.sampler = self.make()

    def make(self):
        return Sampler(
            self.clock, lambda name: self.source if name == "default" else None, self.wake
        )

    def wake(self, key):
        self.woken.append((self.clock.now(), key))

    def verdict(self, guard, key=KEY):
        (reading,) = [r for r in self.sampler.readings(key) if r.guard == guard.name]
        return judge(guard.judge, reading)

    def load(self, fails_from=float("inf"), rate=40, share=0.5, service="shop", **labels):
        """Canary requests at `rate`; from `fails_from` on, `share` of them fail."""

        def failed(time):
            return None if time < fails_from else int((time - fails_from) * rate * share) + 1

        def good(time):
            return int(time * rate) % 10**9 - (failed(time) or 0)

        self.source.add(traefik(f"{service}-canary", "200", **labels), good)
        self.source.add(traefik(f"{service}-canary", "500", **labels), failed)
        self.source.add(
            traefik(f"{service}-stable", "200", **labels), lambda time: int(time * 160) % 10**9
        )


@pytest.fixture
async def bed():
    bed = Bed(phases={"traefik-0": 0.437})
    yield bed
    await bed.sampler.close()


async def test_a_breach_is_told_shortly_after_it_can_be_read_within_four_queries_a_second(bed):
    guard = errors_guard()
    start = bed.clock.now()
    moments = []
    for number in range(20):
        fails_from = start + 40 + number * 30 + number / 20
        bed.source.series.clear()
        bed.load(fails_from)
        bed.sampler.subscribe(KEY, (guard,), arms(), bed.clock.now())
        await bed.clock.run(fails_from - bed.clock.now())
        bed.woken.clear()
        await bed.clock.run(6)
        told = [at for at, _ in bed.woken if bed.woken]
        assert bed.verdict(guard).verdict is Verdict.FAIL
        moments.append(told[0] - first_readable(bed, fails_from))
        bed.sampler.unsubscribe(KEY)
        await bed.clock.run(1)
    moments.sort()
    assert moments[0] >= 0
    assert moments[len(moments) // 2] <= 0.05
    assert moments[18] <= 0.2
    assert most_in_a_second(bed.source.queries) <= 4


def first_readable(bed, fails_from, rate=40, share=0.5, limit=0.05, window=5.0):
    """The moment at which the first breaching sample of the guard can be read, by definition."""
    for number in itertools.count(int(fails_from)):
        at = number + 0.437
        if at < fails_from:
            continue
        failed = int((at - fails_from) * rate * share) + 1
        if failed / (rate * window) > limit:
            return at + bed.source.delay
    raise AssertionError


def most_in_a_second(queries):
    times = [time for time, _, _ in queries]
    return max(sum(time <= other < time + 0.999 for other in times) for time in times)


async def test_in_a_quiet_hold_about_one_query_a_scrape_is_asked_and_nobody_is_woken(bed):
    bed.load()
    bed.sampler.subscribe(KEY, (errors_guard(),), arms(), bed.clock.now())
    await bed.clock.run(30)
    assert bed.verdict(errors_guard()).verdict is Verdict.PASS
    bed.woken.clear()
    before = len(bed.source.queries)
    await bed.clock.run(60)
    assert bed.woken == []
    assert 60 <= len(bed.source.queries) - before <= 90


async def test_with_nobody_subscribed_nothing_is_asked(bed):
    bed.load()
    await bed.clock.run(5)
    assert bed.source.queries == []
    bed.sampler.subscribe(KEY, (errors_guard(),), arms(), bed.clock.now())
    await bed.clock.run(5)
    bed.sampler.unsubscribe(KEY)
    await bed.clock.run(1)
    before = len(bed.source.queries)
    await bed.clock.run(60)
    assert len(bed.source.queries) == before
    assert bed.sampler.readings(KEY) == ()


async def test_a_clock_that_differs_from_the_servers_is_learned(bed):
    bed.load()
    bed.source.skew = -0.7
    bed.sampler.subscribe(KEY, (errors_guard(),), arms(), bed.clock.now() - 2)
    await bed.clock.run(60)
    before = len(bed.source.queries)
    await bed.clock.run(60)
    assert len(bed.source.queries) - before <= 90
    newest = bed.sampler.readings(KEY)[0].last_sample
    assert newest is not None
    assert bed.clock.now() + bed.source.skew - newest <= 1.1


async def test_a_jump_of_the_wall_clock_stops_no_poll(bed):
    bed.load()
    bed.sampler.subscribe(KEY, (errors_guard(),), arms(), bed.clock.now())
    await bed.clock.run(10)
    before = len(bed.source.queries)
    bed.clock.jump(-3600)
    bed.source.skew = 3600
    await bed.clock.run(10)
    assert len(bed.source.queries) - before >= 8


def crowded(rollouts):
    """A bed in which so many Rollouts, each of its own Service, ask the same."""
    bed = Bed(phases={"traefik-0": 0.1})
    for number in range(rollouts):
        bed.load(service=f"app{number}")
        bed.sampler.subscribe(
            ("shop", f"r{number}"), (errors_guard(),), arms(service=f"app{number}"), bed.clock.now()
        )
    return bed


async def test_fifty_rollouts_with_the_same_metrics_share_one_query():
    bed = crowded(50)
    await bed.clock.run(20)
    for number in range(50):
        assert bed.verdict(errors_guard(), ("shop", f"r{number}")).verdict is Verdict.PASS
    newest = {time for time, _, _ in bed.source.queries}
    assert len(newest) == len(bed.source.queries)
    assert most_in_a_second(bed.source.queries) <= 4
    await bed.sampler.close()
    assert bed.source.closed


async def test_three_hundred_rollouts_stay_within_the_budget_and_miss_no_scrape():
    bed = crowded(300)
    await bed.clock.run(12)
    assert most_in_a_second(bed.source.queries) <= 4
    now = bed.clock.now()
    for number in range(300):
        (reading,) = bed.sampler.readings(("shop", f"r{number}"))
        assert reading.last_sample is not None
        assert now - reading.last_sample <= 2.1
    await bed.sampler.close()


async def test_many_scrape_phases_are_polled_evenly_and_within_the_budget():
    bed = Bed(phases={f"traefik-{n}": n / 9 for n in range(9)})
    for number in range(9):
        bed.load(rate=20, pod=f"traefik-{number}")
    bed.sampler.subscribe(KEY, (errors_guard(),), arms(), bed.clock.now())
    await bed.clock.run(20)
    times = [time for time, _, _ in bed.source.queries][-20:]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(gaps) <= 0.3
    assert most_in_a_second(bed.source.queries) <= 4
    assert bed.verdict(errors_guard()).verdict is Verdict.PASS


async def test_a_restart_reads_the_window_again_and_gives_the_same_windows(bed):
    guard = errors_guard(window=10.0)
    bed.load(bed.clock.now() + 12)
    since = bed.clock.now()
    bed.sampler.subscribe(KEY, (guard,), arms(), since)
    await bed.clock.run(20.3)
    before = bed.sampler.readings(KEY)
    await bed.sampler.close()
    bed.sampler = bed.make()
    bed.sampler.subscribe(KEY, (guard,), arms(), since)
    await bed.clock.run(0.1)
    after = bed.sampler.readings(KEY)
    assert after[0].canary[-1].total > 0
    assert after == before


async def test_an_outage_loses_no_event_and_is_told_as_missing_data(bed):
    guard = errors_guard(window=30.0, limit=0.9)
    bed.load()
    bed.sampler.subscribe(KEY, (guard,), arms(), bed.clock.now())
    await bed.clock.run(20)
    bed.source.error = "Timeout"
    await bed.clock.run(1)
    assert bed.sampler.readings(KEY)[0].error == ""
    await bed.clock.run(9)
    judged = bed.verdict(guard)
    assert (judged.verdict, judged.reason) == (Verdict.NO_DATA, Reason.METRICS_UNAVAILABLE)
    assert bed.woken[-1][0] <= bed.clock.now() - 5
    bed.source.error = ""
    await bed.clock.run(3)
    assert bed.verdict(guard).verdict is Verdict.PASS
    window = bed.sampler.readings(KEY)[0].canary[-1]
    assert window.total == pytest.approx(30 * 40, abs=45)


async def test_samples_that_stop_are_stale_and_never_pass(bed):
    bed.load()
    bed.sampler.subscribe(KEY, (errors_guard(),), arms(), bed.clock.now())
    await bed.clock.run(10)
    bed.source.delay = 600
    await bed.clock.run(5)
    judged = bed.verdict(errors_guard())
    assert (judged.verdict, judged.reason) == (Verdict.NO_DATA, Reason.STALE)


async def test_a_later_since_forgets_the_errors_of_the_version_before(bed):
    guard = errors_guard()
    bed.load(bed.clock.now(), share=1.0)
    bed.sampler.subscribe(KEY, (guard,), arms(), bed.clock.now())
    await bed.clock.run(10)
    assert bed.verdict(guard).verdict is Verdict.FAIL
    bed.source.series.clear()
    since = bed.clock.now()
    # The same series go on: the old errors stay in the counter, no new ones are added.
    bed.source.add(traefik("shop-canary", "200"), lambda time: int(time * 40) % 10**9)
    bed.source.add(traefik("shop-canary", "500"), lambda _: 401.0)
    bed.sampler.subscribe(KEY, (guard,), arms(), since)
    for _ in range(60):
        await bed.clock.run(0.1)
        assert bed.verdict(guard).verdict is not Verdict.FAIL
    judged = bed.verdict(guard)
    assert (judged.verdict, judged.value) == (Verdict.PASS, 0.0)


async def test_a_canary_without_requests_has_no_traffic_and_does_not_pass(bed):
    bed.source.add(traefik("shop-stable", "200"), lambda time: int(time * 160) % 10**9)
    bed.sampler.subscribe(KEY, (errors_guard(),), arms(), bed.clock.now())
    await bed.clock.run(10)
    judged = bed.verdict(errors_guard())
    assert (judged.verdict, judged.reason) == (Verdict.NO_DATA, Reason.NO_TRAFFIC)
    assert bed.sampler.shares(KEY) is not None


async def test_a_source_that_knows_no_such_series_says_empty(bed):
    bed.sampler.subscribe(KEY, (errors_guard(),), arms(), bed.clock.now())
    await bed.clock.run(1)
    assert bed.sampler.readings(KEY)[0].error == "Pending"
    await bed.clock.run(60)
    assert bed.sampler.readings(KEY)[0].error == "Empty"
    assert bed.sampler.shares(KEY) is None


async def test_the_first_errors_of_a_canary_count_in_full(bed):
    """An absent error counter is zero: its first value is evidence."""
    start = bed.clock.now()
    bed.source.add(traefik("shop-canary", "200"), lambda time: int(time * 40) % 10**9)
    bed.source.add(traefik("shop-canary", "500"), lambda time: 30.0 if time >= start + 5 else None)
    bed.sampler.subscribe(KEY, (errors_guard(),), arms(), start)
    await bed.clock.run(6)
    assert bed.sampler.readings(KEY)[0].canary[-1].bad == 30


async def test_consecutive_asks_for_as_many_windows(bed):
    guard = GuardSpec(
        name="errors",
        judge=Threshold(0.05, 5.0, 50),
        trigger=Trigger(consecutive=3),
        query='{"errors":{"preset":"Traefik"}}',
    )
    bed.load()
    bed.sampler.subscribe(KEY, (guard,), arms(), bed.clock.now())
    await bed.clock.run(10)
    times = [window.at for window in bed.sampler.readings(KEY)[0].canary]
    assert [round(later - earlier, 3) for earlier, later in itertools.pairwise(times)] == [1, 1]


async def test_a_histogram_without_the_bucket_names_the_bounds_that_there_are(bed):
    seconds = "traefik_service_request_duration_seconds"
    count = traefik("shop-canary", metric=f"{seconds}_count")
    bed.source.add(count, lambda time: int(time * 40) % 10**9)
    for bound in ("0.1", "0.3", "+Inf"):
        bucket = traefik("shop-canary", metric=f"{seconds}_bucket", le=bound)
        bed.source.add(bucket, lambda time: int(time * 40) % 10**9)
    guard = GuardSpec(
        name="slow",
        judge=Threshold(0.05, 5.0, 50),
        query='{"latency":{"preset":"Traefik","above":"250ms"}}',
    )
    bed.sampler.subscribe(KEY, (guard,), arms(), bed.clock.now())
    await bed.clock.run(10)
    judged = bed.verdict(guard)
    assert (judged.verdict, judged.reason) == (Verdict.NO_DATA, Reason.NO_SUCH_BUCKET)
    assert bed.sampler.details(KEY) == {"slow": "no bucket 0.25; there are: 0.1, 0.3, +Inf"}


async def test_slow_requests_are_the_count_less_the_bucket(bed):
    seconds = "traefik_service_request_duration_seconds"
    bed.source.add(
        traefik("shop-canary", metric=f"{seconds}_count"), lambda time: int(time * 40) % 10**9
    )
    bed.source.add(
        traefik("shop-canary", metric=f"{seconds}_bucket", le="0.25"),
        lambda time: int(time * 30) % 10**9,
    )
    guard = GuardSpec(
        name="slow",
        judge=Threshold(0.3, 10.0, 50),
        query='{"latency":{"preset":"Traefik","above":"250ms"}}',
    )
    bed.sampler.subscribe(KEY, (guard,), arms(), bed.clock.now())
    await bed.clock.run(15)
    assert bed.verdict(guard).value == pytest.approx(0.25, abs=0.01)


async def test_pods_of_a_set_belong_to_its_arm_and_new_ones_need_no_new_subscription(bed):
    def pod(name, code):
        return {
            "__name__": "http_requests_total",
            "namespace": "shop",
            "pod": name,
            "code": code,
            "job": "pods",
            "instance": name,
        }

    start = bed.clock.now()
    bed.source.add(pod("shop-abc-fffff", "200"), lambda time: int(time * 10) % 10**9)
    bed.source.add(
        pod("shop-abc-ggggg", "500"), lambda time: (time - start) * 10 if time > start + 3 else None
    )
    bed.source.add(pod("shop-xyz-fffff", "200"), lambda time: int(time * 90) % 10**9)
    bed.source.add(pod("shop-abc-other-1", "500"), lambda time: int(time * 999) % 10**9)
    bed.source.add(
        pod("shop-abc-fffff", "500") | {"namespace": "other"}, lambda time: int(time * 999) % 10**9
    )
    guard = GuardSpec(
        name="errors", judge=Threshold(0.1, 5.0, 20), query='{"errors":{"preset":"Pod"}}'
    )
    bed.sampler.subscribe(KEY, (guard,), arms(), start)
    await bed.clock.run(15)
    window = bed.sampler.readings(KEY)[0].canary[-1]
    assert window.bad == pytest.approx(50, abs=11)
    assert window.total == pytest.approx(100, abs=22)
    assert bed.sampler.readings(KEY)[0].stable[-1].total == pytest.approx(450, abs=1)


async def test_a_guard_that_cannot_be_asked_says_why_and_spoils_no_other(bed):
    bed.load()
    wrong = GuardSpec(name="wrong", judge=Threshold(0.1, 5.0, 20), query='{"promQL":{"query":"1"}}')
    lost = GuardSpec(name="lost", judge=Threshold(0.1, 5.0, 20), source="nowhere", query="{}")
    later = GuardSpec(
        name="later", judge=Unsupported("sequential"), query='{"errors":{"preset":"Traefik"}}'
    )
    good = errors_guard()
    bed.sampler.subscribe(KEY, (good, wrong, lost, later), arms(), bed.clock.now())
    await bed.clock.run(10)
    assert bed.verdict(good).verdict is Verdict.PASS
    assert bed.verdict(wrong).reason is Reason.QUERY_INVALID
    assert bed.verdict(lost).reason is Reason.METRICS_UNAVAILABLE
    assert bed.verdict(later).reason is Reason.JUDGE_UNSUPPORTED
    assert set(bed.sampler.details(KEY)) == {"wrong", "lost"}
    assert [reading.guard for reading in bed.sampler.readings(KEY)] == [
        "errors",
        "wrong",
        "lost",
        "later",
    ]


async def test_a_source_that_appears_is_used_once_it_is_announced(bed):
    guard = errors_guard()
    bed.load()
    there: list[Scraped] = []
    sampler = Sampler(bed.clock, lambda _: there[0] if there else None, bed.wake)
    sampler.subscribe(KEY, (guard,), arms(), bed.clock.now())
    await bed.clock.run(5)
    assert sampler.readings(KEY)[0].error == "SourceMissing"
    there.append(bed.source)
    sampler.forget_source("default")
    await bed.clock.run(10)
    assert judge(guard.judge, sampler.readings(KEY)[0]).verdict is Verdict.PASS
    await sampler.close()
    await asyncio.sleep(0)


async def test_the_routers_share_is_the_recent_one_from_the_present_weight(bed):
    bed.load(rate=40)
    bed.sampler.subscribe(KEY, (errors_guard(),), arms(), bed.clock.now())
    await bed.clock.run(30.0)
    shares = bed.sampler.shares(KEY)
    assert shares is not None
    assert shares[0] == pytest.approx(5 * 40, abs=1)
    assert shares[1] == pytest.approx(5 * 160, abs=1)
    bed.sampler.subscribe(KEY, (errors_guard(),), arms(), bed.clock.now())
    assert bed.sampler.shares(KEY) is None
    await bed.clock.run(10.0)
    shares = bed.sampler.shares(KEY)
    assert shares is not None
    assert shares[0] == pytest.approx(5 * 40, abs=1)


async def test_a_split_that_breaks_wakes_the_core_once_and_once_more_when_it_is_right(bed):
    start = bed.clock.now()

    def arrived(time):
        """40 of 200 requests a second, but every second one from 60 s to 90 s."""
        off = max(0.0, min(time, start + 90) - (start + 60))
        return int((time - start) * 40 + off * 60)

    bed.source.add(traefik("shop-canary"), arrived)
    bed.source.add(
        traefik("shop-stable"), lambda time: int((time - start) * 200) - arrived(time) + 10**6
    )
    stage = StageStatus(0, "a", start, start, commanded_at=start)
    attempt = Attempt("x-1", 1, "x", "x", Direction(Heading.ADVANCING, 0.0), stage, start, 20)
    sampler = Sampler(
        bed.clock, lambda _: bed.source, bed.wake, remembered=lambda _: Status(attempt=attempt)
    )
    sampler.subscribe(KEY, (errors_guard(),), arms(), start)
    await bed.clock.run(59)
    bed.woken.clear()
    await bed.clock.run(15)
    (broke,) = [at - start for at, _ in bed.woken]
    assert 60 < broke < 63
    more = replace(arms(), canary=replace(arms().canary, replica_sets=("shop-abc", "shop-abd")))
    sampler.subscribe(KEY, (errors_guard(),), more, start)
    await bed.clock.run(15)
    assert len(bed.woken) == 1
    await bed.clock.run(30)
    (healed,) = [at - start for at, _ in bed.woken[1:]]
    assert 90 < healed < 95
    await sampler.close()


async def test_the_query_names_every_metric_once_and_never_asks_before_since_for_long(bed):
    bed.load()
    bed.sampler.subscribe(KEY, (errors_guard(),), arms(), bed.clock.now())
    await bed.clock.run(30)
    _, selector, seconds = bed.source.queries[-1]
    assert selector.count(REQUESTS) == 1
    assert len(selector) < 400
    assert seconds < 4


async def test_a_source_that_allows_fewer_queries_gets_fewer(bed):
    bed.load()
    bed.source.queries_per_second = 1
    bed.sampler.subscribe(KEY, (errors_guard(),), arms(), bed.clock.now())
    await bed.clock.run(20)
    assert most_in_a_second(bed.source.queries) == 1
    assert bed.verdict(errors_guard()).verdict is Verdict.PASS


async def test_guards_on_pods_with_many_phases_do_not_delay_those_on_the_router():
    phases = {"traefik-0": 0.437} | {f"shop-abc-pod{n}{n}": n / 7 for n in range(7)}
    bed = Bed(phases=phases)
    own = GuardSpec(name="own", judge=Threshold(0.1, 5.0, 20), query='{"errors":{"preset":"Pod"}}')
    guard = errors_guard()
    fails_from = bed.clock.now() + 60.2
    bed.load(fails_from)
    for name in phases:
        labels = {"__name__": "http_requests_total", "namespace": "shop", "code": "200"}
        bed.source.add(
            labels | {"pod": name, "instance": name}, lambda time: int(time * 10) % 10**9
        )
    bed.sampler.subscribe(KEY, (guard, own), arms(), bed.clock.now())
    await bed.clock.run(60)
    assert bed.verdict(own).verdict is Verdict.PASS
    bed.woken.clear()
    await bed.clock.run(6)
    assert bed.verdict(guard).verdict is Verdict.FAIL
    assert bed.woken[0][0] - first_readable(bed, fails_from) <= 0.1
    assert most_in_a_second(bed.source.queries) <= 4
    own_polls = [time for time, selector, _ in bed.source.queries if "pod=~" in selector][-20:]
    gaps = [later - earlier for earlier, later in itertools.pairwise(own_polls)]
    assert max(gaps) <= 0.7
    await bed.sampler.close()


async def test_a_source_that_answers_one_question_slowly_still_answers_the_other(bed):
    bed.load()
    ask = bed.source.range

    async def slow_for_pods(selector, seconds):
        if "pod=~" in selector:
            await bed.clock.sleep(5)
        return await ask(selector, seconds)

    bed.source.range = slow_for_pods
    own = GuardSpec(name="own", judge=Threshold(0.1, 5.0, 20), query='{"errors":{"preset":"Pod"}}')
    bed.sampler.subscribe(KEY, (errors_guard(), own), arms(), bed.clock.now())
    await bed.clock.run(20)
    newest = bed.sampler.readings(KEY)[0].last_sample
    assert newest is not None
    assert bed.clock.now() - newest <= 1.2


async def test_targets_with_a_longer_interval_are_not_stale_between_their_scrapes(bed):
    bed.source.interval = 15.0
    bed.load()
    bed.sampler.subscribe(KEY, (errors_guard(window=60.0),), arms(), bed.clock.now())
    await bed.clock.run(60)
    for _ in range(40):
        await bed.clock.run(1)
        assert bed.verdict(errors_guard(window=60.0)).verdict is Verdict.PASS
