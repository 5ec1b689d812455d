"""The demo as a picture: the canary's share of traffic above, failed requests below, one time axis.

Colours are told apart by people who see few of them, and each version is also named where it is.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from e2e.demo.script import in_words

INK = "#1f2933"
FAINT = "#cbd2d9"
COLOURS = {"v1": "#52606d", "v2": "#0b7285", "v3": "#d9480f"}
WEIGHT = "#0b7285"
FAILED = "#d9480f"


def draw(found: dict[str, Any], folder: Path) -> list[Path]:
    """demo.svg and demo.png in `folder`."""
    mpl.rcParams.update(
        {
            "font.family": "sans-serif",
            "font.size": 10,
            "svg.fonttype": "path",
            "svg.hashsalt": "leadsman",
            "axes.edgecolor": FAINT,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "text.color": INK,
        }
    )
    figure = Figure(figsize=(9.6, 4.8), layout="constrained", facecolor="white")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.3))
    first, last = _span(found)
    _traffic(above, found, first, last)
    _failures(below, found, first)
    below.set_xlim(0, last - first)
    below.set_xlabel("seconds")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "demo.svg", folder / "demo.png"]
    figure.savefig(paths[0], metadata={"Date": None, "Creator": None})
    figure.savefig(paths[1], dpi=144)
    return paths


def _span(found: dict[str, Any]) -> tuple[float, float]:
    """From a little before the first release to the last second of the load."""
    marks = [one["t"] for one in found["moments"]] or [0.0]
    # The last second of the load is cut short by its end.
    seconds = sorted({one["t"] for one in found["seconds"]})[:-1] or [marks[-1] + 10]
    return max(0.0, min(marks) - 4), max(seconds)


def _per_second(found: dict[str, Any], first: float) -> dict[float, dict[str, tuple[int, int]]]:
    made: dict[float, dict[str, tuple[int, int]]] = defaultdict(dict)
    for one in found["seconds"]:
        if one["t"] >= first:
            made[one["t"] - first][one["version"]] = (one["ok"], one["failed"])
    return dict(sorted(made.items()))


def _traffic(axes: Axes, found: dict[str, Any], first: float, last: float) -> None:
    """Requests by version, stacked, as shares; the commanded weight as a step line."""
    seconds = _per_second(found, first)
    times = list(seconds)
    versions = sorted({name for one in seconds.values() for name in one if name})
    totals = [max(1, sum(sum(pair) for pair in one.values())) for one in seconds.values()]
    shares = [
        [
            100 * sum(one.get(name, (0, 0))) / total
            for one, total in zip(seconds.values(), totals, strict=True)
        ]
        for name in versions
    ]
    if times:
        axes.stackplot(
            times,
            shares[::-1],
            colors=[COLOURS.get(name, INK) for name in versions[::-1]],
            alpha=0.28,
            step="post",
            linewidth=0,
        )
    before = [one["weight"] for one in found["weights"] if one["t"] < first]
    steps = [(0.0, before[-1] if before else None)]
    steps += [(one["t"] - first, one["weight"]) for one in found["weights"] if one["t"] >= first]
    steps.append((last - first, steps[-1][1]))
    # At rest there is no canary: the line pauses.
    weights = [float("nan") if weight is None else weight for _, weight in steps]
    axes.step([at for at, _ in steps], weights, where="post", color=INK, linewidth=1.8)
    axes.set_ylim(0, 130)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_ylabel("share of requests, %")
    for number, one in enumerate(found["moments"]):
        at = one["t"] - first
        last_mark = number == len(found["moments"]) - 1
        left = last_mark or number == 1
        axes.axvline(at, ymax=0.96, color=INK, linewidth=0.7, linestyle=(0, (2, 3)))
        axes.annotate(
            one["what"],
            (at, 115 if last_mark else 128),
            xytext=(-3 if left else 3, 0),
            textcoords="offset points",
            va="top",
            ha="right" if left else "left",
            fontsize=9,
        )
    for name, series in zip(versions, shares, strict=True):
        peak = max(range(len(series)), key=series.__getitem__)
        if series[peak] > 30:
            _name(axes, name, times, series)
    if found["simulated"]:
        axes.set_title("simulated", loc="right", fontsize=9)
    axes.set_title("Requests by version, and the canary's weight (line)", loc="left", fontsize=10)
    _clean(axes)


def _name(axes: Axes, name: str, times: list[float], series: list[float]) -> None:
    """The version's name in the middle of the longest stretch in which it has most requests."""
    most = [at for at, share in zip(times, series, strict=True) if share > 70]
    if most:
        middle = most[len(most) // 2]
        axes.text(
            middle, 50, name, color=COLOURS.get(name, INK), weight="bold", ha="center", fontsize=13
        )


def _failures(axes: Axes, found: dict[str, Any], first: float) -> None:
    """The failed share of all users' requests, second by second."""
    seconds = _per_second(found, first)
    shares = [
        100 * sum(bad for _, bad in one.values()) / max(1, sum(sum(p) for p in one.values()))
        for one in seconds.values()
    ]
    axes.bar(list(seconds), shares, width=1.0, align="edge", color=FAILED, linewidth=0)
    axes.set_ylim(0, max(4.0, *[share * 1.25 for share in shares]) if shares else 4.0)
    axes.set_ylabel("failed, %")
    took = found["evidence_to_weight_0_seconds"]
    title = f"Failed requests of all users: {found['failed']} of {found['requests']:,}"
    if took is not None:
        title += f"; weight 0 came {in_words(took)} after the evidence"
    axes.set_title(title, loc="left", fontsize=10)
    _clean(axes)


def _clean(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
