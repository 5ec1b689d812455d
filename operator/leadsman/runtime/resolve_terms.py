"""Plan and contract from the API's models to the core's numbers.

Several contracts are all to be honoured, so they become one: every guard of each, and of what they
say about darkness the stricter. A guard whose judge this version does not have is kept, as one that
never passes, and named as a problem.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from leadsman.api.guard import Guard
from leadsman.api.guard import GuardSpec as ApiGuard
from leadsman.api.releasecontract import Blind, ContractGuard, ContractSpec
from leadsman.api.rolloutplan import PlanSpec
from leadsman.api.rolloutplan import Stage as ApiStage
from leadsman.api.schema import camel
from leadsman.api.types import parse_duration, parse_percent
from leadsman.core.spec import (
    Absence,
    Contract,
    GuardSpec,
    Missing,
    OnFail,
    OnInconclusive,
    Plan,
    Problem,
    Promotion,
    Stage,
    Strategy,
    Trigger,
)
from leadsman.guards.judges import JudgeSpec, Threshold, Unsupported

MEASURES = ("errors", "latency", "ratio", "histogram", "prom_ql", "slices")
_STRICTEST_ABSENCE = (Absence.ROLLBACK, Absence.HOLD, Absence.PROCEED)
_STRICTEST_END = (OnInconclusive.ROLLBACK, OnInconclusive.HOLD, OnInconclusive.PROMOTE)

FindGuard = Callable[[str, str], Guard | None]
"""From a field path and a name to the Guard; says itself what is missing."""


@dataclass(slots=True)
class Found:
    """What was found wrong so far."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, reason: str, message: str) -> None:
        """Note one more problem."""
        self.problems.append(Problem(reason, message))


def plan_of(plan: PlanSpec, found: Found) -> Plan | None:
    """Return the plan in the core's units; None when this version cannot carry it out."""
    strategy = Strategy(plan.strategy.value)
    if strategy in (Strategy.BLUE_GREEN, Strategy.AB_TEST):
        found.add(
            "StrategyUnsupported",
            f"plan.strategy: {strategy.value} comes with a later version; use Canary or Immediate",
        )
        return None
    for index, stage in enumerate(plan.stages or ()):
        if stage.approval is not None:
            found.add(
                "PlanInvalid",
                f"plan.stages[{index}].approval: approvals come with a later version, and until"
                " then the stage would wait for ever; leave it out",
            )
            return None
    return Plan(
        stages=tuple(_stage(stage) for stage in plan.stages or ()),
        strategy=strategy,
        settle=parse_duration(plan.settle),
        progress_deadline=parse_duration(plan.progress_deadline),
        promotion=Promotion(plan.promotion.value),
        scale_down_delay=parse_duration(plan.scale_down_delay),
    )


def _stage(stage: ApiStage) -> Stage:
    return Stage(
        name=stage.name,
        weight=stage.weight,
        hold=parse_duration(stage.hold),
        max_hold=None if stage.max_hold is None else parse_duration(stage.max_hold),
        replicas=stage.replicas,
        approvals=0 if stage.approval is None else stage.approval.count,
    )


def contract_of(
    specs: Sequence[tuple[str, ContractSpec]], find: FindGuard, found: Found | None = None
) -> Contract | None:
    """Return the contracts as one; None when a guard is missing. `specs` has a path for each."""
    guards: list[GuardSpec] = []
    taken = {guard.name for _, spec in specs for guard in spec.guards}
    double = {
        name for name in taken if sum(g.name == name for _, spec in specs for g in spec.guards) > 1
    }
    complete = True
    for number, (path, spec) in enumerate(specs):
        for index, entry in enumerate(spec.guards):
            where = f"{path}.guards[{index}]"
            name = f"{entry.name}.{number}" if entry.name in double else entry.name
            guard = _guard(entry, name, where, find, found)
            if guard is None:
                complete = False
            else:
                guards.append(guard)
    if not complete or not specs:
        return None
    every = [spec for _, spec in specs]
    return Contract(
        guards=tuple(guards),
        no_data=_strictest([spec.no_data for spec in every]),
        no_traffic=_strictest([spec.no_traffic for spec in every]),
        freeze_after=min(parse_duration(spec.max_blind.freeze_after) for spec in every),
        step_back_after=min(parse_duration(spec.max_blind.step_back_after) for spec in every),
        on_inconclusive=min(
            (OnInconclusive(spec.on_inconclusive.value) for spec in every),
            key=_STRICTEST_END.index,
        ),
    )


def _strictest(blind: Sequence[Blind]) -> Missing:
    found = [Missing(parse_duration(one.after), Absence(one.action.value)) for one in blind]
    return min(found, key=lambda one: (_STRICTEST_ABSENCE.index(one.action), one.after))


def _guard(
    entry: ContractGuard, name: str, path: str, find: FindGuard, found: Found | None
) -> GuardSpec | None:
    spec: ApiGuard | None = entry.guard
    if entry.guard_ref is not None:
        model = find(f"{path}.guardRef", entry.guard_ref.name)
        spec = None if model is None else model.spec
    if spec is None:
        return None
    judge = judge_of(spec)
    if found is not None:
        _unsupported(spec, judge, name, path, found)
    return GuardSpec(
        name=name,
        judge=judge,
        on_fail=OnFail(entry.on_fail.value),
        trigger=Trigger(
            entry.trigger.consecutive,
            0.0
            if entry.trigger.sustained_for is None
            else parse_duration(entry.trigger.sustained_for),
        ),
        source=spec.source_ref.name,
        query=query_of(spec),
    )


def _unsupported(spec: ApiGuard, judge: JudgeSpec, name: str, path: str, found: Found) -> None:
    if isinstance(judge, Unsupported):
        found.add(
            "JudgeUnsupported",
            f"{path}: guard {name} has judge {judge.kind}, which comes with a later version;"
            " use threshold",
        )
    for measure in ("prom_ql", "slices"):
        if getattr(spec, measure) is not None:
            found.add(
                "MeasureUnsupported",
                f"{path}: guard {name} has {camel(measure)}, which comes with a later version",
            )


def judge_of(spec: ApiGuard) -> JudgeSpec:
    """Return the judge; one that this version does not have is named."""
    threshold = spec.judge.threshold
    if threshold is not None:
        return Threshold(
            max=parse_percent(threshold.max),
            window=parse_duration(threshold.window),
            min_events=threshold.min_events,
        )
    for name in type(spec.judge).model_fields:
        if getattr(spec.judge, name) is not None:
            return Unsupported(camel(name))
    return Unsupported("none")


def query_of(spec: ApiGuard) -> str:
    """Return the measuring part of a guard as canonical JSON."""
    tree = {
        camel(name): getattr(spec, name).model_dump(mode="json", by_alias=True, exclude_none=True)
        for name in MEASURES
        if getattr(spec, name) is not None
    }
    return json.dumps(tree, sort_keys=True, separators=(",", ":"))
