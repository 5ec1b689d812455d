"""How suites, the demo and the bench come to their cluster.

Two ways, for any backend: `python -m e2e.cluster run -- CMD` boots one around a command, or a
process calls `ensure_inside(argv)` first thing and is started again in that way. Afterwards
`attach()` returns the Backend. Which cluster it is travels in the environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster import backend, bare, beds, namespace
from e2e.cluster.backend import Backend
from e2e.cluster.errors import BedError
from e2e.cluster.existing import ExistingCluster
from e2e.cluster.kind import KindCluster

KIND_ENV = "LEADSMAN_KIND"
EXISTING_ENV = "LEADSMAN_EXISTING"


def attached() -> bool:
    """Whether this process was started with a cluster around it."""
    return any(os.environ.get(name) for name in (beds.ENV, KIND_ENV, EXISTING_ENV))


def attach() -> Backend:
    """The cluster around this process; raises BedError when there is none."""
    if name := os.environ.get(beds.ENV):
        namespace.assert_inside()
        return bare.BareCluster(name, beds.folder(name))
    if state := os.environ.get(KIND_ENV):
        return KindCluster.attach(Path(state))
    if os.environ.get(EXISTING_ENV):
        return ExistingCluster()
    raise BedError(
        "no cluster around this process: start it with `python -m e2e.cluster run -- ...`"
    )


def run(name: str, argv: Sequence[str], keep_logs: bool = True) -> int:
    """Boots the backend that E2E_CLUSTER asks for, runs a command with it, ends it."""
    match backend.choose():
        case "bare":
            return beds.run(name, argv, keep_logs)
        case "kind":
            state = beds.state_root() / "kind" / name
            cluster = KindCluster.new(f"leadsman-{name}", state)
            cluster.up()
            try:
                env = {**cluster.env(), KIND_ENV: str(state)}
                return subprocess.run(argv, env=env, check=False).returncode
            finally:
                cluster.down()
        case "existing":
            existing = ExistingCluster()
            existing.up()
            env = {**existing.env(), EXISTING_ENV: "1"}
            return subprocess.run(argv, env=env, check=False).returncode


def ensure_inside(argv: Sequence[str], name: str | None = None) -> None:
    """Returns when a cluster is around this process; otherwise starts `argv` again with one.

    Then it does not return: the process becomes `python -m e2e.cluster run -- argv`, whose exit
    code is that of `argv`. Call it before anything is printed or imported at length. Raises
    MissingToolError, with the reason, when no cluster can be had here.
    """
    if attached():
        return
    backend.choose()
    option = ["--name", name] if name else []
    command = [sys.executable, "-m", "e2e.cluster", "run", *option, "--", *argv]
    sys.stdout.flush()
    sys.stderr.flush()
    env = {
        **os.environ,
        "PYTHONPATH": f"{beds.ROOT}:{os.environ.get('PYTHONPATH', '')}".rstrip(":"),
    }
    os.execvpe(sys.executable, command, env)
