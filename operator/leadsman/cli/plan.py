"""`leadsman plan`: what each stage of a plan can show with the traffic that there is.

A plan that is over before its guards could have seen anything is a plan without guards. For each
stage and sequential guard: the smallest worsening that its hold time can be expected to show, and
the minutes it takes to show the contract's design ratio. Guards with other judges have no design
ratio to show: they are named, with the minutes until their judge has what it asks for where it
names an amount. What an operator wrote into the Rollout's status is shown beside all this, because
it comes from traffic that was seen and not from options.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from leadsman.cli.manifests import Loaded, documents, load
from leadsman.core.spec import Family
from leadsman.core.status import StageOutlook, Status
from leadsman.guards import difference
from leadsman.guards.bounds import EXPECTED
from leadsman.guards.gauges import LEAST
from leadsman.guards.judges import Absolute, JudgeSpec, NonInferiority, Sequential, Unsupported
from leadsman.guards.power import minutes_to_detect, part_gained, plannable_ratio
from leadsman.guards.ratios import settings_of
from leadsman.runtime.codec import decode_status

MOST = 1e15
"""More requests than this are never."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests a second, and the shares (0..1) of them that fail, or are slow, anyway.

    `assumed`: the names of those that nobody gave.
    """

    rps: float
    errors: float
    slow: float
    assumed: frozenset[str] = frozenset()

    def base(self, family: Family) -> float:
        """The share that is bad anyway, for a guard of a family."""
        return self.slow if family is Family.LATENCY else self.errors


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


@dataclass(frozen=True, slots=True)
class Need:
    """Minutes until a stage alone gives a judge what it asks for, None if never; and its hold."""

    stage: str
    hold: float
    minutes: float | None


@dataclass(frozen=True, slots=True)
class Unplanned:
    """A guard without a design ratio to show; `needs` is empty where its judge names no amount."""

    guard: str
    judge: str
    needs: tuple[Need, ...]


def work_out(loaded: Loaded, traffic: Traffic) -> list[Line]:
    """The lines for every sequential guard."""
    found = []
    contract = loaded.terms.contract
    for guard in contract.guards:
        if not isinstance(guard.judge, Sequential):
            continue
        settings = settings_of(guard.judge, 0, sliced=False)
        rps, base = traffic.rps, traffic.base(guard.family)
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


def left_out(loaded: Loaded, traffic: Traffic) -> list[Unplanned]:
    """Every guard whose judge is not sequential."""
    found = []
    for guard in loaded.terms.contract.guards:
        judge = guard.judge
        if isinstance(judge, Sequential):
            continue
        needs: tuple[Need, ...] = ()
        if isinstance(judge, Absolute | NonInferiority):
            base = traffic.base(guard.family)
            needs = tuple(
                Need(
                    stage.name,
                    stage.hold / 60,
                    _minutes(judge, traffic.rps, base, stage.weight / 100),
                )
                for stage in loaded.terms.plan.stages
            )
        found.append(Unplanned(guard.name, _name(judge), needs))
    return found


def _minutes(
    judge: Absolute | NonInferiority, rps: float, base: float, share: float
) -> float | None:
    """Minutes until a canary that is just like stable has shown what the judge wants to pass it."""
    if isinstance(judge, Absolute):
        canary = 60 * rps * share * judge.max
        return EXPECTED / canary if canary > 0 else None
    events = _smallest(lambda number: _is_shown(judge, number, base, share))
    return None if events is None else events / (60 * rps)


def _is_shown(judge: NonInferiority, events: float, base: float, share: float) -> bool:
    """Whether so many requests of both arms, alike and with no more noise than chance, show it."""
    weights = events * share * (1 - share)
    if weights <= 0:
        return False
    settings = difference.DifferenceSettings(alpha=judge.alpha, margin=judge.margin)
    state = difference.DifferenceState(
        blocks=LEAST, weights=weights, events=events, bad=events * base
    )
    return difference.is_not_inferior(settings, state)


def _smallest(shows: Callable[[float], bool]) -> float | None:
    """The smallest number from 1 to `MOST` that shows it, to a thousandth; None if none."""
    low, high = 1.0, MOST
    if not shows(high):
        return None
    while high > low * 1.001:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


def _name(judge: JudgeSpec) -> str:
    """A judge's name in the API."""
    if isinstance(judge, Unsupported):
        return judge.kind
    name = type(judge).__name__
    return name[0].lower() + name[1:]


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
    with _kept(paths) as again:
        loaded = load(paths, rollout, contracts)
        again()
        status = _status_of(paths, loaded.name)
    traffic = Traffic(rps, errors, slow, _assumed())
    found, others = work_out(loaded, traffic), left_out(loaded, traffic)
    seen = () if status.attempt is None else status.attempt.outlook
    parts = {
        line.guard: part_gained((one.hold, one.minutes) for one in found if one.guard == line.guard)
        for line in found
    }
    blind = {name: part for name, part in parts.items() if part < 1}
    if as_json:
        print(json.dumps(_tree(loaded, traffic, found, others, seen, blind), indent=1))
        return 1 if blind else 0
    for warning in loaded.warnings:
        Console(stderr=True).print(Text(f"warning: {warning}", style="yellow"))
    out = Console()
    _tell(out, loaded, traffic, found, blind)
    for other in others:
        out.print(Text(_told(other)), soft_wrap=True)
    if seen:
        out.print(_table_of(loaded, seen))
    for doubt in _doubts(status):
        out.print(Text(f"the operator says: {doubt}", style="yellow"), soft_wrap=True)
    return 1 if blind else 0


