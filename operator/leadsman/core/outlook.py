"""What the rest of the plan can show, from the traffic that was seen: told, never decided by.

"No harm seen" means little while harm could not have been seen. For each stage: the smallest
worsening that it can be expected to show within its hold, and the minutes that the contract's
design ratio takes there. Worked out when a guard has first seen enough to know requests and errors
by, once for each guard of an attempt; it costs some hundred microseconds. A guard that sees nothing
bad at all has no such figures, and no evidence: that is told from what it remembers.
"""

from __future__ import annotations

from collections.abc import Iterator

from leadsman.core.spec import Contract, GuardSpec, OnFail, Plan
from leadsman.core.status import Attempt, GuardStatus, StageOutlook
from leadsman.guards import power
from leadsman.guards.judges import Sequential
from leadsman.guards.memory import Memory
from leadsman.guards.ratios import settings_of
from leadsman.guards.windows import GATHERING_WINDOW, Reading

BLOCKS = 20
"""So many blocks tell the traffic."""


def look_out(
    plan: Plan,
    contract: Contract,
    attempt: Attempt,
    guards: tuple[GuardStatus, ...],
    readings: tuple[Reading, ...],
    retry: int,
) -> tuple[StageOutlook, ...]:
    """Return what each stage below 100 % can show; nothing while the traffic is not known yet.

    The attempt's own outlook, the same object, where no guard takes longer than that says.
    """
    outlooks = [
        _of_guard(plan, judge, memory, reading, attempt, retry)
        for judge, memory, reading in _known(contract, guards, readings)
    ]
    # Of several guards the one that takes longest is what the plan has to wait for. One that was
    # counted before counts on, although its source may be silent at this moment.
    return max(attempt.outlook, *outlooks, (), key=lambda one: sum(stage.minutes for stage in one))


def is_due(contract: Contract, attempt: Attempt, guards: tuple[GuardStatus, ...]) -> bool:
    """Whether there is no outlook yet, or one more guard now knows its requests and errors."""
    if not attempt.outlook:
        return True
    if attempt.guards is guards:
        return False
    return _plannable(contract, guards) > _plannable(contract, attempt.guards)


def _plannable(contract: Contract, guards: tuple[GuardStatus, ...]) -> int:
    return sum(1 for _, memory in _seasoned(contract, guards) if memory.stable_bad > 0)


def silence(contract: Contract, guards: tuple[GuardStatus, ...]) -> str:
    """Return which gates have nothing to compare, because nothing bad ever happens; "" if none.

    The counts are rounded, so that the text changes three times in a tenfold of requests.
    """
    told = [
        f"guard {spec.name} has seen at least {_about(memory.stable)} requests to stable"
        for spec, memory in _seasoned(contract, guards)
        if memory.stable_bad <= 0 and memory.stable >= 1
    ]
    if not told:
        return ""
    return (
        f"{', '.join(told)}, and no bad one among them: with nothing to compare silence is no"
        " evidence, and a stage waits for some, up to its maxHold, whatever the designRatio; let an"
        " absolute or nonInferiority judge be the gate, for which good requests are evidence too,"
        " or guard on something that does happen, such as slow requests (docs/judges)"
    )


def _about(count: float) -> int:
    """The largest of 1, 2, 5, 10, 20, 50 and so on that is no more than `count` (1 or more)."""
    power: int = 10 ** (len(str(int(count))) - 1)
    return max(step * power for step in (1, 2, 5) if step * power <= count)


def _of_guard(
    plan: Plan, judge: Sequential, memory: Memory, reading: Reading, attempt: Attempt, retry: int
) -> tuple[StageOutlook, ...]:
    rate = requests_a_second(reading, attempt.weight_since)
    errors = memory.stable_bad / memory.stable if memory.stable > 0 else 0.0
    if rate <= 0 or errors <= 0:
        return ()
    settings = settings_of(judge, retry)
    return tuple(
        StageOutlook(
            stage.name,
            _short(
                power.plannable_ratio(settings, rate, errors, stage.weight / 100, stage.hold / 60)
            ),
            _short(
                power.minutes_to_detect(
                    settings, settings.design_ratio, rate, errors, stage.weight / 100
                )
            )
            or 0.0,
        )
        for stage in plan.stages
        if 0 < stage.weight < 100
    )


def requests_a_second(reading: Reading, since: float | None) -> float:
    """Return the requests a second of both arms, from the newest windows of a reading."""
    if not reading.canary or not reading.stable or since is None:
        return 0.0
    at = reading.canary[-1].at
    span = min(GATHERING_WINDOW, at - since)
    return (reading.canary[-1].total + reading.stable[-1].total) / span if span > 0 else 0.0


def doubt(plan: Plan, contract: Contract, outlook: tuple[StageOutlook, ...]) -> str:
    """Return why the plan cannot show the design ratio; "" when it can, or nothing is known."""
    if not outlook:
        return ""
    holds = {stage.name: stage.hold / 60 for stage in plan.stages}
    part = power.part_gained((holds.get(one.stage, 0.0), one.minutes) for one in outlook)
    if part >= 1:
        return ""
    stages = "; ".join(
        f"{one.stage}: {holds.get(one.stage, 0.0):.3g} of {one.minutes:.3g} minutes"
        + ("" if one.detectable is None else f", shows {one.detectable:.3g} times")
        for one in outlook
    )
    return (
        f"with the traffic seen the plan's holds give {part:.0%} of the evidence that"
        f" {_asked(contract)} times the bad events need ({stages}): a stage will wait for more;"
        " lengthen the holds, raise the weights, or raise designRatio"
    )


def _asked(contract: Contract) -> str:
    """The least worsening that each gate is asked for, beyond what it tolerates: "1.5 or 2"."""
    gates = [gate for one in contract.guards if (gate := _gate(one)) is not None]
    ratios = sorted({settings_of(gate).design_ratio for gate in gates} or {contract.design_ratio})
    return " or ".join(f"{ratio:g}" for ratio in ratios)


def _gate(guard: GuardSpec) -> Sequential | None:
    """The judge of a guard whose evidence a stage waits for."""
    judge = guard.judge
    return judge if isinstance(judge, Sequential) and guard.on_fail is not OnFail.WARN else None


def _short(value: float | None) -> float | None:
    """Four digits are enough for people, and short in a status."""
    return None if value is None else float(f"{value:.4g}")


def _known(
    contract: Contract, guards: tuple[GuardStatus, ...], readings: tuple[Reading, ...]
) -> Iterator[tuple[Sequential, Memory, Reading]]:
    """The gates that have seen enough to tell the traffic by, with what is read of them now."""
    read = {one.guard: one for one in readings}
    for spec, memory in _seasoned(contract, guards):
        judge, reading = _gate(spec), read.get(spec.name)
        if judge is not None and reading is not None:
            yield judge, memory, reading


def _seasoned(
    contract: Contract, guards: tuple[GuardStatus, ...]
) -> Iterator[tuple[GuardSpec, Memory]]:
    """The sequential guards that gate a stage and have seen `BLOCKS` blocks in this attempt."""
    for spec, status in zip(contract.guards, guards, strict=False):
        memory = status.evidence
        if memory is not None and memory.blocks >= BLOCKS and _gate(spec) is not None:
            yield spec, memory
