"""A Rollout deleted in the middle of a release where the route is not borrowed but made or split.

In managed mode the route is the operator's own; in weights-only mode the user's rule names the arms
by itself. Both must serve on when the Rollout is gone: nobody else would put them right.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from e2e.harness import objects, oracles
from e2e.harness.app import App
from e2e.harness.objects import NAME, backend, plan, route, rule
from e2e.harness.strength import canary_set

ARMS = (f"{NAME}-stable", f"{NAME}-canary")


def managed(app: App) -> None:
    app.install(routes=[], serving=False)
    app.govern(plan=plan(50, 100, hold="30s"), template=objects.managed_route(app.host))


def weights_only(app: App) -> None:
    arms = [backend(ARMS[0], weight=100), backend(ARMS[1], weight=0)]
    app.install(routes=[route(app.host, rule(*arms))], serving=False)
    app.govern(plan=plan(50, 100, hold="30s"), services=[NAME])


def rules(app: App) -> list[dict[str, object]]:
    """The route's rules as they are now."""
    found: list[dict[str, object]] = (app.history.get("HTTPRoute", NAME) or {})["spec"]["rules"]
    return found


def ungoverned(app: App) -> bool:
    return not app.history.all("Rollout")


def runs_by_itself(app: App, version: str) -> bool:
    """The Deployment has its four pods and they all have this version."""
    return app.complete(4) and len(app.pods(version)) == len(app.pods()) == 4


def test_a_rollout_deleted_during_a_release_leaves_a_route_that_serves(
    apps: Callable[[str], App],
):
    teams = {"managed": apps("managed"), "weights-only": apps("weights")}
    managed(teams["managed"])
    weights_only(teams["weights-only"])
    before = {}
    for name, app in teams.items():
        app.wait("the gateway answers", app.served)
        before[name] = rules(app)
    with ExitStack() as stack:
        traffics = [stack.enter_context(app.users(100, inside=25)) for app in teams.values()]
        for app in teams.values():
            app.release("v2")
        for app in teams.values():
            app.at_weight(50)
        for app in teams.values():
            assert canary_set(app)
            app.api.delete("Rollout", NAME, app.namespace)
        for name, app in teams.items():
            app.wait("the Rollout is gone", partial(ungoverned, app))
            app.wait(
                "the Deployment runs v2 by itself",
                partial(runs_by_itself, app, "v2"),
            )
            assert rules(app) == before[name]
            assert app.served()
    for traffic in traffics:
        oracles.nobody_lost(traffic)
        assert traffic.routed.reached("v2") > 0
    for name, app in teams.items():
        found = app.history.get("HTTPRoute", NAME) or {}
        assert not found["metadata"].get("ownerReferences")
        arms = [app.api.get("Service", arm, app.namespace) for arm in ARMS]
        assert [arm is not None for arm in arms] == [name == "weights-only"] * 2
        for arm in filter(None, arms):
            # Kept for the user's rule: it selects every pod and outlives whoever made it.
            assert arm["spec"]["selector"] == {"app": NAME}
            assert not arm["metadata"].get("ownerReferences")
        service = app.history.get("Service", NAME) or {}
        assert service["spec"]["selector"] == {"app": NAME}
        assert not app.api.list("ControllerRevision", app.namespace)
