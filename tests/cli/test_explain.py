"""`explain`: the last decision of a record or a Rollout, in words, in a table, and as a chart."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from leadsman.cli.chart import Chart, Point, draw
from leadsman.cli.explain import REASONS, words
from leadsman.cli.main import main
from leadsman.core.decision import Decision
from leadsman.core.observation import Observation
from leadsman.core.spec import Contract, GuardSpec, OnInconclusive, Plan, RolloutSpec, Stage, Terms
from leadsman.core.status import GuardStatus, Status
from leadsman.guards.gathering import conclude, figures_of, gather
from leadsman.guards.judges import (
    Absolute,
    Gathering,
    NegativeControl,
    NonInferiority,
    SampleRatio,
    Sequential,
    SequentialMean,
)
from leadsman.guards.memory import Gathered, Place
from leadsman.guards.verdict import Reason, Verdict
from leadsman.guards.windows import Block, Reading, Window
from leadsman.runtime.codec import encode_status
from leadsman.runtime.codec_guards import encode_guard
from leadsman.runtime.recorder import FileRecorder
from leadsman.simulation import release
from leadsman.simulation.release import Release, horizon
from leadsman.simulation.traffic import Traffic

STAGES = tuple(Stage(f"{weight}", weight, 300.0, 300.0) for weight in (10, 50))
TERMS = Terms(
    Plan(STAGES),
    Contract(
        (GuardSpec("errors", Sequential(0.1, 0.01, 2)),), on_inconclusive=OnInconclusive.PROMOTE
    ),
)


def leadsman(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


class Recorded(Release):
    """A simulated release that decides every reading in full."""

    def _quiet(self, *_: object) -> float:
        return 0.0


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The decisions about a release with four times the errors, until it is rolled back."""
    folder = tmp_path_factory.mktemp("records")
    out = FileRecorder(folder)
    decide = release.decide

    def told(spec: RolloutSpec, status: Status, seen: Observation, now: float) -> Decision:
        decision = decide(spec, status, seen, now)
        out.record(spec, status, seen, now, decision)
        return decision

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release, "decide", told)
        Recorded(TERMS, Traffic(rps=60, ratio=4.0), "explain", horizon(TERMS)).run()
    out.close()
    return folder


def test_the_last_decision_of_records_is_told_with_its_counts_and_evidence(records: Path) -> None:
    found = leadsman("explain", records)
    assert found.exit_code == 0, found.output
    for part in ("RollingBack", "GuardFailed", "errors", "Fail", "HarmDetected", "of 100"):
        assert part in found.output, found.output
    assert REASONS["HarmDetected"] in found.output
    assert "errors had seen last" in found.output
    assert re.search(r"s canary \d+/\d+ stable \d+/\d+", found.output)


def test_a_rollout_is_told_from_its_status(records: Path, tmp_path: Path) -> None:
    last = max(records.glob("*.jsonl")).read_text().splitlines()[-1]
    tree = json.loads(last)
    assert tree["decision"]["why"]["policy"]
    made = Recorded(TERMS, Traffic(rps=60), "status", horizon(TERMS))
    for _ in range(12):
        made.step()
    body = {
        "apiVersion": "leadsman.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "team"},
        "status": encode_status(made.status),
    }
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(body))
    found = leadsman("explain", file)
    assert found.exit_code == 0, found.output
    for part in ("team/shop", "10 % of the traffic", "Inconclusive", "more evidence"):
        assert part in found.output, found.output
    piped = CliRunner().invoke(main, ["explain", "-"], input=json.dumps(body))
    assert piped.output == found.output


def test_a_name_is_asked_of_the_cluster_by_kubectl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        '#!/bin/sh\n[ "$3" = shop ] || { echo "no $3 in $7" >&2; exit 1; }\n'
        'echo \'{"kind": "Rollout", "metadata": {"name": "shop"}}\'\n'
    )
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "shop: nothing was decided yet" in leadsman("explain", "shop").output
    found = leadsman("explain", "other", "-n", "team")
    assert found.exit_code == 1
    assert "no such file, and no other in team" in found.output


