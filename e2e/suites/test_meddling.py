"""People work on the Service and on the route in the middle of a release: nobody is lost for it."""

from __future__ import annotations

import json

from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.objects import NAME, backend, plan, route, rule, service


def test_a_service_that_is_deleted_keeps_nobody_from_weight_0(app: App):
    app.install()
    app.govern(plan=plan(25, 100, hold="120s"))
    with app.users(inside=0) as traffic:
        app.release("v2")
        app.at_weight(25)
        app.api.delete("Service", NAME, app.namespace)
        app.wait("it is gone", lambda: app.api.get("Service", NAME, app.namespace) is None)
        app.behave("v2", errorRate=0.5)
        app.at_weight(0)
        app.wait("the canary's pods are gone", lambda: not app.pods("v2"))
        # The stable arm serves: to go back to a Service that is not there would lose everybody.
        assert app.weight() == 0
        app.apply(service())
        made = app.api.get("Service", NAME, app.namespace) or {}
        app.stored["Service", NAME] = json.dumps(made["spec"])
        entry = app.finished("RolledBack")
        app.rest(held=True)
    assert entry["reason"] == "GuardFailed"
    oracles.failed_only_by(traffic, "v2")


def test_a_rule_put_before_an_unnamed_one_is_left_alone_and_the_release_goes_on(app: App):
    elsewhere = service("elsewhere", app="nobody")
    app.install(elsewhere, routes=[route(app.host, rule(name=""))])
    app.govern(plan=plan(25, 50, 100, hold="4s"))
    before = (app.api.get("HTTPRoute", NAME, app.namespace) or {})["spec"]["rules"]
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        added = rule(backend("elsewhere"), name="", prefix="/new")
        app.apply(route(app.host, added, rule(name="")))
        app.finished("Promoted")
        del app.stored["HTTPRoute", NAME]
        app.rest()
    oracles.nobody_lost(traffic)
    after = (app.api.get("HTTPRoute", NAME, app.namespace) or {})["spec"]["rules"]
    assert after[1:] == before
    assert [one["name"] for one in after[0]["backendRefs"]] == ["elsewhere"]
