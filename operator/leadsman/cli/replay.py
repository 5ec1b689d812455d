"""Replay: recorded decisions made again, and compared with what was decided.

The core is pure, so the same spec, status, observation and time must give the same decision on any
machine; where it does not, either the core has changed since, or a record is not what the operator
saw. Both are worth knowing before a release of the operator.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from leadsman.core.decide import decide
from leadsman.core.record import DecisionRecord, MalformedError, decode, difference, encode
from leadsman.errors import RecordError


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision that came out otherwise: where the record is, and the first differing field."""

    where: str
    path: str
    recorded: Any
    replayed: Any


@dataclass(slots=True)
class Replayed:
    """What a replay found."""

    records: int = 0
    policies: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)


def lines(paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield each record's text with its place, files of a directory by name."""
    for path in paths:
        files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        for file in files:
            with file.open(encoding="utf-8") as stream:
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        yield f"{file.name}:{number}", line


def read(text: str) -> tuple[DecisionRecord, dict[str, Any]]:
    """Return one record and its JSON tree. Raises RecordError."""
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise RecordError("record", f"is no JSON ({error})") from None
    try:
        return decode(DecisionRecord, tree), tree
    except MalformedError as error:
        raise RecordError(error.path, error.problem) from None


def again(record: DecisionRecord, tree: dict[str, Any]) -> tuple[str, Any]:
    """Decide a record again; return the path of the first difference ("" for none) and the tree."""
    decision = decide(record.spec, record.status, record.observation, record.now)
    replayed = json.loads(json.dumps(encode(decision)))
    return difference(tree["decision"], replayed), replayed


def replay(records: Iterable[tuple[str, str]]) -> Replayed:
    """Decide all records again. Raises RecordError that names the record's place."""
    found = Replayed()
    for where, text in records:
        try:
            record, tree = read(text)
        except RecordError as error:
            raise RecordError(f"{where}: {error.path}", error.problem) from None
        path, replayed = again(record, tree)
        found.records += 1
        found.policies[record.decision.why.policy] += 1
        if path:
            found.differences.append(
                Difference(where, path, at(tree["decision"], path), at(replayed, path))
            )
    return found


def at(tree: Any, path: str) -> Any:
    """Return what a JSON tree has at a path such as `actions[0].canary`; None for nothing."""
    for part in path.replace("[", ".[").split("."):
        if not part:
            continue
        try:
            tree = tree[int(part[1:-1])] if part.startswith("[") else tree[part]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def run(paths: Iterable[Path], show: int = 3, console: Console | None = None) -> int:
    """Replay files and say what came out: 0 all equal, 1 a difference, 2 not readable."""
    out = console or Console()
    try:
        found = replay(lines(paths))
    except RecordError as error:
        out.print(Text(f"cannot read {error}", style="red"))
        return 2
    if not found.records:
        out.print(Text("no records", style="red"))
        return 2
    table = Table("policy", "decisions", title=f"{found.records} decisions replayed")
    table.columns[1].justify = "right"
    for policy, count in sorted(found.policies.items(), key=lambda one: (-one[1], one[0])):
        table.add_row(policy, str(count))
    out.print(table)
    for one in found.differences[:show]:
        out.print(Text(f"{one.where}: {one.path}", style="bold red"))
        out.print(Text(f"  recorded: {json.dumps(one.recorded)[:400]}"))
        out.print(Text(f"  replayed: {json.dumps(one.replayed)[:400]}"))
    if found.differences:
        out.print(Text(f"{len(found.differences)} of {found.records} differ", style="bold red"))
        return 1
    out.print(Text("all decisions are the same", style="green"))
    return 0
