"""`leadsman plan`: what each stage of a plan can show with the traffic that there is.

A plan that is over before its guards could have seen anything is a plan without guards. For each
stage and sequential guard: the smallest worsening that its hold time can be expected to show, and
the minutes it takes to show the contract's design ratio.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from leadsman.cli.manifests import Loaded, load
from leadsman.core.spec import Family
from leadsman.guards.judges import Sequential
from leadsman.guards.power import minutes_to_detect, plannable_ratio
from leadsman.guards.ratios import settings_of


@dataclass(frozen=True, slots=True)
class Line:
    """One guard in one stage: weight in percent, times in minutes, ratios in units of stable's.

    `detectable`: the smallest ratio that the hold can show, None if none; `minutes`: until the
    design ratio is shown, None if never.
    """

    guard: str
    stage: str
    weight: int
    hold: float
    detectable: float | None
    minutes: float | None
    enough: bool


def work_out(loaded: Loaded, rps: float, errors: float, slow: float) -> list[Line]:
    """The lines for every sequential guard; `errors` and `slow` are base shares (0..1)."""
    found = []
    contract = loaded.terms.contract
    for guard in contract.guards:
        if not isinstance(guard.judge, Sequential):
            continue
        settings = settings_of(guard.judge, 0, sliced=False)
        base = slow if guard.family is Family.LATENCY else errors
        for stage in loaded.terms.plan.stages:
            share = stage.weight / 100
            hold = stage.hold / 60
            ratio = plannable_ratio(settings, rps, base, share, hold)
            minutes = minutes_to_detect(settings, contract.design_ratio, rps, base, share)
            found.append(
                Line(
                    guard.name,
                    stage.name,
                    stage.weight,
                    hold,
                    ratio,
                    minutes if isfinite(minutes) else None,
                    minutes <= hold,
                )
            )
    return found


def run(
    paths: tuple[Path, ...],
    rps: float,
    errors: float,
    slow: float,
    *,
    rollout: str | None = None,
    contracts: tuple[str, ...] = (),
    as_json: bool = False,
) -> int:
    """Print the lines. Exit code 1 when no stage can show some guard's design ratio."""
    loaded = load(paths, rollout, contracts)
    found = work_out(loaded, rps, errors, slow)
    design = loaded.terms.contract.design_ratio
    blind = [
        name
        for name in dict.fromkeys(line.guard for line in found)
        if not any(line.enough for line in found if line.guard == name)
    ]
    if as_json:
        tree = {
            "rollout": loaded.name,
            "designRatio": design,
            "stages": [asdict(line) for line in found],
            "cannotShow": blind,
        }
        print(json.dumps(tree, indent=1))
        return 1 if blind else 0
    out = Console()
    if not found:
        out.print(Text(f"{loaded.name}: no guard has judge sequential; nothing to plan"))
        return 0
    made = Table(
        box=box.SIMPLE_HEAD,
        title=f"{loaded.name}: {rps:g} requests/s, {errors:.3g} fail",
        title_justify="left",
    )
    for head in ("guard", "stage"):
        made.add_column(head)
    for head in ("weight", "hold", "shows from", f"{design:g} x takes"):
        made.add_column(head, justify="right")
    for line in found:
        made.add_row(
            line.guard,
            line.stage,
            f"{line.weight} %",
            f"{line.hold:g} min",
            "nothing" if line.detectable is None else f"{line.detectable:.3g} x",
            "never" if line.minutes is None else f"{line.minutes:.3g} min",
            style="" if line.enough else "dim",
        )
    out.print(made)
    for name in blind:
        out.print(
            Text(
                f"guard {name}: no stage is long enough to show {design:g} times stable's rate."
                " Its stages would wait for evidence until maxHold. Hold longer, at a higher"
                " weight, or promise less (designRatio).",
                style="yellow",
            )
        )
    return 1 if blind else 0
