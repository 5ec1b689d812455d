"""What the documentation shows, made by the programs that it speaks of.

A page about a judge has contracts in YAML, and output of `leadsman explain` about a release that is
held to the page's first contract. Such an output stands below a comment that says which traffic the
simulated release meets, and is written by `python -m tests.docs.shown`, so that what readers see is
what the program prints. The same seed gives the same bytes, so a test can tell when a page is old.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import yaml
from rich.console import Console
from rich.text import Text

from leadsman.api.kinds import parse
from leadsman.api.releasecontract import ReleaseContract
from leadsman.cli.explain import guards_of, table, told, words
from leadsman.core.spec import Plan, Stage, Terms
from leadsman.runtime.codec import encode_status
from leadsman.runtime.resolve_terms import Found, contract_of, terms_of
from leadsman.simulation.release import Release, horizon
from leadsman.simulation.scrapes import Arms, Measure
from leadsman.simulation.traffic import Rates, Traffic

DOCS = Path(__file__).resolve().parents[2] / "docs"
JUDGES = DOCS / "judges"
PLAN = Plan((Stage("fifth", 20, 300.0), Stage("half", 50, 300.0), Stage("full", 100)))
WIDTH = 96

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHOWN = re.compile(
    r"^<!-- simulated: (?P<said>[^>]*) -->\n```console\n.*?^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Case:
    """One simulated release: its traffic, and when it is looked at (None: when it has ended).

    `split`: the percentage of the requests that the canary gets instead of its weight; `halves`:
    how many times as many requests of one half of stable's pods fail.
    """

    traffic: Traffic
    seconds: float | None = None
    split: int | None = None
    halves: float = 1.0


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return [text for kind, text in _BLOCK.findall(page.read_text()) if kind == language]


def objects(text: str) -> list[dict[str, Any]]:
    """The objects of a block of YAML."""
    return [tree for tree in yaml.safe_load_all(text) if tree]


def terms(text: str) -> tuple[Terms, list[str]]:
    """A block's contract on this module's plan, and everything that is said against it."""
    models = [parse(tree) for tree in objects(text)]
    specs = [(one.name, one.spec) for one in models if isinstance(one, ReleaseContract)]
    found = Found()
    contract = contract_of(specs, lambda path, name: None, found)
    assert contract is not None, text
    said = [one.message for one in (*found.problems, *found.warnings)]
    return terms_of(PLAN, contract), said


def case_of(said: str) -> Case:
    """The case that a comment names: fields of Traffic and of Case as name=number."""
    numbers = {name: float(value) for name, value in (one.split("=") for one in said.split())}
    seconds, split = numbers.pop("seconds", None), numbers.pop("split", None)
    halves = numbers.pop("halves", 1.0)
    assert set(numbers) <= {one.name for one in fields(Traffic)}, said
    traffic = replace(Traffic(interval=5.0), **numbers)
    return Case(traffic, seconds, None if split is None else int(split), halves)


class _Halves(Arms):
    """Stable's pods in two halves, one of which fails more often."""

    def grow(self, random: Random, seconds: float, weight: int, rates: Rates) -> tuple[int, int]:
        whole, self._rps = self._rps, self._rps * (100 - weight) / 100
        try:
            return super().grow(random, seconds, 50, rates)
        finally:
            self._rps = whole


class _Played(Release):
    """A release whose router or whose stable pods need not do as they should."""

    def __init__(self, held_to: Terms, case: Case) -> None:
        super().__init__(held_to, case.traffic, "docs", horizon(held_to))
        self._split = case.split
        for watched in self._guards:
            if watched.measure is Measure.HALVES and case.halves != 1:
                share, keep = watched.whole.share, 60.0
                watched.whole = _Halves(case.traffic, share, case.halves, keep)

    def _quiet(self, *_: object) -> float:
        return 0.0  # every reading is decided in full, so that the status is up to date

    def _grow(self) -> None:
        rule = self._seen.rules[0]
        if self._split is None or not 0 < rule.canary < 100:
            super()._grow()
            return
        before = self._seen
        self._seen = replace(before, rules=(replace(rule, canary=self._split),))
        super()._grow()
        self._seen = before


def explained(text: str, case: Case) -> str:
    """What `leadsman explain shop` says of a release under a block's contract."""
    played = _Played(terms(text)[0], case)
    began = played.now
    while played.step() is None:
        if case.seconds is not None and played.now >= began + case.seconds:
            break
    tree = {"metadata": {"name": "shop"}, "status": encode_status(played.status)}
    out = Console(file=StringIO(), width=WIDTH, force_terminal=False)
    for line in told(tree):
        out.print(Text(line), soft_wrap=True)
    made = table(guards_of(tree))
    assert made is not None
    out.print(made)
    going_on = case.seconds is not None
    for line in words(guards_of(tree), going_on=going_on):
        out.print(Text(line), soft_wrap=True)
    lines = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def renewed(page: Path) -> str:
    """The page with its simulated outputs made anew."""
    contract = blocks(page, "yaml")[0]

    def one(found: re.Match[str]) -> str:
        text = explained(contract, case_of(found["said"]))
        head = f"<!-- simulated: {found['said']} -->"
        return f"{head}\n```console\n$ leadsman explain shop\n{text}```"

    return _SHOWN.sub(one, page.read_text())


def pages() -> Iterator[Path]:
    """The pages of the judges, the index left out."""
    yield from sorted(page for page in JUDGES.glob("*.md") if page.name != "README.md")


if __name__ == "__main__":
    for written in pages():
        new = renewed(written)
        if new != written.read_text():
            written.write_text(new)
            sys.stdout.write(f"{written.name}\n")
