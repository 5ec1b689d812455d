"""What every Router must do, whatever its provider: one class, subclassed for each."""

from __future__ import annotations

import copy
import json
from typing import Any

from leadsman.adapters.routers.factory import ROUTES
from leadsman.core.observation import Form, Rule
from leadsman.core.status import Original
from leadsman.ports import ArmNames, Body, Kind, Ref, Router
from leadsman.testing import FakeKube

ARMS = {"shop": ArmNames("shop-stable", "shop-canary")}


class RouterContract:
    """A subclass gives the kind, the router and a route at rest."""

    kind: Kind
    router: Router

    def at_rest(self) -> Body:
        """A user's route that names Service shop in one rule and something else in another."""
        raise NotImplementedError

    async def stored(self) -> tuple[FakeKube, Body]:
        kube = FakeKube()
        for name in ("shop", "shop-stable", "shop-canary", "files"):
            kube.user_apply(
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {"name": name, "namespace": "ns"},
                    "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80}]},
                }
            )
        kube.user_apply(self.at_rest())
        kube.advance(1)
        return kube, await self.now(kube)

    async def now(self, kube: FakeKube) -> Body:
        return await kube.get(Ref(self.kind, "ns", "shop"))

    def rules(self, route: Body, originals: list[Original] | None = None) -> tuple[Rule, ...]:
        return self.router.read(route, self.kind.kind, ARMS, "", originals).rules

    def originals(self, route: Body) -> list[Original]:
        return [
            Original(r.kind, r.route, r.index, r.name, r.service, r.backends, r.writer)
            for r in self.rules(route)
        ]

    async def write(self, kube: FakeKube, patch: Any) -> Body:
        await kube.patch(Ref(self.kind, "ns", "shop"), patch)
        return await self.now(kube)

    def test_it_is_a_router(self) -> None:
        assert isinstance(self.router, Router)

    async def test_what_is_written_is_what_is_read(self) -> None:
        kube, route = await self.stored()
        originals = self.originals(route)
        for canary in (0, 5, 50, 100, 0):
            rules = self.rules(route, originals)
            patch = self.router.weights(route, rules, canary, ARMS, lowering=False)
            route = await self.write(kube, patch)
            (rule,) = self.rules(route, originals)
            assert (rule.form, rule.stable, rule.canary) == (Form.ARMS, 100 - canary, canary)
            assert rule.ours
            assert not rule.accepted
            kube.advance(1)
            route = await self.now(kube)
            assert self.rules(route, originals)[0].accepted

    async def test_what_is_written_already_is_no_write(self) -> None:
        kube, route = await self.stored()
        originals = self.originals(route)
        patch = self.router.weights(route, self.rules(route), 20, ARMS, lowering=False)
        route = await self.write(kube, patch)
        rules = self.rules(route, originals)
        assert list(self.router.weights(route, rules, 20, ARMS, lowering=False)) == []
        assert list(self.router.weights(route, rules, 20, ARMS, lowering=True)) == []

    async def test_a_restore_is_exact(self) -> None:
        kube, route = await self.stored()
        before = copy.deepcopy(route["spec"])
        originals = self.originals(route)
        patch = self.router.weights(route, self.rules(route), 20, ARMS, lowering=False)
        route = await self.write(kube, patch)
        assert route["spec"] != before
        route = await self.write(kube, self.router.restore(route, originals))
        assert route["spec"] == before
        assert list(self.router.restore(route, originals)) == []

    async def test_raising_is_fenced_by_the_version_and_lowering_is_not(self) -> None:
        kube, route = await self.stored()
        patch = self.router.weights(route, self.rules(route), 20, ARMS, lowering=False)
        route = await self.write(kube, patch)
        rules = self.rules(route, None)
        raising = self.router.weights(route, rules, 50, ARMS, lowering=False)
        lowering = self.router.weights(route, rules, 0, ARMS, lowering=True)
        assert json.dumps(raising).count("resourceVersion") == 1
        assert "resourceVersion" not in json.dumps(lowering)
        kube.advance(1)
        route = await self.write(kube, lowering)
        assert self.rules(route)[0].canary == 0

    async def test_nothing_else_of_the_route_is_touched(self) -> None:
        kube, route = await self.stored()
        patch = self.router.weights(route, self.rules(route), 20, ARMS, lowering=False)
        after = await self.write(kube, patch)
        for body in (route, after):
            for rule in body["spec"]["rules"]:
                for backend in rule["backendRefs"]:
                    backend.pop("weight", None)
                rule["backendRefs"] = rule["backendRefs"][:1]
                rule["backendRefs"][0].pop("name")
        assert after["spec"] == route["spec"]

    async def test_another_writer_is_told_apart(self) -> None:
        kube, route = await self.stored()
        patch = self.router.weights(route, self.rules(route), 20, ARMS, lowering=False)
        await self.write(kube, patch)
        kube.advance(2)
        kube.user_apply(self.at_rest())
        (rule,) = self.rules(await self.now(kube))
        assert (rule.form, rule.ours) == (Form.REST, False)
        assert rule.writer == "kubectl-client-side-apply"

    def test_it_names_the_services(self) -> None:
        assert set(self.router.services(self.at_rest(), "")) == {"shop", "files"}


class GatewayContract(RouterContract):
    """Routes of the Gateway API."""

    def at_rest(self) -> Body:
        backend: dict[str, Any] = {"name": "shop", "port": 80, "weight": 9}
        backend["filters"] = [{"type": "X", "x": {"y": 1}}]
        return {
            "apiVersion": self.kind.api_version,
            "kind": self.kind.kind,
            "metadata": {"name": "shop", "namespace": "ns"},
            "spec": {
                "parentRefs": [{"name": "gateway", "namespace": "gateway"}],
                "hostnames": ["a.example"],
                "rules": [
                    {"name": "other", "backendRefs": [{"name": "files", "port": 1}]},
                    {"name": "main", "matches": [{"x": 1}], "backendRefs": [backend]},
                ],
            },
        }


class TestHTTPRoute(GatewayContract):
    kind = ROUTES["HTTPRoute"].kind
    router = ROUTES["HTTPRoute"].router


class TestGRPCRoute(GatewayContract):
    kind = ROUTES["GRPCRoute"].kind
    router = ROUTES["GRPCRoute"].router


def test_there_is_a_contract_for_every_router() -> None:
    assert set(ROUTES) == {TestHTTPRoute.kind.kind, TestGRPCRoute.kind.kind}
