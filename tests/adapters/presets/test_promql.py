"""Users' own queries: what binds an arm, and what nobody can make of it."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsman.adapters.presets.arms import ArmNames, Arms
from leadsman.adapters.presets.promql import expression
from leadsman.adapters.presets.question import shape_of
from leadsman.adapters.presets.shape import QueryInvalidError
from leadsman.core.spec import GuardSpec
from leadsman.guards.judges import SequentialMean, Threshold, judge
from leadsman.guards.verdict import Verdict
from leadsman.ports import Answer, Sample, Series
from leadsman.runtime.sampler import Sampler
from leadsman.runtime.sampling.evidence import new_tally
from leadsman.runtime.sampling.plan import queries_of
from leadsman.testing.clock import FakeClock

ARMS = Arms(
    "shop",
    ArmNames(("web-canary",), ("web-abc",), (), "abc"),
    ArmNames(("web-stable",), ("web-xyz",), (), "xyz"),
)
PODS = 'sum(rate(lost{namespace="{{namespace}}",pod=~"{{arm.pods}}"}[1m]))'


def test_each_arm_has_the_query_with_its_own_names():
    canary, stable = expression(ARMS, PODS).asked
    assert canary == 'sum(rate(lost{namespace="shop",pod=~"web-abc-[a-z0-9]{5}"}[1m]))'
    assert stable == 'sum(rate(lost{namespace="shop",pod=~"web-xyz-[a-z0-9]{5}"}[1m]))'


@pytest.mark.parametrize(
    ("query", "canary"),
    [
        ('x{service=~"{{arm.services}}"}', 'x{service=~"web-canary"}'),
        ('x{v=~"{{ arm.revision }}"}', 'x{v=~"abc"}'),
        ('x{a="b", v =~ "{{arm.revision}}"}', 'x{a="b", v =~ "abc"}'),
        ("x{a='#{',v=~\"{{arm.revision}}\"}", "x{a='#{',v=~\"abc\"}"),
        ('x{a=`"\\`,v=~"{{arm.revision}}"}', 'x{a=`"\\`,v=~"abc"}'),
        ('x{a="\\"}",v=~"{{arm.revision}}"}\n  / y', 'x{a="\\"}",v=~"abc"}\n  / y'),
    ],
)
def test_everything_but_the_variables_stays_as_it_was_written(query, canary):
    assert expression(ARMS, query).asked[0] == canary


REFUSED = {
    "no variable at all": ("sum(rate(errors_total[1m]))", "must tell the arm"),
    "the namespace alone": ('x{namespace="{{namespace}}"}', "must tell the arm"),
    "a variable that there is not": ('x{pod=~"{{pod}}"}', "no variable"),
    "outside of a string": ("x{pod=~{{arm.pods}}}", "double quotes"),
    "in single quotes": ("x{pod=~'{{arm.pods}}'}", "double quotes"),
    "in backquotes": ("x{pod=~`{{arm.pods}}`}", "double quotes"),
    "a part of a string": ('x{pod=~"{{arm.pods}}|.*"}', "whole value"),
    "something before it": ('x{pod=~".*|{{arm.pods}}"}', "whole value"),
    "not a matcher's value": ('label_replace(x,"a","{{arm.pods}}","b",".*")', "whole value"),
    "an equation with a pattern": ('x{pod="{{arm.pods}}"}', "use =~"),
    "all but the arm": ('x{pod!~"{{arm.pods}}"}', "whole value"),
    "a comment": ('x{pod=~"{{arm.pods}}"} # )', "comments"),
    "brackets that close ours": ('x{pod=~"{{arm.pods}}"}) or (vector(0)', "brackets"),
    "brackets left open": ('sum(x{pod=~"{{arm.pods}}"}', "brackets"),
    "brackets crossed": ('sum(x{pod=~"{{arm.pods}}")}', "brackets"),
    "a string without an end": ('x{pod=~"{{arm.pods}}"', "brackets"),
    "a quote without an end": ('x{pod=~"{{arm.pods}}"} + "', "no end"),
    "a line's end in a string": ('x{a="\n",pod=~"{{arm.pods}}"}', "no end"),
    "a control character": ('x{pod=~"{{arm.pods}}"}\x00', "control"),
    "far too long": ('x{pod=~"{{arm.pods}}"}' + " " * 2048, "longer"),
}


@pytest.mark.parametrize(("query", "message"), REFUSED.values(), ids=REFUSED)
def test_a_query_that_could_mean_something_else_is_refused(query, message):
    with pytest.raises(QueryInvalidError, match=message):
        shape_of({"promQL": {"query": query}}, ARMS)


INJECTION = 'a"}[5m])) or vector(0) or sum(rate(x{app="b'


@pytest.mark.parametrize("name", [INJECTION, "x`", "x'", "x\\", "{{arm.pods}}", "# x"])
def test_names_of_services_stay_values(name):
    """No name of Kubernetes looks like this; it must not matter."""
    arms = Arms("shop", ArmNames((name,)), ArmNames(("s",)))
    canary = expression(arms, 'x{service=~"{{arm.services}}"}').asked[0]
    match = re.fullmatch(r'x\{service=~("(?:[^"\\\n]|\\.)*")\}', canary)
    assert match
    assert re.fullmatch(json.loads(match.group(1)), name)


@given(st.text(alphabet="x{}()[]\"`'#\\,=~ \n{arm.pods}", max_size=60))
def test_law_what_is_taken_keeps_its_brackets_and_its_strings(text):
    try:
        shape = expression(ARMS, text + 'x{pod=~"{{arm.pods}}"}')
    except QueryInvalidError:
        return
    bare = re.sub(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`[^`]*`', "", shape.asked[0])
    depth = 0
    for char in bare:
        depth += (char in "([{") - (char in ")]}")
        assert depth >= 0
    assert depth == 0
    assert not set(bare) & {'"', "'", "`", "#"}


def test_an_arm_without_names_is_not_asked_for():
    shape = expression(Arms("shop", ArmNames(), ArmNames(replica_sets=("web-xyz",))), PODS)
    assert len(shape.asked) == 1
    assert "web-xyz" in shape.asked[0]


def test_the_same_query_of_two_guards_is_asked_once():
    tallies = [new_tally(expression(ARMS, PODS), 0.0, 60.0, 0.0) for _ in range(2)]
    queries = queries_of(tallies, most=4)
    assert [len(query.tallies) for query in queries] == [2, 2]
    assert [query.speaks for query in queries] == [True, False]


class Evaluating:
    """Evaluates every expression: the canary's to `canary`, the other to 0."""

    def __init__(self, clock):
        self.clock = clock
        self.canary = 0.0
        self.series = 1
        self.error = ""
        self.asked = []

    async def range(self, selector, seconds):
        return Answer()

    async def evaluate(self, text, seconds, step):
        self.asked.append((text, seconds, step))
        if self.error:
            return Answer(error=self.error, detail="why not")
        value = self.canary if "web-abc" in text else 0.0
        now = self.clock.now()
        first = int((now - seconds) // step) + 1
        times = [number * step for number in range(first, int(now // step) + 1)]
        samples = tuple(Sample(time, value) for time in times)
        return Answer(series=tuple(Series({}, samples) for _ in range(self.series)))

    async def close(self):
        pass


def sampled(source, clock):
    sampler = Sampler(clock, lambda _: source, lambda _: None)
    query = json.dumps({"promQL": {"query": PODS}})
    guard = GuardSpec("own", Threshold(0.05, 20.0, 3), query=query)
    sampler.subscribe(("shop", "web"), (guard,), ARMS, clock.now())
    return sampler, guard


def judged(sampler, guard):
    (reading,) = sampler.readings(("shop", "web"))
    return judge(guard.judge, reading)


async def test_the_mean_of_a_querys_values_is_judged():
    clock = FakeClock()
    source = Evaluating(clock)
    sampler, guard = sampled(source, clock)
    await clock.run(40)
    found = judged(sampler, guard)
    assert (found.verdict, found.value, found.events) == (Verdict.PASS, 0.0, 4)
    source.canary = 0.4
    await clock.run(60)
    found = judged(sampler, guard)
    assert (found.verdict, round(found.value or 0, 6)) == (Verdict.FAIL, 0.4)
    await sampler.close()


async def test_a_query_of_ones_own_may_be_the_mean_that_evidence_is_gathered_of():
    clock = FakeClock()
    source = Evaluating(clock)
    source.canary = 0.5
    query = json.dumps({"promQL": {"query": PODS}})
    guard = GuardSpec("own", SequentialMean(0.1, 0.01), query=query)
    sampler = Sampler(clock, lambda _: source, lambda _: None)
    sampler.subscribe(("shop", "web"), (guard,), ARMS, clock.now())
    await clock.run(300)
    (reading,) = sampler.readings(("shop", "web"))
    assert reading.error == ""
    canary = sum(block.canary for block in reading.blocks)
    assert canary >= 50
    assert sum(block.canary_bad for block in reading.blocks) == pytest.approx(0.5 * canary)
    assert sum(block.stable_bad for block in reading.blocks) == 0
    await sampler.close()


async def test_too_few_values_are_inconclusive():
    clock = FakeClock()
    source = Evaluating(clock)
    sampler, guard = sampled(source, clock)
    await clock.run(11)
    assert judged(sampler, guard).verdict in (Verdict.INCONCLUSIVE, Verdict.NO_DATA)
    await sampler.close()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
async def test_values_that_are_no_share_never_pass(value):
    clock = FakeClock()
    source = Evaluating(clock)
    source.canary = value
    sampler, guard = sampled(source, clock)
    await clock.run(40)
    assert judged(sampler, guard).verdict is Verdict.NO_DATA
    await sampler.close()


async def test_more_than_one_series_is_an_error_that_says_what_to_do():
    clock = FakeClock()
    source = Evaluating(clock)
    source.series = 2
    sampler, guard = sampled(source, clock)
    await clock.run(40)
    assert judged(sampler, guard).verdict is Verdict.NO_DATA
    assert "aggregate" in sampler.details(("shop", "web"))["own"]
    await sampler.close()


async def test_a_source_that_does_not_allow_it_is_named():
    clock = FakeClock()
    source = Evaluating(clock)
    source.error = "Refused"
    sampler, guard = sampled(source, clock)
    await clock.run(40)
    assert judged(sampler, guard).verdict is Verdict.NO_DATA
    assert sampler.details(("shop", "web")) == {"own": "why not"}
    await sampler.close()


async def test_a_query_is_asked_about_once_a_step():
    clock = FakeClock()
    source = Evaluating(clock)
    sampler, _ = sampled(source, clock)
    await clock.run(30)
    before = len(source.asked)
    await clock.run(50)
    assert 20 <= len(source.asked) - before <= 50
    assert {step for _, _, step in source.asked} == {5.0}
    await sampler.close()
