"""`decide_microseconds`: what one decision costs in the middle of a stage with five guards.

Each call gets new readings, as after a poll, and the status of the call before, so that all five
guards are judged and remembered anew: the dearest pass of a hold. The garbage collector runs as the
operator's process sets it, so that its pauses are in the samples. The interpreter is the one of the
operator's image (Debian's, which is optimised; one built from source often is not, and takes a
quarter longer). Time is the thread's own: what
other processes of the machine take is not the decision's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.figures import Figure, figure
from leadsman.core.decide import decide
from leadsman.core.observation import (
    Arm,
    Form,
    Observation,
    Owner,
    Pod,
    ReplicaSet,
    Role,
    Rule,
    Service,
    Target,
)
from leadsman.core.spec import (
    Contract,
    GuardSpec,
    OnFail,
    Plan,
    RolloutSpec,
    Stage,
    Terms,
    Trigger,
)
from leadsman.core.status import Attempt, Direction, Heading, Original, Stable, StageStatus, Status
from leadsman.guards.judges import Threshold
from leadsman.guards.windows import Reading, Window
from leadsman.shell import memory

CALLS = 20_000
INTERPRETER = Path("/usr/bin/python3")
WARM_UP = 2_000
REPLICAS = 8
NOW = 1_800_000_000.0
BACKENDS = '[{"name":"shop","port":80}]'

GUARDS = tuple(
    GuardSpec(
        name,
        Threshold(max=limit, window=15.0, min_events=100),
        on_fail=on_fail,
        trigger=Trigger(consecutive=consecutive, sustained_for=sustained),
    )
    for name, limit, on_fail, consecutive, sustained in (
        ("errors", 0.05, OnFail.ROLLBACK, 1, 0.0),
        ("slow", 0.10, OnFail.ROLLBACK, 3, 0.0),
        ("very-slow", 0.02, OnFail.ROLLBACK, 1, 10.0),
        ("checkout", 0.01, OnFail.HOLD, 1, 0.0),
        ("search", 0.05, OnFail.WARN, 1, 0.0),
    )
)


def _world() -> tuple[RolloutSpec, Status, Observation]:
    """A canary at 25 % of eight replicas, twelve seconds into a hold of ten minutes."""
    stages = (Stage("quarter", 25, 600), Stage("half", 50, 600), Stage("full", 100, 60))
    terms = Terms(Plan(stages), Contract(guards=GUARDS))
    stage = StageStatus(0, "quarter", NOW - 20, NOW - 20, NOW - 18, NOW - 17, NOW - 12, NOW + 588)
    attempt = Attempt(
        id="new-1",
        number=1,
        revision="new",
        template="new",
        direction=Direction(Heading.ADVANCING, NOW - 90),
        stage=stage,
        started_at=NOW - 90,
        weight=25,
        weight_since=NOW - 18,
        max_weight=25,
        replicas=2,
        base_replicas=REPLICAS,
        frozen="shop-new-1",
        version="v2",
        pinned=True,
        original=(Original("HTTPRoute", "shop", 0, "main", "shop", BACKENDS, "kubectl"),),
        routed_at=NOW - 80,
    )
    seen = Observation(
        target=Target("shop", "uid", "10", REPLICAS, True, "new", complete=False, version="v2"),
        sets=(
            ReplicaSet(
                "shop-old", "a", "11", "old", "old", 8, 8, 8, Owner.DEPLOYMENT, False, NOW - 9e4
            ),
            ReplicaSet("shop-new", "b", "12", "new", "new", 2, 2, 2, Owner.ROLLOUT, True, NOW - 90),
        ),
        pods=tuple(Pod(f"old-{n}", "old", ready=True) for n in range(REPLICAS))
        + tuple(Pod(f"new-{n}", "new", ready=True) for n in range(2)),
        services=(Service("shop", "16", pinned_to="old", ready_stable=REPLICAS),),
        arms=(
            Arm("shop", Role.STABLE, "shop-stable", "14", "old", REPLICAS),
            Arm("shop", Role.CANARY, "shop-canary", "15", "new", 2),
        ),
        rules=(
            Rule(
                "HTTPRoute",
                "shop",
                0,
                "main",
                "shop",
                Form.ARMS,
                75,
                25,
                ours=True,
                writer="leadsman",
                accepted=True,
                why_not="",
                backends=BACKENDS,
                resource_version="13",
            ),
        ),
        terms=terms,
        hold_policy=True,
        freeze_policy=True,
        finalizer=True,
    )
    spec = RolloutSpec("default", "shop", "uid-rollout", 1, "shop", terms)
    return spec, Status(1, Stable("uid", "old", "old", REPLICAS), attempt), seen


def _observations(seen: Observation, calls: int) -> Iterator[Observation]:
    """The same world with new counters, a second apart within the hold."""
    for number in range(calls):
        at = NOW + number % 500
        readings = tuple(
            Reading(
                guard.name,
                tuple(Window(at - back, 700.0 + number % 97, float(number % 4)) for back in (1, 0)),
                (),
                "",
                at,
            )
            for guard in GUARDS
        )
        yield replace(seen, readings=readings)


def measure() -> Figure:
    """Time `CALLS` decisions, one by one, in the interpreter that the operator runs with."""
    python = str(INTERPRETER) if INTERPRETER.exists() else sys.executable
    root = Path(__file__).parent.parent
    env = {"PYTHONPATH": f"{root / 'operator'}:{root}"}
    told = subprocess.run(
        [python, "-m", "bench.decide"],
        env=env,
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    samples: list[float] = json.loads(told.stdout)
    return figure("decide_microseconds", samples, f"new readings in each call, GC on, {python}")


def _time() -> list[float]:
    """The samples in microseconds, in this interpreter."""
    memory.settle()
    spec, status, seen = _world()
    samples: list[float] = []
    for number, observation in enumerate(_observations(seen, WARM_UP + CALLS)):
        now = NOW + number % 500 + 0.2
        started = time.thread_time_ns()
        decision = decide(spec, status, observation, now)
        took = time.thread_time_ns() - started
        if decision.actions or decision.why.policy != "measure":
            raise AssertionError(f"not the middle of a stage: {decision.why}")
        status = decision.status
        if number >= WARM_UP:
            samples.append(took / 1000)
    return samples


if __name__ == "__main__":
    print(json.dumps(_time()))
