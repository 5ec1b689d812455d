"""The pictures and the figures of docs/verdicts.md, from simulations and bench/results.json.

`python -m bench.pictures` writes docs/images/evidence-*.svg and rules.svg, and the table between
the marks of the page. The same seeds give the same bytes, so a changed picture means that decisions
have changed.
"""

from __future__ import annotations

import json
import sys
from math import log
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from bench.figures import LIMITS
from bench.statistics import terms
from leadsman.cli.chart import BAND, FAINT, GRID, INK, LIMIT, Chart, Point, draw
from leadsman.guards.gathering import figures_of
from leadsman.guards.judges import Sequential
from leadsman.guards.memory import Place
from leadsman.simulation.release import START, Release, horizon
from leadsman.simulation.traffic import Traffic

LIMIT_LOG = log(100)
"""One guard with the whole budget of 1 %."""
IMAGES = Path(__file__).parent.parent / "docs" / "images"
RESULTS = Path(__file__).with_name("results.json")
ROWS = (
    ("Leadsman, sequential", ""),
    ("four failed measurements", "failure_limit_"),
    ("three failures in a row", "consecutive_"),
    ("lower bound below 0, three windows", "lower_bound_"),
)
COLUMNS = (
    ("good, 2 req/s", "false_rollback_2rps"),
    ("good, 50 req/s", "false_rollback_50rps"),
    ("good, 2,000 req/s", "false_rollback_2000rps"),
    ("2 x errors, 50", "miss_x2_50rps"),
    ("1.5 x, 2,000", "miss_x1_5_2000rps"),
)


def course(traffic: Traffic, seed: str) -> tuple[list[Point], list[tuple[float, str]]]:
    """The evidence of one release, block by block, and when its weights began."""
    made = terms()
    release = Release(made, traffic, seed, horizon(made))
    points: list[Point] = []
    stages: list[tuple[float, str]] = []
    judge = made.contract.guards[0].judge
    assert isinstance(judge, Sequential)
    ended = None
    while ended is None:
        ended = release.step()
        attempt = release.status.attempt
        if attempt is not None and attempt.weight:
            label = f"{attempt.max_weight} %"
            if label not in {known for _, known in stages}:
                stages.append((release.now - START, label))
        for one in release.guards:
            figures = figures_of(judge, Place(), one.evidence)
            if one.evidence is None or figures is None or figures.log_e is None:
                continue
            at = one.evidence.at - START
            if not points or points[-1].at < at:
                points.append(Point(at, figures.log_e, figures.estimate, figures.low, figures.high))
    return points, stages


def evidence() -> dict[str, str]:
    """A bad release, and many good ones."""
    bad, stages = course(Traffic(rps=50, ratio=2.0), "picture/7")
    good, good_stages = course(Traffic(rps=50), "picture/good")
    others = [course(Traffic(rps=50), f"picture/{number}")[0] for number in range(24)]
    return {
        "evidence-bad.svg": draw(
            Chart("A canary with twice stable's errors", bad, LIMIT_LOG, 1.0, stages)
        ),
        "evidence-good.svg": draw(
            Chart(
                "A canary as good as stable, and two dozen others (grey)",
                good,
                LIMIT_LOG,
                1.0,
                good_stages,
                others,
            )
        ),
    }


def rules(results: dict[str, Any]) -> str:
    """A table of bars: how often each rule is wrong. Raises KeyError where nothing is measured."""
    left, top, row, wide = 250, 74, 42, 116
    width, height = left + wide * len(COLUMNS) + 16, top + row * len(ROWS) + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="14" y="24" font-size="14" font-weight="600" fill="{INK}">'
        "How often a rule is wrong: good releases rolled back, bad ones promoted</text>",
    ]
    for index, (head, _) in enumerate(COLUMNS):
        x = left + index * wide
        parts.append(f'<text x="{x}" y="{top - 14}" fill="{FAINT}">{escape(head)}</text>')
    for number, (name, prefix) in enumerate(ROWS):
        y = top + number * row
        parts.append(f'<text x="14" y="{y + 16}" fill="{INK}">{escape(name)}</text>')
        for index, (_, key) in enumerate(COLUMNS):
            value = float(results[prefix + key]["value"])
            x = left + index * wide
            bar = (wide - 18) * value / 100
            colour = BAND if not prefix else LIMIT
            parts.append(
                f'<rect x="{x}" y="{y + 20}" width="{wide - 18}" height="9" fill="{GRID}"/>'
            )
            parts.append(
                f'<rect x="{x}" y="{y + 20}" width="{bar:.1f}" height="9" fill="{colour}"/>'
            )
            parts.append(f'<text x="{x}" y="{y + 16}" fill="{INK}">{value:.3g} %</text>')
    return "\n".join([*parts, "</svg>", ""])


