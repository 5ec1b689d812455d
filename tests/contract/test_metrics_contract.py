"""What every MetricsSource must do, run here against FakeMetrics and the Prometheus adapter.

The adapter talks to a server on loopback that answers as Prometheus does, from FakeMetrics' data. A
suite on the real cluster inherits from MetricsContract too: it gives `source`, and `known`, the
name of a metric that is sampled each second.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from leadsman.adapters.prometheus import Prometheus
from leadsman.ports import MetricsSource
from leadsman.testing import FakeMetrics

from .served import prometheus


class MetricsContract:
    """The port's rules. `source` and `known` are fixtures of the inheriting class."""

    async def test_it_is_the_port(self, source: MetricsSource) -> None:
        assert isinstance(source, MetricsSource)

    async def test_series_carry_their_name_and_samples_in_time_order(
        self, source: MetricsSource, known: str
    ) -> None:
        answer = await source.range(known, 8)
        assert answer.error == ""
        assert answer.series
        for series in answer.series:
            times = [sample.time for sample in series.samples]
            assert series.labels["__name__"] == known
            assert times == sorted(set(times))
            assert 6 <= len(times) <= 9

    async def test_only_samples_of_the_asked_seconds_come(
        self, source: MetricsSource, known: str
    ) -> None:
        answer = await source.range(known, 2.5)
        assert answer.series
        for series in answer.series:
            times = [sample.time for sample in series.samples]
            assert times[-1] - times[0] < 2.5
            assert len(times) <= 3

    async def test_times_are_whole_milliseconds(self, source: MetricsSource, known: str) -> None:
        answer = await source.range(known, 5)
        times = [sample.time for series in answer.series for sample in series.samples]
        assert times
        assert all(time == round(time, 3) for time in times)

    async def test_regular_expressions_are_anchored(
        self, source: MetricsSource, known: str
    ) -> None:
        whole = await source.range(f'{{__name__=~"{known}"}}', 5)
        part = await source.range(f'{{__name__=~"{known[:-1]}"}}', 5)
        assert whole.series
        assert (part.error, part.series) == ("", ())

    async def test_an_absent_label_matches_the_empty_alternative(
        self, source: MetricsSource, known: str
    ) -> None:
        answer = await source.range(f'{{__name__="{known}",le=~"|0\\\\.25"}}', 5)
        assert answer.series

    async def test_what_nobody_measures_is_empty_and_no_error(self, source: MetricsSource) -> None:
        answer = await source.range("leadsman_nobody_measures_this", 5)
        assert (answer.error, answer.series) == ("", ())

    @pytest.mark.parametrize("selector", ["", "{", 'x{a="b"', "x{}}", 'x{a=~"("}', "1x"])
    async def test_a_selector_that_does_not_parse_is_a_bad_request(
        self, source: MetricsSource, selector: str
    ) -> None:
        answer = await source.range(selector, 5)
        assert (answer.error, answer.series) == ("BadRequest", ())

    async def test_asking_after_an_error_works(self, source: MetricsSource, known: str) -> None:
        await source.range("{", 5)
        assert (await source.range(known, 5)).series

    async def test_closing_twice_is_harmless(self, source: MetricsSource) -> None:
        await source.close()
        await source.close()


class TestFakeMetrics(MetricsContract):
    @pytest.fixture
    def source(self, metrics: FakeMetrics) -> FakeMetrics:
        return metrics


class TestPrometheusAdapter(MetricsContract):
    @pytest.fixture
    async def source(self, metrics: FakeMetrics) -> AsyncIterator[Prometheus]:
        async with prometheus(metrics) as adapter:
            yield adapter
