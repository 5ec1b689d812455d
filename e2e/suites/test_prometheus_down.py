"""Prometheus is down during a release: it holds, and what needs no metrics still works."""

from __future__ import annotations

import time

import pytest

from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.installation import Installation
from e2e.harness.objects import contract, guard, plan

pytestmark = pytest.mark.disruptive


def test_a_release_holds_while_prometheus_is_down_and_goes_on_afterwards(
    app: App, operator: Installation
):
    app.install()
    app.govern(plan=plan(25, 50, 100, hold="5s"))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        with operator.without_prometheus():
            # What is for people only is written within a minute.
            app.wait("it holds", lambda: app.ready().get("reason") == "Holding", 75)
            time.sleep(8)  # longer than the stage's hold
            assert app.weight() == 25
            assert app.condition("GuardsPassing")["status"] == "Unknown"
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    oracles.never_above_the_plan(app, (25, 50, 100), 5.0)


def test_a_crash_rolls_back_without_prometheus(app: App, operator: Installation):
    app.install()
    app.govern(plan=plan(25, 50, 100, hold="60s"))
    with app.users(inside=0):
        app.release("v2")
        app.at_weight(25)
        with operator.without_prometheus():
            app.behave("v2", exit=1)
            entry = app.finished("RolledBack")
            app.rest(held=True)
    assert entry["reason"] == "CanaryCrashed"


def test_a_revert_works_without_prometheus(app: App, operator: Installation):
    app.install()
    app.govern(plan=plan(25, 50, 100, hold="60s"))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        with operator.without_prometheus():
            app.release("v1")
            app.wait("the attempt ends", lambda: app.past() and not app.status().get("attempt"))
            app.rest()
    oracles.nobody_lost(traffic)


def test_no_data_rolls_back_where_the_contract_says_so(app: App, operator: Installation):
    app.install()
    blind = contract(guard(), noData={"after": "5s", "action": "Rollback"})
    app.govern(plan=plan(25, 100, hold="60s"), contract=blind)
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        with operator.without_prometheus():
            entry = app.finished("RolledBack")
            app.rest(held=True)
    oracles.nobody_lost(traffic)
    assert entry["reason"] == "NoData"
