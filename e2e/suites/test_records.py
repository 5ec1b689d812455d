"""Every decision of the whole run is replayed in a fresh process and comes out the same.

The entry point runs this last (e2e/run.py): all records that the operator wrote while the other
suites ran, with another hash seed. None of them may be missing: files and records are numbered.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.harness.app import Place
from e2e.harness.objects import ROOT
from e2e.harness.records import missing, whole_lines


@pytest.mark.timeout(1200)
def test_every_decision_of_the_run_replays_to_the_same_decision(place: Place, tmp_path: Path):
    if place.operator.records() is None:
        pytest.skip("the records are on a node whose disk this process does not see")
    files = place.operator.kept_records()
    assert files, "the operator has written no records"
    assert missing(files) == []
    whole = [_without_a_cut_line(path, tmp_path) for path in files]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "PYTHONHASHSEED": "4711"}
    answer = subprocess.run(
        [sys.executable, "-m", "leadsman.cli", "replay", *map(str, whole)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, (answer.stdout + answer.stderr)[-4000:]


def _without_a_cut_line(path: Path, folder: Path) -> Path:
    """The file as far as it is whole: a killed process may have been in the middle of a line."""
    copy = folder / path.name
    copy.write_bytes(b"".join(line + b"\n" for line in whole_lines(path)))
    return copy
