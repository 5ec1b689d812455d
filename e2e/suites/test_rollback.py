"""A bad release: taken off the traffic by itself, refused, and never in the way of the next one."""

from __future__ import annotations

import time

import pytest

from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.objects import HOLD, contract, guard, plan, slow
from e2e.harness.reading import ready_pods


def refused_and_held(app: App, word: str) -> None:
    """The condition says what was refused and why, and users are served."""
    assert app.ready()["status"] == "False"
    assert app.ready()["reason"] == "RolledBack"
    assert word in app.ready()["message"], app.ready()["message"]
    assert app.condition("Stalled")["status"] == "True"
    assert app.condition("Available")["status"] == "True"
    assert app.status()["refused"]["revision"] in app.ready()["message"]
    assert len(ready_pods(app.pods("v1"))) == 4


def test_a_release_with_errors_is_rolled_back_and_refused(app: App):
    app.install()
    app.govern(plan=plan(5, 25, 50, 100))
    with app.users() as traffic:
        app.release("v2", ERROR_RATE="0.3")
        entry = app.finished("RolledBack")
        app.rest(held=True)
        time.sleep(5)  # a refused template must not be tried again by itself
    oracles.failed_only_by(traffic, "v2")
    assert traffic.routed.failed > 0
    assert traffic.inside is not None
    assert traffic.inside.reached("v2") == 0
    assert entry["reason"] == "GuardFailed"
    assert entry["maxWeight"] == 5
    refused_and_held(app, "errors")
    oracles.never_above_the_plan(app, (5, 25, 50, 100), HOLD)
    oracles.weights_add_up(app)
    assert [one["number"] for one in app.past()] == [1]
    assert app.event_reasons().count("RolledBack") == 1


def test_a_good_release_seconds_after_a_rollback_does_not_inherit_its_errors(app: App):
    app.install()
    app.govern(plan=plan(25, 50, 100))
    with app.users() as traffic:
        app.release("v2", ERROR_RATE="0.5")
        app.finished("RolledBack")
        time.sleep(4)  # the release that must not inherit comes this soon afterwards
        app.release("v3")
        app.finished("Promoted", number=2)
        app.rest()
    oracles.failed_only_by(traffic, "v2")
    oracles.pods_kept(app, "v3")
    assert "refused" not in app.status()


def test_a_good_release_during_the_rollback_of_a_bad_one_does_not_inherit_its_errors(app: App):
    app.install()
    app.govern(plan=plan(25, 100, delay="30s"))
    with app.users() as traffic:
        app.release("v2", ERROR_RATE="0.5")
        app.at_weight(25)
        app.at_weight(0)
        app.release("v3")  # ends the thirty seconds' delay at once
        app.finished("Promoted", number=2)
        app.rest()
    oracles.failed_only_by(traffic, "v2")


def test_a_slow_release_is_rolled_back(app: App):
    app.install()
    app.govern(plan=plan(25, 50, 100, hold="8s"), contract=contract(guard(), slow("30%")))
    with app.users() as traffic:
        app.release("v2", LATENCY_MS="400")
        entry = app.finished("RolledBack")
        app.rest(held=True)
    oracles.nobody_lost(traffic)
    assert entry["reason"] == "GuardFailed"
    refused_and_held(app, "slow")


def test_errors_that_begin_at_a_later_stage_roll_back(app: App):
    app.install()
    app.govern(plan=plan(25, 50, 100, hold="6s"))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(50)
        assert app.behave("v2", errorRate=0.5) >= 2
        entry = app.finished("RolledBack")
        app.rest(held=True)
    oracles.failed_only_by(traffic, "v2")
    assert entry["maxWeight"] == 50


def test_a_canary_that_never_gets_ready_gets_no_request(app: App):
    app.install()
    app.govern(plan=plan(25, 100, deadline="8s"))
    with app.users() as traffic:
        app.release("v2", READY_AFTER_MS="-1")
        entry = app.finished("RolledBack")
        app.rest(held=True)
    oracles.nobody_lost(traffic)
    oracles.never_reached(traffic, "v2")
    assert entry["reason"] == "DeadlineExceeded"
    assert entry["maxWeight"] == 0
    refused_and_held(app, "0 of 1 canary pods available")


def test_an_image_that_cannot_be_pulled_is_named(app: App):
    app.install()
    app.govern(plan=plan(25, 100, deadline="10s"))
    with app.users() as traffic:
        app.release("v2", image="leadsman.dev/no-such-image:1")
        app.finished("RolledBack")
        app.rest(held=True)
    oracles.nobody_lost(traffic)
    refused_and_held(app, "cannot pull their image")


@pytest.mark.parametrize("loops", [False, True], ids=["once", "loops"])
def test_a_canary_that_crashes_at_25_percent_is_a_breach_by_itself(app: App, loops):
    app.install()
    # Where no guard speaks, it is the pods alone that do.
    app.govern(plan=plan(25, 50, 100, hold="30s"), contract={})
    with app.users() as traffic:
        app.release("v2", **({"CRASH_AFTER_MS": "9000"} if loops else {}))
        app.at_weight(25)
        assert loops or app.behave("v2", exit=1) == 1
        entry = app.finished("RolledBack")
        app.rest(held=True)
    assert entry["reason"] == "CanaryCrashed"
    refused_and_held(app, "crashed")
    assert traffic.inside is not None
    assert traffic.inside.failed == 0, traffic.told()
    # A quarter of 200 a second, for the second in which the kubelet looks once and a second more.
    assert traffic.routed.failed < 2 * 50, traffic.told()


def test_one_of_four_canary_pods_evicted_lowers_the_weight_and_refuses_nothing(app: App):
    app.install(replicas=8)
    app.govern(plan=plan(50, 100, hold="6s"))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(50)
        victim = app.pods("v2")[0]["metadata"]["name"]
        app.api.request(
            "POST",
            f"/api/v1/namespaces/{app.namespace}/pods/{victim}/eviction",
            body={
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": victim, "namespace": app.namespace},
            },
        )
        app.wait("the weight is lowered", lambda: 0 < (app.weight() or 0) < 50)
        app.at_weight(50)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    assert "refused" not in app.status()
    oracles.never_above_the_plan(app, (50, 100), 6.0)


def test_weight_goes_to_zero_while_stable_is_weak(app: App):
    app.install()
    app.govern(plan=plan(25, 50, 100, hold="30s"))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        stable = app.pods("v1")
        app.behave(stable[:3], ready="false")
        app.behave("v2", errorRate=0.6)
        app.at_weight(0)
        app.behave(stable[:3], ready="true")
        entry = app.finished("RolledBack")
        app.rest(held=True)
    assert entry["reason"] == "GuardFailed"
    oracles.failed_only_by(traffic, "v2")
