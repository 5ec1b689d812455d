"""Somebody else scales while a release is under way: a person, or an autoscaler."""

from __future__ import annotations

import pytest

from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.objects import HOLD, NAME, plan

STAGES = (25, 50, 100)


def by_kubectl(app: App, replicas: int) -> None:
    app.scale(replicas)


def by_the_scale_sub_resource(app: App, replicas: int) -> None:
    """As a HorizontalPodAutoscaler does it."""
    body = {"spec": {"replicas": replicas}}
    app.api.patch("Deployment", NAME, app.namespace, body, sub="scale", manager="autoscaler")


def test_replicas_doubled_at_25_percent_are_not_taken_for_a_loss(app: App):
    app.install()
    app.govern(plan=plan(*STAGES))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        app.scale(8)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    assert app.complete(8)
    lowered = [w for w in oracles.weights(app) if w.value is not None]
    values = [w.value or 0 for w in lowered]
    assert values == sorted(values), "the weight was lowered although nothing was lost"
    oracles.never_above_the_plan(app, STAGES, HOLD)
    oracles.pods_kept(app, "v2")


@pytest.mark.parametrize("scale", [by_kubectl, by_the_scale_sub_resource])
def test_scaled_up_and_down_at_every_stage(app: App, scale):
    app.install()
    app.govern(plan=plan(*STAGES))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        scale(app, 6)
        app.at_weight(50)
        scale(app, 3)
        app.at_weight(100)
        scale(app, 5)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    assert app.complete(5)
    oracles.never_above_the_plan(app, STAGES, HOLD)
    oracles.callers_inside_saw_only_stable(app, traffic, "v2")


def test_an_autoscaler_that_counts_the_canary_is_told_and_a_release_goes_on(app: App):
    metric = {
        "type": "External",
        "external": {"metric": {"name": "depth"}, "target": {"type": "Value", "value": "10"}},
    }
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
        "minReplicas": 4,
        "maxReplicas": 12,
        "metrics": [metric],
    }
    app.install(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": NAME},
            "spec": spec,
        }
    )
    app.govern(plan=plan(50, 100, hold="5s"))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(50)
        app.scale(8)
        moment = app.at_weight(100)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    assert app.complete(8)
    assert oracles.ready_at(app, "v2", moment) == 4
    told = [
        one["message"]
        for change in app.history.of("Rollout")
        for one in change.body.get("status", {}).get("conditions", [])
        if one["type"] == "AutoscalingSafe" and one["reason"] == "CanaryCounted"
    ]
    assert told
    assert "metric depth of type Value" in told[0]


def test_scaled_down_at_the_last_stage(app: App):
    app.install(replicas=6)
    app.govern(plan=plan(50, 100))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(100)
        app.scale(3)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    assert app.complete(3)


def test_scaled_to_nothing_holds_a_new_template_until_it_is_scaled_up(app: App):
    app.install()
    app.govern(plan=plan(50, 100))
    app.scale(0)
    app.wait("it is scaled to nothing", lambda: not app.pods())
    app.release("v2")
    app.wait("it is held", lambda: app.ready().get("reason") == "Holding")
    assert "scaled to 0" in app.ready()["message"]
    with app.users(inside=0):
        app.scale(4)
        app.finished("Promoted")
    app.rest()
