"""Prometheus is down during a release: it holds, and what needs no metrics still works.

Each test has a Prometheus of its own, so that the other teams' releases go on beside it.
"""

from __future__ import annotations

import time

import pytest

from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.metrics import OwnPrometheus
from e2e.harness.objects import contract, guard, plan, sequential

DARK = 120.0
"""Seconds without Prometheus: longer than the plan's deadline and the contract's patience."""


def test_a_release_holds_while_prometheus_is_down_and_goes_on_afterwards(
    app: App, prometheus: OwnPrometheus
):
    app.install()
    app.govern(plan=plan(25, 50, 100, hold="5s"), contract=prometheus.judging(contract()))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        with prometheus.down():
            # What is for people only is written within a minute.
            app.wait("it holds", lambda: app.ready().get("reason") == "Holding", 75)
            time.sleep(8)  # longer than the stage's hold
            assert app.weight() == 25
            assert app.condition("GuardsPassing")["status"] == "Unknown"
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    oracles.never_above_the_plan(app, (25, 50, 100), 5.0)


def test_a_crash_rolls_back_without_prometheus(app: App, prometheus: OwnPrometheus):
    app.install()
    app.govern(plan=plan(25, 50, 100, hold="60s"), contract=prometheus.judging(contract()))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        with prometheus.down():
            app.behave("v2", exit=1)
            entry = app.finished("RolledBack")
            app.rest(held=True)
    assert entry["reason"] == "CanaryCrashed"
    oracles.all_planned(traffic)
    assert traffic.inside is not None
    assert traffic.inside.failed == 0, traffic.told()
    assert traffic.inside.reached("v2") == 0, traffic.told()
    # As with Prometheus: a quarter of 200 a second, for two seconds.
    assert traffic.routed.failed < 2 * 50, traffic.told()


def test_a_revert_works_without_prometheus(app: App, prometheus: OwnPrometheus):
    app.install()
    app.govern(plan=plan(25, 50, 100, hold="60s"), contract=prometheus.judging(contract()))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        with prometheus.down():
            app.release("v1")
            app.wait("the attempt ends", lambda: app.past() and not app.status().get("attempt"))
            app.rest()
    oracles.nobody_lost(traffic)


def test_no_data_rolls_back_where_the_contract_says_so(app: App, prometheus: OwnPrometheus):
    app.install()
    blind = contract(guard(), noData={"after": "5s", "action": "Rollback"})
    app.govern(plan=plan(25, 100, hold="60s"), contract=prometheus.judging(blind))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        with prometheus.down():
            entry = app.finished("RolledBack")
            app.rest(held=True)
    oracles.nobody_lost(traffic)
    assert entry["reason"] == "NoData"


def test_a_stage_that_is_blind_for_too_long_goes_one_back_and_its_clock_stands(
    app: App, prometheus: OwnPrometheus
):
    app.install()
    blind = contract(maxBlind={"freezeAfter": "3s", "stepBackAfter": "10s"})
    app.govern(plan=plan(25, 50, 100, hold="8s"), contract=prometheus.judging(blind))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(50)
        with prometheus.down():
            app.at_weight(25)
            time.sleep(12)  # longer than the stage's hold
            assert app.weight() == 25
            assert not app.past()
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    assert "WeightChanged" in app.event_reasons()


@pytest.mark.disruptive  # not that it disturbs: two minutes of waiting go beside others' waiting
def test_two_minutes_without_prometheus_hold_the_stage_and_raise_no_alarm(
    app: App, prometheus: OwnPrometheus
):
    app.install(env={"ERROR_RATE": "0.02"})
    judged = prometheus.judging(contract(sequential(), designRatio="5"))
    app.govern(plan=plan(50, 100, hold="10s"), contract=judged)
    with app.users(inside=0) as traffic:
        app.release("v2", ERROR_RATE="0.02")
        app.at_weight(50)
        with prometheus.down():
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
