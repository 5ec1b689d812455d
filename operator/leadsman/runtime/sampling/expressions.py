"""The values of a user's own query, as the counters that everything else is made of.

A query of the user's own gives a value at each of a row of instants, not a counter. Each value is
taken for one event whose badness it is: the events are counted, their badness is added up, and the
share of a window is the mean of the values in it. The instants are whole multiples of a step, so
whoever asks, now or later, gets the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite

from leadsman.adapters.presets.promql import EVENTS, LABEL, VALUE, mark
from leadsman.ports import Answer, Evaluator, MetricsSource, Sample, Series

STEP = 5.0
"""Seconds between the instants at which a query is evaluated."""
LONGEST = 60.0
"""The most seconds that one question reaches back."""


@dataclass(slots=True)
class _Sum:
    time: float = float("-inf")
    events: int = 0
    badness: float = 0.0


class Sums:
    """Adds up the values of all queries of a family, each value once."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sum] = {}

    def keep(self, expressions: set[str]) -> None:
        """Forget the queries that are not asked any more."""
        self._sums = {text: one for text, one in self._sums.items() if text in expressions}

    def counted(self, expression: str, answer: Answer) -> list[Series]:
        """Return the counters of a query's values; NaN, infinite and negative ones are dropped."""
        one = self._sums.setdefault(expression, _Sum())
        events: list[Sample] = []
        values: list[Sample] = []
        for sample in answer.series[0].samples if answer.series else ():
            if sample.time <= one.time or not isfinite(sample.value) or sample.value < 0:
                continue
            one.time = sample.time
            one.events += 1
            one.badness += sample.value
            events.append(Sample(one.time, float(one.events)))
            values.append(Sample(one.time, one.badness))
        labels = {LABEL: mark(expression), "instance": mark(expression)}
        return [
            Series({**labels, "__name__": EVENTS}, tuple(events)),
            Series({**labels, "__name__": VALUE}, tuple(values)),
        ]


async def values_of(source: MetricsSource, expression: str, seconds: float) -> Answer:
    """Ask for a query's values of the last `seconds`; more than one series is an error."""
    if not isinstance(source, Evaluator):
        return Answer(error="Refused", detail="this source answers no queries of one's own")
    answer = await source.evaluate(expression, min(seconds, LONGEST), STEP)
    if len(answer.series) > 1:
        detail = f"the query gives {len(answer.series)} series, not one: aggregate them"
        return replace(answer, series=(), error="WrongType", detail=detail)
    return answer
