"""Many Rollouts on one source: who a series belongs to, how big a query gets, who is judged."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsman.adapters.presets.arms import ArmNames, Arms
from leadsman.adapters.presets.question import shape_of
from leadsman.adapters.presets.shape import heads, literal
from leadsman.adapters.presets.table import PRESETS
from leadsman.core.spec import GuardSpec
from leadsman.guards.judges import Threshold
from leadsman.ports import Answer, Sample, Series
from leadsman.runtime.sampler import Sampler
from leadsman.runtime.sampling.directory import Directory
from leadsman.runtime.sampling.evidence import new_tally
from leadsman.runtime.sampling.plan import queries_of
from leadsman.testing.clock import FakeClock
from tests.adapters.presets.test_presets import ERRORS
from tests.runtime.scraped import Scraped, errors_guard, traefik

TRAEFIK = {"errors": {"preset": "Traefik"}}


def arms(number):
    return Arms(
        "shop",
        ArmNames((f"s{number}-canary",), (f"s{number}-abc",)),
        ArmNames((f"s{number}-stable",), (f"s{number}-xyz",)),
        (("HTTPRoute", f"s{number}"),),
    )


def tally(preset="Traefik", of=None):
    shape = shape_of({"errors": {"preset": preset}}, of or arms(1))
    return new_tally(shape, 0.0, 60.0, 0.0)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("shop-abc-[a-z0-9]{5}", ("shop-abc-",)),
        (r"a\.b|c\+d", ("a.b", "c+d")),
        ("a-(?:x|y)-b|c", ("a-", "c")),
        ("ab?c|de*|fg+|h{2}i", ("a", "d", "fg", "")),
        ("", ("",)),
        ("|x", ("", "x")),
        (".+", ("",)),
    ],
)
def test_the_heads_of_a_pattern_are_its_literal_beginnings(pattern, found):
    assert heads(pattern) == found


@given(st.lists(st.text(max_size=12), min_size=1, max_size=4), st.text(alphabet="ab5", max_size=5))
def test_law_what_matches_begins_with_a_head(names, tail):
    pattern = "|".join(literal(name) + "[a-z0-9]*" for name in names)
    for name in names:
        value = name + tail
        if re.fullmatch(pattern, value, re.DOTALL):
            assert any(value.startswith(head) for head in heads(pattern))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_directory_misses_no_series_that_a_shape_counts(preset):
    ours = Arms(
        "shop",
        ArmNames(("web-canary",), ("web-6d4cf56db6",)),
        ArmNames(("web-stable",), ("web-5c9d8f7b6",)),
        (("HTTPRoute", "web"),),
    )
    mine, other = tally(preset, ours), tally(preset, arms(2))
    directory = Directory([other, mine])
    for name, labels, arm, _ in ERRORS:
        if name == preset and arm is not None:
            found = list(directory.candidates(labels))
            assert found.count(mine) == 1


def test_an_answer_is_never_planned_to_hold_more_than_it_may():
    tallies = [tally(of=arms(number)) for number in range(400)]
    assert len(queries_of(tallies, most=2)) == 1
    few = queries_of(tallies, most=2, series=100)
    assert len(few) == 16
    assert all(len(query.tallies) == 25 for query in few)


class Bounded(Scraped):
    """A source that refuses an answer of more than `limit` series."""

    limit: int = 10**9
    slow: float = 0.0

    async def range(self, selector: str, seconds: float) -> Answer:
        answer = await super().range(selector, seconds)
        if len(answer.series) > self.limit:
            return Answer(error="TooLarge", detail="too many")
        return answer


class Evaluating(Scraped):
    """A source that evaluates every expression to 0 as well."""

    async def evaluate(self, text: str, seconds: float, step: float) -> Answer:
        self.queries.append((self.clock.monotonic(), text, seconds))
        now = self.clock.now()
        numbers = range(int((now - seconds) // step) + 1, int(now // step) + 1)
        samples = tuple(Sample(number * step, 0.0) for number in numbers)
        return Answer(series=(Series({}, samples),))


def sampled(source, clock, count, woken=None):
    def tell(key):
        if woken is not None:
            woken.append(key)

    sampler = Sampler(clock, lambda name: source if name == "default" else None, tell)
    for number in range(count):
        key = ("shop", f"s{number}")
        sampler.subscribe(key, (errors_guard(),), arms(number), clock.now())
    return sampler


def loaded(clock, count):
    source = Bounded(clock)
    for number in range(count):
        for arm, rate in (("canary", 20), ("stable", 80)):
            labels = traefik(f"s{number}-{arm}")
            labels["service"] = labels["service"].replace("shop-web-gw", f"shop-s{number}-gw")
            source.add(labels, lambda time, rate=rate: int(time * rate) % 10**9)
    return source


def errors_of(sampler, count):
    return [sampler.readings(("shop", f"s{number}"))[0].error for number in range(count)]


async def test_an_answer_that_is_too_large_makes_the_queries_smaller():
    clock = FakeClock()
    source = loaded(clock, 60)
    source.limit = 50
    sampler = sampled(source, clock, 60)
    await clock.run(30)
    assert set(errors_of(sampler, 60)) == {""}
    await sampler.close()


async def test_more_queries_than_a_second_allows_are_spread_over_seconds():
    clock = FakeClock()
    source = loaded(clock, 60)
    source.limit = 20
    sampler = sampled(source, clock, 60)
    await clock.run(60)
    assert set(errors_of(sampler, 60)) == {""}
    times = [time for time, _, _ in source.queries]
    assert max(sum(at <= other < at + 0.999 for other in times) for at in times) <= 4
    await sampler.close()


async def test_many_rollouts_subscribed_one_by_one_are_planned_together():
    clock = FakeClock()
    source = loaded(clock, 3)
    sampler = sampled(source, clock, 150)
    await clock.run(5)
    assert errors_of(sampler, 3) == ["", "", ""]
    sampler.unsubscribe(("shop", "s1"))
    await clock.run(2)
    assert not any("-s1-gw" in selector for _, selector, _ in source.queries[-2:])
    await sampler.close()


async def test_a_series_is_given_to_the_new_tally_after_a_raise():
    """A later `since` makes new evidence; the series was known before and must not be lost."""
    clock = FakeClock()
    source = loaded(clock, 2)
    sampler = sampled(source, clock, 2)
    await clock.run(10)
    sampler.subscribe(("shop", "s0"), (errors_guard(),), arms(0), clock.now())
    await clock.run(8)
    (reading,) = sampler.readings(("shop", "s0"))
    assert reading.error == ""
    assert reading.canary[-1].total >= 60
    await sampler.close()


async def test_a_large_family_does_not_starve_and_does_not_starve_others():
    """Twelve queries of users' own beside the router's, at four queries a second."""
    clock = FakeClock()
    source = Evaluating(clock)
    for arm, rate in (("canary", 20), ("stable", 80)):
        labels = traefik(f"s0-{arm}")
        labels["service"] = labels["service"].replace("shop-web-gw", "shop-s0-gw")
        source.add(labels, lambda time, rate=rate: int(time * rate) % 10**9)
    texts = [f'x{{n="{number}",pod=~"{{{{arm.pods}}}}"}}' for number in range(6)]
    guards = tuple(
        GuardSpec(f"own{number}", Threshold(0.05, 20.0, 2), query=json.dumps(question))
        for number, question in enumerate({"promQL": {"query": text}} for text in texts)
    )
    sampler = Sampler(clock, lambda _: source, lambda _: None)
    sampler.subscribe(("shop", "s0"), (errors_guard(), *guards), arms(0), clock.now())
    await clock.run(40)
    readings = sampler.readings(("shop", "s0"))
    assert {reading.error for reading in readings} == {""}
    assert all(reading.canary[-1].total >= 2 for reading in readings)
    assert clock.now() - readings[0].canary[-1].at <= 1.5
    await sampler.close()


class Hanging(Scraped):
    """A source that never answers."""

    async def range(self, selector: str, seconds: float) -> Answer:
        await self.clock.sleep(10**6)
        return Answer(error="Timeout")


async def test_a_source_that_hangs_delays_no_other_sources_breach():
    clock = FakeClock()
    good, dead = loaded(clock, 1), Hanging(clock)
    sources = {"default": good, "dead": dead}
    told: list[float] = []
    sampler = Sampler(clock, sources.get, lambda _: told.append(clock.now()))
    guards = (errors_guard(), errors_guard("lost", source="dead"))
    sampler.subscribe(("shop", "s0"), guards, arms(0), clock.now())
    await clock.run(10)
    fails = clock.now()
    bad = traefik("s0-canary", "500")
    bad["service"] = bad["service"].replace("shop-web-gw", "shop-s0-gw")
    good.add(bad, lambda time: int((time - fails) * 20) if time > fails else None)
    told.clear()
    await clock.run(4)
    assert told
    assert told[0] - fails <= 2.1
    await sampler.close()


@pytest.mark.parametrize(("error", "most"), [("BadRequest", 6), ("ServerError", 130)])
async def test_what_is_refused_is_not_asked_again_and_again(error, most):
    clock = FakeClock()
    source = loaded(clock, 1)
    source.error = error
    sampler = sampled(source, clock, 1)
    await clock.run(5)
    before = len(source.queries)
    await clock.run(50)
    assert most / 3 <= len(source.queries) - before <= most
    source.error = ""
    await clock.run(20)
    assert errors_of(sampler, 1) == [""]
    await sampler.close()
