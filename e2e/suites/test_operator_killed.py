"""The operator is killed (SIGKILL) during a release and started again: nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.installation import Installation
from e2e.harness.objects import HOLD, plan

pytestmark = pytest.mark.disruptive

STAGES = (5, 25, 50, 100)


def kill(operator: Installation) -> None:
    operator.kill()
    operator.wait_ready()


def test_killed_at_every_stage_a_good_release_is_promoted_all_the_same(
    app: App, operator: Installation
):
    app.install()
    app.govern(plan=plan(*STAGES))
    with app.users() as traffic:
        app.release("v2")
        for weight in STAGES:
            app.at_weight(weight)
            kill(operator)
        app.wait(
            "the hand-over",
            lambda: (
                app.past()
                or (app.status().get("attempt") or {}).get("direction", {}).get("name")
                == "HandingOver"
            ),
        )
        kill(operator)
        app.finished("Promoted")
        kill(operator)
        app.rest()
    oracles.nobody_lost(traffic)
    oracles.never_above_the_plan(app, STAGES, HOLD)
    oracles.weights_add_up(app)
    oracles.pods_kept(app, "v2")
    oracles.callers_inside_saw_only_stable(app, traffic, "v2")
    assert len(app.past()) == 1


def test_killed_before_the_first_weight_it_goes_on(app: App, operator: Installation):
    app.install()
    app.govern(plan=plan(25, 100))
    with app.users() as traffic:
        app.release("v2", READY_AFTER_MS="4000")
        app.at_weight(0)
        kill(operator)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    oracles.never_above_the_plan(app, (25, 100), HOLD)


def test_killed_while_rolling_back_it_finishes_the_rollback(app: App, operator: Installation):
    app.install()
    app.govern(plan=plan(25, 100, delay="6s"))
    with app.users() as traffic:
        app.release("v2", ERROR_RATE="0.5")
        app.at_weight(25)
        app.at_weight(0)
        kill(operator)
        app.finished("RolledBack")
        app.rest(held=True)
    oracles.failed_only_by(traffic, "v2")
    assert traffic.inside is not None
    assert traffic.inside.reached("v2") == 0
    values = [one.value for one in oracles.weights(app) if one.value is not None]
    assert values == [0, 25, 0]


def test_killed_when_the_errors_begin_the_next_one_rolls_back(app: App, operator: Installation):
    app.install()
    app.govern(plan=plan(25, 100, hold="30s"))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        app.behave("v2", errorRate=0.6)
        kill(operator)
        entry = app.finished("RolledBack")
        app.rest(held=True)
    oracles.failed_only_by(traffic, "v2")
    assert traffic.inside is not None
    assert traffic.inside.reached("v2") == 0
    assert entry["reason"] == "GuardFailed"


def test_killed_with_several_releases_under_way_each_goes_on_where_it_was(
    apps: Callable[[str], App], operator: Installation
):
    teams = [apps("a"), apps("b"), apps("c")]
    for app in teams:
        app.install(replicas=2)
        app.govern(plan=plan(50, 100, hold="3s"))
    with ExitStack() as stack:
        traffics = [stack.enter_context(app.users(67, inside=17)) for app in teams]
        for app in teams:
            app.release("v2")
        teams[0].at_weight(50)
        kill(operator)
        for app in teams:
            app.finished("Promoted")
            app.rest()
    for app, traffic in zip(teams, traffics, strict=True):
        oracles.nobody_lost(traffic)
        oracles.never_above_the_plan(app, (50, 100), 3.0)


def test_a_template_applied_while_the_operator_is_down_is_held_and_tried_afterwards(
    app: App, operator: Installation
):
    app.install()
    app.govern(plan=plan(25, 100))
    with app.users() as traffic:
        with operator.stopped():
            app.release("v2")
            assert app.deployment()["spec"]["paused"] is True
            assert not app.pods("v2")
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    oracles.callers_inside_saw_only_stable(app, traffic, "v2")
