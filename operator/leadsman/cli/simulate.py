"""`leadsman simulate`: what a contract would do to good and bad releases, before it matters."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from leadsman.cli.manifests import Loaded, load
from leadsman.simulation.many import Mean, Share, Summary, outcomes, summarise
from leadsman.simulation.release import horizon
from leadsman.simulation.scrapes import counted
from leadsman.simulation.traffic import Traffic


def run(
    paths: tuple[Path, ...],
    traffic: Traffic,
    runs: int,
    seed: str,
    *,
    ratios: tuple[float, ...],
    rollout: str | None = None,
    contracts: tuple[str, ...] = (),
    limit: float | None = None,
    workers: int = 0,
    as_json: bool = False,
) -> int:
    """Simulate `runs` releases for each ratio and print what became of them; the exit code is 0."""
    loaded = load(paths, rollout, contracts)
    cores = workers or len(os.sched_getaffinity(0))
    if limit is None:
        limit = horizon(loaded.terms)
    found: list[tuple[float, Summary]] = []
    errors = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
    ) as bar:
        for ratio in ratios:
            task = bar.add_task(f"x{ratio:g}", total=runs)
            done = outcomes(
                loaded.terms,
                replace(traffic, ratio=ratio),
                runs,
                seed,
                workers=cores,
                limit=limit,
                progress=lambda number, task=task: bar.update(task, completed=number),  # type: ignore[misc]
            )
            counting = counted(loaded.terms.contract) is not None
            found.append((ratio, summarise(done, counted=counting)))
    if as_json:
        print(json.dumps(tree(loaded, traffic, seed, limit, found), indent=1))
        return 0
    out = Console()
    for warning in loaded.warnings:
        errors.print(Text(f"warning: {warning}", style="yellow"))
    out.print(table(loaded, traffic, found))
    for line in uncounted(loaded):
        out.print(Text(line))
    for ratio, summary in found:
        for line in remarks(ratio, summary):
            out.print(Text(line))
    return 0


def tree(
    loaded: Loaded, traffic: Traffic, seed: str, limit: float, found: list[tuple[float, Summary]]
) -> dict[str, Any]:
    """The results as JSON, rounded to six significant digits; the same seed gives the same text.

    `counted`: the guard whose bad events are the failed requests; where it is null, so are they.
    """
    guard = counted(loaded.terms.contract)
    return {
        "rollout": loaded.name,
        "seed": seed,
        "limitSeconds": limit,
        "traffic": {name: value for name, value in asdict(traffic).items() if name != "ratio"},
        "warnings": [*loaded.warnings, *uncounted(loaded)],
        "counted": None if guard is None else guard.name,
        "results": [{"ratio": ratio, **_rounded(asdict(one))} for ratio, one in found],
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def table(loaded: Loaded, traffic: Traffic, found: list[tuple[float, Summary]]) -> Table:
    """One line for each ratio; the caption says what the failed requests are."""
    guard = counted(loaded.terms.contract)
    made = Table(
        box=box.SIMPLE_HEAD,
        title=f"{loaded.name}: {found[0][1].runs} releases each, {traffic.rps:g} requests/s,"
        f" {traffic.errors:.3g} of them fail",
        title_justify="left",
        caption=None
        if guard is None
        else f"failed: bad requests of the canary, by guard {guard.name} ({guard.family})",
        caption_justify="left",
    )
    made.add_column("canary")
    for head in ("rolled back", "promoted", "held", "until rollback", "failed", "of them extra"):
        made.add_column(head, justify="right")
    for ratio, one in found:
        made.add_row(
            "as good" if ratio == 1 else f"{ratio:g} x",
            _share(one.rolled_back),
            _share(one.promoted),
            _share(one.held),
            "-" if one.detection is None else _time(one.detection),
            "-" if one.failed is None else f"{one.failed.value:.1f}",
            "-" if one.excess is None else f"{one.excess.value:.1f}",
        )
    return made


def uncounted(loaded: Loaded) -> list[str]:
    """Why there are no failed requests, in a line; nothing where there are."""
    if counted(loaded.terms.contract) is not None:
        return []
    return [
        "failed requests are not known: no guard has a share of bad requests (sequentialMean has"
        " means, negativeControl halves of stable); add one on errors to have them counted"
    ]


def remarks(ratio: float, one: Summary) -> list[str]:
    """Who rolled back, and what held, in words."""
    label = "a good canary" if ratio == 1 else f"a canary with {ratio:g} times as many"
    lines = []
    if one.culprits:
        names = ", ".join(f"{name} {count}" for name, count in one.culprits)
        lines.append(f"{label} was rolled back by: {names}")
    if one.holding:
        names = ", ".join(f"{name} {count}" for name, count in one.holding)
        lines.append(f"{label} was still held at the end by: {names}")
    return lines


def _share(share: Share) -> str:
    return f"{share.value:.2%}\n{share.low:.2%} to {share.high:.2%}"


def _time(mean: Mean) -> str:
    return f"{mean.value / 60:.1f} min\nmedian {mean.median / 60:.1f}"
