"""The oracles bite: an operator that broke a law would be told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leadsman.core.status import Attempt, Direction, Heading, StageStatus, Status
from leadsman.ports import REPLICASET, Ref

from .cluster import Lab
from .machine import PLAN
from .manifests import KEY, LRO
from .oracles import CANARY_ARM, HASH, Oracle, watch


async def at_stage(index: int, heading: Heading = Heading.ADVANCING) -> tuple[Lab, Oracle]:
    """A cluster whose operator remembers an attempt at a stage."""
    lab = Lab(plan=PLAN)
    await lab.run(3)
    memory = lab.operator.reconciler._memory[KEY]
    now = lab.clock.now()
    attempt = Attempt(
        id="next-1",
        number=1,
        revision=memory.status.stable.revision,  # its pods are ready, so I2 is content
        template="next",
        direction=Direction(heading, now),
        stage=StageStatus(index, "", now, now),
        started_at=now,
    )
    memory.status = replace(memory.status or Status(), attempt=attempt)
    return lab, watch(lab)


@pytest.mark.parametrize(
    ("index", "weight", "opened", "told"),
    [
        (0, 25, None, ""),
        (0, 26, None, "above stage 0"),
        (0, 100, None, "above stage 0"),
        (1, 60, 4.0, ""),
        (1, 60, 3.9, "is open since"),
        (1, 60, None, "is open since None"),
        (1, 25, None, ""),
    ],
)
async def test_a_raise_is_allowed_by_its_stage_and_after_the_one_before(
    index, weight, opened, told
):
    lab, oracle = await at_stage(index)
    if opened is not None:
        oracle.opened["next-1", 25] = lab.clock.now() - opened
    oracle._raised(weight)
    assert bool(oracle.violations) == bool(told)
    assert all(one.startswith("I1") and told in one for one in oracle.violations)


async def test_a_raise_while_rolling_back_is_told():
    _, oracle = await at_stage(0, Heading.ROLLING_BACK)
    oracle._raised(25)
    assert "while rolling back" in oracle.violations[0]


async def test_a_raise_after_a_blind_hold_is_told():
    lab, oracle = await at_stage(1)
    oracle.opened["next-1", 25] = lab.clock.now() - 10
    lab.metrics.turn("Timeout")
    lab.metrics.good_until = lab.clock.now() - 9
    oracle._raised(60)
    assert oracle.violations[0].startswith("I7")


@pytest.mark.parametrize(
    ("opened", "blind", "told"),
    [
        (2.0, None, ""),
        (2.0, 0.0, ""),
        (1.9, None, "I1"),
        (None, None, "I1"),
        (9.0, 7.5, "I7"),
        (9.0, 6.9, ""),
    ],
)
async def test_a_hand_over_is_allowed_when_the_last_stage_had_its_time_and_evidence(
    opened, blind, told
):
    lab, oracle = await at_stage(2)
    now = lab.clock.now()
    if opened is not None:
        oracle.opened["next-1", 100] = now - opened
    if blind is not None:
        lab.metrics.turn("Timeout")
        lab.metrics.good_until = now - blind
    body = lab.kube.peek(LRO)
    turned = {"id": "next-1", "direction": {"name": "HandingOver"}}
    oracle._turned({"attempt": turned}, {**body, "status": {"attempt": turned}})
    assert oracle.violations == []
    before = {**turned, "direction": {"name": "Advancing"}}
    oracle._turned({"attempt": before}, {**body, "status": {"attempt": turned}})
    assert [one[:2] for one in oracle.violations] == ([told] if told else [])


async def in_the_first_stage() -> tuple[Lab, Oracle, Ref]:
    """A cluster in the middle of the first stage, and the canary's set."""
    lab = Lab(plan=PLAN)
    await lab.run(3)
    oracle = watch(lab)
    lab.release("v2")
    while lab.weight() == 0:
        await lab.run(0.1)
    selected = lab.kube.peek(CANARY_ARM)["spec"]["selector"][HASH]
    sets = lab.kube.peek_all(REPLICASET, "default", f"{HASH}={selected}")
    return lab, oracle, Ref(REPLICASET, "default", sets[0]["metadata"]["name"])


SCALED = [{"op": "replace", "path": "/spec/replicas", "value": 0}]


@pytest.mark.parametrize("deleted", [True, False])
@pytest.mark.parametrize("weight", [25, 0])
async def test_a_canary_that_goes_while_it_has_weight_is_told(deleted, weight):
    lab, oracle, canary = await in_the_first_stage()
    lab.set_weight(weight)
    await (lab.kube.delete(canary) if deleted else lab.kube.patch(canary, SCALED))
    assert [one[:2] for one in oracle.violations] == (["I2"] if weight else [])


async def test_a_canary_that_somebody_else_takes_away_breaks_no_law():
    for deleted in (True, False):
        lab, oracle, canary = await in_the_first_stage()
        if deleted:
            lab.kube.user_delete(canary)
        else:
            lab.kube.user_patch(canary, SCALED)
        await lab.until_rest()
        oracle.check()


async def test_a_stable_set_may_be_lowered_while_the_canary_has_weight():
    lab, oracle, canary = await in_the_first_stage()
    for one in lab.kube.peek_all(REPLICASET, "default"):
        ref = Ref(REPLICASET, "default", one["metadata"]["name"])
        if ref != canary:
            await lab.kube.patch(ref, SCALED)
    oracle.check()


@pytest.mark.parametrize(("weight", "told"), [(25, False), (10, False), (26, True), (100, True)])
async def test_a_weight_above_the_stages_that_stays_is_told(weight, told):
    lab, oracle, _ = await in_the_first_stage()
    lab.set_weight(weight)
    oracle.observed()
    assert [one[:2] for one in oracle.violations] == (["I1"] if told else [])
    oracle.violations.clear()
    await lab.run(0.1)
    oracle.observed()
    oracle.check()


async def test_a_rollback_that_waits_is_told(monkeypatch):
    lab, oracle = await at_stage(0, Heading.ROLLING_BACK)
    monkeypatch.setattr(lab, "weight", lambda: 25)
    oracle.passed()
    assert oracle.violations[0].startswith("I9")
