"""Somebody else writes the route: once, again and again, or with a manifest that has changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from e2e.harness import objects, oracles
from e2e.harness.api import ApiError, Body
from e2e.harness.app import App
from e2e.harness.objects import HOLD, NAME, plan
from e2e.harness.reading import condition, rules_owner
from e2e.harness.rest import MANAGER

STAGES = (25, 50, 100)


def patch_weights(app: App, canary: int) -> None:
    """Somebody's script sets the weights of the two arms."""
    body = app.api.get("HTTPRoute", NAME, app.namespace) or {}
    patch: list[Body] = []
    for index, ref in enumerate(body["spec"]["rules"][0]["backendRefs"]):
        value = canary if ref["name"].endswith("-canary") else 100 - canary
        path = f"/spec/rules/0/backendRefs/{index}/weight"
        patch.append({"op": "replace", "path": path, "value": value})
    app.api.patch("HTTPRoute", NAME, app.namespace, patch, manager="somebodys-script")


@contextmanager
def every_second(act: Callable[[], object]) -> Iterator[list[Exception]]:
    """Does something each second inside the block, as a GitOps tool with self-healing does."""
    stop = threading.Event()
    problems: list[Exception] = []

    def run() -> None:
        while not stop.is_set():
            try:
                act()
            except (ApiError, AssertionError) as error:
                problems.append(error)
            stop.wait(1)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield problems
    finally:
        stop.set()
        thread.join(20)


def test_a_lowered_weight_is_an_abort_by_whoever_lowered_it(app: App):
    app.install()
    app.govern(plan=plan(*STAGES, hold="8s"))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(50)
        patch_weights(app, 10)
        entry = app.finished("Aborted")
        app.rest(held=True)
    oracles.nobody_lost(traffic)
    assert "somebodys-script" in entry["message"] + app.ready()["message"]
    values = [one.value for one in oracles.weights(app) if one.value is not None]
    assert values[-2:] == [10, 0] or values[-1] == 0
    assert max(value or 0 for value in values) == 50


def test_a_raised_weight_is_put_back_within_a_second(app: App):
    app.install()
    app.govern(plan=plan(*STAGES, hold="8s"))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        patch_weights(app, 90)
        app.at_weight(25)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    found = oracles.weights(app)
    raised = next(index for index, one in enumerate(found) if one.value == 90)
    assert found[raised + 1].at - found[raised].at <= 1.0
    assert "ForeignWriter" in app.event_reasons()


def disturbed_and_answered(app: App) -> None:
    """Once during the release the route was as the user wrote it; then it had its weight again."""
    before, after = oracles.attempts(oracles.weights(app))
    assert before[-1].value == after[0].value
    assert [one.value for one in (*before, *after[1:]) if one.value] == list(STAGES)
    told = {
        str(condition(change.body, "Ready").get("message")) for change in app.history.of("Rollout")
    }
    assert any("rewrote HTTPRoute shop: answered (1 of 2)" in one for one in told), told


def test_manifests_re_applied_client_side_are_answered_and_the_release_goes_on(app: App):
    app.install()
    app.govern(plan=plan(*STAGES, hold="6s"))
    with app.users() as traffic:
        body = app.release("v2")
        app.at_weight(25)
        app.apply(body, objects.service(), objects.route(app.host))
        app.at_weight(50)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    oracles.pods_kept(app, "v2")
    disturbed_and_answered(app)


def test_manifests_re_applied_server_side_with_force_are_answered_and_it_goes_on(app: App):
    app.install()
    app.govern(plan=plan(*STAGES, hold="6s"))
    with app.users() as traffic:
        body = app.release("v2")
        app.at_weight(25)
        for one in (body, objects.service(), objects.route(app.host)):
            app.api.apply(one, app.namespace, manager="gitops", force=True)
        app.at_weight(50)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    disturbed_and_answered(app)


def test_a_route_re_applied_every_second_in_adopt_mode_is_rolled_back_safely(app: App):
    app.install()
    app.govern(plan=plan(*STAGES, hold="10s"))
    with app.users() as traffic:
        app.release("v2")
        since = app.at_weight(25)
        wanted = objects.route(app.host)
        with every_second(
            lambda: app.api.apply(wanted, app.namespace, manager="gitops", force=True)
        ):
            entry = app.finished("RolledBack")
            app.rest(held=True)
    oracles.nobody_lost(traffic)
    assert entry["reason"] == "ForeignWriter"
    assert "gitops" in app.ready()["message"]
    assert "traffic.gatewayAPI.template" in app.ready()["message"]
    assert oracles.route_writes(app, since=since + 0.05) <= 3


