"""Killed between any two writes (F1, F2): the same end, and at most two writes more.

A clean run counts the operator's writes; then the operator is killed before and after each of them
and starts again with no memory. Faults are switched by the write's number, so each run is exact.

By default the lives that the project promises are lived with each kill, and of the others those in
which a kill once made the operator wait for ever; CRASHES=all lives every story in every way.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from leadsman.testing import Killed

from .cluster import Lab
from .lives import STORIES, WAYS
from .manifests import LRO
from .oracles import watch

PROMISED = ("promotion", "rollback", "deletion", "return_to_old")
ONCE_STUCK = (
    ("adopted", "reverted_at_the_release"),
    ("adopted", "deleted_at_the_release"),
    ("rolling-update", "promotion"),
    ("weights-only", "rollback"),
)
LIVES = (
    [(way, story) for way in WAYS for story in STORIES]
    if os.environ.get("CRASHES") == "all"
    else [*(("adopted", story) for story in PROMISED), *ONCE_STUCK]
)


async def play(way: str, story: str, kill: tuple[str, int] | None = None) -> tuple[Lab, int]:
    """Play a story from adoption on; return the lab and the number of the operator's writes."""
    lab = WAYS[way].lab()
    await lab.run(3)
    oracle = watch(lab)
    first = len(lab.kube.operator_writes)
    if kill is not None:
        when, number = kill

        def hook(write) -> None:
            if write.number == first + number and lab.killed == 0:
                raise Killed

        if when == "before":
            lab.kube.faults.before_write = hook
        else:
            lab.kube.faults.after_write = hook
    await STORIES[story](lab)
    oracle.check()
    return lab, len([w for w in lab.kube.operator_writes if w.number > first])


def end_of(lab: Lab) -> dict[str, object]:
    """What must be the same however often the operator was killed."""
    status = lab.status()
    return {
        "versions": lab.versions(),
        "rules": lab.rules(),
        "ready": lab.ready().get("status"),
        "refused": bool(status.get("refused")),
        "outcomes": [one["outcome"] for one in status.get("history", ())],
        "leftovers": lab.leftovers(),
        "deleted": lab.kube.peek(LRO) is None,
    }


@pytest.mark.parametrize(("way", "story"), LIVES)
async def test_killed_before_and_after_each_write(way: str, story: str) -> None:
    clean, writes = await play(way, story)
    wanted = end_of(clean)
    promised = way == "adopted" and story in PROMISED
    if not WAYS[way].own_arms:
        clean.assert_given_back()
    assert writes > 8
    wrong: list[str] = []
    for number in range(1, writes + 1):
        # After a write is before the next one, but for what the operator does in between.
        for when in ("before", "after") if promised else ("after",):
            label = f"killed {when} write {number} of {writes}"
            try:
                lab, made = await play(way, story, (when, number))
            except AssertionError as error:
                wrong.append(f"{label}: {error}")
                continue
            await asyncio.sleep(0)
            if lab.killed != 1:
                wrong.append(f"{label}: killed {lab.killed} times")
            if end_of(lab) != wanted:
                wrong.append(f"{label}: {end_of(lab)} instead of {wanted}")
            if promised and made > writes + 2:
                wrong.append(f"{label}: {made} writes")
    assert not wrong, "\n".join(wrong)
