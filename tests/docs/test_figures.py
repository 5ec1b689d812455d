"""The figures that the pages show are those of bench/results.json."""

from __future__ import annotations

import json
import re

import pytest

from bench.pictures import BEGIN, END, PAGE, table
from tests.docs.shown import DOCS

ROOT = DOCS.parent
RESULTS = json.loads((ROOT / "bench" / "results.json").read_text())


def test_the_table_of_verdicts_is_the_measured_one() -> None:
    shown = PAGE.read_text().split(BEGIN)[1].split(END)[0].strip()
    assert shown == table(RESULTS)


@pytest.mark.parametrize(
    ("row", "keys", "digits"),
    [
        ("evidence readable to weight 0", ["rollback_seconds"], 2),
        ("the same with one of three stable pods", ["rollback_blocked_seconds"], 2),
        ("failed requests, 30 %", ["rollback_failed_requests", "sequential_failed_requests"], 0),
        ("canary processes exit", ["crash_rollback_seconds", "crash_reaction_seconds"], 2),
        ("API requests from evidence", ["rollback_api_requests"], 0),
        ("requests for one stage", ["stage_api_requests"], 0),
        ("good releases rolled back", ["false_rollback_50rps"], 2),
    ],
)
def test_the_readmes_figures_are_the_measured_ones(row: str, keys: list[str], digits: int) -> None:
    (line,) = re.findall(rf"^\| {re.escape(row)}.*$", (ROOT / "README.md").read_text(), re.M)
    cell = line.rstrip(" |").rpartition("|")[2]
    shown = re.findall(r"\d+(?:\.\d+)?", cell)
    assert shown[: len(keys)] == [f"{RESULTS[key]['value']:.{digits}f}" for key in keys]


def test_what_is_missed_is_in_bold_in_the_readme() -> None:
    missed = [key for key, one in RESULTS.items() if not one["ok"]]
    text = (ROOT / "README.md").read_text()
    assert all(f"**{RESULTS[key]['value']:.2f} s**" in text for key in missed)
