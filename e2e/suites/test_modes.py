"""The other ways of routing, promoting and judging: a promotion and a rollback in each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from e2e.harness import objects, oracles
from e2e.harness.api import Body
from e2e.harness.app import App
from e2e.harness.objects import NAME, backend, contract, guard, own_metrics, plan, route, rule

STAGES = (25, 100)


@dataclass(frozen=True)
class Mode:
    """What is different from the usual way."""

    name: str
    routes: Callable[[App], list[Body]] | None = None
    services: Callable[[], list[Body]] | None = None
    spec: Callable[[App], dict[str, Any]] = field(default=lambda _app: {})
    plan: Callable[[], Body] = field(default=lambda: plan(*STAGES))
    contract: Callable[[], Body] = field(default=lambda: contract(guard()))
    prepare: Callable[[App], None] = field(default=lambda _app: None)
    grpc: bool = False
    hosts: int = 1
    check: Callable[[App], None] = field(default=lambda _app: None)
    kept: bool = True
    pinned: bool = True


def both_arms(app: App) -> list[Body]:
    """Weights only: the user's rule names the two arms itself, so they are there at rest."""
    app.arms_stay = True
    arms = [backend(f"{NAME}-stable", weight=100), backend(f"{NAME}-canary", weight=0)]
    return [route(app.host, rule(*arms))]


def arms_are_permanent(app: App) -> None:
    """At rest both arms exist, with the user's selector and nothing more."""
    for name in (f"{NAME}-stable", f"{NAME}-canary"):
        body = app.api.get("Service", name, app.namespace) or {}
        assert body["spec"]["selector"] == {"app": NAME}


def grpc_route(app: App) -> list[Body]:
    return [route(app.host, rule(backend(port=9090)), kind="GRPCRoute")]


def two_routes(app: App) -> list[Body]:
    return [route(app.host), route(f"second-{app.host}", name="second")]


def two_rules(app: App) -> list[Body]:
    header = {
        "type": "ResponseHeaderModifier",
        "responseHeaderModifier": {"add": [{"name": "x-rule", "value": "api"}]},
    }
    api = rule(backend(), name="api", prefix="/api", filters=[header])
    return [route(app.host, api, rule())]


def two_services() -> list[Body]:
    return [objects.service(), objects.service("admin")]


def route_of_two_services(app: App) -> list[Body]:
    admin = rule(backend("admin"), name="admin", prefix="/admin-ui")
    return [route(app.host, admin, rule())]


def selector_owned_by_server_side_apply(app: App) -> None:
    app.api.apply(objects.service(), app.namespace, manager="gitops", force=True)
    app.remember()


def selector_is_not_ours(app: App) -> None:
    """Nothing was pinned, and the condition says whose the selector is."""
    assert oracles.unpinned_at(app) is None
    told = [
        one
        for change in app.history.of("Rollout")
        for one in change.body.get("status", {}).get("conditions", [])
        if one["type"] == "InClusterPinned" and one["reason"] == "SelectorOwned"
    ]
    assert told
    assert "gitops" in told[0]["message"]


MODES = [
    Mode(
        "weights-only",
        routes=both_arms,
        spec=lambda _app: {"services": [NAME]},
        check=arms_are_permanent,
    ),
    Mode(
        "managed",
        routes=lambda _app: [],
        spec=lambda app: {"template": objects.managed_route(app.host)},
    ),
    Mode(
        "grpc",
        routes=grpc_route,
        spec=lambda _app: {"routes": [{"kind": "GRPCRoute", "name": NAME}]},
        contract=lambda: contract(own_metrics()),
        grpc=True,
    ),
    Mode(
        "two-routes",
        routes=two_routes,
        spec=lambda _app: {"routes": [{"name": NAME}, {"name": "second"}]},
        hosts=2,
    ),
    Mode("two-rules", routes=two_rules),
    Mode("two-services", routes=route_of_two_services, services=two_services),
    Mode(
        "rolling-update",
        plan=lambda: plan(25, 50, promotion="RollingUpdate"),
        kept=False,
    ),
    Mode("immediate", plan=lambda: plan(strategy="Immediate")),
    Mode(
        "shared-selector",
        prepare=selector_owned_by_server_side_apply,
        check=selector_is_not_ours,
        pinned=False,
    ),
    Mode("own-metrics", contract=lambda: contract(own_metrics())),
]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_a_promotion_and_a_rollback(app: App, mode: Mode):
    grpc_or_made_later = mode.grpc or mode.name in ("managed", "weights-only")
    app.install(
        routes=mode.routes(app) if mode.routes else None,
        services=mode.services() if mode.services else None,
        serving=not grpc_or_made_later,
    )
    mode.prepare(app)
    app.govern(plan=mode.plan(), contract=mode.contract(), **mode.spec(app))
    if grpc_or_made_later:
        app.wait("the gateway answers", app.served_grpc if mode.grpc else app.served)
        app.remember()
    with app.users(grpc=mode.grpc) as traffic:
        app.release("v2")
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    oracles.weights_add_up(app)
    if mode.kept:
        oracles.pods_kept(app, "v2")
    if mode.pinned:
        oracles.callers_inside_saw_only_stable(app, traffic, "v2")
    if mode.hosts == 2:
        first, second = (
            [one.value for one in oracles.weights(app, name) if one.value is not None]
            for name in (NAME, "second")
        )
        assert first == second
    with app.users(grpc=mode.grpc) as traffic:
        app.release("v3", ERROR_RATE="0.5")
        entry = app.finished("RolledBack", number=2)
        app.rest(held=True)
    assert entry["reason"] == "GuardFailed"
    bad = traffic.routed.reached("v3") - traffic.routed.served("v3")
    assert traffic.routed.failed == bad, traffic.told()
    if mode.pinned:
        assert traffic.inside is not None
        assert traffic.inside.failed == 0, traffic.told()
    mode.check(app)


def test_weights_only_with_a_rule_that_was_written_without_weights(app: App):
    """Both arms get the same then, until the first release: that is no traffic of a canary."""
    plain = [backend(f"{NAME}-stable"), backend(f"{NAME}-canary")]
    app.arms_stay = True
    app.install(routes=[route(app.host, rule(*plain))], serving=False)
    app.govern(plan=plan(25, 100), services=[NAME])
    app.wait("the gateway answers", app.served)
    with app.users() as traffic:
        app.release("v2")
        app.finished("Promoted")
        app.remember()
        app.rest()
    oracles.nobody_lost(traffic)
    assert len(app.past()) == 1
    backends = app.api.list("HTTPRoute", app.namespace)[0]["spec"]["rules"][0]["backendRefs"]
    assert {one["name"]: one["weight"] for one in backends} == {
        f"{NAME}-stable": 100,
        f"{NAME}-canary": 0,
    }
