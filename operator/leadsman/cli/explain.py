"""`leadsman explain`: the last decision in words, and what each guard says, in a table.

A Rollout's status and a decision record are told by the same words: a record's status is first
brought into the API's form. From a record the figures are worked out anew from the evidence, so
they are exact to the last block; a status has those of its last writing.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from leadsman.cli.chart import Chart, Point, draw
from leadsman.cli.manifests import documents
from leadsman.cli.replay import lines, read
from leadsman.core.changed import changed
from leadsman.core.evidence import place
from leadsman.core.record import DecisionRecord
from leadsman.core.spec import GuardSpec
from leadsman.core.status import GuardStatus
from leadsman.errors import RecordError
from leadsman.guards.gathering import GATHERING, figures_of
from leadsman.guards.judges import NegativeControl, Sequential
from leadsman.guards.memory import Place
from leadsman.runtime.codec import encode_status

Tree = Mapping[str, Any]

REASONS = {
    "WithinLimit": "the measured share is within the limit",
    "ThresholdBreached": "the measured share is above the limit",
    "Unconfirmed": "it is not yet as often above the limit, or not yet as far below it again, as"
    " the trigger wants",
    "InsufficientData": "too little was seen so far: silence means nothing yet",
    "NoTraffic": "the canary gets no requests that are counted",
    "MetricsUnavailable": "the metrics source does not answer",
    "WarmingUp": "the first samples since the present weight are awaited",
    "Stale": "the newest sample is too old",
    "NoSuchBucket": "the histogram has no bucket at the bound that is asked for",
    "QueryInvalid": "the question cannot be asked of this source",
    "JudgeUnsupported": "this version does not have the judge",
    "HarmDetected": "harm is shown: the evidence reached its limit",
    "NoHarmSeen": "enough was seen to show harm, and it was not there",
    "NotInferior": "the canary is shown to be no worse than stable by more than the margin",
    "Confounded": "two halves of stable differ, so a comparison means nothing now",
    "SampleRatioMismatch": "the arrived share of traffic is not the commanded one",
}
"""What each reason of a verdict means, in a clause."""

OF_MEASUREMENT = {
    "NoHarmSeen": "nothing speaks against the measurement; of the release it says nothing",
    "WithinLimit": "nothing speaks against the split of traffic; of the release it says nothing",
}
"""What a Pass means of the judges negativeControl and sampleRatio, in a clause."""

AWAITED = {
    "Inconclusive": "more evidence",
    "NoData": "data",
    "Confounded": "that the two halves of stable agree again",
    "Fail": "that it is well again",
}
SPLIT_AWAITED = "that the share which arrives is the commanded one"


def run(source: str, *, namespace: str | None, plot: Path | None, guard: str | None) -> int:
    """Explain a Rollout or the last of some records; write the chart if asked. The exit code."""
    out = Console()
    path = Path(source)
    if source == "-" or (path.exists() and path.suffix in (".yaml", ".yml")):
        trees = [tree for _, tree in documents([path]) if tree.get("kind") == "Rollout"]
        records: list[DecisionRecord] = []
    elif path.exists():
        records, trees = _from_file(path)
    else:
        records, trees = [], [_asked(source, namespace)]
    if records:
        trees = [as_rollout(records[-1])]
    if not trees:
        raise click.ClickException(f"{source}: holds no Rollout and no decision record")
    for tree in trees:
        for line in told(tree):
            out.print(Text(line), soft_wrap=True)
        made = table(guards_of(tree))
        if made is not None:
            out.print(made)
        for line in words(guards_of(tree), going_on=_goes_on(tree)):
            out.print(Text(line), soft_wrap=True)
        for line in last_blocks(guards_of(tree)):
            out.print(Text(line), soft_wrap=True)
    if plot is not None:
        if not records:
            raise click.ClickException("--plot needs decision records: a status is one moment")
        plot.write_text(draw(chart(records, guard)), encoding="utf-8")
        out.print(Text(f"chart: {plot}"))
    return 0


def _from_file(path: Path) -> tuple[list[DecisionRecord], list[Tree]]:
    """Records as JSON lines, or Rollouts as JSON."""
    if path.is_file():
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            tree = {}
        if isinstance(tree, Mapping) and "kind" in tree:
            items = tree.get("items") or [tree]
            return [], [item for item in items if item.get("kind") == "Rollout"]
    found = []
    for where, text in lines([path]):
        try:
            found.append(read(text)[0])
        except RecordError as error:
            raise click.ClickException(f"{where}: {error.path} {error.problem}") from None
    return found, []


def _asked(name: str, namespace: str | None) -> Tree:
    """Ask the cluster that kubectl talks to."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise click.ClickException(f"{name}: no such file, and kubectl is not installed")
    where = [] if namespace is None else ["--namespace", namespace]
    argv = [kubectl, "get", "rollouts.leadsman.dev", name, "--output", "json", *where]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise click.ClickException(f"{name}: no such file, and {done.stderr.strip()}")
    found: Tree = json.loads(done.stdout)
    return found


