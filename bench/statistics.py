"""The statistics of a contract, on simulated traffic: no cluster, the code that decides in one.

Good releases must not be rolled back and bad ones must not be promoted, at little and at much
traffic, with and without noise. The plan is 5-10-25-50 % for ten minutes each and nothing waits for
more evidence: a stage without a Fail goes on when its time is over, which makes misses as likely as
they can be. Beside each row, on the same law of traffic, are the rules that other tools use.

Each figure's samples are one number a release; a rate's interval is in its note (Wilson, 95 %).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from bench.decide import INTERPRETER
from bench.figures import Figure, figure, percentile
from leadsman.core.evidence import weigh
from leadsman.core.spec import Contract, GuardSpec, OnInconclusive, Plan, Stage, Terms
from leadsman.core.status import GuardStatus
from leadsman.guards.gathering import conclude, gather
from leadsman.guards.intervals import newcombe
from leadsman.guards.judges import Sequential
from leadsman.guards.memory import Gathered, Place
from leadsman.guards.power import overdispersion
from leadsman.guards.windows import Block, Reading, Window
from leadsman.shell import memory
from leadsman.simulation.draw import poisson
from leadsman.simulation.many import outcomes
from leadsman.simulation.release import START, Ending, Outcome, Release, horizon
from leadsman.simulation.traffic import Traffic, Weather

WEIGHTS = (5, 10, 25, 50)
HOLD = 600.0
GOOD = 5_000
"""Good releases of each row; a row at another size is told with its interval all the same."""
BAD = 2_000
INTERVAL = 15.0
SEED = "bench"
FIVE_MINUTES = 300.0


@dataclass(frozen=True, slots=True)
class Row:
    """One key: traffic, how many releases, and what is counted of each."""

    key: str
    traffic: Traffic
    runs: int
    counts: str
    tolerance: float = 0.0


ROWS = (
    *(
        Row(f"false_rollback_{rps}rps", Traffic(rps=rps), GOOD, "rolled back")
        for rps in (2, 50, 2000)
    ),
    *(
        Row(
            f"false_rollback_noise_{rps}rps",
            Traffic(rps=rps, arm_noise=0.3, noise_seconds=memory),
            GOOD,
            "rolled back",
            tolerance=0.25,
        )
        for rps in (50, 2000)
        for memory in (0.0, FIVE_MINUTES)
    ),
    *(
        Row(f"harm_x2_{rps}rps", Traffic(rps=rps, ratio=2.0, interval=5.0), BAD, "excess")
        for rps in (50, 2000)
    ),
    Row("miss_x2_50rps", Traffic(rps=50, ratio=2.0, interval=5.0), BAD, "promoted"),
    Row("miss_x1_5_2000rps", Traffic(rps=2000, ratio=1.5, interval=5.0), BAD, "promoted"),
    Row("gap_false_rollback", Traffic(rps=50, blackout=300.0), GOOD, "rolled back"),
)
KEYS = (
    *dict.fromkeys(row.key for row in ROWS),
    "simulate_per_second_core",
    "guard_decision_microseconds",
)


def terms(tolerance: float = 0.0, tau2: float = 0.0) -> Terms:
    """One sequential guard with the whole budget of 1 %, over the plan."""
    stages = tuple(Stage(f"{weight}", weight, HOLD, HOLD) for weight in WEIGHTS)
    contract = Contract(on_inconclusive=OnInconclusive.PROMOTE)
    judge = Sequential(
        tolerance,
        contract.false_rollback,
        len(stages),
        contract.design_ratio,
        overdispersion=tau2,
    )
    return Terms(Plan(stages), replace(contract, guards=(GuardSpec("errors", judge),)))


def calibrated(traffic: Traffic, seed: str = SEED) -> float:
    """The over-dispersion that an operator would set: from a day without a release.

    Stable's pods in two halves, batches of five minutes, the noise between the halves.
    """
    random = Random(f"{seed}/calibration")
    weather = Weather(traffic, random)
    batches = []
    steps = round(FIVE_MINUTES / traffic.interval)
    half = traffic.rps / 2 * traffic.interval
    for _ in range(288):
        one = other = 0
        for _ in range(steps):
            rates = weather.at(0.0)
            share = traffic.errors * rates.both
            one += poisson(random.random, half * share * rates.canary)
            other += poisson(random.random, half * share)
        batches.append((float(one), float(one + other), 0.5))
    return overdispersion(batches, FIVE_MINUTES / 60)


def measure(wanted: set[str], say: Callable[[str], None] = print) -> dict[str, Figure]:
    """The figures of the wanted keys; `say` is told of each run as it ends."""
    found: dict[str, Figure] = {}
    runs: dict[tuple[Traffic, float], list[Outcome]] = {}
    for row in ROWS:
        if row.key not in wanted:
            continue
        key = (row.traffic, row.tolerance)
        if key not in runs:
            began = time.monotonic()
            runs[key] = _simulated(row)
            took = time.monotonic() - began
            say(f"{row.key}: {row.runs} releases in {took:.0f} s")
        made = figure(row.key, _samples(row, runs[key]), _note(row, runs[key]))
        if row.key not in found or made.value > found[row.key].value:
            found[row.key] = made
    for key, (rule, traffic, bad) in OTHERS.items():
        if key in wanted:
            found[key] = figure(key, _others(rule, traffic, bad=bad))
    for key in wanted & {"simulate_per_second_core", "guard_decision_microseconds"}:
        found[key] = _timed(key)
    return found


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _simulated(row: Row) -> list[Outcome]:
    tau2 = calibrated(row.traffic) if row.traffic.arm_noise else 0.0
    return outcomes(terms(row.tolerance, tau2), row.traffic, row.runs, SEED, workers=_cores())


def _samples(row: Row, found: list[Outcome]) -> list[float]:
    match row.counts:
        case "rolled back":
            return [100.0 * (one.ending is Ending.ROLLED_BACK) for one in found]
        case "promoted":
            return [100.0 * (one.ending is Ending.PROMOTED) for one in found]
        case _:
            return [one.excess for one in found]


def _note(row: Row, found: list[Outcome]) -> str:
    if row.counts == "excess":
        seconds = sorted(one.seconds for one in found)
        return f"rolled back after {seconds[len(seconds) // 2] / 60:.1f} min (median)"
    if not row.traffic.arm_noise:
        return ""
    kind = "5 min correlation" if row.traffic.noise_seconds else "white"
    return f"noise: {kind}, tau2 {calibrated(row.traffic):.3g} a minute"


# --- the rules of other tools, on the same traffic ----------------------------------------------


class Minute(NamedTuple):
    """What both arms counted in one minute."""

    canary: int
    canary_bad: int
    stable: int
    stable_bad: int


LIMIT = 0.01
"""A threshold's limit: 99 % of requests must be good, as examples of such tools have it."""


