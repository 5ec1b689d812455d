"""Evidence through the death of the operator: what was counted stays counted."""

from __future__ import annotations

import pytest

from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.installation import Installation
from e2e.harness.objects import contract, plan, sequential

pytestmark = pytest.mark.disruptive


def test_evidence_survives_the_operator(app: App, operator: Installation):
    app.install(env={"ERROR_RATE": "0.02"})
    app.govern(plan=plan(40, 50, 100, hold="12s"), contract=contract(sequential(), designRatio="5"))
    with app.users(inside=0) as traffic:
        app.release("v2", ERROR_RATE="0.02")
        app.at_weight(40)
        app.at_weight(50)
        before = app.wait("what was counted is written", lambda: oracles.counted(app))[-1]
        operator.kill()
        operator.wait_ready()
        app.finished("Promoted")
        app.rest()
    oracles.only_answers_failed(traffic)
    oracles.never_above_the_plan(app, (40, 50, 100), 12.0)
    told = oracles.counted(app)
    oracles.never_less(told)
    # What came while there was no operator is read back: of all that the canary answered by then
    # only the moments after each change of weight are missing, which belong to no block.
    last = next(one for one in told if one.weight == 100)
    assert last.at > before.at + 5, (before, last)
    answered = traffic.routed.reached_before("v2", last.at)
    assert last.requests >= 0.85 * answered, f"{answered} answered by then, and counted: {told}"
