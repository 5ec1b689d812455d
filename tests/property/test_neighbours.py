"""I10: a Rollout that is wrong crashes nothing, says so, and changes nothing for its neighbour.

The machine plays one good Rollout's life twice, alone and beside a neighbour that is wrong, and
holds both against each other after each step. NEIGHBOURS sets how many lives (60 by default);
EXAMPLES raises them in proportion.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from leadsman.errors import ForbiddenError, InvalidError
from leadsman.ports import ROLLOUT
from leadsman.testing import Write

from .cluster import Lab
from .machine import EXAMPLES, PLAN, Releases, shards
from .neighbours import WRONG, Wrong, condition, settle, whole
from .street import NEXT_LRO, Beside, House, Street, theirs

NEIGHBOURS = int(os.environ.get("NEIGHBOURS", str(max(2, EXAMPLES * 3 // 100))))


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
async def test_what_is_wrong_is_told_by_a_reason_of_its_own(wrong: Wrong):
    lab = Beside(theirs_first=True, plan=PLAN)
    lab.kube.advance(1)  # the API dates objects by the second, and the older one has the right
    parts = whole("w1")
    wrong.breaks(parts)
    settle(lab, parts)
    start = lab.clock.now()
    await lab.follow([start + 0.1], start + 8)
    stalled = condition(lab, "Stalled")
    assert (stalled["status"], stalled["reason"] in wrong.reasons) == ("True", True), stalled
    assert condition(lab, "Ready")["status"] == "False"


async def test_a_life_that_differs_is_told():
    street = Street(theirs_first=True, plan=PLAN)
    street.do(lambda lab: lab.release("v2"))
    await street.run(3)
    street.check()
    street.beside.scale(3)
    await street.run(3)
    with pytest.raises(AssertionError, match="beside the neighbour"):
        street.check()


class Neighbours(Releases):
    """A good Rollout's life, twice, and a neighbour's."""

    def __init__(self) -> None:
        super().__init__()
        self.street: Street | None = None
        self.their_version = 1
        self.wrong: list[Wrong] = []
        self.past = False
        """Whether the neighbour may have had an attempt, or a memory that is not true."""

    def go(self, seconds: float) -> None:
        """Let time pass in both."""
        self.runner.run(self.street.run(seconds))

    def do(self, what: Callable[[Lab], object]) -> None:
        """Something happens to the good one, in both."""
        self.street.do(what)

    def settle(self) -> None:
        """The neighbour's objects as they are to be now."""
        parts = whole(f"w{self.their_version}")
        for one in self.wrong:
            one.breaks(parts)
        settle(self.street.beside, parts)

    @initialize(
        policies=st.sampled_from(["hold+freeze", "hold+freeze", "", None]),
        first=st.booleans(),
        wrong=st.lists(st.sampled_from(WRONG), min_size=0, max_size=2),
    )
    def start(self, policies: str | None, first: bool, wrong: list[Wrong]) -> None:
        """A good Rollout is adopted, and the neighbour moves in."""
        self.street = Street(theirs_first=first, policies=policies, plan=PLAN)
        self.go(2)
        self.wrong = wrong
        self.settle()
        self.go(1)

    # --- the good one ----------------------------------------------------------------------

    @rule(replicas=st.sampled_from([1, 2, 5]))
    def scale(self, replicas: int) -> None:
        """Somebody scales the good one."""
        self.do(lambda lab: lab.scale(replicas))

    @rule(weight=st.sampled_from([0, 10, 100]))
    def edit_route(self, weight: int) -> None:
        """Somebody sets the good one's weights by hand."""
        self.do(lambda lab: lab.set_weight(weight))

    @rule(which=st.integers(0, 9), ready=st.booleans())
    def readiness(self, which: int, ready: bool) -> None:
        """A pod of the good one changes its readiness."""

        def changed(lab: House) -> None:
            if pods := lab.pods():
                name = pods[which % len(pods)]["metadata"]["name"]
                lab.kube.kubelet.set_ready("default", name, ready)

        self.do(changed)

    @rule(mode=st.sampled_from(["good", "Timeout", "thin"]))
    def metrics(self, mode: str) -> None:
        """The good one's metrics have their moods."""
        self.do(lambda lab: lab.metrics.turn(mode))

    # --- the neighbour ---------------------------------------------------------------------

    @rule(wrong=st.lists(st.sampled_from(WRONG), min_size=0, max_size=2))
    def spoil(self, wrong: list[Wrong]) -> None:
        """Other things are wrong with the neighbour, or nothing."""
        self.past = self.past or not self.wrong
        self.wrong = wrong
        self.settle()

    @rule()
    def their_release(self) -> None:
        """The neighbour releases."""
        self.past = True
        self.their_version += 1
        self.settle()

    @rule(mode=st.sampled_from(["", "Timeout", "BadJSON", "Empty"]))
    def their_metrics(self, mode: str) -> None:
        """The neighbour's metrics have their moods."""
        self.street.beside.metrics.theirs = mode

    @rule(come_back=st.booleans())
    def leave(self, come_back: bool) -> None:
        """The neighbour's Rollout is deleted, and applied again."""
        lab = self.street.beside
        self.past = True
        if lab.kube.peek(NEXT_LRO) is not None:
            lab.kube.user_delete(NEXT_LRO)
        self.go(0.5)
        if come_back:
            self.settle()

    @rule(status_too=st.booleans(), allowed=st.booleans())
    def forbid(self, status_too: bool, allowed: bool) -> None:
        """A right to write the neighbour's objects is taken away, or given back."""

        def hook(write: Write) -> None:
            if theirs(write.ref.name) and (status_too or write.ref.kind != ROLLOUT):
                raise ForbiddenError(403, "Forbidden", "not yours")

        self.street.beside.kube.faults.before_write = None if allowed else hook

    @rule(leaf=st.integers(0, 200), value=st.sampled_from(["", "x", "9999-12-31T23:59:59Z", 0, -1]))
    def damage(self, leaf: int, value: Any) -> None:
        """Somebody edits the neighbour's status."""
        lab = self.street.beside
        live = lab.kube.peek(NEXT_LRO)
        status = (live or {}).get("status")
        if not status:
            return
        self.past = True
        places = list(leaves(status))
        holder, key = places[leaf % len(places)]
        holder[key] = value
        # What the schema refuses, or would cut, is not stored.
        with suppress(InvalidError, AssertionError):
            lab.kube.user_patch(
                NEXT_LRO, [{"op": "add", "path": "/status", "value": status}], subresource="status"
            )

    # --- the law ---------------------------------------------------------------------------

    @invariant()
    def undisturbed(self) -> None:
        """The good one's life is the same in both."""
        if self.street is not None:
            self.street.check()

    def teardown(self) -> None:
        """The good one ends the same, and the neighbour rests and says what is wrong."""
        if self.street is None:
            return
        try:
            street, lab = self.street, self.street.beside
            lab.kube.faults.clear()
            lab.metrics.theirs = ""
            self.go(20)  # one that is being deleted goes before it is applied again
            self.settle()
            street.do(lambda house: house.metrics.turn("good"))
            self.go(120)
            before = len(lab.kube.operator_writes)
            self.go(65)
            street.check()
            last = lab.kube.operator_writes[before:]
            assert not [one for one in last if theirs(one.ref.name)], last
            self.told(lab)
        finally:
            self.runner.close()

    def told(self, lab: Beside) -> None:
        """What is wrong with the neighbour is said by one of its reasons."""
        stalled, ready = condition(lab, "Stalled"), condition(lab, "Ready")
        if not any(one.at_rest or not self.past for one in self.wrong):
            assert stalled["status"] == "False" or self.past, stalled
            return
        reasons = {reason for one in self.wrong for reason in one.reasons}
        if self.past:
            # How an attempt ended, or what one waits for whose rule was taken away from it.
            reasons |= {"RolledBack", "Aborted", "AmbiguousRule"}
        assert (stalled["status"], ready["status"]) == ("True", "False"), (self.wrong, ready)
        assert stalled["reason"] in reasons, (self.wrong, stalled)


def leaves(tree: Any) -> Any:
    """Every (holder, key) of a value that is no tree itself."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in pairs:
        if isinstance(value, dict | list):
            yield from leaves(value)
        else:
            yield tree, key


globals().update(shards("a_wrong_neighbour_disturbs_nobody", Neighbours, NEIGHBOURS, 4))
