"""Releases under a sequential contract, from the counters to the weights."""

from __future__ import annotations

from typing import Any

from leadsman.core.status import GuardStatus
from leadsman.runtime.codec import decode_status
from tests.property.cluster import Lab
from tests.property.counting import CountedMetrics


def contract(*guards: dict[str, Any], **more: Any) -> dict[str, Any]:
    found = guards or (sequential("errors"),)
    return {"designRatio": "4", "guards": list(found), **more}


def sequential(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "onFail": "Rollback",
        "guard": {"errors": {"preset": "Traefik"}, "judge": {"sequential": {"tolerance": "10%"}}},
        **more,
    }


def plan(hold: str = "20s") -> dict[str, Any]:
    return {
        "stages": [
            {"name": "quarter", "weight": 25, "hold": hold},
            {"name": "half", "weight": 50, "hold": hold},
            {"name": "full", "weight": 100, "hold": "5s"},
        ],
        "settle": "1s",
        "scaleDownDelay": "2s",
    }


class Counting(Lab):
    """The lab with counted requests: `errors` is each version's share of failures."""

    def __init__(self, errors: dict[str, float], **spec: Any) -> None:
        super().__init__(**{"contract": contract(), "plan": plan(), **spec})
        self.metrics = CountedMetrics(self.kube, self.clock, errors)
        self.metrics.remembered = self.remembered
        self.restart()

    def restart(self) -> None:
        """The operator's process ends and another one begins."""
        self.metrics.forget_reading()
        self.operator.metrics = self.metrics
        self.operator.crash()

    def remembered(self):
        found = self.operator.reconciler.remembered(("default", "shop"))
        return found or decode_status(self.status()).status

    @property
    def guard(self) -> GuardStatus:
        (found,) = self.remembered().attempt.guards
        return found


async def test_a_release_with_twice_the_errors_is_rolled_back_with_what_was_shown() -> None:
    lab = Counting({"v1": 0.02, "v2": 0.06})
    await lab.run(15)
    lab.release("v2")
    await lab.until_rest()
    assert lab.ready()["reason"] == "RolledBack"
    assert lab.versions() == {"v1": 4}
    refused = lab.status()["refused"]
    assert "HarmDetected" in refused["message"]
    (guard,) = refused["guards"]
    assert (guard["verdict"], guard["reason"]) == ("Fail", "HarmDetected")
    assert float(guard["eValue"]) >= float(guard["eLimit"]) == 100
    assert 2 < float(guard["estimate"]) < 4
    assert "state" not in guard
    assert refused["failed"] < 60
    assert refused["requests"] > refused["failed"] > 0


async def test_a_release_that_is_as_good_as_stable_is_promoted() -> None:
    lab = Counting({"v1": 0.02, "v2": 0.02})
    await lab.run(15)
    lab.release("v2")
    await lab.until_rest()
    assert lab.ready()["reason"] == "Promoted"
    assert lab.versions() == {"v2": 4}


async def test_without_enough_evidence_a_stage_holds_after_its_time_and_says_how_much_there_is():
    lab = Counting({"v1": 0.0005, "v2": 0.0005}, plan=plan("5s"))
    await lab.run(15)
    lab.release("v2")
    await lab.run(60)
    assert lab.weight() == 25
    assert lab.ready()["reason"] == "Holding"
    assert "InsufficientData" in lab.ready()["message"]
    assert "of the evidence that a stage needs" in lab.ready()["message"]


async def test_a_restart_in_the_middle_keeps_the_evidence_to_the_bit() -> None:
    def told(lab: Counting) -> tuple[Any, ...]:
        return lab.guard.evidence, lab.guard.verdict

    found = []
    for restarts in (False, True):
        lab = Counting({"v1": 0.003, "v2": 0.004}, plan=plan("300s"))
        await lab.run(15)
        lab.release("v2")
        await lab.run(50)
        if restarts:
            lab.restart()
        await lab.run(13)
        if restarts:
            lab.restart()
        await lab.run(12)
        found.append(told(lab))
    assert found[0] == found[1]
    assert found[0][0].blocks > 60


async def test_a_hold_writes_its_status_once_a_minute_at_most() -> None:
    lab = Counting({"v1": 0.0005, "v2": 0.0005}, plan=plan("600s"))
    await lab.run(15)
    lab.release("v2")
    await lab.run(40)
    before = len(lab.kube.operator_writes)
    await lab.run(150)
    assert len(lab.kube.operator_writes) - before <= 3
    assert lab.weight() == 25


async def test_darkness_shows_no_harm_and_what_is_seen_afterwards_is_counted_on() -> None:
    lab = Counting({"v1": 0.02, "v2": 0.02}, plan=plan("40s"))
    await lab.run(15)
    lab.release("v2")
    await lab.run(30)
    counted = lab.guard.evidence.blocks
    lab.metrics.mode, scrape = "dark", lab.metrics.scrape
    lab.metrics.scrape = lambda: None
    await lab.run(30)
    assert lab.guard.verdict == "NoData"
    assert lab.guard.evidence.blocks <= counted + 1
    lab.metrics.scrape, lab.metrics.mode = scrape, "good"
    await lab.until_rest()
    assert lab.ready()["reason"] == "Promoted"
