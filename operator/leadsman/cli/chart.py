"""A chart of gathered evidence as SVG: the e-value with its limit, and the interval for the ratio.

Written by hand, element by element: two panels of lines need no library, and the file is small,
crisp at any size, and the same bytes from the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from xml.sax.saxutils import escape

LN10 = 2.302585092994046
WIDTH, HEIGHT = 760, 452
LEFT, RIGHT = 66, 96
TOP_PANEL = (76, 228)
LOW_PANEL = (274, 404)
INK, FAINT, GRID = "#1f2933", "#627282", "#e4e9ee"
EVIDENCE, LIMIT, BAND = "#1f6feb", "#c4320a", "#7a5af8"
NARROWEST = 0.25


@dataclass(frozen=True, slots=True)
class Point:
    """One block's end: seconds since the start, ln of the e-value, the ratio and its interval."""

    at: float
    log_e: float
    estimate: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn: `log_limit` is ln of the e-value at which the guard fails.

    `tolerated`: the ratio up to which a canary is accepted. `stages`: (seconds, label) of each
    weight. `others`: thin lines behind the main one, of other releases.
    """

    title: str
    points: Sequence[Point]
    log_limit: float
    tolerated: float = 1.0
    stages: Sequence[tuple[float, str]] = ()
    others: Sequence[Sequence[Point]] = ()


def draw(chart: Chart) -> str:
    """Return the SVG; raises ValueError without a point."""
    if not chart.points:
        raise ValueError("there is no evidence to draw")
    every = [point for line in (chart.points, *chart.others) for point in line]
    end = max(1.0, *(point.at for point in every))
    across = Axis(0.0, end, LEFT, WIDTH - RIGHT)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="12"'
        f' role="img" aria-label="{_safe(chart.title)}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 22, chart.title, size=14, weight="600"),
    ]
    parts += _stages(chart, across)
    parts += _evidence(chart, every, across)
    parts += _ratio(chart, across)
    parts += _minutes(across, end)
    return "\n".join([*parts, "</svg>", ""])


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to places."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value, kept inside."""
        inside = min(max(value, self.low), self.high)
        share = (inside - self.low) / (self.high - self.low)
        return self.start + (self.end - self.start) * share


def _stages(chart: Chart, across: Axis) -> list[str]:
    parts = []
    for at, label in chart.stages:
        x = across(at)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP_PANEL[0] - 8}" y2="{LOW_PANEL[1]}"'
            f' stroke="{FAINT}" stroke-width="0.8" stroke-dasharray="2 3"/>'
        )
        parts.append(_text(x + 3, TOP_PANEL[0] - 3, label, fill=FAINT, size=11))
    return parts


def _evidence(chart: Chart, every: list[Point], across: Axis) -> list[str]:
    limit = chart.log_limit / LN10
    values = [point.log_e / LN10 for point in every if isfinite(point.log_e)]
    high = max(ceil(max(*values, limit) + NARROWEST), 1)
    low = min(floor(min(values, default=0.0)), -1)
    up = Axis(max(low, -6), min(high, 12), TOP_PANEL[1], TOP_PANEL[0])
    step = max(1, round((up.high - up.low) / 6))
    parts = _grid([(10**n, up(n)) for n in range(ceil(up.low), floor(up.high) + 1, step)])
    parts.append(_heading(TOP_PANEL, "evidence of harm (e-value)"))
    for line in chart.others:
        parts.append(
            _line([(across(one.at), up(one.log_e / LN10)) for one in line], "#b6c2cf", 0.9)
        )
    y = up(limit)
    parts.append(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{LIMIT}"'
        ' stroke-width="1.6" stroke-dasharray="6 3"/>'
    )
    parts.append(_text(WIDTH - RIGHT + 5, y + 4, f"limit {10**limit:.3g}", fill=LIMIT))
    parts.append(
        _line([(across(one.at), up(one.log_e / LN10)) for one in chart.points], EVIDENCE, 2)
    )
    last = chart.points[-1]
    place = up(last.log_e / LN10)
    if abs(place - y) > 13:
        parts.append(
            _text(WIDTH - RIGHT + 5, place + 4, f"{_power(last.log_e / LN10)}", fill=EVIDENCE)
        )
    return parts


