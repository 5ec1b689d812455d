"""What a guard says that rolls nothing back is told at once, and once a stage.

A guard close to its limit freezes the ramp, one that only holds or warns has failed, one that has
too little evidence at `maxHold` keeps the stage: people should hear of each when it happens and not
when the hold is over. What is remembered of having told it is the stage's `told`, so that a value
that goes back and forth over its limit is one event and not a stream of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from leadsman.core.actions import Emit
from leadsman.core.decision import Decision, Persist
from leadsman.core.policies.breaches import describe
from leadsman.core.spec import OnFail, OnInconclusive
from leadsman.core.status import GuardStatus
from leadsman.core.view import View
from leadsman.guards.verdict import Verdict

FAILED, INCONCLUSIVE, WARNING = "GuardFailed", "GuardInconclusive", "GuardWarning"
FOLLOWS = {
    OnInconclusive.HOLD: "the stage waits for evidence, as onInconclusive: Hold says",
    OnInconclusive.PROMOTE: "the release goes on, as onInconclusive: Promote says",
    OnInconclusive.ROLLBACK: "it is rolled back, as onInconclusive: Rollback says",
}


def tell(view: View) -> Decision | None:
    """A guard fails without rolling back, is close to its limit, or undecided at `maxHold`."""
    attempt, evidence = view.attempt, view.evidence
    if attempt is None or not view.forward or attempt.stage.measuring_since is None:
        return None
    if evidence.passing == len(evidence.guards) and not evidence.warning:
        return None
    stage = attempt.stage
    news = [
        (f"{guard.name}/{reason}", Emit(reason, message, warning=True))
        for reason, guard, message in _findings(view)
        if f"{guard.name}/{reason}" not in stage.told
    ]
    if not news:
        return None
    holds = evidence.holding and news[0][1].reason != WARNING
    return view.act(
        "tell",
        "Holding" if holds else "Progressing",
        news[0][1].message,
        *(event for _, event in news),
        status=view.with_attempt(
            stage=replace(stage, told=(*stage.told, *(mark for mark, _ in news))),
            guards=evidence.guards,
        ),
        persist=Persist.SOON,
    )


def _findings(view: View) -> Iterator[tuple[str, GuardStatus, str]]:
    """Reason, guard and sentence of all that is to be told, told already or not."""
    evidence, ramp = view.evidence, "the next stage waits until it is away from it"
    for spec, guard in zip(view.contract.guards, evidence.guards, strict=True):
        if guard.verdict == Verdict.FAIL and spec.on_fail is OnFail.HOLD:
            yield FAILED, guard, f"{describe(guard)}: the stage waits, as onFail: Hold says"
        elif guard.verdict == Verdict.FAIL and spec.on_fail is OnFail.WARN:
            yield FAILED, guard, f"{describe(guard)}: only told, as onFail: Warn says"
    late, rule = view.max_hold_over(), view.contract.on_inconclusive
    if not (late and rule is OnInconclusive.PROMOTE):
        for guard in evidence.warning:
            yield WARNING, guard, f"close to its limit: {describe(guard)}; {ramp}"
    if late:
        follows = FOLLOWS[rule]
        for guard in evidence.holding:
            if guard.verdict == Verdict.INCONCLUSIVE:
                yield INCONCLUSIVE, guard, f"{describe(guard)} at maxHold: {follows}"
