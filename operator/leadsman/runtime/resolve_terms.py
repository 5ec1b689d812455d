"""Plan and contract from the API's models to the core's numbers.

Several contracts are all to be honoured, so they become one: every guard of each, and of what they
say about darkness the stricter. A guard whose judge this version does not have is kept, as one that
never passes, and named as a problem.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from leadsman.api.guard import Guard, Worse
from leadsman.api.guard import GuardSpec as ApiGuard
from leadsman.api.releasecontract import Blind, ContractGuard, ContractSpec
from leadsman.api.rolloutplan import PlanSpec
from leadsman.api.rolloutplan import Stage as ApiStage
from leadsman.api.schema import camel
from leadsman.api.types import parse_duration, parse_margin, parse_percent, parse_ratio
from leadsman.core.spec import (
    Absence,
    Contract,
    Family,
    GuardSpec,
    Missing,
    OnFail,
    OnInconclusive,
    Plan,
    Problem,
    Promotion,
    Stage,
    Strategy,
    Terms,
    Trigger,
)
from leadsman.guards.judges import (
    Absolute,
    JudgeSpec,
    NegativeControl,
    NonInferiority,
    Relative,
    SampleRatio,
    Sequential,
    SequentialMean,
    Threshold,
    Unsupported,
)

MEASURES = ("errors", "latency", "ratio", "histogram", "prom_ql", "slices")
SLICED = (Sequential, Absolute)
"""The judges that look at slices as well as at the whole."""
BUDGETED = (Sequential, SequentialMean, NonInferiority, Absolute)
"""The judges whose false alarms are controlled, and paid from `falseRollback`."""
MOST_SLICES = 400
"""Over all guards of a Rollout: each keeps its evidence in the status, which is one object."""
OF_MEASUREMENT = (NegativeControl, SampleRatio)
"""The judges that say whether the measurement can be trusted, and nothing about the release."""
EXPECTED_AT_LIMIT = 20
"""Events at the limit that a window must have for a threshold not to be mostly luck."""
_STRICTEST_ABSENCE = (Absence.ROLLBACK, Absence.HOLD, Absence.PROCEED)
_STRICTEST_END = (OnInconclusive.ROLLBACK, OnInconclusive.HOLD, OnInconclusive.PROMOTE)

FindGuard = Callable[[str, str], Guard | None]
"""From a field path and a name to the Guard; says itself what is missing."""


@dataclass(slots=True)
class Found:
    """What was found so far: wrong, or only unwise."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def add(self, reason: str, message: str) -> None:
        """Note one more problem."""
        self.problems.append(Problem(reason, message))

    def warn(self, reason: str, message: str) -> None:
        """Note something that is told and keeps nothing from happening."""
        self.warnings.append(Problem(reason, message))


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
    if found is not None:
        _too_many(guards, found)
        _toothless(guards, [path for path, _ in specs], found)
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
        false_rollback=min(parse_percent(spec.false_rollback) for spec in every),
        design_ratio=min(parse_ratio(spec.design_ratio) for spec in every),
    )


def terms_of(plan: Plan, contract: Contract) -> Terms:
    """Put plan and contract together: the error budget is shared, and each judge is told its part.

    `falseRollback` is split evenly over the guards that can roll back by evidence, and within one
    with slices half of its part goes to the whole and half is split over the slices, so that the
    parts' sum bounds the probability of any false rollback whatever the guards have in common.
    """
    payers = [
        guard
        for guard in contract.guards
        if guard.on_fail is OnFail.ROLLBACK and isinstance(guard.judge, BUDGETED)
    ]
    part = contract.false_rollback / max(1, len(payers))
    stages = 1 if plan.strategy is Strategy.IMMEDIATE else max(1, len(plan.stages))
    return Terms(
        plan,
        replace(
            contract,
            guards=tuple(
                replace(guard, judge=_budgeted(guard, part, stages, contract.design_ratio))
                for guard in contract.guards
            ),
        ),
    )


def _budgeted(guard: GuardSpec, part: float, stages: int, design_ratio: float) -> JudgeSpec:
    judge, slices = guard.judge, len(guard.slices)
    whole, each = (part, 0.0) if not slices else (part / 2, part / 2 / slices)
    match judge:
        case Sequential():
            return replace(
                judge, alpha=whole, slice_alpha=each, stages=stages, design_ratio=design_ratio
            )
        case Absolute():
            return replace(judge, alpha=whole, slice_alpha=each)
        case SequentialMean():
            return replace(judge, alpha=part, design_ratio=design_ratio)
        case NonInferiority() if guard.on_fail is OnFail.ROLLBACK:
            return replace(judge, alpha=part)
        case _:
            return judge


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
    on_fail = OnFail(entry.on_fail.value)
    if found is not None:
        _unsupported(spec, judge, name, path, found)
        _unwise(judge, on_fail, entry.trigger.consecutive, name, path, found)
    return GuardSpec(
        name=name,
        judge=judge,
        on_fail=on_fail,
        trigger=Trigger(
            entry.trigger.consecutive,
            0.0
            if entry.trigger.sustained_for is None
            else parse_duration(entry.trigger.sustained_for),
            parse_percent(entry.trigger.hysteresis),
        ),
        source=spec.source_ref.name,
        query=query_of(spec),
        family=_family(spec),
        slices=() if spec.slices is None else tuple(spec.slices.values),
    )