def _ratio(chart: Chart, across: Axis) -> list[str]:
    shown = [one for one in chart.points if one.estimate is not None and one.estimate > 0]
    # No range is asked of the first blocks, whose interval is everything.
    settled = shown[len(shown) // 5 :]
    ends = [
        value
        for one in settled
        for value in (one.low, one.high, one.estimate)
        if value is not None and isfinite(value) and value > 0
    ]
    low = min([*ends, chart.tolerated / 2])
    high = max([*ends, chart.tolerated * 2])
    up = Axis(log10(max(low, 0.05)), log10(min(high, 50.0)), LOW_PANEL[1], LOW_PANEL[0])
    marks = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 10, 20, 50)
    parts = _grid([(mark, up(log10(mark))) for mark in marks if up.low <= log10(mark) <= up.high])
    parts.append(_heading(LOW_PANEL, "canary's rate in units of stable's, with its interval"))
    band = [one for one in shown if one.low is not None and one.high is not None]
    if band:
        upper = [(across(one.at), up(_log(one.high))) for one in band]
        lower = [(across(one.at), up(_log(one.low))) for one in reversed(band)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*upper, *lower])
        parts.append(f'<polygon points="{path}" fill="{BAND}" fill-opacity="0.16"/>')
    y = up(log10(chart.tolerated))
    parts.append(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{INK}"'
        ' stroke-width="1" stroke-dasharray="6 3"/>'
    )
    parts.append(_text(WIDTH - RIGHT + 5, y + 4, f"accepted {chart.tolerated:g}"))
    parts.append(_line([(across(one.at), up(_log(one.estimate))) for one in shown], BAND, 2))
    return parts


def _minutes(across: Axis, end: float) -> list[str]:
    step = next(
        (one for one in (15, 30, 60, 120, 300, 600, 1200, 3600, 14400) if end / one <= 9), 86400
    )
    parts = []
    for number in range(int(end // step) + 1):
        label = f"{number * step / 60:g}"
        parts.append(
            _text(across(number * step), LOW_PANEL[1] + 17, label, fill=FAINT, anchor="middle")
        )
    parts.append(_text(WIDTH - RIGHT, LOW_PANEL[1] + 34, "minutes", fill=FAINT, anchor="end"))
    return parts


def _grid(marks: Iterable[tuple[float, float]]) -> list[str]:
    parts = []
    for value, y in marks:
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>'
        )
        label = f"{value:g}" if 1e-3 <= value < 1e5 else f"1e{log10(value):.0f}"
        parts.append(_text(LEFT - 7, y + 4, label, fill=FAINT, anchor="end"))
    return parts


def _heading(panel: tuple[int, int], text: str) -> str:
    return _text(LEFT, panel[0] - 24, text, fill=FAINT)


def _line(places: Sequence[tuple[float, float]], colour: str, width: float) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"'
        ' stroke-linejoin="round"/>'
    )


def _text(
    x: float,
    y: float,
    text: str,
    *,
    fill: str = INK,
    size: int = 12,
    weight: str = "400",
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" font-size="{size}" font-weight="{weight}"'
        f' text-anchor="{anchor}">{_safe(text)}</text>'
    )


def _safe(text: str) -> str:
    return escape(text, {'"': "&quot;"})


def _log(value: float | None) -> float:
    if value is None or value <= 0:
        return -9.0
    return log10(value) if isfinite(value) else 9.0


def _power(exponent: float) -> str:
    return f"{10**exponent:.3g}" if -3 <= exponent < 5 else f"1e{exponent:.0f}"