def failure_limit(minutes: list[Minute]) -> bool:
    """A threshold, measured each minute; the fourth failed measurement of a release rolls back."""
    return sum(_above(one) for one in minutes) > 3


def consecutive_errors(minutes: list[Minute]) -> bool:
    """The same threshold; three failed measurements in a row roll back."""
    return _in_a_row([_above(one) for one in minutes], 3)


def lower_bound(minutes: list[Minute]) -> bool:
    """Three windows in a row in which the 95 % lower bound of canary less stable is below 0.

    The difference is of the shares of good requests, as a contract would write it.
    """
    return _in_a_row(
        [
            newcombe(
                one.canary - one.canary_bad,
                one.canary,
                one.stable - one.stable_bad,
                one.stable,
            )[0]
            < 0
            for one in minutes
        ],
        3,
    )


RULES: dict[str, Callable[[list[Minute]], bool]] = {
    "failure_limit": failure_limit,
    "consecutive": consecutive_errors,
    "lower_bound": lower_bound,
}
OTHERS: dict[str, tuple[str, Traffic, bool]] = {
    f"{rule}_{what}": (rule, Traffic(rps=rps, ratio=ratio), ratio > 1)
    for rule in RULES
    for what, rps, ratio in (
        ("false_rollback_2rps", 2, 1.0),
        ("false_rollback_50rps", 50, 1.0),
        ("false_rollback_2000rps", 2000, 1.0),
        ("miss_x2_50rps", 50, 2.0),
        ("miss_x1_5_2000rps", 2000, 1.5),
    )
}
"""Key: rule, traffic, and whether a release that comes through is a miss."""


def _others(rule: str, traffic: Traffic, *, bad: bool) -> list[float]:
    work = partial(_rolled_back, rule, traffic)
    with multiprocessing.get_context("forkserver").Pool(_cores()) as pool:
        back = pool.map(work, range(BAD), 50)
    return [100.0 * (one is not bad) for one in back]


