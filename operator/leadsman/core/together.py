"""Several guards a little worse, each short of its own limit: one verdict over all of them.

The contract's budget is one. The mean of the guards' e-values, weighted by their parts of it, is an
e-value for the whole contract: it reaches 1 over the budget whenever one guard reaches the limit of
its own part, and also when several together are that unlikely. The guard that contributes most is
the one that is named. Valid whatever the guards have in common (guards that see the same requests).
"""

from __future__ import annotations

from math import log

from leadsman.core.spec import Contract, GuardSpec, OnFail
from leadsman.core.status import GuardStatus
from leadsman.guards import budget
from leadsman.guards.absolute import AbsoluteState
from leadsman.guards.eprocess import RatioState
from leadsman.guards.judges import Absolute, Sequential
from leadsman.guards.memory import Memory, Place


def offender(contract: Contract, guards: list[GuardStatus], place: Place) -> int | None:
    """Return the index of the guard to name when all together show harm; None when they do not.

    Guards with a trigger of their own are left out: they ask for more than one crossing.
    """
    weights: list[float] = []
    logs: list[float] = []
    owners: list[int] = []
    for index, (spec, status) in enumerate(zip(contract.guards, guards, strict=True)):
        for alpha, memory in _parts(spec, status):
            state = memory.state
            if isinstance(state, RatioState | AbsoluteState):
                weights.append(alpha / contract.false_rollback)
                logs.append(state.log_e)
                owners.append(index)
    if len(weights) < 2 or sum(weights) > 1 + 1e-9:
        return None
    limit = -log(budget.of_attempt(contract.false_rollback, place.retry))
    if budget.mean_log_evidence(weights, logs) < limit:
        return None
    worst = budget.offender(weights, logs)
    return None if worst is None else owners[worst]


def shares(spec: GuardSpec) -> bool:
    """Whether a guard's evidence counts towards the one verdict."""
    trigger = spec.trigger
    return (
        spec.on_fail is OnFail.ROLLBACK
        and isinstance(spec.judge, Sequential | Absolute)
        and trigger.consecutive <= 1
        and not trigger.sustained_for
    )


def _parts(spec: GuardSpec, status: GuardStatus) -> list[tuple[float, Memory]]:
    """The evidence of the whole and of each slice, with its part of the budget."""
    judge = spec.judge
    if not shares(spec) or not isinstance(judge, Sequential | Absolute):
        return []
    found = [] if status.evidence is None else [(judge.alpha, status.evidence)]
    parts = [one.evidence for one in status.slices if one.evidence is not None]
    return found + [(judge.slice_alpha, memory) for memory in parts]
