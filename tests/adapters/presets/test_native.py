"""Native histograms: exact at the bounds of their buckets, and honest elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsman.adapters.presets.arms import ArmNames, Arms
from leadsman.adapters.presets.native import bounds_there, events_within, taken_apart
from leadsman.adapters.presets.question import shape_of
from leadsman.core.spec import GuardSpec
from leadsman.guards.judges import Threshold, judge
from leadsman.guards.verdict import Reason, Verdict
from leadsman.ports import Answer, Histogram, Sample, Series
from leadsman.runtime.sampler import Sampler
from leadsman.testing.clock import FakeClock

NAME = "http_request_duration_seconds"
LABELS = {"__name__": NAME, "namespace": "shop", "pod": "web-abc-x7k2p", "instance": "10.1.0.7:80"}
ARMS = Arms("shop", ArmNames(replica_sets=("web-abc",)), ArmNames(replica_sets=("web-xyz",)))
QUESTION = '{"latency":{"preset":"Pod","above":"250ms"}}'


def histogram(time, *buckets):
    return Histogram(time, sum(count for *_, count in buckets), buckets)


def native(*histograms, **labels):
    return Series(LABELS | labels, (), histograms)


def counters(answer, *bounds):
    return {
        series.labels["__native__"]: [sample.value for sample in series.samples]
        for series in taken_apart(answer, bounds)
    }


def test_events_up_to_a_bound_of_the_buckets_are_told_exactly():
    one = histogram(1.0, (-1e-128, 1e-128, 2), (0.125, 0.25, 5), (0.25, 0.5, 3))
    two = histogram(2.0, (-1e-128, 1e-128, 2), (0.125, 0.25, 9), (0.5, 1.0, 4))
    found = counters([native(one, two)], "0.25")
    assert found == {"all": [10, 15], "fast": [7, 11]}


def test_a_bucket_with_events_across_the_bound_leaves_nothing_to_count():
    one = histogram(1.0, (0.0625, 0.125, 5), (0.25, 0.5, 3))
    two = histogram(2.0, (0.0625, 0.125, 5), (0.125, 0.25, 1))
    assert counters([native(one)], "0.2") == {"all": [8], "fast": [5]}
    assert counters([native(one, two)], "0.2") == {"all": [0, 0], "fast": []}


def test_bounds_may_differ_in_the_last_digit():
    bound = 2 ** (-27 / 8)
    one = histogram(1.0, (2 ** (-28 / 8), bound, 4), (bound, 2 ** (-26 / 8), 6))
    assert counters([native(one)], f"{bound:.12g}") == {"all": [10], "fast": [4]}


def test_each_number_counts_once_however_it_is_spelled():
    one = histogram(1.0, (0.5, 1.0, 4))
    assert len(taken_apart([native(one)], ["1", "1.0"])) == 2


def test_where_both_forms_are_kept_the_classic_one_counts():
    one = histogram(1.0, (0.125, 0.25, 5))
    classic = Series(LABELS | {"__name__": f"{NAME}_count"}, (Sample(1.0, 5.0),))
    assert taken_apart([native(one), classic], ["0.25"]) == [classic]
    other = native(one, pod="web-abc-zzzzz")
    assert len(taken_apart([native(one), classic, other], ["0.25"])) == 3


def test_the_bounds_that_there_are_can_be_told():
    answer = [native(histogram(1.0, (-1e-3, -1e-4, 1), (0.125, 0.25, 5), (0.25, 0.5, 3)))]
    assert bounds_there(answer) == {"0.125", "0.25", "0.5"}


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=12),
    st.integers(0, 12),
    st.floats(0.01, 100, allow_nan=False),
)
def test_law_what_is_told_is_between_nothing_and_everything(counts, place, bound):
    edges = [2.0**n for n in range(-6, len(counts) - 5)]
    buckets = [
        (low, high, float(count))
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
        if count
    ]
    one = histogram(1.0, *buckets)
    exact = edges[place % len(edges)]
    assert events_within(one, exact) == sum(c for _, high, c in buckets if high <= exact)
    found = events_within(one, bound)
    assert found is None or 0 <= found <= one.count


class Source:
    """Answers with native histograms of both arms that grow by 100 events a second."""

    def __init__(self, clock):
        self.clock = clock
        self.slow = 0
        self.across = False

    async def range(self, selector, seconds):
        if NAME not in selector:
            return Answer()
        now = int(self.clock.now())
        series = []
        for pod in ("web-abc-x7k2p", "web-xyz-9wq4z"):
            slow = self.slow if "abc" in pod else 0
            histograms = tuple(
                histogram(
                    float(at),
                    (0.125, 0.25, 100.0 * (at % 10**6)),
                    (0.25, 0.5, slow * 100.0 * (at % 10**6)),
                    *(((0.2, 0.3, 1.0),) if self.across else ()),
                )
                for at in range(max(now - int(seconds), 0), now + 1)
            )
            series.append(native(*histograms, pod=pod))
        return Answer(series=tuple(series))

    async def close(self):
        pass


@pytest.fixture
async def bed():
    clock = FakeClock()
    source = Source(clock)
    sampler = Sampler(clock, lambda _: source, lambda _: None)
    guard = GuardSpec("slow", Threshold(0.05, 5.0, 50), query=QUESTION)
    sampler.subscribe(("shop", "web"), (guard,), ARMS, clock.now())
    yield clock, source, sampler, guard
    await sampler.close()


def judged(sampler, guard):
    (reading,) = sampler.readings(("shop", "web"))
    return judge(guard.judge, reading)


async def test_slow_events_of_a_native_histogram_fail_a_guard(bed):
    clock, source, sampler, guard = bed
    await clock.run(10)
    assert judged(sampler, guard).verdict is Verdict.PASS
    assert judged(sampler, guard).events == 500
    source.slow = 1
    await clock.run(10)
    found = judged(sampler, guard)
    assert (found.verdict, found.value) == (Verdict.FAIL, 0.5)


async def test_a_bound_that_cannot_be_told_is_no_data_and_names_the_others(bed):
    clock, source, sampler, guard = bed
    source.across = True
    await clock.run(10)
    found = judged(sampler, guard)
    assert found.verdict is Verdict.NO_DATA
    assert found.reason is Reason.NO_SUCH_BUCKET
    assert "no bucket 0.25; there are: 0.125, 0.2, 0.25, 0.3, 0.5" in str(
        sampler.details(("shop", "web"))
    )


async def test_a_bound_that_cannot_be_told_any_more_never_fails_a_guard(bed):
    clock, source, sampler, guard = bed
    await clock.run(10)
    source.across = True
    await clock.run(10)
    found = judged(sampler, guard)
    assert (found.verdict, found.reason) == (Verdict.NO_DATA, Reason.NO_SUCH_BUCKET)


def test_a_histogram_asks_for_both_kinds_in_one_query():
    metrics = shape_of(QUESTION, ARMS).metrics
    assert metrics == (f"{NAME}_count", f"{NAME}_bucket", NAME)