def as_rollout(record: DecisionRecord) -> Tree:
    """A record's decided status in the API's form, its figures worked out anew."""
    status = record.decision.status
    attempt = status.attempt
    terms = record.observation.terms
    if attempt is not None and terms is not None:
        specs = {one.name: one for one in terms.contract.guards}
        here = place(status)
        guards = tuple(_fresh(one, specs.get(one.name), here) for one in attempt.guards)
        status = replace(status, attempt=replace(attempt, guards=guards))
    why = record.decision.why
    return {
        "metadata": {"name": record.spec.name, "namespace": record.spec.namespace},
        "status": encode_status(status),
        "decision": {"policy": why.policy, "reason": why.reason, "message": why.message},
    }


def _fresh(one: GuardStatus, spec: GuardSpec | None, here: Place) -> GuardStatus:
    if spec is None or not isinstance(spec.judge, GATHERING) or one.evidence is None:
        return one
    return changed(one, figures=figures_of(spec.judge, here, one.evidence) or one.figures)


def guards_of(tree: Tree) -> Sequence[Tree]:
    """What the guards say: of the attempt that runs, else those kept with the refusal."""
    status = tree.get("status") or {}
    attempt, refused = status.get("attempt") or {}, status.get("refused") or {}
    found: Sequence[Tree] = attempt.get("guards") or refused.get("guards") or ()
    return found


def told(tree: Tree) -> list[str]:
    """The decision in words: what is so, why, and what is awaited until when."""
    about, status = tree.get("metadata") or {}, tree.get("status") or {}
    ready: Tree = next(
        (one for one in status.get("conditions") or () if one.get("type") == "Ready"), {}
    )
    name = "/".join(part for part in (about.get("namespace"), about.get("name")) if part)
    found = [f"{name}: {ready.get('reason', 'nothing was decided yet')}"]
    decision = tree.get("decision") or {}
    message = decision.get("message") or ready.get("message")
    if message:
        found.append(f"  {message}")
    attempt = status.get("attempt")
    if attempt:
        stage, direction = attempt.get("stage") or {}, attempt.get("direction") or {}
        found.append(
            f"  revision {attempt.get('revision')} has {attempt.get('weight', 0)} % of the traffic"
            f" in stage {stage.get('name')}, {direction.get('name')} since"
            f" {direction.get('since')}"
        )
        reason, why = direction.get("reason"), direction.get("message", "")
        if reason:
            known = why and why in str(message)
            found.append(f"  because: {reason}" + ("" if known or not why else f", {why}"))
        if stage.get("dueAt"):
            found.append(f"  the stage's time is over at {stage['dueAt']}")
        following = (status.get("display") or {}).get("next")
        if following:
            found.append(f"  something is next due at {following}")
    refused = status.get("refused")
    if refused:
        why = refused.get("message", "")
        said = "" if not why or why in str(message) else f": {why}"
        found.append(
            f"  refused: revision {refused.get('revision')} at {refused.get('at')},"
            f" {refused.get('reason')}{said}"
        )
        if refused.get("requests"):
            found.append(
                f"  by then its canary had had {refused['requests']} requests,"
                f" {refused.get('failed', 0)} of them failed"
            )
    return found


def table(guards: Sequence[Tree]) -> Table | None:
    """Counts, estimate, interval and evidence of each guard; None without a guard."""
    if not guards:
        return None
    made = Table(box=box.SIMPLE_HEAD)
    made.add_column("guard", no_wrap=True)
    made.add_column("verdict", no_wrap=True)
    for head in ("canary", "of", "stable", "canary / stable", "evidence", "gathered"):
        made.add_column(head, justify="right")
    for one in guards:
        interval = one.get("interval")
        estimate = _short(one.get("estimate", "-")) + (f"\n{_short(interval)}" if interval else "")
        evidence = f"{_short(one['eValue'])}\nof {one.get('eLimit')}" if "eValue" in one else "-"
        made.add_row(
            one["name"] + (f"\nslice {one['slice']}" if one.get("slice") else ""),
            f"{one.get('verdict')}\n{one.get('reason')}",
            one.get("value", "-"),
            f"{one.get('events', 0):,}",
            _against(one),
            estimate,
            evidence,
            one.get("information", "-"),
        )
    return made


def _against(one: Tree) -> str:
    """What the canary is compared with: stable's value, its limit, or both."""
    stable, limit = one.get("stableValue"), one.get("limit")
    told = [] if stable is None else [stable]
    if limit and ("eValue" not in one or stable is None):
        told.append(f"limit {limit}")
    return "\n".join(told) or "-"


