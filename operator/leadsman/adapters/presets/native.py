"""Native histograms, taken apart into the two counters that a guard needs.

A native histogram is one series with all its buckets in each sample; a classic one is a series for
the count and one for each bucket. For every bound that is asked for, a native histogram becomes a
counter of all events and one of those up to the bound, and from there on the two kinds are the
same. The share is exact or there is none: where a bucket that holds events reaches across the bound
nobody can say how many of them were slower, so nothing is counted then. Bounds of the
exponential buckets are the powers of two and what lies between them by the schema: 250 ms, 500 ms
and 1 s always are, 100 ms and 300 ms never.

Where a server is kept in both forms (an option of the scrape), the classic one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from leadsman.adapters.presets.shape import NATIVE, NATIVE_ALL, NATIVE_FAST
from leadsman.ports import Histogram, Sample, Series

_EQUAL = 1e-9
"""Relative difference below which two bounds are the same: both went through decimal text."""


def taken_apart(answer: Sequence[Series], bounds: Iterable[str]) -> list[Series]:
    """Return the series, native histograms replaced by their counters for these bounds.

    Where a bound cannot be told exactly (any more), the counter of all events stands at zero, which
    says that it is there and counts nothing, and the other one has no samples.
    """
    if not any(series.histograms for series in answer):
        return list(answer)
    # One spelling of each number, or its events would count once for every spelling.
    wanted = tuple({float(bound): bound for bound in sorted(bounds)}.values())
    classic = {_twin(series.labels) for series in answer if not series.histograms}
    found: list[Series] = []
    for series in answer:
        if not series.histograms:
            found.append(series)
        elif _identity(series.labels) not in classic:
            for bound in wanted:
                found += _counters(series, bound)
    return found


def bounds_there(answer: Iterable[Series]) -> set[str]:
    """Return the bounds that the native histograms of an answer show."""
    return {
        f"{bound:g}"
        for series in answer
        for histogram in series.histograms[-1:]
        for lower, upper, _ in histogram.buckets
        for bound in (lower, upper)
        if bound > 0
    }


def events_within(histogram: Histogram, bound: float) -> float | None:
    """Return how many events are up to a bound, None if a bucket reaches across it."""
    within = 0.0
    for lower, upper, count in histogram.buckets:
        if upper <= bound * (1 + _EQUAL):
            within += count
        elif lower < bound * (1 - _EQUAL):
            return None
    return within


def _counters(series: Series, bound: str) -> list[Series]:
    labels = {**series.labels, "le": bound}
    fast = [(histogram, events_within(histogram, float(bound))) for histogram in series.histograms]
    if fast[-1][1] is None:
        nothing = tuple(Sample(histogram.time, 0.0) for histogram in series.histograms)
        return [
            Series(labels | {NATIVE: NATIVE_ALL}, nothing),
            Series(labels | {NATIVE: NATIVE_FAST}, ()),
        ]
    exact = [(histogram, within) for histogram, within in fast if within is not None]
    return [
        Series(
            labels | {NATIVE: NATIVE_ALL},
            tuple(Sample(histogram.time, histogram.count) for histogram, _ in exact),
        ),
        Series(
            labels | {NATIVE: NATIVE_FAST},
            tuple(Sample(histogram.time, within) for histogram, within in exact),
        ),
    ]


def _identity(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def _twin(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The labels that a native series would have if this is its classic count."""
    name = labels.get("__name__", "").removesuffix("_count")
    return _identity({**labels, "__name__": name})
