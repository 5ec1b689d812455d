"""A recorded decision is reproduced exactly: in a fresh process, with another hash seed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from leadsman.cli.main import main
from leadsman.cli.replay import read, replay, run
from leadsman.core.record import DecisionRecord, encode
from leadsman.errors import RecordError
from leadsman.runtime.recorder import FileRecorder
from tests.runtime.worlds import World, adopted, deployment

ROOT = Path(__file__).resolve().parents[2]


async def whole_run() -> World:
    """A promotion, then a rollback."""
    world = await adopted()
    world.kube.user_apply(deployment("v2"))
    assert await world.run(90, lambda: world.ready == "Promoted")
    world.kube.user_apply(deployment("v3"))
    assert await world.run(20, lambda: world.canary_weight() == 20)
    world.sampler.bad = 0.5
    assert await world.run(60, lambda: world.ready == "RolledBack")
    return world


@pytest.fixture(scope="module")
def world() -> World:
    return asyncio.run(whole_run())


def written(world: World, directory: Path) -> Path:
    out = FileRecorder(directory)
    for spec, status, seen, now, decision in world.recorded.records:
        out.record(spec, status, seen, now, decision)
    out.close()
    return directory


def test_every_decision_of_a_run_is_reproduced_in_a_fresh_process(
    world: World, tmp_path: Path
) -> None:
    written(world, tmp_path)
    for seed in ("1", "4242"):
        done = subprocess.run(
            [sys.executable, "-m", "leadsman.cli", "replay", str(tmp_path)],
            env={
                "PYTHONPATH": str(ROOT / "operator"),
                "PYTHONHASHSEED": seed,
                "PATH": os.environ["PATH"],
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{len(world.recorded.records)} decisions replayed" in done.stdout


def test_a_record_reads_back_to_the_very_values(world: World, tmp_path: Path) -> None:
    for one in world.recorded.records:
        record = DecisionRecord(*one)
        assert read(json.dumps(encode(record)))[0] == record


def test_a_changed_decision_is_found_and_its_first_field_named(
    world: World, tmp_path: Path
) -> None:
    tree = encode(DecisionRecord(*world.recorded.records[-1]))
    tree["decision"]["why"]["message"] = "another"
    file = tmp_path / "one.jsonl"
    file.write_text(json.dumps(tree) + "\n")
    console = Console(file=StringIO(), width=200)
    assert run([file], console=console) == 1
    assert "one.jsonl:1: why.message" in console.file.getvalue()  # type: ignore[attr-defined]


def test_an_unreadable_record_is_named_by_its_place(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="a:1: spec"):
        replay([("a:1", '{"spec": 1, "status": {}, "observation": {}, "now": 1, "decision": {}}')])
    with pytest.raises(RecordError, match="is no JSON"):
        replay([("a:1", "{")])
    file = tmp_path / "broken.jsonl"
    file.write_text("[]\n")
    assert CliRunner().invoke(main, ["replay", str(file)]).exit_code == 2


def test_a_file_without_records_is_no_success(tmp_path: Path) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_text("")
    assert CliRunner().invoke(main, ["replay", str(file)]).exit_code == 2


def test_records_are_bounded_and_the_oldest_go_first(world: World, tmp_path: Path) -> None:
    out = FileRecorder(tmp_path, file_bytes=20_000, files=2)
    for one in world.recorded.records:
        out.record(*one)
    out.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert len(files) == 2
    assert "decisions-000001.jsonl" not in files


def test_a_disk_that_takes_nothing_fails_no_decision(world: World, tmp_path: Path) -> None:
    file = tmp_path / "a-file"
    file.write_text("")
    out = FileRecorder(file / "below")
    out.record(*world.recorded.records[0])
    out.close()