def test_everything_re_applied_every_second_in_managed_mode_has_no_effect_at_all(app: App):
    app.install(routes=[], serving=False)
    template = objects.managed_route(app.host)
    stages, contract = plan(*STAGES), objects.contract()
    app.govern(stages, contract, template=template)
    app.wait("the managed route serves", app.served)
    app.remember()
    with app.users() as traffic:
        wanted = [
            objects.deployment("v2", None),
            objects.service(),
            objects.rollout(plan=stages, contract=contract, template=template),
        ]

        def apply_all() -> None:
            for one in wanted:
                app.api.apply(one, app.namespace, manager="gitops", force=True)

        with every_second(apply_all) as problems:
            app.finished("Promoted")
            app.rest()
        assert not problems
    oracles.nobody_lost(traffic)
    oracles.never_above_the_plan(app, STAGES, HOLD)
    oracles.pods_kept(app, "v2")
    assert "ForeignWriter" not in app.event_reasons()


def test_a_managed_route_that_is_edited_at_rest_is_put_right_within_seconds(app: App):
    app.install(objects.service("other", "other"), routes=[], serving=False)
    app.govern(template=objects.managed_route(app.host), plan=plan(50, 100))
    app.wait("the managed route serves", app.served)
    app.remember()
    other = [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/name", "value": "other"}]
    app.api.patch("HTTPRoute", NAME, app.namespace, other, manager="somebody")
    began = time.monotonic()
    app.rest(seconds=10)
    app.wait("it serves again", app.served, 10)
    assert time.monotonic() - began < 10
    app.api.delete("HTTPRoute", NAME, app.namespace)
    app.wait(
        "it was gone",
        lambda: any(change.type == "DELETED" for change in app.history.of("HTTPRoute")),
        10,
    )
    app.rest(seconds=10)


def changed(app: App) -> Body:
    """The user's route with another rule before the first one."""
    extra = objects.rule(objects.backend(), name="extra", prefix="/extra")
    return objects.route(app.host, objects.rule(), extra)


def rules_of(app: App) -> int:
    """How many rules the route has, as last seen."""
    return len((app.history.get("HTTPRoute", NAME) or {})["spec"]["rules"])


def server_side(app: App, *bodies: Body) -> None:
    """What a server-side GitOps tool does without force."""
    for body in bodies:
        app.api.apply(body, app.namespace, manager="gitops")


def installed_server_side(app: App) -> None:
    """The application as a tool that applies server-side has made it."""
    server_side(app, objects.deployment("v1", 4), objects.service(), objects.route(app.host))
    app.wait("the first version is available", lambda: app.complete(4))
    app.wait("the gateway answers", app.served)
    app.remember()


def test_a_changed_route_applies_server_side_without_conflict_after_a_promotion(app: App):
    installed_server_side(app)
    app.govern(plan=plan(50, 100, hold="2s"))
    with app.users() as traffic:
        server_side(app, objects.deployment("v2", 4))
        app.finished("Promoted")
        app.rest()
        server_side(app, changed(app))
        app.wait("the change is there", lambda: rules_of(app) == 2)
        assert rules_owner(app.history.get("HTTPRoute", NAME) or {}) == "gitops"
    oracles.nobody_lost(traffic)


def test_a_changed_route_applies_server_side_without_conflict_after_a_rollback(app: App):
    installed_server_side(app)
    app.govern(plan=plan(50, 100))
    with app.users() as traffic:
        server_side(app, objects.deployment("v2", 4, env={"ERROR_RATE": "0.5"}))
        app.finished("RolledBack")
        app.rest(held=True)
        server_side(app, changed(app))
        app.wait("the change is there", lambda: rules_of(app) == 2)
    # The Service is the tool's as well, so callers inside meet the canary too.
    oracles.only_answers_failed(traffic)
    assert traffic.routed.reached("v1") == traffic.routed.served("v1"), traffic.told()


def test_a_changed_route_during_an_attempt_is_refused_without_force_and_names_us(app: App):
    installed_server_side(app)
    app.govern(plan=plan(25, 100, hold="8s"))
    with app.users(inside=0) as traffic:
        server_side(app, objects.deployment("v2", 4))
        app.at_weight(25)
        with pytest.raises(ApiError, match=MANAGER) as refused:
            server_side(app, changed(app))
        assert refused.value.status == 409
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
