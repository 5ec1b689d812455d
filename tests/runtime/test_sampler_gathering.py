"""The sampler for guards that gather evidence: blocks, restarts, slices, halves, means, wakes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from leadsman.adapters.presets.arms import ArmNames, Arms
from leadsman.core.changed import changed
from leadsman.core.evidence import judge_guard, place, weigh
from leadsman.core.spec import Contract, GuardSpec, OnFail, Trigger
from leadsman.core.status import Attempt, Direction, GuardStatus, Heading, StageStatus, Status
from leadsman.guards.gathering import gathers
from leadsman.guards.judges import (
    Absolute,
    NegativeControl,
    NonInferiority,
    Relative,
    Sequential,
    SequentialMean,
    Threshold,
)
from leadsman.guards.memory import Place, decode_memory, encode_memory
from leadsman.guards.verdict import Verdict
from leadsman.runtime.sampler import Sampler
from leadsman.runtime.sampling.derived import is_first_half
from leadsman.runtime.sampling.panel import panel_of
from leadsman.runtime.sampling.watching import Watch
from leadsman.testing.clock import FakeClock
from tests.runtime.scraped import Scraped, errors_guard, traefik

KEY = ("shop", "web")
ARMS = Arms(
    namespace="shop",
    routes=(("HTTPRoute", "web"),),
    canary=ArmNames(services=("shop-canary",), replica_sets=("shop-abc",)),
    stable=ArmNames(services=("shop-stable",), replica_sets=("shop-xyz",)),
)
ERRORS = GuardSpec("errors", Sequential(0.0, 0.01, 2, 4.0), query='{"errors":{"preset":"Traefik"}}')
SLICED = replace(
    ERRORS,
    judge=replace(ERRORS.judge, slice_alpha=0.005),
    slices=("GET", "POST"),
    query='{"errors":{"preset":"Traefik"},"slices":{"label":"method","values":["GET","POST"]}}',
)
POD_ERRORS = json.dumps(
    {
        "ratio": {
            "bad": {"metric": "r_total", "matchRegex": {"code": "5.."}},
            "total": {"metric": "r_total"},
        }
    }
)


class Bed:
    """A sampler on a scraped source, and a core that remembers what the sampler brings."""

    def __init__(self, *guards: GuardSpec, budget: float = 0.0, **scraped: Any) -> None:
        self.budget = budget
        self.clock = FakeClock()
        self.source = Scraped(self.clock, phases={"traefik-0": 0.437}, **scraped)
        self.guards = guards
        self.woken: list[float] = []
        self.status = Status()
        self.since = self.clock.now()
        self.restart()

    def restart(self) -> None:
        """A process ends; another one has the status and nothing else."""
        self.sampler = Sampler(
            self.clock,
            lambda _: self.source,
            lambda _: self.woken.append(self.clock.now()),
            remembered=lambda _: self.status,
        )

    def begin(self) -> None:
        """Subscribe from now on."""
        self.since = self.clock.now()
        stage = StageStatus(0, "a", self.since, self.since, commanded_at=self.since)
        attempt = Attempt(
            "x-1", 1, "x", "x", Direction(Heading.ADVANCING, 0.0), stage, self.since, weight=20
        )
        self.status = Status(attempt=attempt)
        self.subscribe()

    def subscribe(self) -> None:
        self.sampler.subscribe(KEY, self.guards, ARMS, self.since, self.budget)

    def look(self) -> dict[str, GuardStatus]:
        """One pass of the core: judge what there is and remember it, as the codec would."""
        attempt = self.status.attempt
        assert attempt is not None
        before = {one.name: one for one in attempt.guards}
        where, now = place(self.status), self.clock.now()
        found = [
            judge_guard(guard, reading, before.get(guard.name), now, where)
            for guard, reading in zip(self.guards, self.sampler.readings(KEY), strict=True)
        ]
        kept = tuple(
            changed(one, evidence=decode_memory(encode_memory(one.evidence))) for one in found
        )
        self.status = Status(attempt=replace(attempt, guards=kept))
        return {one.name: one for one in found}

    def load(self, service: str, rate: float, failing: Any = lambda time: 0, **labels: str) -> None:
        self.source.add(traefik(service, "200", **labels), lambda time: int(time * rate) % 10**9)
        self.source.add(traefik(service, "500", **labels), lambda time: int(failing(time)) % 10**9)


@pytest.fixture
async def beds():
    made: list[Bed] = []

    def make(*guards: GuardSpec, **more: Any) -> Bed:
        made.append(Bed(*guards, **more))
        return made[-1]

    yield make
    for bed in made:
        await bed.sampler.close()


async def test_blocks_of_one_scrape_each_reach_the_core_once(beds) -> None:
    bed = beds(ERRORS)
    bed.load("shop-canary", 40, lambda time: time / 10)
    bed.load("shop-stable", 160, lambda time: time / 5)
    bed.begin()
    await bed.clock.run(20)
    first = bed.look()["errors"].evidence
    again = bed.look()["errors"].evidence
    assert first.blocks == again.blocks >= 17
    assert (first.canary + first.stable) / first.blocks == pytest.approx(200, rel=0.03)
    await bed.clock.run(10)
    assert bed.look()["errors"].evidence.blocks == first.blocks + 10


async def test_the_block_that_shows_harm_wakes_the_core_and_no_other_does(beds) -> None:
    bed = beds(ERRORS)
    start = bed.clock.now() + 60
    bed.load("shop-canary", 40, lambda time: max(0.0, time - start) * 12)
    bed.load("shop-stable", 160, lambda time: time / 5)
    bed.begin()
    await bed.clock.run(30)
    bed.look()
    bed.woken.clear()
    await bed.clock.run(start - bed.clock.now())
    assert bed.woken == []
    await bed.clock.run(5)
    assert bed.woken[0] - start < 2.5
    assert bed.look()["errors"].verdict is Verdict.FAIL


@pytest.mark.parametrize("downtime", [0.0, 7.0, 90.0])
async def test_a_restart_reads_back_what_was_not_remembered_and_gives_the_same_bits(
    beds, downtime: float
) -> None:
    found = []
    for restarts in (False, True):
        bed = beds(ERRORS)
        bed.load("shop-canary", 40, lambda time: time / 9)
        bed.load("shop-stable", 160, lambda time: time / 5)
        bed.begin()
        await bed.clock.run(40)
        bed.look()
        await bed.clock.run(11)
        if restarts:
            await bed.sampler.close()
            await bed.clock.run(downtime)
            bed.restart()
            bed.subscribe()
        else:
            await bed.clock.run(downtime)
        await bed.clock.run(10)
        found.append(bed.look()["errors"].evidence)
    assert found[0] == found[1]
    assert found[0].blocks >= 58 + downtime


async def test_a_slice_is_judged_by_its_own_series(beds) -> None:
    bed = beds(SLICED)
    start = bed.clock.now() + 20
    bed.load("shop-canary", 200)
    bed.load("shop-stable", 800, lambda time: time * 4)
    bed.load("shop-canary", 4, lambda time: max(0.0, time - start) * 2, method="POST")
    bed.load("shop-stable", 16, method="POST")
    bed.begin()
    await bed.clock.run(19)
    status = bed.look()["errors"]
    assert [part.verdict for part in status.slices] == ["Pass", "Pass"]
    await bed.clock.run(20)
    status = bed.look()["errors"]
    assert (status.verdict, status.slice) == ("Fail", "POST")
    assert [part.verdict for part in status.slices] == ["Pass", "Fail"]
    assert status.evidence.state.max_log_e < math.log(100)


async def test_an_absolute_limit_needs_no_stable_arm(beds) -> None:
    guard = replace(ERRORS, judge=Absolute(0.02, 0.01))
    bed = beds(guard)
    bed.load("shop-canary", 40, lambda time: time * 4)
    bed.begin()
    await bed.clock.run(25)
    assert bed.look()["errors"].verdict is Verdict.FAIL


def pods(bed: Bed, arm: str, names: list[str], rate: float, share: dict[str, float]) -> None:
    for name in names:
        labels = {
            "__name__": "r_total",
            "namespace": "shop",
            "pod": f"shop-{arm}-{name}",
            "instance": name,
            "job": "pods",
        }
        bad = rate * share.get(name, 0.0)
        bed.source.add({**labels, "code": "200"}, lambda time, r=rate - bad: int(time * r) % 10**9)
        bed.source.add({**labels, "code": "500"}, lambda time, r=bad: int(time * r) % 10**9)


async def test_stable_against_itself_is_confounded_by_one_bad_pod_of_its_own(beds) -> None:
    guard = GuardSpec("control", NegativeControl(), query=POD_ERRORS)
    names = ["aaaaa", "bbbbb", "ccccc", "ddddd", "fffff", "ggggg"]
    halves = {name: is_first_half(f"shop-xyz-{name}") for name in names}
    assert len(set(halves.values())) == 2
    first = next(name for name in names if halves[name])
    for share, verdict in (({}, "Pass"), ({first: 0.2}, "Confounded")):
        bed = beds(guard)
        pods(bed, "xyz", names, 20, share)
        pods(bed, "abc", ["zzzzz"], 20, {"zzzzz": 0.5})
        bed.begin()
        await bed.clock.run(40)
        assert bed.look()["control"].verdict == verdict


async def test_a_control_of_the_gateways_counters_is_refused_with_a_sentence(beds) -> None:
    bed = beds(replace(ERRORS, judge=NegativeControl()))
    bed.begin()
    await bed.clock.run(2)
    assert bed.look()["errors"].reason == "QueryInvalid"
    assert "arm.by Pod" in bed.sampler.details(KEY)["errors"]


async def test_a_mean_is_the_sum_over_the_count(beds) -> None:
    guard = GuardSpec(
        "slow",
        SequentialMean(0.010, 0.01),
        query='{"latency":{"preset":"Traefik","above":"250ms"}}',
    )
    assert gathers(guard.judge)
    bed = beds(guard)
    name = "traefik_service_request_duration_seconds"
    for service, rate, mean in (("shop-canary", 40, 0.09), ("shop-stable", 160, 0.05)):
        bed.source.add(
            traefik(service, metric=f"{name}_count"), lambda time, r=rate: int(time * r) % 10**9
        )
        bed.source.add(
            traefik(service, metric=f"{name}_sum"),
            lambda time, r=rate, m=mean: (time % 10**6) * r * m + math.sin(time * 7) * 0.4,
        )
    bed.begin()
    await bed.clock.run(40)
    status = bed.look()["slow"]
    assert status.figures.estimate == pytest.approx(0.04, abs=0.01)
    assert status.verdict is Verdict.FAIL


async def test_a_mean_that_fails_wakes_the_core_at_its_block(beds) -> None:
    guard = GuardSpec(
        "slow",
        SequentialMean(0.010, 0.01),
        query='{"latency":{"preset":"Traefik","above":"250ms"}}',
    )
    bed = beds(guard)
    start = bed.clock.now() + 30
    name = "traefik_service_request_duration_seconds"
    for service, rate, slower in (("shop-canary", 40, 0.2), ("shop-stable", 160, 0.0)):
        bed.source.add(
            traefik(service, metric=f"{name}_count"), lambda time, r=rate: int(time * r) % 10**9
        )
        bed.source.add(
            traefik(service, metric=f"{name}_sum"),
            lambda time, r=rate, s=slower: (
                (time % 10**6) * r * 0.05 + max(0.0, time - start) * r * s + math.sin(time * 7)
            ),
        )
    bed.begin()
    await bed.clock.run(29)
    bed.look()
    bed.woken.clear()
    await bed.clock.run(40)
    failed = bed.look()["slow"]
    assert failed.verdict is Verdict.FAIL
    assert failed.failing_since is not None
    assert bed.woken[0] - failed.failing_since < 0.5


JUDGES: dict[str, dict[str, Any]] = {
    "threshold": {"judge": Threshold(0.05, 5.0, 50)},
    "hysteresis": {"judge": Threshold(0.05, 5.0, 50), "trigger": Trigger(hysteresis=0.2)},
    "in a row": {"judge": Threshold(0.05, 5.0, 50), "trigger": Trigger(consecutive=3)},
    "relative": {"judge": Relative(2.0, 5.0, 50)},
    "sequential": {"judge": Sequential(0.1, 0.01)},
    "absolute": {"judge": Absolute(0.05, 0.01)},
    "nonInferiority": {"judge": NonInferiority(0.02, 0.05)},
    "blocks in a row": {"judge": Sequential(0.1, 0.01), "trigger": Trigger(consecutive=4)},
}


@pytest.mark.parametrize("kind", JUDGES)
async def test_whatever_judges_wakes_the_core_at_the_sample_that_fails(beds, kind: str) -> None:
    guard = replace(ERRORS, **JUDGES[kind])
    bed = beds(guard)
    start = bed.clock.now() + 30
    bed.load("shop-canary", 40, lambda time: max(0.0, time - start) * 10)
    bed.load("shop-stable", 160, lambda time: time / 4)
    bed.begin()
    await bed.clock.run(29)
    bed.look()
    for _ in range(60):
        bed.woken.clear()
        await bed.clock.run(1)
        attempt = bed.status.attempt
        found = weigh(
            Contract((guard,)),
            bed.sampler.readings(KEY),
            attempt.guards,
            bed.clock.now(),
            place(bed.status),
        )
        bed.look()
        if found.fired:
            break
    assert found.fired
    assert bed.woken


@pytest.mark.parametrize("source", ["default", "another"])
async def test_harm_that_only_all_guards_together_show_wakes_the_core_at_its_block(
    beds, source: str
) -> None:
    half = replace(ERRORS.judge, alpha=0.005)
    guards = (
        replace(ERRORS, judge=half),
        replace(ERRORS, name="again", judge=half, source=source),
    )
    contract = Contract(guards, false_rollback=0.01)
    woken = {}
    for budget in (0.0, 0.01):
        bed = beds(*guards, budget=budget)
        start = bed.clock.now() + 20
        # One error in five seconds: the evidence grows past the limit of all in one block, and is
        # short of each guard's own for some blocks more.
        bed.load("shop-canary", 40, lambda time, start=start: max(0.0, time - start) // 5)
        bed.load("shop-stable", 160)
        bed.begin()
        await bed.clock.run(19)
        bed.look()
        bed.woken.clear()
        for _ in range(120):
            await bed.clock.run(1)
            readings = bed.sampler.readings(KEY)
            attempt = bed.status.attempt
            now = bed.clock.now()
            found = weigh(contract, readings, attempt.guards, now, place(bed.status))
            if found.fired:
                break
        shown = max(one.evidence.at for one in found.guards)
        assert [one.reason for one in found.fired] == ["HarmDetected"]
        assert all(one.evidence.state.max_log_e < math.log(200) for one in found.guards)
        assert {len(one.recent) for one in readings} == ({8} if budget else {0})
        woken[budget] = [at - shown for at in bed.woken]
    assert woken[0.0] == []
    assert len(woken[0.01]) == 1
    assert 0 <= woken[0.01][0] < 0.5


async def test_a_guard_that_fails_shows_its_newest_blocks_counted_or_not(beds) -> None:
    threshold = errors_guard("window")
    alone = replace(ERRORS, name="alone", judge=Absolute(0.02, 0.01))
    bed = beds(ERRORS, threshold, alone)
    start = bed.clock.now() + 20
    bed.load("shop-canary", 40, lambda time: max(0.0, time - start) * 20)
    bed.load("shop-stable", 160)
    bed.begin()
    await bed.clock.run(19)
    assert [one.recent for one in bed.sampler.readings(KEY)] == [(), (), ()]
    bed.look()
    await bed.clock.run(12)
    bed.look()
    seen = {one.guard: one.recent for one in bed.sampler.readings(KEY)}
    assert {name: len(recent) for name, recent in seen.items()} == {
        "errors": 8,
        "window": 8,
        "alone": 8,
    }
    assert seen["window"] == seen["errors"]
    assert [(one.canary_bad, one.stable_bad) for one in seen["errors"]] == [(20.0, 0.0)] * 8
    assert {one.stable for one in seen["alone"]} == {0.0}
    assert {one.canary for one in seen["alone"]} == {60.0}


async def test_a_slice_that_fails_shows_its_own_blocks(beds) -> None:
    bed = beds(SLICED)
    bed.load("shop-canary", 200)
    bed.load("shop-stable", 800)
    bed.load("shop-canary", 4, lambda time: time * 4, method="POST")
    bed.load("shop-stable", 16, method="POST")
    bed.begin()
    await bed.clock.run(20)
    (reading,) = bed.sampler.readings(KEY)
    assert bed.look()["errors"].slice == "POST"
    assert max(one.canary for one in reading.recent) < 20


async def test_the_panel_has_no_say_where_a_contract_shares_no_budget(beds) -> None:
    twice = (ERRORS, replace(ERRORS, name="warns", on_fail=OnFail.WARN))
    assert panel_of([Watch(one, None) for one in twice], 0.01, Place()) is None
    assert panel_of([Watch(ERRORS, None)], 0.01, Place()) is None
    several = [Watch(ERRORS, None), Watch(replace(ERRORS, name="again"), None)]
    assert panel_of(several, 0.0, Place()) is None
    assert panel_of(several, 0.02, Place()) is not None
