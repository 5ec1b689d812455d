"""Records that are missing are noticed by their numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.harness.records import missing
from leadsman.core.decide import decide
from leadsman.core.observation import Observation
from leadsman.core.spec import RolloutSpec
from leadsman.core.status import Status
from leadsman.runtime.recorder import FileRecorder

SPEC = RolloutSpec("default", "shop", "uid", 1, "shop", None)
DECIDED = (SPEC, Status(), Observation(), 5.0, decide(SPEC, Status(), Observation(), 5.0))


def process(folder: Path, records: int, **bounds: int) -> None:
    """One process writes so many records, and ends."""
    out = FileRecorder(folder, **bounds)
    for _ in range(records):
        out.record(*DECIDED)
    out.close()


def test_a_process_after_the_other_with_several_files_is_complete(tmp_path):
    process(tmp_path, 5, file_bytes=1)
    process(tmp_path, 0)
    process(tmp_path, 3)
    assert len(list(tmp_path.iterdir())) == 6
    assert missing(tmp_path.iterdir()) == []


def test_a_line_that_a_kill_has_cut_is_not_missing(tmp_path):
    process(tmp_path, 2)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-40])
    process(tmp_path, 1)
    assert missing(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("dropped", "told"),
    [(1, ["file 1 is missing", "begins with record 2"]), (2, ["file 2", "begins with record 3"])],
)
def test_a_file_that_was_dropped_is_told(tmp_path, dropped, told):
    process(tmp_path, 3, file_bytes=1)
    (tmp_path / f"decisions-{dropped:06d}.jsonl").unlink()
    found = missing(tmp_path.iterdir())
    assert len(found) == len(told)
    assert all(part in line for part, line in zip(told, found, strict=True))


def test_files_that_the_recorder_itself_dropped_are_told(tmp_path):
    process(tmp_path, 12, file_bytes=1)
    assert len(missing(tmp_path.iterdir())) == 5


def test_a_record_that_the_disk_did_not_take_is_told(tmp_path):
    out = FileRecorder(tmp_path)
    out.record(*DECIDED)
    unwritable: tuple[object, ...] = (object(), *DECIDED[1:])
    out.record(*unwritable)  # type: ignore[arg-type]
    out.record(*DECIDED)
    out.close()
    (told,) = missing(tmp_path.iterdir())
    assert "begins with record 3" in told


def test_a_line_lost_in_a_file_and_a_file_there_twice_are_told(tmp_path):
    process(tmp_path, 3)
    (path,) = tmp_path.iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    (tmp_path / f"7-{path.name}").write_bytes(b"")
    assert missing(tmp_path.iterdir()) == [
        "file 1 is there twice",
        f"{path.name}: record 3 follows 1",
    ]
