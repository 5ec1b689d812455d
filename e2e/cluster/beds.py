"""Named bare clusters: where their state is, how they are started, entered and ended.

A bed is a folder with bed.json (what runs, how to reach it), logs, the audit log and kubeconfigs.
The process behind it is one `unshare`; whoever holds it (a daemon for `up`, the command for `run`)
ends it, and with it everything.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from e2e.cluster import bare, namespace, programs, shares
from e2e.cluster.build import say
from e2e.cluster.errors import BedError, BootError, MissingToolError

ENV = "LEADSMAN_BED"
INTERRUPTED = 130
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class BedInfo:
    """What bed.json says."""

    name: str
    kubeconfig: str
    gateway_url: str
    prometheus_url: str
    audit_log: str
    path: tuple[str, ...]
    boot_seconds: dict[str, float]


def state_root() -> Path:
    """The folder of all beds: LEADSMAN_STATE, or the user's XDG state folder."""
    named = os.environ.get("LEADSMAN_STATE")
    if named:
        return Path(named).absolute()
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "leadsman"


def folder(name: str) -> Path:
    """The state folder of a bed; raises BedError for a name that cannot be one."""
    if not _NAME.fullmatch(name):
        raise BedError(f"--name {name!r}: lower-case letters, digits and dashes, at most 32")
    return state_root() / "beds" / name


def info(name: str) -> BedInfo:
    """What a running bed says about itself; raises BedError when it is not up."""
    try:
        data = json.loads((folder(name) / "bed.json").read_text())
    except (OSError, ValueError):
        raise BedError(
            f"no bed named {name!r} is up: `python -m e2e.cluster up --name {name}`"
        ) from None
    return BedInfo(**{**data, "path": tuple(data["path"])})


def _is_bed(pid: int, name: str) -> bool:
    """Whether `pid` is the process that holds this bed (a number may have been given anew)."""
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return argv[0] == b"unshare" and name.encode() in argv


def first_process(name: str) -> int:
    """The process, seen from here, that is number 1 inside the bed; raises BedError when gone."""
    try:
        outer = int((folder(name) / "pid").read_text())
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
    except (OSError, ValueError):
        raise BedError(f"no bed named {name!r} is up") from None
    if not children or not _is_bed(outer, name):
        raise BedError(f"no bed named {name!r} is up")
    return int(children[0])


def is_up(name: str) -> bool:
    """Whether a bed of this name runs."""
    try:
        first_process(name)
    except BedError:
        return False
    return True