def _family(spec: ApiGuard) -> Family:
    if spec.family is not None:
        return Family(spec.family.value)
    if spec.latency is not None or spec.histogram is not None:
        return Family.LATENCY
    return Family.QUALITY if spec.prom_ql is not None else Family.ERRORS


def _unsupported(spec: ApiGuard, judge: JudgeSpec, name: str, path: str, found: Found) -> None:
    if isinstance(judge, Unsupported):
        found.add(
            "JudgeUnsupported",
            f"{path}: guard {name} has judge {judge.kind}, which comes with a later version;"
            " use threshold",
        )
    if spec.slices is not None and not isinstance(judge, SLICED):
        found.add(
            "MeasureUnsupported",
            f"{path}: guard {name} has slices, which only the judges sequential and absolute"
            " look at",
        )


def _too_many(guards: Sequence[GuardSpec], found: Found) -> None:
    """Refuse more slices than a status can hold: the API server would take none of its writes."""
    slices = sum(len(guard.slices) for guard in guards)
    if slices > MOST_SLICES:
        found.add(
            "ContractInvalid",
            f"slices: {slices} over all guards, at most {MOST_SLICES}: what each has gathered is"
            " kept in the Rollout's status, and more does not fit; leave values or guards out",
        )


def _toothless(guards: Sequence[GuardSpec], paths: Sequence[str], found: Found) -> None:
    """Say that a contract promotes whatever it is given, where every guard of it does."""
    told = [one for one in guards if one.on_fail is OnFail.WARN]
    if not guards or any(
        one.on_fail is not OnFail.WARN and not isinstance(one.judge, OF_MEASUREMENT)
        for one in guards
    ):
        return
    why = []
    if len(told) < len(guards):
        why.append(
            "negativeControl and sampleRatio judge the measurement and pass whatever the canary"
            " does"
        )
    if told:
        why.append("onFail Warn only tells")
    more = f" and those of {len(paths) - 1} more" if len(paths) > 1 else ""
    found.warn(
        "CannotStop",
        f"{paths[0]}.guards{more}: no guard can stop a bad release ({', and '.join(why)}): it would"
        " be promoted; add a guard with judge sequential, absolute, sequentialMean or threshold and"
        " onFail Rollback, or one with judge nonInferiority and onFail Hold",
    )


def _unwise(
    judge: JudgeSpec, on_fail: OnFail, consecutive: int, name: str, path: str, found: Found
) -> None:
    """Say with figures where a contract asks for something that misleads."""
    if isinstance(judge, NonInferiority) and on_fail is OnFail.ROLLBACK:
        found.warn(
            "LowerBoundRollsBack",
            f"{path}: guard {name} gates by the lower bound and has onFail Rollback: rolling back"
            " when that bound is below the margin for 3 windows rolled back 100 % of good releases"
            " in simulation, so it rolls back only when harm is shown (the upper bound is below"
            f" minus the margin, {consecutive} blocks in a row); waiting for that missed 94 % of"
            " releases with 1.5 times and 49 % of those with twice the errors at 50 requests a"
            " second: use judge sequential for rolling back",
        )
    if isinstance(judge, Threshold) and 0 < judge.max < 1:
        wanted = ceil(EXPECTED_AT_LIMIT / judge.max - 1e-9)
        if judge.min_events < wanted and on_fail is OnFail.ROLLBACK:
            found.warn(
                "MinEventsLow",
                f"{path}: guard {name} judges a limit of {judge.max:.4g} by {judge.min_events}"
                f" events; below {wanted} ({EXPECTED_AT_LIMIT} divided by the limit) luck decides:"
                " thresholds rolled back 26 to 75 % of good releases at 2 and 50 requests a second"
                " in simulation; raise minEvents, or use judge sequential",
            )


def judge_of(spec: ApiGuard) -> JudgeSpec:
    """Return the judge; one that this version does not have is named."""
    judge = spec.judge
    if (one := judge.threshold) is not None:
        return Threshold(parse_percent(one.max), parse_duration(one.window), one.min_events)
    if (two := judge.relative) is not None:
        return Relative(parse_ratio(two.max_ratio), parse_duration(two.window), two.min_events)
    if (three := judge.sequential) is not None:
        return Sequential(
            parse_percent(three.tolerance), overdispersion=parse_ratio(three.overdispersion)
        )
    if judge.non_inferiority is not None:
        return NonInferiority(parse_percent(judge.non_inferiority.margin))
    if (mean := judge.sequential_mean) is not None:
        return SequentialMean(parse_margin(mean.margin), higher_is_worse=mean.worse is Worse.HIGHER)
    if judge.absolute is not None:
        return Absolute(parse_percent(judge.absolute.max))
    if judge.negative_control is not None:
        return NegativeControl()
    if judge.sample_ratio is not None:
        return SampleRatio()
    return Unsupported("none")


def query_of(spec: ApiGuard) -> str:
    """Return the measuring part of a guard as canonical JSON."""
    tree = {
        camel(name): getattr(spec, name).model_dump(mode="json", by_alias=True, exclude_none=True)
        for name in MEASURES
        if getattr(spec, name) is not None
    }
    return json.dumps(tree, sort_keys=True, separators=(",", ":"))
