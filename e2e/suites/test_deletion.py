"""What goes away in the middle of a release: Rollout, Deployment, route, Service."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.installation import Installation
from e2e.harness.objects import NAME, plan, route, service

STAGES = (5, 25, 50, 100)


def delete_rollout(app: App) -> None:
    app.api.delete("Rollout", NAME, app.namespace)


def everything_given_back(app: App, version: str) -> None:
    """The Rollout is gone; the Deployment has rolled out its template by itself (I11)."""
    app.wait("the Rollout is gone", lambda: app.history.get("Rollout", NAME) is None, 60)
    app.wait(
        f"the Deployment runs {version}",
        lambda: app.complete() and len(app.pods(version)) == 4,
    )
    app.rest()


@pytest.mark.parametrize("weight", STAGES)
def test_a_rollout_deleted_at_a_stage_gives_everything_back(app: App, weight):
    app.install()
    app.govern(plan=plan(*STAGES, hold="2s") if weight > 25 else plan(*STAGES))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(weight)
        delete_rollout(app)
        everything_given_back(app, "v2")
    oracles.nobody_lost(traffic)


def test_a_rollout_deleted_at_rest_changes_nothing(app: App):
    app.install()
    app.govern()
    kept = {pod["metadata"]["uid"] for pod in app.pods("v1")}
    delete_rollout(app)
    everything_given_back(app, "v1")
    assert {pod["metadata"]["uid"] for pod in app.pods("v1")} == kept


def test_a_rollout_deleted_after_a_refusal_says_that_the_template_rolls_out(app: App):
    app.install()
    app.govern(plan=plan(25, 100))
    with app.users(inside=0) as traffic:
        app.release("v2", ERROR_RATE="0.5")
        app.finished("RolledBack")
        app.rest(held=True)
    oracles.failed_only_by(traffic, "v2")
    delete_rollout(app)
    everything_given_back(app, "v2")
    assert any("rolls out" in str(one.get("note")) for one in app.events())


@pytest.mark.disruptive
def test_rollouts_deleted_while_the_operator_is_down_are_given_back_by_the_next_one(
    apps: Callable[[str], App], operator: Installation
):
    teams = {weight: apps(str(weight)) for weight in STAGES}
    for weight, app in teams.items():
        app.install()
        app.govern(plan=plan(*sorted({weight, 100}), hold="120s"))
    with ExitStack() as stack:
        # The usual load, shared out among them.
        traffics = [stack.enter_context(app.users(50, inside=12)) for app in teams.values()]
        for app in teams.values():
            app.release("v2")
        for weight, app in teams.items():
            app.at_weight(weight)
        with operator.stopped():
            for app in teams.values():
                delete_rollout(app)
            for app in teams.values():
                assert app.api.get("Rollout", NAME, app.namespace) is not None
        for app in teams.values():
            everything_given_back(app, "v2")
    for traffic in traffics:
        oracles.nobody_lost(traffic)


def test_a_deleted_deployment_ends_the_attempt_and_a_new_one_is_adopted(app: App):
    app.install()
    app.govern(plan=plan(25, 50, 100, hold="10s"))
    with app.users():
        app.release("v2")
        app.at_weight(25)
        app.api.delete("Deployment", NAME, app.namespace, propagationPolicy="Background")
        app.wait(
            "the loss is told",
            lambda: (
                app.ready().get("reason") == "TargetMissing" and not app.status().get("attempt")
            ),
        )
        assert app.condition("Stalled")["status"] == "True"
        app.wait("no pod is left", lambda: not app.pods())
    app.release_again()
    app.wait(
        "the new Deployment is adopted",
        lambda: app.ready().get("status") == "True" and app.status().get("stable"),
    )
    app.rest()
    app.wait("the gateway answers", app.served)
    with app.users() as traffic:
        app.release("v3")
        app.wait("promoted", lambda: app.past() and app.past()[-1]["outcome"] == "Promoted", 120)
        app.rest()
    oracles.nobody_lost(traffic)


def test_a_deleted_route_holds_the_attempt_until_it_is_back(app: App):
    app.install()
    app.govern(plan=plan(25, 50, 100, hold="6s"))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        app.api.delete("HTTPRoute", NAME, app.namespace)
        app.wait("the loss is told", lambda: app.ready().get("reason") == "RouteMissing")
        assert app.condition("Stalled")["status"] == "True"
        app.apply(route(app.host))
        app.finished("Promoted")
        app.rest()
    assert traffic.inside is not None
    assert traffic.inside.failed == 0, traffic.told()
    oracles.callers_inside_saw_only_stable(app, traffic, "v2")


def test_a_service_deleted_and_made_again_at_rest_disturbs_nothing(app: App):
    app.install()
    app.govern(plan=plan(50, 100))
    app.api.delete("Service", NAME, app.namespace)
    app.wait("the Service is gone", lambda: app.history.get("Service", NAME) is None)
    app.apply(service())
    app.wait("the Service is back", lambda: app.history.get("Service", NAME))
    app.remember()
    app.wait("the gateway answers", app.served)
    with app.users() as traffic:
        app.release("v2")
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
