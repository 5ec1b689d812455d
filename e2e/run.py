"""All end-to-end suites in one command: builds, boots a cluster, runs them, ends the cluster.

    python -m e2e.run [-k EXPRESSION] [-n WORKERS] [--name BED] [--phase NAME] [pytest arguments]

Phases on one cluster: suites side by side, then those that disturb the cluster (one disturbance
after the other), then the replay of every decision that was recorded. The last line has the totals
of all phases as pytest prints them; the exit code is 1 when anything failed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from e2e.cluster import session
from e2e.cluster.errors import BedError

REPLAY = "e2e/suites/test_records.py"
WORDS = ("passed", "failed", "error", "skipped")


@dataclass(slots=True)
class Totals:
    """What pytest has counted."""

    passed: int = 0
    failed: int = 0
    error: int = 0
    skipped: int = 0
    repeated: int = 0

    def join(self, other: Totals) -> None:
        """Adds another phase's counts."""
        for word in (*WORDS, "repeated"):
            setattr(self, word, getattr(self, word) + getattr(other, word))

    def add(self, line: str) -> None:
        """Adds the counts of pytest's closing line."""
        for word in WORDS:
            for count in re.findall(rf"(\d+) {word}s?\b", line):
                setattr(self, word, getattr(self, word) + int(count))

    @property
    def bad(self) -> int:
        """What has not passed and was to."""
        return self.failed + self.error

    def told(self) -> str:
        """The closing line."""
        return f"{self.passed} passed, {self.bad} failed, {self.skipped} skipped"


DISTURBANCES = {
    "operator": ("operator_killed", "deletion", "evidence"),
    "hold": ("hold",),
    "handover_gaps": ("handover_gaps",),
    "waiting": ("examples", "prometheus_down"),
}
"""Suites with tests that disturb the cluster, by what they disturb. Those of one line share their
disturbance (or bear each other's), so that they run side by side; those of two lines never do. The
examples judge latency, so they want the machine for themselves, but for what only waits."""


def phases(workers: int) -> dict[str, list[str]]:
    """pytest's arguments of each phase."""
    many = ["-n", str(workers), "--dist", "worksteal"] if workers > 1 else []
    disturbing = {
        name: [*many, "-m", "disruptive", *(f"e2e/suites/test_{suite}.py" for suite in suites)]
        for name, suites in DISTURBANCES.items()
    }
    return {
        "parallel": [*many, "-m", "not disruptive", f"--ignore={REPLAY}", "e2e"],
        **disturbing,
        "replay": [REPLAY],
    }


def run_phase(argv: Sequence[str], totals: Totals) -> int:
    """Runs pytest, shows its output as it comes, and counts; its exit code."""
    command = [sys.executable, "-m", "pytest", "-q", "--durations=12", "--durations-min=20", *argv]
    closing = ""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        if re.search(r"\d+ (passed|failed|errors?|skipped|deselected)\b.* in [\d.]+s", line):
            closing = line
    code = process.wait()
    totals.add(closing)
    if code not in (0, 1, 5):  # 5: nothing was selected
        totals.error += 1
    return 0 if code == 5 else code


def once_more(phase: str, argv: Sequence[str], counted: Totals) -> int:
    """Runs what failed in a phase again, alone: is it the machine's load, or the operator?

    Both outcomes are told. What passes only alone does not fail the run, because a real cluster
    with several suites on two cores is sometimes late; what fails twice does. Where nothing was
    run again, for pytest did not remember what, the failures stand.
    """
    print(f"--- {phase}: {counted.bad} failed; once more, alone", flush=True)
    again = Totals()
    code = run_phase([*argv, "--last-failed", "--last-failed-no-failures=none"], again)
    if not again.passed and not again.bad:
        return 1
    counted.passed += again.passed
    counted.repeated += again.passed
    counted.failed, counted.error = again.failed, again.error
    return code


def inside(given: argparse.Namespace, rest: Sequence[str]) -> int:
    """All phases, with a cluster around this process."""
    totals = Totals()
    worst = 0
    select = ["-k", given.k] if given.k else []
    alone = phases(1)
    for name, argv in phases(given.n).items():
        if given.phase and name not in given.phase:
            continue
        if given.k and name == "replay":
            continue
        begun = time.monotonic()
        print(f"--- {name}", flush=True)
        more = ["-o", f"cache_dir=.pytest_cache/{given.name}-{name}", *select, *rest]
        counted = Totals()
        code = run_phase([*argv, *more], counted)
        if code == 1 and name != "replay":
            code = once_more(name, [*alone[name], *more], counted)
        totals.join(counted)
        worst = max(worst, code)
        print(f"--- {name}: {time.monotonic() - begun:.0f} s", flush=True)
    if totals.repeated:
        print(f"*** {totals.repeated} passed only when they were run again, alone ***")
    print(totals.told())
    return 1 if worst or totals.bad else 0


def main() -> int:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="python -m e2e.run", description=__doc__)
    parser.add_argument("-k", default="", help="only tests that match, as pytest's -k")
    parser.add_argument("-n", type=int, default=4, help="suites side by side (default 4)")
    parser.add_argument("--name", default=f"e2e-{os.getpid()}", help="name of the cluster")
    parser.add_argument(
        "--phase", action="append", choices=list(phases(1)), help="only this phase (repeatable)"
    )
    given, rest = parser.parse_known_args()
    if session.attached():
        return inside(given, rest)
    try:
        return session.run(given.name, [sys.executable, "-m", "e2e.run", *sys.argv[1:]])
    except BedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
