"""`plan`: what it plans, what it names instead, what it assumes, and what an operator has seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from leadsman.cli.main import main
from leadsman.core.status import Attempt, StageOutlook, Status
from leadsman.guards import bounds
from leadsman.guards.gathering import conclude, gather
from leadsman.guards.judges import NonInferiority
from leadsman.guards.memory import Gathered, Place
from leadsman.guards.verdict import Verdict
from leadsman.guards.windows import Block, Reading, Window
from leadsman.runtime.codec import encode_status
from tests.core.worlds import middle

SEQUENTIAL = {"sequential": {"tolerance": "10%"}}
ABSOLUTE = {"absolute": {"max": "1%"}}
NON_INFERIORITY = {"nonInferiority": {"margin": "1%"}}
THRESHOLD = {"threshold": {"max": "5%", "window": "1m", "minEvents": 10}}


def rollout(*judges: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A Rollout of two stages with one guard for each judge, named after it."""
    guards = [
        {
            "name": next(iter(judge)).lower(),
            "onFail": "Hold" if "nonInferiority" in judge else "Rollback",
            "guard": {"errors": {"preset": "Traefik"}, "judge": judge},
        }
        for judge in judges
    ]
    return {
        "apiVersion": "leadsman.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "shop"},
        "spec": {
            "targetRef": {"kind": "Deployment", "name": "shop"},
            "traffic": {"gatewayAPI": {"routeRefs": [{"name": "shop"}]}},
            "plan": {
                "stages": [
                    {"name": "fifth", "weight": 20, "hold": "5m"},
                    {"name": "all", "weight": 100},
                ]
            },
            "contract": {"designRatio": "3", "guards": guards},
        },
        **more,
    }


def planned(tree: dict[str, Any], folder: Path, *options: object) -> Result:
    file = folder / "rollout.yaml"
    file.write_text(yaml.safe_dump(tree))
    return CliRunner().invoke(main, ["plan", str(file), *[str(one) for one in options]])


GIVEN = ("--rps", 100, "--errors", 0.02)


def test_a_guard_that_is_not_planned_is_named_with_its_judge(tmp_path: Path) -> None:
    found = planned(rollout(SEQUENTIAL, THRESHOLD), tmp_path, *GIVEN)
    assert found.exit_code == 0, found.output
    assert "not planned: threshold (threshold): only sequential guards" in found.output
    assert "not planned: sequential" not in found.output


def test_an_absolute_guard_is_told_with_the_minutes_that_its_requests_take(tmp_path: Path) -> None:
    found = planned(rollout(ABSOLUTE), tmp_path, *GIVEN)
    assert found.exit_code == 0, found.output
    assert "nothing to plan" in found.output
    # 20 bad ones expected at 1 % are 2,000 requests, at 20 and at 100 a second.
    assert "not planned: absolute (absolute): " in found.output
    assert "1.67 min in fifth (hold 5), 0.333 min in all (hold 0)" in found.output


def test_a_non_inferiority_guard_passes_about_when_plan_says(tmp_path: Path) -> None:
    found = planned(rollout(NON_INFERIORITY), tmp_path, *GIVEN, "--json")
    (one,) = json.loads(found.stdout)["notPlanned"]
    fifth, all_of_it = one["needs"]
    assert (one["guard"], one["judge"]) == ("noninferiority", "nonInferiority")
    assert all_of_it["minutes"] is None
    spec, seconds = NonInferiority(0.01), fifth["minutes"] * 60
    assert seconds > 60

    def passes(after: float) -> bool:
        step = after / 40
        blocks = tuple(
            Block(n * step, (n + 1) * step, 20 * step, 0.4 * step, 80 * step, 1.6 * step)
            for n in range(40)
        )
        place = Place(weight=20)
        gathered = gather(spec, place, Gathered(), blocks)
        reading = Reading("one", (Window(after, 1, 0),), (), "", after)
        return conclude(spec, place, gathered, reading).verdict is Verdict.PASS

    assert passes(seconds * 1.02)
    assert not passes(seconds * 0.98)


def test_what_absolute_needs_is_what_its_judge_counts(tmp_path: Path) -> None:
    tree = json.loads(planned(rollout(ABSOLUTE), tmp_path, *GIVEN, "--json").stdout)
    fifth = tree["notPlanned"][0]["needs"][0]
    assert fifth["minutes"] * 60 * 100 * 0.2 * 0.01 == pytest.approx(bounds.EXPECTED)