def _tell(
    out: Console, loaded: Loaded, traffic: Traffic, found: list[Line], blind: dict[str, float]
) -> None:
    """Print what is planned, or that nothing is."""
    if found:
        out.print(_table(loaded, traffic, found))
    else:
        out.print(Text(_heading(loaded, traffic)))
        out.print(Text("no guard has judge sequential; nothing to plan"))
    ratios = {line.guard: line.design for line in found}
    for name, part in blind.items():
        out.print(
            Text(
                f"guard {name}: the holds of all stages give {part:.0%} of the evidence that"
                f" {ratios[name]:g} times stable's rate needs. A stage would wait for more, up to"
                " its maxHold. Hold longer, at a higher weight, or promise less (designRatio).",
                style="yellow",
            )
        )


def _heading(loaded: Loaded, traffic: Traffic) -> str:
    """The traffic, first what was given and then what is only assumed."""
    told = {"rps": f"{traffic.rps:g} requests/s", "errors": f"{traffic.errors:.3g} fail"}
    if any(guard.family is Family.LATENCY for guard in loaded.terms.contract.guards):
        told["slow"] = f"{traffic.slow:.3g} are slow"
    given = ", ".join(text for name, text in told.items() if name not in traffic.assumed)
    assumed = ", ".join(text for name, text in told.items() if name in traffic.assumed)
    parts = [given, f"assumed: {assumed}" if assumed else ""]
    return f"{loaded.name}: " + "; ".join(part for part in parts if part)


def _table(loaded: Loaded, traffic: Traffic, found: list[Line]) -> Table:
    made = Table(box=box.SIMPLE_HEAD, title=_heading(loaded, traffic), title_justify="left")
    design = loaded.terms.contract.design_ratio
    for head in ("guard", "stage"):
        made.add_column(head)
    asked = f"{design:g} x" if {line.design for line in found} == {design} else "its ratio"
    for head in ("weight", "hold", "shows from", f"{asked} takes"):
        made.add_column(head, justify="right")
    for line in found:
        made.add_row(
            line.guard if line.design == design else f"{line.guard} ({line.design:g} x)",
            line.stage,
            f"{line.weight} %",
            f"{line.hold:g} min",
            _ratio(line.detectable),
            _time(line.minutes),
            style="" if line.enough else "dim",
        )
    return made


def _table_of(loaded: Loaded, seen: Iterable[StageOutlook]) -> Table:
    """What the operator worked out in the attempt that runs."""
    made = Table(
        box=box.SIMPLE_HEAD, title=f"{loaded.name}: from the traffic seen", title_justify="left"
    )
    made.add_column("stage")
    for head in ("shows from", "the design ratio takes"):
        made.add_column(head, justify="right")
    for one in seen:
        made.add_row(
            one.stage, _ratio(one.detectable), _time(one.minutes if isfinite(one.minutes) else None)
        )
    return made


def _told(one: Unplanned) -> str:
    """A guard that is not planned, in a line."""
    start = f"not planned: {one.guard} ({one.judge}): "
    if not one.needs:
        return start + "only sequential guards are planned"
    stages = ", ".join(
        f"{_time(need.minutes)} in {need.stage} (hold {need.hold:g})" for need in one.needs
    )
    least = f", and {LEAST} scrapes" if one.judge == "nonInferiority" else ""
    return f"{start}a canary as good as stable has enough to pass after about {stages}{least}"


def _ratio(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.3g} x"


def _time(minutes: float | None) -> str:
    return "never" if minutes is None else f"{minutes:.3g} min"


def _tree(
    loaded: Loaded,
    traffic: Traffic,
    found: list[Line],
    others: list[Unplanned],
    seen: Iterable[StageOutlook],
    blind: Iterable[str],
) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "rollout": loaded.name,
        "designRatio": loaded.terms.contract.design_ratio,
        "traffic": {"rps": traffic.rps, "errors": traffic.errors, "slow": traffic.slow},
        "assumed": sorted(traffic.assumed),
        "warnings": list(loaded.warnings),
        "stages": [asdict(line) for line in found],
        "cannotShow": list(blind),
        "notPlanned": [asdict(one) for one in others],
        "seen": [
            {
                "stage": one.stage,
                "detectable": one.detectable,
                "minutes": one.minutes if isfinite(one.minutes) else None,
            }
            for one in seen
        ],
    }


def _assumed() -> frozenset[str]:
    """The options about traffic that the command line does not have."""
    context = click.get_current_context(silent=True)
    if context is None:
        return frozenset()
    return frozenset(
        name
        for name in ("rps", "errors", "slow")
        if context.get_parameter_source(name) is ParameterSource.DEFAULT
    )


def _status_of(paths: Iterable[Path], name: str) -> Status:
    """What the named Rollout's status says; an empty one where the files have none."""
    for _, body in documents(paths):
        if body.get("kind") != "Rollout" or "leadsman" not in str(body.get("apiVersion")):
            continue
        about = body.get("metadata")
        if isinstance(about, dict) and about.get("name") == name:
            return decode_status(body.get("status")).status
    return Status()


def _doubts(status: Status) -> list[str]:
    """What the running attempt's traffic made the operator doubt."""
    return [
        one.message
        for one in status.conditions
        if (one.type, one.status, one.reason) == ("ContractSound", "False", "CannotDetect")
    ]


@contextmanager
def _kept(paths: Iterable[Path]) -> Iterator[Callable[[], object]]:
    """Let standard input be read a second time, after what is given is called."""
    if all(str(path) != "-" for path in paths):
        yield lambda: None
        return
    before, text = sys.stdin, io.StringIO(sys.stdin.read())
    sys.stdin = text
    try:
        yield lambda: text.seek(0)
    finally:
        sys.stdin = before