@contextlib.contextmanager
def _reserved(name: str) -> Iterator[None]:
    """Keeps two starts of the same bed apart."""
    target = folder(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BedError(f"another start of the bed {name!r} is under way") from None
        if is_up(name):
            raise BootError(f"the bed {name!r} is up already: use `exec`, or `down` first")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        yield


def _possible() -> None:
    reason = namespace.why_not()
    if reason is not None:
        raise MissingToolError(reason)


def up(name: str) -> BedInfo:
    """Boots a bed that keeps running after this process; raises BootError with the reason."""
    _possible()
    bare.prepare()
    with _reserved(name):
        target = folder(name)
        with (target / "boot.log").open("wb") as log:
            process = subprocess.Popen(
                namespace.unshare_argv([sys.executable, "-m", "e2e.cluster", "_serve", name]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=ROOT,
            )
        (target / "pid").write_text(str(process.pid))
        until = time.monotonic() + 180
        while not (target / "bed.json").exists():
            if process.poll() is not None or time.monotonic() > until:
                down(name, keep_logs=True)
                raise BootError((target / "boot.log").read_text()[-3000:])
            time.sleep(0.05)
    return info(name)


def boot_here(name: str) -> bare.BareCluster:
    """Boots the bed in this process' namespace and writes bed.json (called inside only)."""
    cluster = bare.BareCluster(name, folder(name))
    cluster.up()
    told = BedInfo(
        name=name,
        kubeconfig=str(cluster.kubeconfig),
        gateway_url=cluster.gateway_url,
        prometheus_url=cluster.prometheus_url,
        audit_log=str(cluster.audit_log),
        path=(str(cluster.layout.kube), str(cluster.layout.runtime)),
        boot_seconds=cluster.timings,
    )
    draft = folder(name) / "bed.json.draft"
    draft.write_text(json.dumps(asdict(told), indent=1))
    draft.rename(folder(name) / "bed.json")
    return cluster


def serve(name: str) -> int:
    """Boots the bed and holds it until a signal comes (the daemon of `up`, inside)."""
    cluster = boot_here(name)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    cluster.down()
    return 0


def _bed_environment(name: str) -> dict[str, str]:
    cluster = bare.BareCluster(name, folder(name))
    return {**cluster.env(), ENV: name}


def enter(name: str, argv: Sequence[str]) -> int:
    """Runs a command inside a running bed; its exit code."""
    info(name)
    command = namespace.nsenter_argv(first_process(name), argv, str(Path.cwd()))
    return subprocess.run(command, env=_bed_environment(name), check=False).returncode


def load(name: str, tar: Path) -> None:
    """Loads an image archive into a running bed; raises BedError when the import fails."""
    layout = bare.BareCluster(name, folder(name)).layout
    if enter(name, programs.import_image(layout, tar.absolute())) != 0:
        raise BedError(f"cannot import {tar} into the bed {name!r}")


def run(name: str, argv: Sequence[str], keep_logs: bool = True) -> int:
    """Boots a bed, runs a command inside, ends the bed; the command's exit code.

    The bed's logs stay when asked for, and whenever the command failed. A boot that fails is told
    and tried once more: a command that takes an hour must not hang on one program's bad start.
    """
    _possible()
    bare.prepare()
    signal.signal(signal.SIGTERM, _interrupt)
    with _reserved(name):
        code, booted = _run_once(name, argv, keep_logs)
    if booted or code == INTERRUPTED:
        return code
    kept = _set_aside(name)
    say(f"the boot of the bed {name} failed (logs: {kept}); once more")
    with _reserved(name):
        return _run_once(name, argv, keep_logs)[0]


def _run_once(name: str, argv: Sequence[str], keep_logs: bool) -> tuple[int, bool]:
    """Exit code, and whether the bed had booted."""
    inner = [sys.executable, "-m", "e2e.cluster", "_run", name, str(Path.cwd()), "--", *argv]
    # The bed must not outlive this process, however it ends.
    command = ["setpriv", "--pdeathsig", "KILL", *namespace.unshare_argv(inner)]
    process = subprocess.Popen(command, cwd=ROOT)
    (folder(name) / "pid").write_text(str(process.pid))
    code = INTERRUPTED
    try:
        code = process.wait()
    except KeyboardInterrupt:
        say(f"interrupted: ending the bed {name}")
    finally:
        booted = (folder(name) / "bed.json").exists()
        down(name, keep_logs=keep_logs or code != 0)
    return code, booted


def _set_aside(name: str) -> Path:
    """Keeps a failed boot's logs beside the next one's; where they are now."""
    kept = folder(name).with_name(f"{name}-failed-boot")
    shutil.rmtree(kept, ignore_errors=True)
    folder(name).rename(kept)
    return kept


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def run_here(name: str, cwd: str, argv: Sequence[str]) -> int:
    """The inner half of `run`: boots, runs, stops the programs."""
    cluster = boot_here(name)
    say(f"bed {name} is ready: {cluster.timings}")
    code = subprocess.run(argv, env=_bed_environment(name), cwd=cwd, check=False).returncode
    cluster.down()
    return code


def down(name: str, keep_logs: bool = False) -> None:
    """Ends a bed and removes what it left; nothing happens when it is not up."""
    target = folder(name)
    with contextlib.suppress(OSError, ValueError):
        outer = int((target / "pid").read_text())
        if _is_bed(outer, name):
            # The kernel ends every process of the namespace with its first one.
            with contextlib.suppress(BedError):
                first = first_process(name)
                left = bare.containers(Path(f"/proc/{first}/root"))
                (target / "containers").write_text("\n".join(left))
                os.kill(first, signal.SIGKILL)
            os.kill(outer, signal.SIGKILL)
            _gone(outer)
    with contextlib.suppress(OSError):
        shares.clean((target / "containers").read_text().split())
    (target / "bed.json").unlink(missing_ok=True)
    (target / "pid").unlink(missing_ok=True)
    if not keep_logs:
        shutil.rmtree(target, ignore_errors=True)


def _gone(pid: int) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)


def names() -> list[str]:
    """All beds that are up."""
    ready = sorted((state_root() / "beds").glob("*/bed.json"))
    return [path.parent.name for path in ready if is_up(path.parent.name)]
