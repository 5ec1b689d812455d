"""What several test processes share: disturbances, and the places for loads.

Suites that disturb the cluster in the same way run side by side: the first one makes the
disturbance, the last one mends it, and each of them can be sure that it lasts as long as its own
block. Loads take the processors that the gateway needs as well, so that only so many processes send
at a time, and the others do what needs none.
"""

from __future__ import annotations

import contextlib
import fcntl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

_seats: list[IO[str]] = []
"""The place that this process has, once for each block that it is in."""
_seating = threading.Lock()
"""Suites of several teams send from several threads: one place is enough for all of them."""


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


@contextlib.contextmanager
def seated(folder: Path, name: str, places: int) -> Iterator[None]:
    """No more than so many processes are inside; one that is inside already may enter again."""
    with _seating:
        _seats.append(_seats[-1] if _seats else _seat(folder, name, places))
    try:
        yield
    finally:
        with _seating:
            handle = _seats.pop()
            if not _seats:
                handle.close()


def _seat(folder: Path, name: str, places: int) -> IO[str]:
    while True:
        for number in range(places):
            handle = (folder / f"seat-{name}-{number}").open("w")
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return handle
            handle.close()
        time.sleep(0.1)
