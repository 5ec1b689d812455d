"""Samples that stand still are stale, whatever the server's clock makes of their times.

A sample's time is the server's. A server whose clock is ahead has samples "of now" for as long as
it was ahead, also when none come any more: no release may be promoted on those.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from leadsman.guards.judges import NonInferiority
from leadsman.guards.verdict import Reason, Verdict
from tests.runtime.scraped import errors_guard, traefik
from tests.runtime.test_sampler import KEY, Bed, arms

GUARD = errors_guard()
STALE = (Verdict.NO_DATA, Reason.STALE)
LIMIT = 2 * 1.0 + 1.0
"""Two scrapes and a second: what is older is stale."""


@pytest.fixture
async def bed():
    bed = Bed(phases={"traefik-0": 0.437})
    yield bed
    await bed.sampler.close()


def said(bed, guard=GUARD):
    judged = bed.verdict(guard)
    return judged.verdict, judged.reason


def serve(bed, *, fails_from=float("inf"), canary_until=float("inf")):
    """Good requests, half of them bad from `fails_from` on: seconds that have really passed."""
    clock = bed.clock

    def of_canary(count):
        return lambda _: None if clock.monotonic() > canary_until else count()

    def failed():
        return int(max(0.0, clock.monotonic() - fails_from) * 20)

    def good():
        return int(clock.monotonic() * 40) - failed()

    bed.source.add(traefik("shop-canary", "200"), of_canary(good))
    bed.source.add(traefik("shop-canary", "500"), of_canary(failed))
    bed.source.add(traefik("shop-stable", "200"), lambda _: int(clock.monotonic() * 160))


async def verdicts(bed, seconds, guard=GUARD):
    found = set()
    for _ in range(seconds):
        await bed.clock.run(1)
        found.add(said(bed, guard)[0])
    return found


async def test_a_servers_clock_that_is_put_right_makes_the_samples_stale_until_it_catches_up(bed):
    serve(bed, fails_from=30)
    bed.source.skew = 120
    bed.sampler.subscribe(KEY, (GUARD,), arms(), bed.clock.now())
    await bed.clock.run(20)
    assert bed.verdict(GUARD).verdict is Verdict.PASS
    bed.source.skew = 0
    bed.woken.clear()
    await bed.clock.run(LIMIT + 1.25)
    assert said(bed) == STALE
    assert bed.woken
    assert await verdicts(bed, 112) == {Verdict.NO_DATA}
    # What failed meanwhile is in the counters, and counts as soon as a newer sample comes.
    assert Verdict.PASS not in await verdicts(bed, 10)
    assert bed.verdict(GUARD).verdict is Verdict.FAIL


async def test_scrapes_that_stop_are_stale_as_soon_if_the_servers_clock_is_ahead(bed):
    serve(bed)
    bed.source.skew = 60
    bed.sampler.subscribe(KEY, (GUARD,), arms(), bed.clock.now())
    await bed.clock.run(20)
    bed.source.delay = 600
    await bed.clock.run(LIMIT + 0.1)
    assert said(bed) == STALE


async def test_clocks_that_are_both_set_back_do_not_make_old_samples_new(bed):
    serve(bed)
    bed.sampler.subscribe(KEY, (GUARD,), arms(), bed.clock.now())
    await bed.clock.run(20)
    bed.clock.jump(-3600)
    await bed.clock.run(LIMIT + 0.1)
    assert said(bed) == STALE
    assert await verdicts(bed, 60) == {Verdict.NO_DATA}


async def test_a_canary_that_is_not_seen_any_more_is_not_judged_by_stables_samples(bed):
    serve(bed, canary_until=20)
    bed.source.skew = 60
    bed.sampler.subscribe(KEY, (GUARD,), arms(), bed.clock.now())
    await bed.clock.run(20)
    assert bed.verdict(GUARD).verdict is Verdict.PASS
    await bed.clock.run(LIMIT + 1)
    assert said(bed) == (Verdict.NO_DATA, Reason.NO_TRAFFIC)


async def test_evidence_that_was_gathered_does_not_pass_on_samples_that_stand_still(bed):
    guard = replace(GUARD, name="gathered", judge=NonInferiority(0.05))
    serve(bed)
    bed.source.skew = 120
    bed.sampler.subscribe(KEY, (guard,), arms(), bed.clock.now())
    await bed.clock.run(60)
    (reading,) = bed.sampler.readings(KEY)
    assert reading.blocks
    assert reading.canary
    bed.source.skew = 0
    await bed.clock.run(LIMIT + 0.1)
    (reading,) = bed.sampler.readings(KEY)
    assert (reading.error, reading.canary) == ("Stale", ())


@pytest.mark.parametrize("interval", [1.0, 5.0, 15.0])
async def test_a_server_whose_clock_stays_ahead_is_as_good_as_any(bed, interval):
    guard = errors_guard(window=3 * interval)
    serve(bed, fails_from=10 * interval)
    bed.source.interval = interval
    bed.source.skew = 60
    bed.sampler.subscribe(KEY, (guard,), arms(), bed.clock.now())
    await bed.clock.run(4 * interval)
    assert await verdicts(bed, int(5 * interval), guard) == {Verdict.PASS}
    await bed.clock.run(6 * interval)
    assert bed.verdict(guard).verdict is Verdict.FAIL


async def test_a_restart_beside_a_clock_that_is_ahead_passes_at_its_first_samples(bed):
    serve(bed)
    bed.source.skew = 60
    since = bed.clock.now()
    bed.sampler.subscribe(KEY, (GUARD,), arms(), since)
    await bed.clock.run(20)
    await bed.sampler.close()
    bed.sampler = bed.make()
    bed.sampler.subscribe(KEY, (GUARD,), arms(), since)
    await bed.clock.run(1.5)
    assert await verdicts(bed, 20) == {Verdict.PASS}


@pytest.mark.parametrize("skew", [0.0, 60.0])
async def test_slow_rounds_are_no_older_for_a_clock_that_is_ahead(skew):
    """Forty Rollouts need four queries, one a second, and are scraped each 5 s."""
    bed = Bed(phases={"traefik-0": 0.437}, interval=5.0, started=0.0)
    bed.source.queries_per_second, bed.source.series_limit = 1, 120
    bed.source.skew = skew
    for number in range(40):
        bed.load(service=f"app{number}")
        key, service = ("shop", f"r{number}"), f"app{number}"
        bed.sampler.subscribe(key, (errors_guard(window=20.0),), arms(service=service), 0.0)
    await bed.clock.run(60)
    assert len({selector for _, selector, _ in bed.source.queries[-30:]}) == 4
    for _ in range(30):
        await bed.clock.run(1)
        for number in range(40):
            (reading,) = bed.sampler.readings(("shop", f"r{number}"))
            assert (reading.error, bool(reading.canary)) == ("", True)
    await bed.sampler.close()
