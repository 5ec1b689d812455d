"""How a bed divides the machine: pods and cluster programs alike, both before the tests.

Without this all pods together weigh as much as one process, and two busy test processes take two
thirds of the machine from everything that is measured. With pods alone in favour a busy gateway
starves the API server instead: its clients time out and come again, which makes the pods busier
still, and nothing ever recovers. So both get the same, and the tests what is left.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

TOP = Path("/sys/fs/cgroup")
PODS = "k8s.io"
"""containerd's group of all containers."""
PROGRAMS = "leadsman-bed"
"""The group of etcd, the API server, the kubelet and the rest, of all beds."""
WEIGHTS = (("cpu", "cpu.shares", "4096"), ("", "cpu.weight", "400"))
"""Controller folder (cgroup v1, then v2), file, value: four times that of a test process."""


def divide() -> None:
    """Gives both groups their weight; does nothing where the kernel's groups are not to be had."""
    for group in (PODS, PROGRAMS):
        for controller, name, value in WEIGHTS:
            folder = TOP / controller / group
            with contextlib.suppress(OSError):
                folder.mkdir(exist_ok=True)
                (folder / name).write_text(value)


def join(pid: int) -> None:
    """Puts a program that was just started into the group of programs."""
    for controller, _, _ in WEIGHTS:
        with contextlib.suppress(OSError):
            (TOP / controller / PROGRAMS / "cgroup.procs").write_text(str(pid))


def clean(containers: Sequence[str]) -> None:
    """Removes the empty folders of containers that ended with their bed, and of its programs."""
    for parent in [*TOP.glob(PODS), *TOP.glob(f"*/{PODS}")]:
        for name in containers:
            for folder in sorted((parent / name).rglob("*/"), reverse=True):
                _remove(folder)
            _remove(parent / name)
    for controller, _, _ in WEIGHTS:
        with contextlib.suppress(OSError):  # another bed's programs are in it, or it never was
            (TOP / controller / PROGRAMS).rmdir()


def _remove(folder: Path) -> None:
    # The kernel takes a moment to forget the last process of a group.
    for _ in range(20):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)
        else:
            return