def _goes_on(tree: Tree) -> bool:
    attempt = (tree.get("status") or {}).get("attempt") or {}
    return (attempt.get("direction") or {}).get("name") in ("Advancing", "SteppingBack")


def words(guards: Sequence[Tree], *, going_on: bool) -> list[str]:
    """A sentence for each guard: what its verdict means, and what the release awaits of it."""
    found = []
    for one in guards:
        verdict, reason = str(one.get("verdict")), str(one.get("reason"))
        line = f"{one['name']} says {verdict} since {one.get('since', 'now')}"
        meaning = OF_MEASUREMENT[reason] if _of_measurement(one) else REASONS.get(reason)
        line += f": {meaning}" if meaning else f" ({reason})"
        if verdict in AWAITED and going_on:
            awaited = SPLIT_AWAITED if reason == "SampleRatioMismatch" else AWAITED[verdict]
            line += f"; the release awaits {awaited}"
        if one.get("detectable"):
            line += f". So far it would have shown {_worsening(one['detectable'])}"
        if one.get("noDataSince"):
            line += f". It has been blind since {one['noDataSince']}"
        found.append(line + ".")
    return found


def _of_measurement(one: Tree) -> bool:
    """Whether this is a Pass of negativeControl or sampleRatio: the status tells it by its form.

    Of the judges with evidence only sampleRatio is within a limit. Only negativeControl, whose
    level is fixed, has no limit and names a ratio (a mean without a limit names a difference).
    """
    if one.get("verdict") != "Pass" or "eLimit" not in one:
        return False
    if one.get("reason") == "WithinLimit":
        return True
    ratio = not str(one.get("detectable", "")).startswith(("+", "-"))
    return (
        one.get("reason") == "NoHarmSeen"
        and one["eLimit"] == f"{1 / NegativeControl().alpha:.4g}"
        and "limit" not in one
        and ratio
    )


def _worsening(text: str) -> str:
    """The smallest worsening that would have been seen: the status tells its kind by its form."""
    if text.startswith(("+", "-")):
        return f"a difference of {_short(text)}"
    return f"a share of {_short(text)}" if "%" in text else f"a canary {_short(text)} times as bad"


def last_blocks(guards: Sequence[Tree]) -> list[str]:
    """What the guards that rolled back had seen last, piece by piece of time."""
    found = []
    for one in guards:
        lines_of = one.get("lastBlocks") or ()
        if lines_of:
            name = one["name"] + (f", slice {one['slice']}" if one.get("slice") else "")
            found.append(f"{name} had seen last (end, length, bad of all by version):")
            found += [f"  {line}" for line in lines_of]
    return found


def _short(text: str) -> str:
    """The numbers of a text to three digits; the status has six."""
    return re.sub(r"\d+\.\d+(?!\d*e)", lambda found: f"{float(found[0]):.3g}", text)


def chart(records: Sequence[DecisionRecord], guard: str | None = None) -> Chart:
    """The course of one guard's evidence over the records of one attempt, the newest.

    Raises ClickException where there is none.
    """
    last = next((one for one in reversed(records) if one.decision.status.attempt), None)
    attempt = None if last is None else last.decision.status.attempt
    terms = None if last is None else last.observation.terms
    names = [one.name for one in attempt.guards if one.evidence] if attempt is not None else []
    if last is None or attempt is None or terms is None or not names:
        raise click.ClickException("the records hold no gathered evidence")
    name = guard or names[0]
    spec = next((one for one in terms.contract.guards if one.name == name), None)
    if spec is None or not isinstance(spec.judge, Sequential | NegativeControl):
        raise click.ClickException(f"guard {name} has no e-process: one of {', '.join(names)}")
    points: list[Point] = []
    limit = 0.0
    stages: dict[str, float] = {}
    for record in records:
        one = record.decision.status.attempt
        if one is None or one.id != attempt.id:
            continue
        stages.setdefault(f"{one.weight} %", record.now - attempt.started_at)
        memory = next((each.evidence for each in one.guards if each.name == name), None)
        figures = figures_of(spec.judge, place(record.decision.status), memory)
        if memory is None or figures is None or figures.log_e is None:
            continue
        limit = figures.log_limit or limit
        at = memory.at - attempt.started_at
        if not points or points[-1].at < at:
            points.append(Point(at, figures.log_e, figures.estimate, figures.low, figures.high))
    if not points:
        raise click.ClickException(f"the records hold no evidence of guard {name}")
    title = f"{last.spec.name}, guard {name}"
    return Chart(
        title,
        points,
        limit,
        1 + spec.judge.tolerance if isinstance(spec.judge, Sequential) else 1.0,
        [(at, label) for label, at in stages.items() if label != "0 %"],
    )