def test_traffic_that_nobody_gave_is_called_an_assumption(tmp_path: Path) -> None:
    tree = rollout(SEQUENTIAL)
    assert "shop: 100 requests/s, 0.02 fail\n" in _heading(planned(tree, tmp_path, *GIVEN))
    none = planned(tree, tmp_path)
    assert "shop: assumed: 50 requests/s, 0.005 fail\n" in _heading(none)
    half = planned(tree, tmp_path, "--rps", 100)
    assert "shop: 100 requests/s; assumed: 0.005 fail\n" in _heading(half)
    told = json.loads(planned(tree, tmp_path, "--rps", 100, "--json").stdout)
    assert told["assumed"] == ["errors", "slow"]


def _heading(found: Result) -> str:
    return "\n".join(line.rstrip() for line in found.stdout.splitlines())


def test_a_guard_on_latency_makes_the_slow_share_part_of_the_heading(tmp_path: Path) -> None:
    tree = rollout(SEQUENTIAL)
    guard = tree["spec"]["contract"]["guards"][0]["guard"]
    guard["latency"] = {"preset": "Traefik", "above": "250ms"}
    del guard["errors"]
    assert "0.02 fail; assumed: 0.02 are slow" in planned(tree, tmp_path, *GIVEN).stdout


def test_warnings_about_the_contract_are_told(tmp_path: Path) -> None:
    found = planned(rollout(SEQUENTIAL, THRESHOLD), tmp_path, *GIVEN)
    assert "warning: " in found.stderr
    assert "below 400" in found.stderr
    tree = json.loads(planned(rollout(THRESHOLD), tmp_path, *GIVEN, "--json").stdout)
    assert "minEvents" in tree["warnings"][0]
    assert not planned(rollout(SEQUENTIAL), tmp_path, *GIVEN).stderr


def live(outlook: tuple[StageOutlook, ...], message: str = "") -> dict[str, Any]:
    """The Rollout as `kubectl get lro shop -o yaml` shows it in the middle of an attempt."""
    attempt = middle().status.attempt
    assert isinstance(attempt, Attempt)
    status = encode_status(Status(attempt=replace(attempt, outlook=outlook)))
    if message:
        status["conditions"] = [
            {
                "type": "ContractSound",
                "status": "False",
                "reason": "CannotDetect",
                "message": message,
                "lastTransitionTime": "2026-11-01T12:00:00Z",
            }
        ]
    tree = rollout(SEQUENTIAL, status=status)
    tree["metadata"] |= {
        "uid": "1",
        "generation": 2,
        "resourceVersion": "10",
        "managedFields": [{"manager": "kubectl", "operation": "Apply"}],
    }
    return tree


OUTLOOK = (StageOutlook("fifth", 2.215, 7.125),)


def test_what_an_operator_has_seen_is_shown_beside_what_is_worked_out(tmp_path: Path) -> None:
    found = planned(live(OUTLOOK), tmp_path, *GIVEN)
    assert found.exit_code == 0, found.output
    before, after = found.stdout.split("from the traffic seen")
    assert "0.02 fail" in before
    assert "2.21 x" in after or "2.22 x" in after
    assert "7.12 min" in after or "7.13 min" in after
    tree = json.loads(planned(live(OUTLOOK), tmp_path, *GIVEN, "--json").stdout)
    assert tree["seen"] == [{"stage": "fifth", "detectable": 2.215, "minutes": 7.125}]
    assert "traffic seen" not in planned(rollout(SEQUENTIAL), tmp_path, *GIVEN).output


def test_an_operator_s_doubt_is_shown(tmp_path: Path) -> None:
    found = planned(live((), "guard errors has seen nothing bad"), tmp_path, *GIVEN)
    assert "the operator says: guard errors has seen nothing bad" in found.stdout


def test_a_live_rollout_may_come_by_standard_input() -> None:
    text = yaml.safe_dump(live(OUTLOOK))
    found = CliRunner().invoke(main, ["plan", "-", "--rps", "100"], input=text)
    assert found.exit_code in (0, 1), found.output
    assert "shows from" in found.stdout
    assert "from the traffic seen" in found.stdout


def test_a_status_that_somebody_has_spoiled_is_passed_over(tmp_path: Path) -> None:
    for status in (3, {"attempt": []}, {"attempt": {"outlook": [{"stage": 1}, 2]}}):
        found = planned(rollout(SEQUENTIAL, status=status), tmp_path, *GIVEN)
        assert found.exit_code == 0, found.output
        assert "traffic seen" not in found.output
