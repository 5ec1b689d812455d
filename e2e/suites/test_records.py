"""Every decision of the whole run is replayed in a fresh process and comes out the same.

The entry point runs this last (e2e/run.py): all records that the operator wrote while the other
suites ran, with another hash seed.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from e2e.harness.app import Place
from e2e.harness.objects import ROOT


@pytest.mark.timeout(1200)
def test_every_decision_of_the_run_replays_to_the_same_decision(place: Place):
    folder = place.operator.records()
    if folder is None:
        pytest.skip("the records are on a node whose disk this process does not see")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert files, f"the operator has written no records to {folder}"
    env = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "PYTHONHASHSEED": "4711"}
    answer = subprocess.run(
        [sys.executable, "-m", "leadsman.cli.main", "replay", *map(str, files)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, (answer.stdout + answer.stderr)[-4000:]
