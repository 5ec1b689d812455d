"""Evidence through disturbances: what was counted stays counted, and darkness shows no harm."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from e2e.cluster.backend import Backend
from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.installation import Installation
from e2e.harness.objects import contract, plan, sequential
from e2e.harness.shared import locked

pytestmark = pytest.mark.disruptive

DARK = 120.0
"""Seconds without Prometheus: longer than the plan's deadline and the contract's patience."""


@pytest.fixture(autouse=True)
def one_at_a_time(cluster: Backend) -> Iterator[None]:
    """A Prometheus that begins anew has no samples to read back for an operator that does."""
    with locked(cluster.kubeconfig.with_name("lock-sequential")):
        yield


@pytest.mark.timeout(480)
def test_two_minutes_without_prometheus_hold_the_stage_and_raise_no_alarm(
    app: App, operator: Installation
):
    app.install(env={"ERROR_RATE": "0.02"})
    app.govern(plan=plan(50, 100, hold="10s"), contract=contract(sequential(), designRatio="5"))
    with app.users(inside=0) as traffic:
        app.release("v2", ERROR_RATE="0.02")
        app.at_weight(50)
        with operator.without_prometheus():
            dark = time.monotonic()
            app.wait("it holds", lambda: app.ready().get("reason") == "Holding", DARK)
            time.sleep(max(0.0, dark + DARK - time.monotonic()))
            assert app.ready().get("reason") == "Holding", app.ready()
            assert app.weight() == 50
            assert not app.past()
        app.finished("Promoted")
        app.rest()
    oracles.only_answers_failed(traffic)
    oracles.never_above_the_plan(app, (50, 100), 10.0)


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
