"""The mixtures of Howard et al. (2021): their published values, and the engine against them.

Vectors marked R are those of the authors' reference in R; they are tested to the digits given.
"""

from __future__ import annotations

import math
from math import comb, exp, floor, fsum, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadsman.guards import absolute, gauges
from leadsman.guards.absolute import AbsoluteSettings
from tests.guards.reference.mixtures import (
    BetaBinomial,
    GammaExponential,
    GammaPoisson,
    OneSidedNormal,
    TwoSidedNormal,
    bernoulli_interval,
    boundary,
    scale_at,
    two_sided_normal_bound,
)

TWO, ONE = scale_at(100, 0.05), scale_at(100, 2 * 0.05)
HIGHEST = 100 / 0.2
"""No count of 100 / (0.2 * 0.8) events can lead to a larger sum."""


@pytest.mark.parametrize(
    ("mixture", "value", "bound", "digits"),
    [
        (TwoSidedNormal(TWO), -0.6510052, 30.35209, (7, 5)),
        (OneSidedNormal(ONE), -0.06502391, 27.66071, (8, 5)),
        (BetaBinomial(TWO, 0.2, 0.8, one_sided=False), -0.6941012, 31.4308, (7, 4)),
        (BetaBinomial(ONE, 0.2, 0.8, one_sided=True), -0.07134019, 28.41238, (8, 5)),
        (GammaExponential(ONE, 2), -0.2490165, 33.02017, (7, 5)),
        (GammaPoisson(ONE, 2), -0.06991219, 30.1949, (8, 4)),
    ],
    ids=lambda case: type(case).__name__,
)
def test_the_mixtures_that_the_authors_publish(mixture, value, bound, digits):
    # R: tuned for v = 100 at 5 %; ln m(10, 100) and the boundary at v = 100.
    assert mixture.log_value(10, 100) == pytest.approx(value, abs=0.5 * 10 ** -digits[0])
    found = boundary(mixture, 100, 0.05, HIGHEST if isinstance(mixture, BetaBinomial) else None)
    assert found == pytest.approx(bound, abs=0.5 * 10 ** -digits[1])


def test_the_scale_that_is_sharpest_at_a_hundred():
    assert scale_at(100, 0.05) == pytest.approx(12.60056, abs=5e-6)
    assert absolute.normal_scale(100, 0.05) == scale_at(100, 0.05)


@pytest.mark.parametrize(
    ("v", "bound"),
    [(1, 8.410717), (10, 12.43996), (50, 23.842019), (100, 33.562397), (1000, 113.01885)],
)
def test_one_sided_normal_bounds_at_one_percent(v, bound):
    # Tuned for v = 50 at 5 %, which is what the library tunes for whatever alpha is.
    mixture = OneSidedNormal(scale_at(50, 2 * 0.05))
    given_digits = len(str(bound).split(".")[1])
    assert boundary(mixture, v, 0.01) == pytest.approx(bound, abs=0.5 * 10**-given_digits)


@pytest.mark.parametrize(
    ("bad", "total", "tuned", "low", "high"),
    [
        (700, 1000, 100, 651629, 745949),
        (15, 50, 50, 129556, 511896),
        (5, 50, 50, 13021, 269264),
        (1, 50, 50, 0, 134891),
        (100, 200, 1, 328923, 671076),
    ],
)
def test_bernoulli_intervals_to_the_six_digits_that_the_source_cuts_off(
    bad, total, tuned, low, high
):
    # The source cuts and does not round (0.13489 of 0.134891...): so does the comparison.
    for found in (bernoulli_interval(bad, total, 0.05, tuned), engine(bad, total, 0.05, tuned)):
        assert [floor(end * 1e6) for end in found] == [low, high]


@pytest.mark.parametrize(
    ("bad", "total", "alpha", "low", "high"),
    [
        (5, 1000, 0.05, 0.000628030, 0.014676912),
        (12, 3000, 0.05, 0.001252200, 0.008540813),
        (50, 10000, 0.01, 0.002754440, 0.008052728),
    ],
)
def test_bernoulli_intervals_of_small_shares_to_nine_digits(bad, total, alpha, low, high):
    for found in (bernoulli_interval(bad, total, alpha, 1000), engine(bad, total, alpha, 1000)):
        assert found == pytest.approx((low, high), abs=5e-10)


