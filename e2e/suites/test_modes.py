"""The other ways of routing, promoting and judging: a promotion and a rollback in each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from e2e.cluster.load import GATEWAY, Load
from e2e.harness import objects, oracles
from e2e.harness.api import Body
from e2e.harness.app import App, Traffic
from e2e.harness.objects import NAME, backend, contract, guard, own_metrics, plan, route, rule
from e2e.harness.users import LONGEST, Users

STAGES = (25, 100)
RPS = 200.0


@dataclass(frozen=True)
class Way:
    """A way to the application: where users send, and the rule that sends them on."""

    route: str = NAME
    service: str = NAME
    rule: int = 0
    host: str = ""  # before the application's own
    path: str = "/"

    def values(self, app: App) -> list[int]:
        """The canary's weights on this way so far."""
        found = oracles.weights(app, self.route, self.service, self.rule)
        return [one.value for one in found if one.value is not None]

    def served(self, app: App) -> bool:
        """The gateway answers on this way, three times in a row."""
        url = f"{app.place.cluster.gateway_url}{self.path}"
        headers = {"Host": f"{self.host}{app.host}"}
        with httpx.Client(headers=headers, trust_env=False, timeout=5) as client:
            try:
                return all(client.get(url).status_code == 200 for _ in range(3))
            except httpx.HTTPError:
                return False


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
    main: Way = field(default=Way())
    other: Way | None = None
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
        other=Way(route="second", host="second-"),
    ),
    Mode("two-rules", routes=two_rules, main=Way(rule=1), other=Way(path="/api")),
    Mode(
        "two-services",
        routes=route_of_two_services,
        services=two_services,
        main=Way(rule=1),
        other=Way(service="admin", path="/admin-ui"),
    ),
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


@contextmanager
def users(app: App, mode: Mode, number: int) -> Iterator[list[Traffic]]:
    """The usual load, in halves where there are two ways; complete when the block has ended."""
    if mode.other is None:
        with app.users(RPS, grpc=mode.grpc) as traffic:
            yield [traffic]
        return
    with app.users(RPS / 2) as traffic:
        way = mode.other
        url, host = f"{GATEWAY.rstrip('/')}{way.path}", f"{way.host}{app.host}"
        load = Load(f"other-{number}", app.namespace, host, url, RPS / 2, LONGEST)
        sent = Users(app.api, load)
        found = [traffic]
        sent.begin()
        try:
            sent.sending()
            yield found
        finally:
            found.append(Traffic(sent.stop()))


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
    if mode.other is not None:
        other = mode.other
        app.wait("the gateway answers on the other way", lambda: other.served(app))
    with users(app, mode, 1) as ways:
        app.release("v2")
        app.finished("Promoted")
        app.rest()
    traffic = ways[0]
    for way in ways:
        oracles.nobody_lost(way)
        assert way.routed.reached("v2") > 0, way.told()
    oracles.weights_add_up(app)
    if mode.kept:
        oracles.pods_kept(app, "v2")
    if mode.pinned:
        oracles.callers_inside_saw_only_stable(app, traffic, "v2")
    with users(app, mode, 2) as ways:
        app.release("v3", ERROR_RATE="0.5")
        entry = app.finished("RolledBack", number=2)
        app.rest(held=True)
    assert entry["reason"] == "GuardFailed"
    for way in ways:
        assert way.routed.reached("v3") > 0, way.told()
        oracles.failed_only_by(way if mode.pinned else Traffic(way.routed), "v3")
    if mode.other is not None:
        assert mode.main.values(app) == mode.other.values(app)
        assert max(mode.other.values(app)) == max(STAGES)
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
