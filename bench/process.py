"""The operator's process on this machine: resident memory and processor time, from /proc."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from e2e.harness.installation import ENTRY

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


def pid() -> int:
    """The operator's process; raises LookupError when there is none, or more than one."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            if ENTRY in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    if len(found) != 1:
        raise LookupError(f"{len(found)} processes of the operator are seen, not one")
    return found[0]


def rss_mib(process: int) -> float:
    """Resident memory in MiB, shared pages included."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * PAGE / 2**20


def cpu_seconds(process: int) -> float:
    """Processor time so far, user and system."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