def test_the_chart_is_drawn_from_records_and_is_sound_xml(records: Path, tmp_path: Path) -> None:
    file = tmp_path / "errors.svg"
    found = leadsman("explain", records, "--plot", file)
    assert found.exit_code == 0, found.output
    text = file.read_text()
    assert ET.fromstring(text).tag.endswith("svg")
    for part in ("limit 100", "10 %", "accepted 1.1"):
        assert part in text


def test_a_chart_of_a_status_or_of_an_unknown_guard_is_refused(
    records: Path, tmp_path: Path
) -> None:
    assert "no e-process" in leadsman("explain", records, "--plot", "x.svg", "--guard", "y").output
    file = tmp_path / "shop.yaml"
    file.write_text("{kind: Rollout, metadata: {name: shop}}")
    assert "one moment" in leadsman("explain", file, "--plot", "x.svg").output


def test_what_is_no_record_is_named_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "wrong.jsonl"
    file.write_text("{}\n")
    found = leadsman("explain", file)
    assert found.exit_code == 1
    assert "wrong.jsonl:1" in found.output


def test_every_reason_has_words() -> None:
    assert set(REASONS) >= {one.value for one in Reason}


def test_a_chart_holds_extreme_evidence() -> None:
    points = [Point(60.0, -700.0, 0.01, 0.0, float("inf")), Point(120.0, 900.0, 60.0, 0.1, 1e9)]
    text = draw(Chart("a < b & c", points, 4.6))
    assert ET.fromstring(text) is not None
    assert "nan" not in text
    assert "inf" not in text
    with pytest.raises(ValueError, match="no evidence"):
        draw(Chart("nothing", [], 4.6))


def passed(judge: Gathering) -> dict[str, Any]:
    """A passing guard in the API's form, after blocks in which both arms are alike."""
    mean = isinstance(judge, SequentialMean)
    seen = tuple(
        Block(t, t + 1.0, 100, 100 + t % 3 if mean else 1, 300, 300 + t % 5 if mean else 3)
        for t in map(float, range(1, 400))
    )
    place = Place(0, 0, 25)
    found = gather(judge, place, Gathered(), seen)
    says = conclude(judge, place, found, Reading("g", (Window(9.0, 100.0, 0.0),), (), "", 9.0))
    assert says.verdict == "Pass"
    figures = figures_of(judge, place, found.memory)
    return encode_guard(
        GuardStatus(
            "g",
            says.verdict,
            says.reason,
            0.0,
            value=says.value,
            limit=says.limit,
            events=says.events,
            figures=figures,
        )
    )


PASSES: dict[str, tuple[Gathering, str]] = {
    "negativeControl": (NegativeControl(), "nothing speaks against the measurement"),
    "sampleRatio": (SampleRatio(), "nothing speaks against the split"),
    "sequential of the same level": (Sequential(0.1, 0.05), REASONS["NoHarmSeen"]),
    "sequentialMean of the same level": (SequentialMean(0.1, 0.05), REASONS["NoHarmSeen"]),
    "absolute of the same level": (Absolute(0.05, 0.05), REASONS["NoHarmSeen"]),
    "nonInferiority": (NonInferiority(0.02), REASONS["NotInferior"]),
}


@pytest.mark.parametrize(("judge", "told"), PASSES.values(), ids=PASSES)
def test_a_pass_says_of_the_release_only_what_its_judge_looked_at(
    judge: Gathering, told: str
) -> None:
    (line,) = words([passed(judge)], going_on=True)
    assert line.startswith("g says Pass since")
    assert told in line


def test_a_control_that_passed_at_once_claims_no_more() -> None:
    one = Block(1.0, 2.0, 100, 1, 100, 1)
    found = gather(NegativeControl(), Place(), Gathered(), (one,))
    figures = figures_of(NegativeControl(), Place(), found.memory)
    guard = encode_guard(GuardStatus("g", Verdict.PASS, Reason.NO_HARM_SEEN, 0.0, figures=figures))
    assert "nothing speaks against the measurement" in words([guard], going_on=True)[0]
