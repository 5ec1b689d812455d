"""`simulate` and `plan`: manifests in, figures out; what is wrong is said with its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from leadsman.cli.main import main

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ROLLOUT, SEQUENTIAL = EXAMPLES / "rollout.yaml", EXAMPLES / "contract-sequential.yaml"
CONTRACT = ["--contract", "shop-slo-sequential"]


def leadsman(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


def test_the_same_seed_gives_the_same_bytes() -> None:
    options = ["--rps", 400, "--runs", 3, "--ratio", 1, "--ratio", 8, "--json"]
    one = leadsman("simulate", ROLLOUT, SEQUENTIAL, *CONTRACT, *options, "--workers", 1)
    other = leadsman("simulate", ROLLOUT, SEQUENTIAL, *CONTRACT, *options, "--workers", 2)
    assert one.exit_code == 0, one.output
    assert one.stdout == other.stdout
    good, bad = json.loads(one.stdout)["results"]
    assert good["rolled_back"]["count"] == 0
    assert bad["rolled_back"]["count"] == 3
    assert {name for name, _ in bad["culprits"]} <= {"errors", "slow"}


@pytest.mark.parametrize("salt", ["1", "2"])
def test_neither_processes_nor_the_order_of_hashes_change_a_byte(salt: str) -> None:
    options = ["--rps", "200", "--runs", "2", "--ratio", "6", "--json", "--workers", salt]
    told = ["simulate", str(ROLLOUT), str(SEQUENTIAL), *CONTRACT, *options]
    call = [sys.executable, "-c", "from leadsman.cli.main import main; main()", *told]
    fresh = subprocess.run(
        call, env={**os.environ, "PYTHONHASHSEED": salt}, capture_output=True, check=False
    )
    assert fresh.returncode == 0, fresh.stderr
    assert fresh.stdout.decode() == leadsman(*told[:-1], "1").stdout


def test_the_table_has_a_line_for_each_ratio_and_names_what_holds() -> None:
    found = leadsman("simulate", ROLLOUT, "--rps", 2, "--runs", 2, "--ratio", 1, "--workers", 1)
    assert found.exit_code == 0, found.output
    assert "as good" in found.output
    assert "InsufficientData" in found.output


PLAN = """
apiVersion: leadsman.dev/v1alpha1
kind: RolloutPlan
metadata: {name: half}
spec: {stages: [{name: half, weight: 50, hold: 1m}, {name: full, weight: 100}]}
---
apiVersion: leadsman.dev/v1alpha1
kind: ReleaseContract
metadata: {name: one}
spec:
  guards:
  - name: it
    guard: {errors: {preset: Pod}, judge: {%s}}
"""


@pytest.fixture
def tried(tmp_path: Path) -> Callable[..., Result]:
    """Simulates a few releases on a plan of a minute under a contract of one guard."""

    def run(judge: str, *options: object) -> Result:
        file = tmp_path / "plan.yaml"
        file.write_text(PLAN % judge)
        few = ("--rps", 50, "--runs", 2, "--ratio", 1, "--workers", 1)
        return leadsman("simulate", file, *few, *options)

    return run


def test_the_caption_names_the_guard_that_counts_the_failed(tried: Callable[..., Result]) -> None:
    found = tried('absolute: {max: "5%"}')
    assert "failed: bad requests of the canary, by guard it (Errors)" in found.stdout
    (result,) = json.loads(tried('absolute: {max: "5%"}', "--json").stdout)["results"]
    assert result["failed"]["value"] > 0


def test_what_no_guard_counts_is_no_zero(tried: Callable[..., Result]) -> None:
    found = tried("negativeControl: {}")
    assert found.exit_code == 0, found.output
    assert "failed requests are not known" in found.stdout
    (row,) = [line for line in found.stdout.splitlines() if "as good" in line]
    assert row.split()[-3:] == ["-", "-", "-"]
    assert "no guard can stop a bad release" in found.stderr
    tree = json.loads(tried("negativeControl: {}", "--json").stdout)
    (result,) = tree["results"]
    assert (tree["counted"], result["failed"], result["excess"]) == (None, None, None)
    assert any("failed requests are not known" in one for one in tree["warnings"])


def test_a_plan_and_its_contracts_do_without_a_rollout(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "apiVersion: leadsman.dev/v1alpha1\nkind: RolloutPlan\nmetadata: {name: two}\n"
        "spec: {stages: [{name: half, weight: 50, hold: 30m}, {name: full, weight: 100}]}\n"
    )
    found = leadsman("plan", plan, SEQUENTIAL, "--rps", 200, "--json")
    assert found.exit_code == 0, found.output
    lines = json.loads(found.stdout)["stages"]
    half = next(one for one in lines if (one["guard"], one["stage"]) == ("errors", "half"))
    assert half["enough"]
    assert 5 < half["minutes"] < 15
    assert 1.1 < half["detectable"] < 1.5


def test_a_plan_that_can_show_nothing_ends_with_1_and_says_so() -> None:
    found = leadsman("plan", ROLLOUT, SEQUENTIAL, *CONTRACT, "--rps", 5)
    assert found.exit_code == 1
    assert "of the evidence that" in found.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([SEQUENTIAL], "0 RolloutPlan and 1 ReleaseContract"),
        ([ROLLOUT, "--rollout", "other"], "which Rollout?"),
        ([ROLLOUT, "--contract", "missing"], "ReleaseContract missing is not in the files"),
    ],
)
def test_what_is_missing_is_named(arguments: list[object], told: str) -> None:
    found = leadsman("simulate", *arguments)
    assert found.exit_code == 1
    assert told in found.output


def test_a_wrong_field_is_named_with_its_file(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(SEQUENTIAL.read_text().replace('margin: "1%"', "margin: 7"))
    found = leadsman("simulate", ROLLOUT, wrong)
    assert found.exit_code == 1
    assert "wrong.yaml: Guard errors-non-inferior: spec.judge.nonInferiority.margin" in found.output


def test_text_that_is_no_yaml_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("kind: [")
    found = leadsman("plan", broken)
    assert found.exit_code == 1
    assert "is no YAML" in found.output
