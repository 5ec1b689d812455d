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
from leadsman.guards.power import minutes_to_detect, part_gained, plannable_ratio
from leadsman.guards.ratios import settings_of


@dataclass(frozen=True, slots=True)
class Line:
    """One guard in one stage: weight in percent, times in minutes, ratios in units of stable's.

    `design`: the ratio that is asked for, the contract's or the least beyond the guard's tolerance;
    `detectable`: the smallest ratio that the hold can show, None if none; `minutes`: until the
    design ratio is shown, None if never.
    """

    guard: str
    stage: str
    weight: int
    hold: float
    design: float
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
            minutes = minutes_to_detect(settings, settings.design_ratio, rps, base, share)
            found.append(
                Line(
                    guard.name,
                    stage.name,
                    stage.weight,
                    hold,
                    settings.design_ratio,
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
    """Print the lines. Exit code 1 when all holds together cannot show a guard's design ratio."""
    loaded = load(paths, rollout, contracts)
    found = work_out(loaded, rps, errors, slow)
    design = loaded.terms.contract.design_ratio
    ratios = {line.guard: line.design for line in found}
    parts = {
        name: part_gained((line.hold, line.minutes) for line in found if line.guard == name)
        for name in ratios
    }
    blind = {name: part for name, part in parts.items() if part < 1}
    if as_json:
        tree = {
            "rollout": loaded.name,
            "designRatio": design,
            "stages": [asdict(line) for line in found],
            "cannotShow": list(blind),
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
    asked = f"{design:g} x" if set(ratios.values()) == {design} else "its ratio"
    for head in ("weight", "hold", "shows from", f"{asked} takes"):
        made.add_column(head, justify="right")
    for line in found:
        made.add_row(
            line.guard if line.design == design else f"{line.guard} ({line.design:g} x)",
            line.stage,
            f"{line.weight} %",
            f"{line.hold:g} min",
            "nothing" if line.detectable is None else f"{line.detectable:.3g} x",
            "never" if line.minutes is None else f"{line.minutes:.3g} min",
            style="" if line.enough else "dim",
        )
    out.print(made)
    for name, part in blind.items():
        out.print(
            Text(
                f"guard {name}: the holds of all stages give {part:.0%} of the evidence that"
                f" {ratios[name]:g} times stable's rate needs. A stage would wait for more, up to"
                " its maxHold. Hold longer, at a higher weight, or promise less (designRatio).",
                style="yellow",
            )
        )
    return 1 if blind else 0
