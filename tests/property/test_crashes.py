"""Killed between any two writes (F1, F2): the same end, and at most two writes more.

A clean run counts the operator's writes; then the operator is killed before and after each of them
and starts again with no memory. Faults are switched by the write's number, so each run is exact.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from leadsman.testing import Killed
from leadsman.testing.fake_kube.faults import Write

from .cluster import LRO, Lab
from .oracles import watch

Story = Callable[[Lab], Awaitable[None]]


async def promotion(lab: Lab) -> None:
    """A good release to its end."""
    lab.release("v2")
    await lab.until_rest()


async def rollback(lab: Lab) -> None:
    """A bad release to its end."""
    lab.metrics.bad = {"v2"}
    lab.release("v2")
    await lab.until_rest()


async def deletion(lab: Lab) -> None:
    """The Rollout deleted in the first stage."""
    lab.release("v2")
    for _ in range(60):
        if lab.weight() == 25:
            break
        await lab.run(0.5)
    lab.kube.user_delete(LRO)
    await lab.run(60)


async def return_to_old(lab: Lab) -> None:
    """v2, and back to v1 by taking its set over."""
    await promotion(lab)
    lab.release("v1")
    await lab.until_rest()


async def reverted_at_the_release(lab: Lab) -> None:
    """v2, whose template is taken back in the moment in which its set is released."""
    kills = lab.kube.faults.before_write
    moments: list[float] = []

    def revert(write: Write) -> None:
        if not moments and "desired-replicas" in str(write.body):
            moments.append(write.time)
            lab.release("v1")
        if kills is not None:
            kills(write)

    lab.kube.faults.before_write = revert
    lab.release("v2")
    await lab.until_rest()
    assert moments, "nothing was released"


async def play(story: Story, kill: tuple[str, int] | None = None) -> tuple[Lab, int]:
    """Play a story from adoption on; return the lab and the number of the operator's writes."""
    lab = Lab()
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
    await story(lab)
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


@pytest.mark.parametrize(
    "story", [promotion, rollback, deletion, return_to_old, reverted_at_the_release]
)
async def test_killed_before_and_after_each_write(story):
    clean, writes = await play(story)
    wanted = end_of(clean)
    clean.assert_given_back()
    assert writes > 8
    wrong: list[str] = []
    for number in range(1, writes + 1):
        for when in ("before", "after"):
            lab, made = await play(story, (when, number))
            await asyncio.sleep(0)
            label = f"killed {when} write {number} of {writes}"
            if lab.killed != 1:
                wrong.append(f"{label}: killed {lab.killed} times")
            if end_of(lab) != wanted:
                wrong.append(f"{label}: {end_of(lab)} instead of {wanted}")
            if made > writes + 2:
                wrong.append(f"{label}: {made} writes")
    assert not wrong, "\n".join(wrong)