def engine(bad, total, alpha, tuned):
    return absolute.interval(total, bad, alpha, tuned)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 20_000),
    st.floats(0, 1),
    st.sampled_from([0.01, 0.05]),
    st.sampled_from([10.0, 1000.0]),
)
def test_the_engines_interval_is_the_inverted_mixture(total, part, alpha, tuned):
    bad = round(total * part)
    found = engine(bad, total, alpha, tuned)
    assert found == pytest.approx(bernoulli_interval(bad, total, alpha, tuned), abs=2e-9)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([0.001, 0.01, 0.05, 0.3]),
    st.sampled_from([0.001, 0.01, 0.05]),
    st.sampled_from([10.0, 125.0]),
)
def test_the_engines_evidence_against_a_limit_is_the_one_sided_mixture(
    amount, part, limit, alpha, expected
):
    # Not so many events that the reference's integral is too small for a float, as it may be where
    # the data exclude every share above the limit. The engine has it in logarithms.
    total = 1 + int(amount * 600 / -math.log1p(-limit))
    bad = round(total * min(1.0, part * 4 * limit))
    rules = AbsoluteSettings(alpha, limit, expected=expected)
    mixture = BetaBinomial(
        scale_at(expected * (1 - limit), 2 * alpha), limit, 1 - limit, one_sided=True
    )
    found = absolute.log_evidence(rules, total, bad)
    reference = mixture.log_value(bad - total * limit, total * limit * (1 - limit))
    assert found == pytest.approx(reference, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.05])
@pytest.mark.parametrize("rho", [0.5, 12.6, 400.0])
@pytest.mark.parametrize("v", [1.0, 40.0, 1000.0])
def test_the_engines_bound_for_sums_is_the_normal_mixture_or_just_above_it(v, rho, alpha):
    scale = rho**-0.5
    both = gauges.normal_radius(v, alpha, scale, False)
    assert both == pytest.approx(two_sided_normal_bound(rho, v, alpha), rel=1e-12)
    assert both == pytest.approx(boundary(TwoSidedNormal(rho), v, alpha), rel=1e-12)
    # One-sided, the closed form is never below the exact boundary, and hardly above it.
    one, exact = (
        gauges.normal_radius(v, alpha, scale, True),
        boundary(OneSidedNormal(rho), v, alpha),
    )
    assert exact <= one <= 1.03 * exact
    assert one < both


@pytest.mark.parametrize("one_sided", [False, True])
@pytest.mark.parametrize("theta", [0.02, 0.3])
def test_the_beta_binomial_mixture_has_expectation_one_under_its_null(theta, one_sided):
    mixture = BetaBinomial(scale_at(5.0, 0.05), theta, 1 - theta, one_sided)
    for n in (1, 7, 60):
        mean = fsum(
            comb(n, x)
            * theta**x
            * (1 - theta) ** (n - x)
            * exp(mixture.log_value(x - n * theta, n * theta * (1 - theta)))
            for x in range(n + 1)
        )
        assert mean == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("rate", [0.5, 4.0, 30.0])
def test_the_gamma_poisson_mixture_has_expectation_one_for_poisson_counts(rate):
    mixture = GammaPoisson(scale_at(10.0, 0.05), 1.0)
    mean = fsum(
        exp(x * log(rate) - rate - math.lgamma(x + 1) + mixture.log_value(x - rate, rate))
        for x in range(2500)
    )
    assert mean == pytest.approx(1.0, abs=1e-9)


def test_for_rare_events_the_count_bound_is_at_most_the_poisson_one():
    # Binomial counts vary less than Poisson ones with the same mean: the engine's mixture, made
    # for them, refutes a limit with no more bad events than the Poisson mixture needs.
    limit, total = 0.01, 20_000
    scale = scale_at(100, 2 * 0.05)
    binomial = boundary(
        BetaBinomial(scale, limit, 1 - limit, one_sided=True),
        total * limit * (1 - limit),
        0.01,
        total * (1 - limit),
    )
    poisson = boundary(GammaPoisson(scale, 1.0), total * limit, 0.01)
    assert 0.98 * poisson < binomial < poisson