def _rolled_back(rule: str, traffic: Traffic, number: int) -> bool:
    draw = Random(f"{SEED}/{rule}/{number}").random
    share = traffic.errors
    minutes: list[Minute] = []
    for weight in WEIGHTS:
        toward = traffic.rps * 60 * weight / 100
        rest = traffic.rps * 60 - toward
        for _ in range(round(HOLD / 60)):
            bad, others = poisson(draw, toward * share * traffic.ratio), poisson(draw, rest * share)
            good = poisson(draw, toward * (1 - share * traffic.ratio))
            minutes.append(
                Minute(good + bad, bad, poisson(draw, rest * (1 - share)) + others, others)
            )
    return RULES[rule](minutes)


def _above(one: Minute) -> bool:
    return one.canary > 0 and one.canary_bad / one.canary > LIMIT


def _in_a_row(failed: list[bool], count: int) -> bool:
    row = 0
    for one in failed:
        row = row + 1 if one else 0
        if row >= count:
            return True
    return False


# --- what it costs ------------------------------------------------------------------------------


def _timed(key: str) -> Figure:
    python = str(INTERPRETER) if INTERPRETER.exists() else sys.executable
    root = Path(__file__).parent.parent
    told = subprocess.run(
        [python, "-m", "bench.statistics", key],
        env={"PYTHONPATH": f"{root / 'operator'}:{root}"},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(told.stdout)
    return figure(key, found["samples"], found["note"])


def _simulate_per_second() -> tuple[list[float], str]:
    """Releases of 40 minutes a second of one core, blocks of 15 s; the thread's own time."""
    samples = []
    made = terms()
    for number in range(120):
        release = Release(made, Traffic(rps=50), f"{SEED}/{number}", horizon(made))
        began = time.thread_time()
        ended = release.run()
        took = time.thread_time() - began
        if number >= 20 and ended.ending is Ending.PROMOTED:
            samples.append(1 / took)
    return samples, "one core's own time, good releases of 40 minutes"


def _guard_decision(guards: int, *, whole: bool) -> list[float]:
    """Microseconds of a block's update and the verdict, for so many guards, through four stages.

    `whole`: with all that a pass does about guards, the figures for people included, which are
    worked out now and then.
    """
    made = terms().contract
    contract = replace(
        made, guards=tuple(replace(made.guards[0], name=f"g{number}") for number in range(guards))
    )
    random = Random(SEED)
    remembered: tuple[GuardStatus, ...] = ()
    gathered = [Gathered() for _ in range(guards)]
    samples = []
    now = START
    for number in range(12_000):
        now += INTERVAL
        # Evidence of months would be unlike any release: it begins anew after 40 minutes.
        stage = number % 160 // 40
        if number % 160 == 0:
            remembered, gathered = (), [Gathered() for _ in range(guards)]
        bad, others = poisson(random.random, 1.9), poisson(random.random, 1.9)
        block = Block(now - INTERVAL, now, 375.0, float(bad), 375.0, float(others))
        window = (Window(now, 375.0, float(bad)),)
        readings = tuple(
            Reading(one.name, window, (), "", now, (block,)) for one in contract.guards
        )
        at = Place(stage, 0, WEIGHTS[stage])
        began = time.thread_time_ns()
        if whole:
            remembered = weigh(contract, readings, remembered, now, at).guards
        else:
            for index, reading in enumerate(readings):
                judge = contract.guards[index].judge
                found = gather(judge, at, gathered[index], reading.blocks)  # type: ignore[arg-type]
                gathered[index] = found
                conclude(judge, at, found, reading)  # type: ignore[arg-type]
        took = time.thread_time_ns() - began
        if number >= 2000:
            samples.append(took / 1000)
    return samples


def _guard_decisions() -> tuple[list[float], str]:
    memory.settle()
    five = percentile(_guard_decision(5, whole=False), 95)
    whole = _guard_decision(1, whole=True)
    note = (
        f"five of them p95 {five:.0f} µs; one with the figures for people, every so many blocks:"
        f" p50 {percentile(whole, 50):.0f}, p95 {percentile(whole, 95):.0f} µs"
    )
    return _guard_decision(1, whole=False), note


if __name__ == "__main__":
    values, note = {
        "simulate_per_second_core": _simulate_per_second,
        "guard_decision_microseconds": _guard_decisions,
    }[sys.argv[1]]()
    print(json.dumps({"samples": values, "note": note}))
