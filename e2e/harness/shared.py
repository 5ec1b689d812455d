"""Disturbances that several test processes share: the first one makes it, the last one mends it.

Suites that disturb the cluster in the same way run side by side; each of them must be sure that the
disturbance lasts as long as its own block.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time is inside."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def shared(
    folder: Path, name: str, make: Callable[[], None], mend: Callable[[], None]
) -> Iterator[None]:
    """`make` has been called and `mend` has not, for every process inside the block."""
    _count(folder, name, 1, make)
    try:
        yield
    finally:
        _count(folder, name, -1, mend)


def forget(folder: Path) -> None:
    """Drops the counts of an earlier run that was ended by force."""
    for path in folder.glob("count-*"):
        path.unlink()


def _count(folder: Path, name: str, step: int, at_the_edge: Callable[[], None]) -> None:
    path = folder / f"count-{name}"
    with locked(folder / f"lock-{name}"):
        before = int(path.read_text()) if path.exists() else 0
        path.write_text(str(before + step))
        if 0 in (before, before + step):
            at_the_edge()
