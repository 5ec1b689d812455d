"""Holding a new version back: by the admission policy, by `hold: Paused`, and when neither held."""

from __future__ import annotations

import pytest

from e2e.harness import objects, oracles
from e2e.harness.app import App
from e2e.harness.installation import Installation
from e2e.harness.objects import HOLD, NAME, plan


def test_a_new_template_is_paused_in_the_very_write_that_brings_it(app: App):
    app.install()
    app.govern(plan=plan(25, 100, hold="20s"))
    answer = app.change(VERSION="v2")
    assert answer["spec"]["paused"] is True


def test_a_server_side_apply_of_a_new_template_owns_no_pause(app: App):
    app.install()
    app.govern(plan=plan(25, 100, hold="20s"))
    body = objects.deployment("v2", 4)
    first = app.api.apply(body, app.namespace, manager="gitops", force=True)
    assert first["spec"]["paused"] is True
    again = app.api.apply(body, app.namespace, manager="gitops", force=True)
    assert again["spec"]["paused"] is True
    owners = [
        entry["manager"]
        for entry in again["metadata"]["managedFields"]
        if entry["manager"] == "gitops" and "f:paused" in entry["fieldsV1"].get("f:spec", {})
    ]
    assert not owners


def test_hold_paused_keeps_the_deployment_paused_at_rest_and_releases_all_the_same(app: App):
    app.install()
    app.govern(plan=plan(25, 100), hold="Paused")
    app.rest(held=True)
    with app.users() as traffic:
        app.release("v2")
        app.finished("Promoted")
        app.rest(held=True)
    oracles.nobody_lost(traffic)
    oracles.pods_kept(app, "v2")
    assert app.ready()["status"] == "True"


@pytest.mark.disruptive
def test_hold_paused_needs_no_policy(app: App, operator: Installation):
    app.install()
    with operator.without_policies():
        app.govern(plan=plan(25, 50, 100), hold="Paused")
        app.rest(held=True)
        with app.users() as traffic:
            app.release("v2")
            app.finished("Promoted")
            app.rest(held=True)
            app.release("v3", ERROR_RATE="0.5")
            app.finished("RolledBack", number=2)
            app.rest(held=True)
    oracles.failed_only_by(traffic, "v3")
    assert traffic.inside is not None
    assert traffic.inside.reached("v3") == 0, traffic.told()
    oracles.pods_kept(app, "v2")


@pytest.mark.disruptive
@pytest.mark.parametrize("weight", [25, 50])
def test_somebody_who_unpauses_without_a_policy_is_caught(app: App, operator: Installation, weight):
    app.install()
    with operator.without_policies():
        app.govern(plan=plan(25, 50, 100), hold="Paused")
        app.rest(held=True)
        with app.users() as traffic:
            app.release("v2")
            app.at_weight(weight)
            app.kubectl("rollout", "resume", f"deployment/{NAME}")
            app.finished("Promoted")
            app.rest(held=True)
    oracles.nobody_lost(traffic)
    oracles.never_above_the_plan(app, (25, 50, 100), HOLD)


@pytest.mark.disruptive
def test_a_template_that_no_policy_held_is_kept_from_traffic_and_taken_over(
    app: App, operator: Installation
):
    app.install()
    app.govern(plan=plan(25, 50, 100))
    with operator.without_policies(), app.users() as traffic:
        app.release("v2", READY_AFTER_MS="1500")
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    oracles.never_above_the_plan(app, (25, 50, 100), HOLD)
    oracles.callers_inside_saw_only_stable(app, traffic, "v2")
