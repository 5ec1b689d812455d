"""`make demo`: on a real cluster where one can be had, on one in memory otherwise.

KEEP=1 leaves the cluster running and says how to try things oneself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from e2e.cluster import backend, session
from e2e.cluster.errors import BedError, MissingToolError
from e2e.demo import keeping

OUT = Path("demo-out")
AGAIN = [sys.executable, "-m", "e2e.demo"]


def main() -> int:
    """The exit code: 0 when both releases went as they must."""
    if session.attached():
        return _real()
    try:
        kind = backend.choose()
    except MissingToolError as missing:
        print(f"{missing}\nThe same operator code runs on a cluster in memory instead: SIMULATED.")
        return _simulated()
    print(f"cluster: {kind} (E2E_CLUSTER chooses; the first time it is built, with progress)")
    try:
        if os.environ.get("KEEP", "0") not in ("", "0"):
            return keeping.run(kind, AGAIN)
        session.ensure_inside(AGAIN)
    except BedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    raise AssertionError("a started process does not come back")


def _real() -> int:
    from e2e.demo.screen import Screen, interactive
    from e2e.demo.script import Demo, DemoError

    screen: Screen | None = None

    def tell(text: str) -> None:
        if screen is not None:
            screen.tell(text)

    demo = Demo(session.attach(), tell)
    screen = Screen(demo.frame, "Leadsman: one good release, one bad one", live=interactive())
    try:
        with screen:
            outcome = demo.play()
    except (DemoError, BedError, TimeoutError, subprocess.SubprocessError) as error:
        print(f"the demo failed: {error}", file=sys.stderr)
        return 1
    return _finish(outcome)


def _simulated() -> int:
    from e2e.demo.simulated import play

    return _finish(play())


def _finish(outcome: object) -> int:
    from e2e.demo import picture, report
    from e2e.demo.script import Outcome

    assert isinstance(outcome, Outcome)
    found = report.facts(outcome)
    report.show(found)
    written = [report.write(found, OUT), *picture.draw(found, OUT)]
    print("written: " + ", ".join(str(path) for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
