"""What only the operator can see is wrong: told by its own reason, in nobody else's way."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import pytest

from e2e.harness import objects, oracles
from e2e.harness.api import Body
from e2e.harness.app import App
from e2e.harness.objects import HOLD, NAME, backend, contract, guard, plan, route, rule


def a_rollout(**changes: object) -> Body:
    """A good Rollout with parts of its spec replaced."""
    body = objects.rollout(plan=plan(50, 100, hold="1s"), contract=contract(guard()))
    body["spec"].update(copy.deepcopy(changes))
    for key in [key for key, value in body["spec"].items() if value is None]:
        del body["spec"][key]
    return body


def routes(*refs: Body) -> Body:
    return {"gatewayAPI": {"routeRefs": list(refs)}}


def sliced() -> Body:
    body = contract(guard())
    body["guards"][0]["guard"]["slices"] = {"label": "method", "values": ["GET"]}
    return body


def no_source() -> Body:
    body = contract(guard())
    body["guards"][0]["guard"]["sourceRef"] = {"name": "no-such-source"}
    return body


def guard_ref() -> Body:
    body = contract(guard())
    body["guards"][0].pop("guard")
    body["guards"][0]["guardRef"] = {"name": "no-such-guard"}
    return body


def ab_test() -> Body:
    return {**plan(50, 100), "strategy": "ABTest"}


CASES: list[tuple[str, Body, str]] = [
    ("TargetMissing", a_rollout(targetRef={"kind": "Deployment", "name": "nobody"}), "nobody"),
    ("RouteMissing", a_rollout(traffic=routes({"name": "nowhere"})), "nowhere"),
    ("RuleMissing", a_rollout(traffic=routes({"name": NAME, "ruleName": "other"})), "other"),
    ("ReferenceMissing", a_rollout(plan=None, planRef={"name": "no-plan"}), "no-plan"),
    (
        "ReferenceMissing",
        a_rollout(contract=None, contractRefs=[{"name": "no-slo"}]),
        "no-slo",
    ),
    ("ReferenceMissing", a_rollout(contract=guard_ref()), "no-such-guard"),
    ("SourceMissing", a_rollout(contract=no_source()), "no-such-source"),
    ("MeasureUnsupported", a_rollout(contract=sliced()), "slices"),
    ("StrategyUnsupported", a_rollout(plan=ab_test()), "ABTest"),
    ("ServiceMissing", a_rollout(serviceRefs=[{"name": "no-service"}]), "no-service"),
]


@pytest.mark.parametrize(("reason", "body", "named"), CASES, ids=lambda v: str(v)[:20])
def test_it_is_stalled_with_a_reason_of_its_own(app: App, reason, body, named):
    app.install(replicas=1, serving=False)
    app.apply(body)
    app.wait(f"Ready=False/{reason}", lambda: app.ready().get("reason") == reason)
    assert app.condition("Stalled")["status"] == "True"
    assert named in app.ready()["message"]
    assert app.ready()["observedGeneration"] == app.rollout()["metadata"]["generation"]
    assert "Traceback" not in app.operator.log(400, app.namespace)


def shared_rule(app: App) -> list[Body]:
    other = rule(backend(weight=1), backend("other", weight=1))
    return [route(app.host, other)]


def unlisted_rule(app: App) -> list[Body]:
    return [route(app.host), route(f"second-{app.host}", name="second")]


def test_a_service_that_selects_another_deployments_pods_is_refused(app: App):
    other = objects.deployment("other", 1, name="other", labels={"app": "other", "team": "shop"})
    mine = objects.deployment("v1", 1, labels={"team": "shop"})
    team = objects.service()
    team["spec"]["selector"] = {"team": "shop"}
    app.apply(mine, other, team, route(app.host))
    app.wait("both are ready", lambda: app.complete(1) and len(app.pods("other")) == 1)
    app.wait("the gateway answers", app.served)
    with app.users() as traffic:
        app.apply(a_rollout())
        app.wait("ServiceShared", lambda: app.ready().get("reason") == "ServiceShared")
    assert app.condition("Stalled")["status"] == "True"
    oracles.nobody_lost(traffic)


def test_strategy_recreate_is_refused(app: App):
    app.install(replicas=1)
    body = objects.deployment("v1", 1)
    body["spec"]["strategy"] = {"type": "Recreate"}
    app.apply(body)
    app.govern(plan=plan(50, 100), adopted=False)
    with app.users() as traffic:
        body = objects.deployment("v2", 1)
        body["spec"]["strategy"] = {"type": "Recreate"}
        app.apply(body)
        app.wait("Recreate", lambda: app.ready().get("reason") == "Recreate")
    assert app.condition("Stalled")["status"] == "True"
    assert not app.pods("v2")
    oracles.nobody_lost(traffic)


@pytest.mark.parametrize(
    ("reason", "made"), [("RuleShared", shared_rule), ("UnlistedRule", unlisted_rule)]
)
def test_a_route_that_cannot_be_shared_out_is_refused(
    app: App, reason, made: Callable[[App], list[Body]]
):
    more = [objects.service("other", "other")]
    app.install(*more, replicas=1, routes=made(app), serving=False)
    in_cluster = {"inCluster": "Shared"} if reason == "UnlistedRule" else {}
    app.apply(a_rollout(**in_cluster))
    app.wait(
        "it was looked at",
        lambda: app.ready().get("reason") not in (None, "Progressing", "Holding"),
    )
    app.release("v2")
    app.wait(reason, lambda: app.ready().get("reason") == reason)
    assert not app.pods("v2")


def test_of_two_rollouts_on_one_deployment_the_older_wins(app: App):
    app.install()
    app.govern(plan=plan(50, 100))
    second = a_rollout()
    second["metadata"]["name"] = "second"
    time.sleep(1)  # the API dates objects by the second
    app.apply(second)
    app.wait("Conflicted", lambda: app.ready("second").get("reason") == "Conflicted")
    assert app.condition("Stalled", "second")["status"] == "True"
    with app.users() as traffic:
        app.release("v2")
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    assert not app.past("second")


def test_a_broken_rollout_disturbs_no_other(app: App):
    """Two Rollouts side by side, the second one's canary never gets ready and its route is gone."""
    second = objects.deployment("w1", 2, name="second")
    more = [second, objects.service("second", "second")]
    app.install(*more, routes=[route(app.host), _second_route(app)])
    app.govern(plan=plan(25, 50, 100))
    broken = a_rollout(
        targetRef={"kind": "Deployment", "name": "second"},
        traffic=routes({"name": "second"}),
        plan=plan(50, 100, deadline="5s"),
    )
    broken["metadata"]["name"] = "second"
    app.apply(broken)
    app.wait("both are adopted", lambda: app.status("second").get("stable"))
    with app.users() as traffic:
        app.apply(objects.deployment("w2", 2, name="second", env={"READY_AFTER_MS": "-1"}))
        app.release("v2")
        app.at_weight(25)
        app.api.delete("HTTPRoute", "second", app.namespace)
        app.finished("Promoted")
        app.wait("it is told", lambda: app.condition("Stalled", "second").get("status") == "True")
    oracles.nobody_lost(traffic)
    oracles.never_above_the_plan(app, (25, 50, 100), HOLD)


def _second_route(app: App) -> Body:
    return route(f"second-{app.host}", rule(backend("second")), name="second")


def test_a_route_that_was_missing_is_noticed_when_it_comes(app: App):
    app.install(replicas=1, routes=[], serving=False)
    app.apply(a_rollout())
    app.wait("RouteMissing", lambda: app.ready().get("reason") == "RouteMissing")
    app.apply(route(app.host))
    app.wait("Ready", lambda: app.ready().get("status") == "True", 10)


def test_what_was_missing_is_noticed_when_it_comes(app: App):
    app.install(replicas=1, serving=False)
    app.apply(a_rollout(plan=None, planRef={"name": "late"}))
    app.wait("ReferenceMissing", lambda: app.ready().get("reason") == "ReferenceMissing")
    late: Body = {
        "apiVersion": "leadsman.dev/v1alpha1",
        "kind": "RolloutPlan",
        "metadata": {"name": "late"},
        "spec": plan(50, 100),
    }
    app.apply(late)
    app.wait("Ready", lambda: app.ready().get("status") == "True")
