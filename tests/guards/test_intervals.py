"""Intervals: the published tables (Newcombe 1998a and b), and a histogram worked by hand."""

from __future__ import annotations

from math import erf, exp, inf, pi, sqrt

import pytest

from leadsman.guards.intervals import (
    bucket_density,
    bucket_quantile,
    bucket_quantile_interval,
    bucket_width,
    newcombe,
    quantile_sample_size,
    wilson,
    z_of,
)

BOUNDS = (5, 10, 25, 50, 100, 250, 500, 1000, inf)
SEEN = (0, 0, 120, 500, 880, 996, 1000, 1000, 1000)
LEVEL_OF_1_96 = erf(1.96 / sqrt(2))


@pytest.mark.parametrize(
    ("bad", "total", "low", "high"),
    [
        (81, 263, 0.255288520, 0.366209577),
        (15, 148, 0.062386400, 0.160487242),
        (0, 20, 0, 0.161125158),
        (1, 29, 0.006113214, 0.171755219),
    ],
)
def test_wilson(bad, total, low, high):
    assert wilson(bad, total) == pytest.approx((low, high), abs=5e-10)


@pytest.mark.parametrize(
    ("one", "two", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524315, 0.3338727),
        ((9, 10), (3, 10), 0.1705227, 0.8090180),
        ((6, 7), (2, 7), 0.0582279, 0.8062496),
        ((5, 56), (0, 29), -0.0381371, 0.1925600),
        ((0, 10), (0, 20), -0.1611252, 0.2775328),
        ((10, 10), (0, 20), 0.6790860, 1.0),
    ],
)
def test_newcombe(one, two, low, high):
    assert newcombe(*one, *two) == pytest.approx((low, high), abs=5e-8)


def test_no_events_bound_nothing():
    assert wilson(0, 0) == (0.0, 1.0)
    assert newcombe(0, 0, 1, 10) == (-1.0, 1.0)
    assert bucket_quantile(BOUNDS, (0,) * 9, 0.95) is None
    assert bucket_quantile_interval(BOUNDS, (0,) * 9, 0.95) is None
    assert bucket_quantile((), (), 0.95) is None


def test_a_quantile_and_its_interval_from_buckets():
    assert bucket_quantile(BOUNDS, SEEN, 0.95) == pytest.approx(190.5172414, abs=5e-8)
    found = bucket_quantile_interval(BOUNDS, SEEN, 0.95, LEVEL_OF_1_96)
    assert found == pytest.approx((177.1471610, 204.6011118), abs=5e-8)


def test_a_quantile_beyond_the_last_bound_is_unknown_not_that_bound():
    assert bucket_quantile((1, 2, inf), (1, 2, 9), 0.95) == inf
    low, high = bucket_quantile_interval((1, 2, inf), (10, 100, 101), 0.99)
    assert 1 < low < 2
    assert high == inf


def test_a_difference_below_the_width_of_its_bucket_cannot_be_seen():
    assert bucket_width(BOUNDS, 107) == 150
    assert bucket_width(BOUNDS, 3) == 5
    assert bucket_width((1,), 3) == inf


def test_a_shift_of_a_quantile_is_a_share_of_the_events_in_its_bucket():
    assert bucket_density(BOUNDS, SEEN, 0.95) == pytest.approx(0.116 / 150)
    assert bucket_density((1, 2, inf), (1, 2, 9), 0.95) is None
    assert bucket_density(BOUNDS, (0,) * 9, 0.95) is None
    assert bucket_density((), (), 0.95) is None


@pytest.mark.parametrize(("margin", "requests"), [(1, 317_000), (5, 12_700), (10, 3_200)])
def test_a_millisecond_of_p95_needs_a_third_of_a_million_requests(margin, requests):
    # Lognormal latencies, median 40 ms and sigma 0.6: p95 is 107 ms.
    z = z_of(0.9)
    density = exp(-z * z / 2) / sqrt(2 * pi) / (0.6 * 40 * exp(0.6 * z))
    assert quantile_sample_size(0.95, density, margin) == pytest.approx(requests, rel=0.01)
    assert quantile_sample_size(0.95, 0.0, margin) == inf
