"""The figures that the pages show are those of bench/results.json, and these say what they are."""

from __future__ import annotations

import json
import re

import pytest

from bench.figures import LIMITS, SLACK, Figure, Revision, figure
from bench.pictures import BEGIN, END, FIGURES, PAGE, table
from bench.statistics import BLIND, GOOD, RULES, Course, Minute, terms
from leadsman.simulation.release import Ending
from leadsman.simulation.traffic import Traffic
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


def test_the_readmes_figures_of_other_tools_rules_are_the_measured_ones() -> None:
    (line,) = re.findall(
        r"^\| good releases rolled back.*$", (ROOT / "README.md").read_text(), re.M
    )
    shown = re.findall(r"\d+(?= %)", line.split("|")[2])
    assert shown == [f"{RESULTS[f'{rule}_false_rollback_50rps']['value']:.0f}" for rule in RULES]


def test_what_is_missed_is_in_bold_in_the_readme() -> None:
    missed = [one for one in RESULTS.values() if not one["ok"]]
    text = (ROOT / "README.md").read_text()
    assert all(f"**{one['value']:.2f} {one['unit']}**" in text for one in missed)


def test_every_simulated_row_has_the_rules_of_other_tools_on_as_many_releases() -> None:
    for _, key, _ in FIGURES:
        assert {RESULTS[f"{rule}_{key}"]["n"] for rule in RULES} == {RESULTS[key]["n"]}, key


@pytest.mark.parametrize("rps", [50, 2000])
def test_both_kinds_of_noise_are_told_and_the_worse_one_counts(rps: int) -> None:
    key = f"false_rollback_noise_{rps}rps"
    kinds = RESULTS[key]["details"]
    assert set(kinds) == {"white", "correlated"}
    assert RESULTS[key]["value"] == max(kind["value"] for kind in kinds.values())
    limit = LIMITS[key].limit
    assert limit is not None
    assert all(kind["interval"][1] <= SLACK * limit for kind in kinds.values())
    assert RESULTS[key]["n"] >= GOOD
    assert all(kind in RESULTS[key]["note"] for kind in kinds)


def test_each_figure_says_which_commit_it_is_of_and_when() -> None:
    for key, one in RESULTS.items():
        commit, date = one["measured"]["commit"], one["measured"]["date"]
        known = re.fullmatch(r"[0-9a-f]{7,}(-dirty)?", commit) and re.fullmatch(
            r"20\d\d-\d\d-\d\d", date
        )
        assert known or (commit, date) == ("unknown", "unknown"), key
    assert figure("gap_false_rollback", [0.0]).as_json()["measured"]["date"] != "unknown"


def test_a_figure_outside_of_a_checkout_is_of_an_unknown_commit() -> None:
    told = Figure(LIMITS["gap_false_rollback"], (0.0,)).as_json()["measured"]
    assert told == {"commit": "unknown", "date": "unknown"} == Revision()._asdict()


def minutes(*failed: int) -> list[Minute]:
    """Of 1,000 requests of each arm so many of the canary's failed; -1: there was no data."""
    return [
        Minute(60.0 * index, 0.0) if bad < 0 else Minute(60.0 * index, 0.0, 1000, bad, 1000, 5)
        for index, bad in enumerate(failed)
    ]


@pytest.mark.parametrize(
    ("rule", "failed", "at"),
    [
        ("failure_limit", (11, 0, 11, 0, 11, 0, 11), 6),
        ("failure_limit", (11, 11, 11, 0, 0, 10), None),
        ("failure_limit", (11, -1, -1, -1), 3),
        ("consecutive", (11, 11, 0, 11, 11, 11), 5),
        ("consecutive", (11, 11, 0, 11, 11), None),
        ("consecutive", (-1, -1, 11), 2),
        ("lower_bound", (5, 5, 5), 2),
        ("lower_bound", (5, 5, 0, 0, 0), None),
        ("lower_bound", (5, 5, -1, 5), None),
    ],
)
def test_a_rule_of_other_tools_rolls_back_at_its_measurement(
    rule: str, failed: tuple[int, ...], at: int | None
) -> None:
    assert RULES[rule](minutes(*failed)) == at


def test_a_rule_is_told_the_very_requests_that_the_guard_judges() -> None:
    traffic = Traffic(rps=5, ratio=3.0, interval=20.0)
    judged, whole = (Course(terms(tolerance), traffic, "rule/1") for tolerance in (0.0, BLIND))
    assert judged.run().ending is Ending.ROLLED_BACK
    assert whole.run().ending is Ending.PROMOTED
    assert 0 < len(judged.minutes) < len(whole.minutes) == 40
    assert judged.minutes == whole.minutes[: len(judged.minutes)]


def test_a_gap_of_five_minutes_leaves_four_or_five_measurements_without_data() -> None:
    course = Course(terms(), Traffic(rps=5, blackout=300.0, interval=20.0), "rule/1")
    course.run()
    assert 4 * 4 <= [one.known for one in course.minutes].count(False) <= 4 * 5
