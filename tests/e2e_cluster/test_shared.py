"""Places for loads: no more processes than there are places, and no process waits for itself."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

from e2e.harness.shared import seated


def test_a_process_waits_for_a_place_and_gets_the_first_that_is_free(tmp_path: Path) -> None:
    inside = threading.Event()

    def enter() -> None:
        with seated(tmp_path, "load", 2):
            inside.set()

    others = [(tmp_path / f"seat-load-{number}").open("w") for number in range(2)]
    for one in others:  # as other processes hold them
        fcntl.flock(one, fcntl.LOCK_EX)
    waiting = threading.Thread(target=enter)
    waiting.start()
    assert not inside.wait(0.3)
    others[1].close()
    assert inside.wait(5)
    waiting.join()
    others[0].close()


def test_a_process_that_has_a_place_enters_again_without_another_one(tmp_path: Path) -> None:
    with seated(tmp_path, "load", 1), seated(tmp_path, "load", 1):
        pass
    with (tmp_path / "seat-load-0").open("w") as free:
        fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)
