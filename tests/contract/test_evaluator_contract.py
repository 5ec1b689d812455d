"""What every Evaluator must do, run here against FakeMetrics and the Prometheus adapter.

The adapter talks to a server on loopback that answers as Prometheus does, from FakeMetrics' data. A
suite on the real cluster can inherit from EvaluatorContract too: it gives `source`, `refusing` (the
same source where its administrator allows no queries of one's own) and `known`, the name of a
metric that is sampled each second.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from leadsman.adapters.prometheus import Prometheus
from leadsman.ports import Evaluator, MetricsSource
from leadsman.testing import FakeMetrics

from .served import prometheus


class Source(Evaluator, MetricsSource, Protocol):
    """A source that evaluates expressions has the samples behind them too."""


class EvaluatorContract:
    """The port's rules."""

    async def test_it_is_the_port(self, source: Source) -> None:
        assert isinstance(source, Evaluator)

    @pytest.mark.parametrize(("seconds", "step", "most"), [(10, 2, 5), (12, 5, 3), (3, 1, 3)])
    async def test_values_are_at_whole_multiples_of_the_step(
        self, source: Source, known: str, seconds: float, step: float, most: int
    ) -> None:
        answer = await source.evaluate(known, seconds, step)
        assert answer.error == ""
        assert answer.series
        for series in answer.series:
            times = [sample.time for sample in series.samples]
            assert all(time % step == 0 for time in times)
            assert times == sorted(set(times))
            assert most - 1 <= len(times) <= most

    async def test_a_value_is_the_newest_sample_before_its_instant(
        self, source: Source, known: str
    ) -> None:
        wanted = (await source.evaluate(known, 4, 2)).series
        raw = {
            tuple(sorted(one.labels.items())): one for one in (await source.range(known, 20)).series
        }
        assert wanted
        for series in wanted:
            samples = raw[tuple(sorted(series.labels.items()))].samples
            for value in series.samples:
                before = [one for one in samples if one.time <= value.time]
                assert value.value == before[-1].value

    async def test_what_nobody_measures_is_empty_and_no_error(self, source: Source) -> None:
        answer = await source.evaluate("leadsman_nobody_measures_this", 5, 1)
        assert (answer.error, answer.series) == ("", ())

    @pytest.mark.parametrize("expression", ["", "sum(", 'x{a="b"', "x{}}", 'x{a=~"("}'])
    async def test_an_expression_that_does_not_parse_is_a_bad_request(
        self, source: Source, expression: str
    ) -> None:
        answer = await source.evaluate(expression, 5, 1)
        assert (answer.error, answer.series) == ("BadRequest", ())

    async def test_asking_after_an_error_works(self, source: Source, known: str) -> None:
        await source.evaluate("sum(", 5, 1)
        assert (await source.evaluate(known, 5, 1)).series

    async def test_it_is_refused_where_the_administrator_does_not_allow_it(
        self, refusing: Source, known: str
    ) -> None:
        answer = await refusing.evaluate(known, 5, 1)
        assert (answer.error, answer.series) == ("Refused", ())
        assert (await refusing.range(known, 5)).series


class Expressions:
    """More than a selector: what the source in memory was told to answer."""

    async def test_an_expression_has_one_series_without_a_name(
        self, metrics: FakeMetrics, source: Source
    ) -> None:
        metrics.expressions["sum(a)/sum(b)"] = lambda at: at / 2
        (series,) = (await source.evaluate("sum(a)/sum(b)", 4, 2)).series
        assert dict(series.labels) == {}
        assert len(series.samples) == 2
        assert all(sample.value == sample.time / 2 for sample in series.samples)


class TestFakeMetrics(EvaluatorContract, Expressions):
    @pytest.fixture
    def source(self, metrics: FakeMetrics) -> FakeMetrics:
        return metrics

    @pytest.fixture
    def refusing(self, metrics: FakeMetrics) -> FakeMetrics:
        metrics.takes_expressions = False
        return metrics

    @pytest.mark.parametrize("error", ["Timeout", "ServerError"])
    @pytest.mark.parametrize("expression", ["traefik_service_requests_total", "1 / 2"])
    async def test_a_fault_is_the_answer(
        self, metrics: FakeMetrics, expression: str, error: str
    ) -> None:
        metrics.expressions["1 / 2"] = lambda at: 0.5
        metrics.faults.error = error
        assert (await metrics.evaluate(expression, 5, 1)).error == error


class TestPrometheusAdapter(EvaluatorContract, Expressions):
    @pytest.fixture
    async def source(self, metrics: FakeMetrics) -> AsyncIterator[Prometheus]:
        async with prometheus(metrics, expressions=True) as adapter:
            yield adapter

    @pytest.fixture
    async def refusing(self, metrics: FakeMetrics) -> AsyncIterator[Prometheus]:
        async with prometheus(metrics) as adapter:
            yield adapter
