"""FakeMetrics tells what the cluster's traffic was, and fails in every way that a source can."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from leadsman.ports import HTTPROUTE, MetricsSource, Ref
from leadsman.testing import FakeKube, FakeMetrics
from tests.testing.manifests import deployment, route, service

TRAEFIK = 'traefik_service_requests_total{service=~"httproute-default-shop-.+"}'


@pytest.fixture
def metrics(kube: FakeKube) -> FakeMetrics:
    for manifest in (deployment(replicas=2), service(), route()):
        kube.user_apply(manifest)
    kube.advance(2)
    made = FakeMetrics(kube)
    made.route_load("default", "shop", 100)
    return made


def increase(answer, **labels):
    total = 0.0
    for series in answer.series:
        if all(series.labels.get(key) == value for key, value in labels.items()):
            values = [sample.value for sample in series.samples]
            total += values[-1] - values[0]
    return total


def test_it_is_the_port(metrics: FakeMetrics) -> None:
    assert isinstance(metrics, MetricsSource)


async def test_requests_are_counted_where_the_gateway_sends_them(kube, metrics) -> None:
    kube.user_apply(service("other"))
    kube.user_apply(route(("shop", 75), ("other", 25)))
    kube.advance(30)
    answer = await metrics.range(TRAEFIK, 10)
    by_service = {series.labels["service"]: series for series in answer.series}
    shares = {
        name.split("-svc-default-")[1].split("@")[0]: series.samples[-1].value
        - series.samples[0].value
        for name, series in by_service.items()
    }
    assert shares == {"shop-0": pytest.approx(75 * 9, abs=1), "other-1": pytest.approx(225, abs=1)}
    assert all(series.labels["code"] == "200" for series in answer.series)


async def test_samples_are_a_second_apart_with_a_phase(kube, metrics) -> None:
    kube.advance(20)
    (series,) = (await metrics.range(TRAEFIK, 5)).series
    times = [sample.time for sample in series.samples]
    assert len(times) == 5
    assert [round(b - a, 3) for a, b in pairwise(times)] == [1.0] * 4
    assert times[-1] % 1 == pytest.approx(metrics.traefik_phase)


async def test_a_sample_is_readable_soon_after_its_scrape_and_not_before(kube, metrics) -> None:
    kube.advance(10)
    moment = metrics.traefik_phase + metrics.readable_after
    kube.advance(moment - 0.001)
    (before,) = (await metrics.range(TRAEFIK, 30)).series
    kube.advance(0.001)
    (after,) = (await metrics.range(TRAEFIK, 30)).series
    assert after.samples[-1].time - before.samples[-1].time == pytest.approx(1.0)


async def test_a_bad_version_fails_in_the_routers_and_the_pods_own_series(kube, metrics) -> None:
    kube.advance(10)
    metrics.set_quality("shop:1", error_rate=0.25)
    kube.advance(20)
    answer = await metrics.range(TRAEFIK, 10)
    assert increase(answer, code="500") == pytest.approx(25 * 9, abs=1)
    assert increase(answer, code="200") == pytest.approx(75 * 9, abs=1)
    own = await metrics.range('demo_requests_total{namespace="default",code="500"}', 10)
    assert len(own.series) == 2
    assert increase(own) == pytest.approx(25 * 9, abs=2)


async def test_an_error_before_the_change_never_counts(kube, metrics) -> None:
    kube.advance(10)
    metrics.set_quality("shop:1", error_rate=1.0)
    kube.advance(5)
    metrics.set_quality("shop:1", error_rate=0.0)
    kube.advance(60)
    assert metrics.count(code="500") == 500


async def test_slow_answers_are_in_the_buckets_above(kube, metrics) -> None:
    metrics.set_quality("shop:1", slow=0.5, slow_seconds=0.3)
    kube.advance(20)
    buckets = 'traefik_service_request_duration_seconds_bucket{le=~"0.25|0.5|[+]Inf"}'
    answer = await metrics.range(buckets, 10)
    assert increase(answer, le="0.25") == pytest.approx(450, abs=1)
    assert increase(answer, le="0.5") == pytest.approx(900, abs=1)
    assert increase(answer, le="+Inf") == pytest.approx(900, abs=1)


async def test_a_backend_without_endpoints_shows_in_the_routers_series_only(kube, metrics) -> None:
    kube.user_apply(service("shop-canary", nobody="here"))
    kube.user_apply(route(("shop", 80), ("shop-canary", 20)))
    kube.advance(20)
    answer = await metrics.range(TRAEFIK, 10)
    assert increase(answer, code="503") == pytest.approx(180, abs=1)
    own = await metrics.range("demo_requests_total", 10)
    assert increase(own) == pytest.approx(720, abs=2)


async def test_callers_past_the_router_are_in_the_pods_series_only(kube, metrics) -> None:
    kube.advance(10)
    metrics.service_load("default", "shop", 50)
    kube.advance(30)
    own = await metrics.range("demo_requests_total", 10)
    assert increase(own) == pytest.approx(150 * 9, abs=2)
    assert increase(await metrics.range(TRAEFIK, 10)) == pytest.approx(900, abs=1)


async def test_a_restarted_container_counts_from_zero(kube, metrics) -> None:
    kube.advance(30)
    name = kube.pods("default")[0]["metadata"]["name"]
    before = metrics.pod_count(pod=name)
    kube.kubelet.crash("default", name)
    kube.advance(5)
    assert metrics.pod_count(pod=name) < before


async def test_a_pod_that_is_gone_gives_no_new_samples(kube, metrics) -> None:
    kube.advance(10)
    kube.user_scale("default", "shop", 1)
    kube.advance(30)
    assert len((await metrics.range("demo_requests_total", 5)).series) == 2
    assert len((await metrics.range("demo_requests_total", 60)).series) == 4


@pytest.mark.parametrize("error", ["Timeout", "BadJSON", "ServerError", "TooLarge"])
async def test_an_injected_error_is_the_answer(metrics, error) -> None:
    metrics.faults.error = error
    answer = await metrics.range(TRAEFIK, 5)
    assert answer.error == error
    assert answer.series == ()


async def test_empty_nan_stale_and_reset(kube, metrics) -> None:
    kube.advance(20)
    metrics.faults.empty = True
    assert (await metrics.range(TRAEFIK, 5)).series == ()
    metrics.faults.empty = False
    metrics.faults.nan = True
    (series,) = (await metrics.range(TRAEFIK, 5)).series
    assert all(math.isnan(sample.value) for sample in series.samples)
    metrics.faults.nan = False
    metrics.faults.frozen_at = kube.clock.now()
    kube.advance(4)
    (series,) = (await metrics.range(TRAEFIK, 10)).series
    assert series.samples[-1].time <= metrics.faults.frozen_at
    metrics.faults.frozen_at = None
    metrics.reset_counters()
    kube.advance(3)
    (series,) = (await metrics.range(TRAEFIK, 6)).series
    values = [sample.value for sample in series.samples]
    assert values != sorted(values)


@pytest.mark.parametrize(
    "wrong", ["", "{", 'a{b="c"', 'a{b=~"("}', 'rate(a{b="c"}[5m])', 'a{b="c"} or d']
)
async def test_what_is_not_a_selector_is_a_bad_request(metrics, wrong) -> None:
    assert (await metrics.range(wrong, 5)).error == "BadRequest"


async def test_names_by_alternation(kube, metrics) -> None:
    kube.advance(10)
    both = '{__name__=~"traefik_service_requests_total|demo_requests_total",code!~"5.."}'
    answer = await metrics.range(both, 5)
    names = {series.labels["__name__"] for series in answer.series}
    assert names == {"traefik_service_requests_total", "demo_requests_total"}


async def test_an_idle_hour_costs_nothing(kube, metrics) -> None:
    kube.advance(3600)
    assert metrics.count() == pytest.approx(100 * 3600, rel=0.01)
    assert kube.gateway.programmed(Ref(HTTPROUTE, "default", "shop")) is not None
