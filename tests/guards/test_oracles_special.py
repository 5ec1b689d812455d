"""scipy's special functions as oracles of the engine's own arithmetic.

The engine may use the standard library only, so it has its own incomplete beta integral, mixtures
in logarithms and closed forms. Here each is compared with what scipy gives, over the whole range
that releases can reach.
"""

from __future__ import annotations

import math
from math import exp, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from leadsman.guards import gauges, power
from leadsman.guards.absolute import AbsoluteSettings, beta_prior, log_beta, log_beta_below
from leadsman.guards.blocks import Block
from leadsman.guards.eprocess import RatioSettings, divergence, empty, update
from leadsman.guards.gauges import MeanState
from leadsman.guards.intervals import quantile_sample_size, wilson, z_of
from leadsman.guards.share import log_evidence_of_counts

SHAPES = st.floats(-3, 5).map(lambda exponent: 10**exponent)
SMALLEST = 1e-290
"""Below this a float is no longer exact, and scipy's integral not either."""


@settings(max_examples=80, deadline=None)
@given(SHAPES, SHAPES, st.floats(1e-9, 1 - 1e-9))
def test_the_incomplete_beta_integral_over_eight_decades(a, b, x):
    share = float(special.betainc(a, b, x))
    found = log_beta_below(a, b, x) - log_beta(a, b)
    assert log_beta(a, b) == pytest.approx(float(special.betaln(a, b)), rel=1e-9, abs=1e-9)
    if share > SMALLEST:
        assert found == pytest.approx(log(share), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-1, 4).map(lambda e: 10**e),
    st.floats(-1, 4).map(lambda e: 10**e),
    st.floats(1e-6, 1 - 1e-6),
)
def test_at_a_quantile_of_the_beta_law_the_integral_is_its_share(a, b, share):
    x = float(special.betaincinv(a, b, share))
    if 1e-280 < x < 1 - 1e-9:
        assert log_beta_below(a, b, x) - log_beta(a, b) == pytest.approx(log(share), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 100_000), st.floats(0, 1), st.floats(1e-5, 0.999))
def test_a_binomial_tail_is_the_integral(n, part, p):
    at_least = 1 + int(part * (n - 1))
    tail = float(special.bdtrc(at_least - 1, n, p))
    if tail > SMALLEST:
        a, b = at_least, n - at_least + 1
        assert log_beta_below(a, b, p) - log_beta(a, b) == pytest.approx(log(tail), abs=1e-6)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1 - 1e-9])
def test_normal_quantiles(level):
    assert z_of(level) == pytest.approx(float(special.ndtri((1 + level) / 2)), rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 100_000), st.floats(0, 1), st.sampled_from([0.9, 0.95, 0.999]))
def test_at_wilsons_ends_the_score_test_is_just_at_its_limit(total, part, level):
    bad = round(total * part)
    for end in wilson(bad, total, level):
        if 0 < end < 1:
            score = abs(bad / total - end) / math.sqrt(end * (1 - end) / total)
            assert score == pytest.approx(float(special.ndtri((1 + level) / 2)), rel=1e-5)


COUNTS = st.tuples(
    st.integers(1, 20_000), st.floats(0, 1), st.integers(1, 20_000), st.floats(0, 1)
).map(lambda c: (c[0], round(c[0] * c[1] ** 4), c[2], round(c[2] * c[3] ** 4)))


@settings(max_examples=40, deadline=None)
@given(st.lists(COUNTS, min_size=1, max_size=6), st.sampled_from([0.0, 0.25]), st.booleans())
def test_the_e_process_is_a_mixture_of_binomial_likelihood_ratios(rows, tolerance, two_sided):
    rules = RatioSettings(0.01, tolerance=tolerance, stages=3, two_sided=two_sided)
    state = empty(rules)
    for index, row in enumerate(rows):
        state = update(rules, state, Block(index + 1.0, index + 2.0, *row), index // 2)
    assert state.log_e == pytest.approx(mixture(rows, tolerance, two_sided), rel=1e-9, abs=1e-9)


def mixture(rows, tolerance, two_sided):
    """Return ln of 0.6 of the whole and 0.4 / 3 of what came since each stage of two rows began."""
    ratios = [(1 + tolerance, (1 + tolerance) * r) for r in (1.2, 1.5, 2, 3, 6, 20)]
    if two_sided:
        ratios += [(1 / null, 1 / worse) for null, worse in ratios]
    terms = [(0.6, rows), (0.4 / 3, rows), (0.4 / 3, rows[2:]), (0.4 / 3, rows[4:])]
    parts = [
        [weight / len(ratios) for weight, _ in terms for _ in ratios],
        [
            sum(log_binomial(row, worse) - log_binomial(row, null) for row in since)
            for _, since in terms
            for null, worse in ratios
        ],
    ]
    return float(special.logsumexp(parts[1], b=parts[0]))


def log_binomial(row, ratio):
    """Return ln of the chance that so many of a block's bad events are the canary's."""
    n_c, e_c, n_b, e_b = row
    p = ratio * n_c / (ratio * n_c + n_b)
    return float(special.xlogy(e_c, p) + special.xlog1py(e_b, -p))


@pytest.mark.parametrize("ratio", [1.2, 2.0, 6.0, 20.0])
@pytest.mark.parametrize("arms", [(1, 19), (5, 15), (10, 10), (30, 70), (300, 700)])
def test_given_the_bad_events_of_a_block_the_exact_law_gives_the_evidence_at_most_one(arms, ratio):
    # Requests that are drawn without replacement (hypergeometric) and not by a coin: Hoeffding.
    canary, stable = arms
    rules = RatioSettings(0.01, grid=(ratio,))
    for bad in {1, 2, (canary + stable) // 10, canary + stable}:
        if bad <= 0:
            continue
        law, logs = [], []
        for x in range(max(0, bad - stable), min(canary, bad) + 1):
            law.append(log_choose(canary, x) + log_choose(stable, bad - x))
            block = Block(1.0, 2.0, canary, x, stable, bad - x)
            logs.append(update(rules, empty(rules), block, 0).log_e)
        law = [value - float(special.logsumexp(law)) for value in law]
        total = special.logsumexp([a + b for a, b in zip(law, logs, strict=True)])
        assert float(total) <= 1e-9


def log_choose(n, k):
    return -log(n + 1) - float(special.betaln(n - k + 1, k + 1))


@settings(max_examples=40, deadline=None)
@given(st.floats(1e-6, 1 - 1e-6), st.floats(0.05, 50))
def test_the_information_of_a_bad_event_is_the_relative_entropy(p, step):
    q = p * step / (p * step + 1 - p)
    entropy = special.rel_entr(q, p) + special.rel_entr(1 - q, 1 - p)
    assert divergence(step, p) == pytest.approx(float(entropy), rel=1e-6, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0.01, 1)), min_size=2, max_size=5))
