"""statsmodels and scipy.stats as oracles: intervals for shares, pooled ratios, ranks, Student's t.

Their import takes more than a second, so it waits for the first of these tests to run and is paid
by one process only. statsmodels' score interval for two shares is not asked: its ends are not
those of the constrained likelihood, which `test_reference_tables` finds by itself.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from leadsman.guards import gauges
from leadsman.guards.blocks import Block
from leadsman.guards.eprocess import RatioSettings, empty, mh_ratio, update
from leadsman.guards.gauges import MeanState
from leadsman.guards.intervals import newcombe, wilson
from tests.guards.reference import ranks
from tests.guards.reference.observations import FIRST_FIFTEEN, NINETY


@pytest.fixture(scope="module")
def stats():
    return import_module("scipy.stats")


@pytest.fixture(scope="module")
def proportion(stats):
    return import_module("statsmodels.stats.proportion")


TOTALS = (1, 2, 29, 148, 1000, 250_000)
PARTS = (0.0, 0.003, 0.05, 0.5, 0.97, 1.0)
SAMPLES = sorted({(round(total * part), total) for total in TOTALS for part in PARTS})


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_wilson_is_that_of_statsmodels_and_of_scipy(proportion, stats, level):
    bad, total = (np.array(column) for column in zip(*SAMPLES, strict=True))
    low, high = proportion.proportion_confint(bad, total, 1 - level, method="wilson")
    found = np.array([wilson(*sample, level) for sample in SAMPLES])
    assert found[:, 0] == pytest.approx(low, abs=1e-12)
    assert found[:, 1] == pytest.approx(high, abs=1e-12)
    for sample in SAMPLES[::4]:
        other = stats.binomtest(*sample).proportion_ci(level, method="wilson")
        assert wilson(*sample, level) == pytest.approx((other.low, other.high), abs=1e-12)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_newcombe_is_that_of_statsmodels(proportion, level):
    for one in SAMPLES[::3]:
        for two in SAMPLES[1::3]:
            expected = proportion.confint_proportions_2indep(
                *one, *two, method="newcomb", compare="diff", alpha=1 - level
            )
            assert newcombe(*one, *two, level) == pytest.approx(expected, abs=1e-12)


def test_the_pooled_ratio_is_mantel_and_haenszels(proportion):
    tables = import_module("statsmodels.stats.contingency_tables")
    rows = [(150, 3, 2850, 13), (300, 6, 2700, 12), (1500, 8, 1500, 7), (40, 0, 960, 4)]
    rules = RatioSettings(0.01)
    state = empty(rules)
    for at, row in enumerate(rows, 1):
        state = update(rules, state, Block(float(at), at + 1.0, *row), 0)
    strata = [np.array([[e_c, n_c - e_c], [e_b, n_b - e_b]]) for n_c, e_c, n_b, e_b in rows]
    pooled = tables.StratifiedTable(strata).riskratio_pooled
    assert state.mh_canary / state.mh_stable == pytest.approx(pooled)
    # What is reported has half an event more on each side, so that it exists with the first event.
    assert mh_ratio(state) == pytest.approx((state.mh_canary + 0.5) / (state.mh_stable + 0.5))


def test_ranks_are_those_of_scipy(stats):
    first = stats.mannwhitneyu(*FIRST_FIFTEEN, use_continuity=True, method="asymptotic")
    assert first.statistic == 83
    assert first.pvalue == pytest.approx(0.2207340496, abs=5e-11)
    for arms in (FIRST_FIFTEEN, NINETY):
        test = stats.mannwhitneyu(*arms, use_continuity=True, method="asymptotic")
        z = ranks.standardised(*arms, 0.5)
        assert 2 * stats.norm.cdf(z) == pytest.approx(test.pvalue, rel=1e-9)


@pytest.mark.parametrize("pairs", [2, 10, 20, 400])
@pytest.mark.parametrize("g", [1.0, 5.0])
def test_the_anytime_t_is_a_ratio_of_two_student_densities(stats, pairs, g):
    # With a normal prior on the effect, the statistic is Student's again, wider by sqrt(1/r).
    ratio = g / (g + pairs)
    for mean in (-0.4, 0.0, 0.03, 2.0):
        state = MeanState(1.0, pairs, mean, 0.7 * (pairs - 1))
        t = mean / np.sqrt(0.7 / pairs)
        wide = stats.t.logpdf(t, pairs - 1, scale=ratio**-0.5)
        expected = wide - stats.t.logpdf(t, pairs - 1)
        assert gauges.t_log_evidence(state, g=g) == pytest.approx(expected, abs=1e-9)
