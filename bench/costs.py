"""What a decision of the statistics costs, and a simulated release: times of one core.

Each figure is measured by a process of its own, so that nothing else is in memory or at work.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

from bench.decide import INTERPRETER
from bench.figures import Figure, figure, percentile
from bench.statistics import INTERVAL, SEED, WEIGHTS, terms
from leadsman.core.evidence import weigh
from leadsman.core.status import GuardStatus
from leadsman.guards.gathering import conclude, gather, gathers
from leadsman.guards.memory import Gathered, Place
from leadsman.guards.windows import Block, Reading, Window
from leadsman.shell import memory
from leadsman.simulation.draw import poisson
from leadsman.simulation.release import START, Ending, Release, horizon
from leadsman.simulation.traffic import Traffic


def timed(key: str) -> Figure:
    """The figure of one key, measured by a process of its own."""
    python = str(INTERPRETER) if INTERPRETER.exists() else sys.executable
    root = Path(__file__).parent.parent
    told = subprocess.run(
        [python, "-m", "bench.costs", key],
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
    judges = [one.judge for one in contract.guards if gathers(one.judge)]
    assert len(judges) == guards
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
                judge = judges[index]
                found = gather(judge, at, gathered[index], reading.blocks)
                gathered[index] = found
                conclude(judge, at, found, reading)
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