def test_the_evidence_about_shares_is_the_dirichlet_multinomial(cells):
    whole = math.fsum(share for _, share in cells)
    counts, shares = [c for c, _ in cells], [share / whole for _, share in cells]
    # Polya's urn, cell by cell: each is a beta-binomial of what the cells before have left.
    found, k, n = 0.0, 100.0, sum(counts)
    for count, share in zip(counts[:-1], shares[:-1], strict=True):
        a, b = 100 * share, k - 100 * share
        found += float(special.betaln(a + count, b + n - count) - special.betaln(a, b))
        k, n = b, n - count
    found -= math.fsum(float(special.xlogy(c, p)) for c, p in zip(counts, shares, strict=True))
    assert log_evidence_of_counts(counts, shares) == pytest.approx(found, rel=1e-8, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 2000), st.floats(0.01, 100), st.sampled_from([0.01, 0.05]))
def test_the_anytime_t_is_wider_than_students_interval_which_holds_for_one_look(
    pairs, deviation, alpha
):
    state = MeanState(1.0, pairs, 0.0, deviation**2 * (pairs - 1))
    error = deviation / math.sqrt(pairs)
    student = float(special.stdtrit(pairs - 1, 1 - alpha / 2)) * error
    assert student < gauges.t_radius(state, alpha)


@settings(max_examples=40, deadline=None)
@given(st.integers(20, 2000), st.floats(-5, 5), st.floats(0.01, 100), st.sampled_from([1, 5]))
def test_at_the_ends_of_the_anytime_t_its_evidence_is_just_enough(pairs, mean, deviation, g):
    state = MeanState(1.0, pairs, mean, deviation**2 * (pairs - 1))
    radius = gauges.t_radius(state, 0.05, g)
    for end in (mean - radius, mean + radius):
        assert gauges.t_log_evidence(state, end, g) == pytest.approx(log(20), abs=1e-6)


@pytest.mark.parametrize(("alpha", "strength"), [(0.05, 0.9), (0.01, 0.8)])
def test_requests_for_a_quantile_use_the_normal_quantiles(alpha, strength):
    found = quantile_sample_size(0.95, 0.001, 5, alpha, strength)
    z = float(special.ndtri(1 - alpha) + special.ndtri(strength))
    assert found == pytest.approx(z * z * 2 * 0.95 * 0.05 / (0.001 * 5) ** 2, rel=1e-9)


def test_the_prior_of_an_absolute_limit_has_its_mean_at_the_limit():
    for limit in (0.001, 0.05, 0.5):
        a, b = beta_prior(limit, 10.0, 0.05)
        assert a / (a + b) == pytest.approx(limit)
        rules = AbsoluteSettings(0.01, limit)
        above = log_beta(*rules.prior) + log(special.betaincc(*rules.prior, limit))
        assert rules.start == pytest.approx(above, abs=1e-9)


def test_the_minutes_to_detect_are_those_of_the_entropy():
    rules = RatioSettings(0.01, stages=4)
    weight, rate, requests, ratio = 0.05, 0.005, 50.0, 2.0
    q = ratio * weight / (ratio * weight + 1 - weight)
    nats = float(special.rel_entr(q, weight) + special.rel_entr(1 - q, 1 - weight))
    bad = 60 * requests * rate * (weight * ratio + 1 - weight)
    expected = (log(100) + log(6 / 0.6)) / (bad * nats)
    found = power.minutes_to_detect(rules, ratio, requests, rate, weight)
    assert found == pytest.approx(expected, rel=1e-9)
    assert exp(-power.target(rules)) == pytest.approx(0.01 * 0.6 / 6)