FIGURES = (
    ("good releases rolled back, 2 requests/s", "false_rollback_2rps", ""),
    ("good releases rolled back, 50 requests/s", "false_rollback_50rps", ""),
    ("good releases rolled back, 2,000 requests/s", "false_rollback_2000rps", ""),
    ("the same at 50/s, five minutes without data in each stage", "gap_false_rollback", ""),
    *(
        (
            f"the same at {told}/s, the arms differ by 30 %, {kind}, tolerance 25 %",
            f"false_rollback_noise_{rps}rps",
            detail,
        )
        for rps, told in ((50, "50"), (2000, "2,000"))
        for kind, detail in (
            ("anew at each scrape", "white"),
            ("with a memory of five minutes", "correlated"),
        )
    ),
    ("twice the errors at 50/s, promoted", "miss_x2_50rps", ""),
    ("1.5 times the errors at 2,000/s, promoted", "miss_x1_5_2000rps", ""),
    ("twice the errors at 50/s: failed requests beyond a good release", "harm_x2_50rps", ""),
    ("twice the errors at 2,000/s: failed requests beyond a good release", "harm_x2_2000rps", ""),
)
"""What a row of the table says, its key, and the detail of it where a key has several."""
PAGE = IMAGES.parent / "verdicts.md"
BEGIN, END = "<!-- figures: written by python -m bench.pictures -->", "<!-- /figures -->"


def table(results: dict[str, Any]) -> str:
    """The measured figures as a table in Markdown; what is not measured is left out."""
    heads = [name for name, _ in ROWS]
    lines = [f"| | {' | '.join(heads)} | promised |", f"|---|{'---|' * len(heads)}---|"]
    for what, key, detail in FIGURES:
        if key not in results or (detail and detail not in results[key].get("details", {})):
            continue
        cells = [
            _cell(prefix + key, results[prefix + key], detail) if prefix + key in results else ""
            for _, prefix in ROWS
        ]
        limit = LIMITS[key]
        most = f"at most {limit.limit:g} {_unit(limit.unit)}".strip()
        lines.append(f"| {what} | {' | '.join(cells)} | {most} |")
    return "\n".join(lines)


def _cell(key: str, one: dict[str, Any], detail: str) -> str:
    """One figure; where a rule let all releases through that it should have stopped, it says so."""
    details = one.get("details", {})
    told = details[detail] if detail else one
    text = f"{told['value']:.3g} {_unit(one['unit'])}".strip()
    if LIMITS[key].held == "share":
        low, high = told["interval"]
        text = f"{text} ({_bound(low)} to {_bound(high)})"
        if "passed_over" in details:
            return f"{text}; {details['passed_over']['value']:.3g} % where no data is no failure"
        return f"{text}: never rolls back" if "miss_" in key and told["value"] == 100 else text
    missed = details.get("missed", {"value": 0.0})["value"]
    if missed == 100:
        return f"{_whole(told['value'])}: never rolls back"
    return f"{_whole(told['value'])} ({missed:.3g} % promoted)" if missed else text


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _bound(value: float) -> str:
    if 99 < value < 100:
        return f"{value:.4g}"  # rounded to 100 it would be a claim
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _unit(unit: str) -> str:
    return "" if unit == "requests" else unit


def main(measured: Path = RESULTS) -> None:
    """Write what can be written, from a file such as bench/results.json."""
    drawn = evidence()
    results = json.loads(measured.read_text())
    wanted = {prefix + key for _, prefix in ROWS for _, key in COLUMNS}
    assert wanted <= set(LIMITS)
    if wanted <= set(results):
        drawn["rules.svg"] = rules(results)
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}")
    for name, text in drawn.items():
        (IMAGES / name).write_text(text)
        print(f"docs/images/{name}: {len(text)} bytes")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
