"""What every Router must do, whatever its provider: one class, subclassed for each.

It runs here on FakeKube with its gateway, and in e2e/ on a real API server with a real one: a
subclass gives `ground`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest

from leadsman.adapters.routers.factory import ROUTES
from leadsman.core.observation import Form, Rule
from leadsman.core.status import Original
from leadsman.errors import ConflictError
from leadsman.ports import ArmNames, Body, JsonPatch, Kind, Ref, Router
from tests.contract.ground import FakeGround, Ground, write

ARMS = {"shop": ArmNames("shop-stable", "shop-canary")}


class RouterContract:
    """A subclass gives the kind, the router and a route at rest."""

    kind: Kind
    router: Router

    @pytest.fixture
    def ground(self) -> Ground:
        """Where it is tried."""
        return FakeGround()

    def at_rest(self) -> Body:
        """A user's route that names Service shop in one rule and something else in another."""
        raise NotImplementedError

    def edited(self) -> Body:
        """The same route with changes outside the rule that is shifted."""
        raise NotImplementedError

    async def stored(self, ground: Ground) -> Body:
        """The route, accepted by its gateway."""
        for name in ("shop", "shop-stable", "shop-canary", "files"):
            await ground.apply(
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {"name": name},
                    "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80}]},
                }
            )
        await ground.apply(self.at_rest())
        return await self.accepted(ground)

    def ref(self, ground: Ground) -> Ref:
        return Ref(self.kind, ground.namespace, "shop")

    async def now(self, ground: Ground) -> Body:
        return await ground.kube.get(self.ref(ground))

    async def accepted(self, ground: Ground) -> Body:
        """The route once its gateway has accepted what it says."""

        why: list[str] = []

        async def done() -> bool:
            why[:] = [rule.why_not for rule in self.rules(await self.now(ground))]
            return not any(why)

        try:
            await ground.settle(done)
        except AssertionError:
            raise AssertionError(f"not accepted: {why}") from None
        return await self.now(ground)

    def rules(self, route: Body, originals: Sequence[Original] | None = None) -> tuple[Rule, ...]:
        return self.router.read(route, self.kind.kind, ARMS, "", originals).rules

    def originals(self, route: Body) -> list[Original]:
        return [
            Original(r.kind, r.route, r.index, r.name, r.service, r.backends, r.writer)
            for r in self.rules(route)
        ]

    def raising(self, canary: int) -> Callable[[Body], JsonPatch]:
        def move(route: Body) -> JsonPatch:
            return self.router.weights(route, self.rules(route), canary, ARMS, lowering=False)

        return move

    async def write(self, ground: Ground, move: Callable[[Body], JsonPatch]) -> Body:
        return await write(ground.kube, self.ref(ground), move)

    def test_it_is_a_router(self) -> None:
        assert isinstance(self.router, Router)

    async def test_what_is_written_is_what_is_read(self, ground: Ground) -> None:
        originals = self.originals(await self.stored(ground))
        for canary in (0, 5, 50, 100, 0):
            route = await self.write(ground, self.raising(canary))
            (rule,) = self.rules(route, originals)
            assert (rule.form, rule.stable, rule.canary) == (Form.ARMS, 100 - canary, canary)
            assert rule.ours
            assert not rule.accepted
            (rule,) = self.rules(await self.accepted(ground), originals)
            assert (rule.form, rule.canary) == (Form.ARMS, canary)

    async def test_what_is_written_already_is_no_write(self, ground: Ground) -> None:
        originals = self.originals(await self.stored(ground))
        route = await self.write(ground, self.raising(20))
        rules = self.rules(route, originals)
        assert list(self.router.weights(route, rules, 20, ARMS, lowering=False)) == []
        assert list(self.router.weights(route, rules, 20, ARMS, lowering=True)) == []

    async def test_a_restore_is_exact(self, ground: Ground) -> None:
        route = await self.stored(ground)
        before = copy.deepcopy(route["spec"])
        originals = self.originals(route)
        route = await self.write(ground, self.raising(20))
        assert route["spec"] != before
        route = await self.write(ground, lambda now: self.router.restore(now, originals))
        assert route["spec"] == before
        assert list(self.router.restore(route, originals)) == []

    async def test_raising_is_fenced_by_the_version_and_lowering_is_not(
        self, ground: Ground
    ) -> None:
        await self.stored(ground)
        await self.write(ground, self.raising(20))
        route = await self.accepted(ground)
        rules = self.rules(route)
        raising = self.router.weights(route, rules, 50, ARMS, lowering=False)
        lowering = self.router.weights(route, rules, 0, ARMS, lowering=True)
        note = {"op": "add", "path": "/metadata/labels", "value": {"somebody": "else"}}
        await ground.kube.patch(self.ref(ground), [note])
        with pytest.raises(ConflictError):
            await ground.kube.patch(self.ref(ground), raising)
        route = await ground.kube.patch(self.ref(ground), lowering)
        assert self.rules(route)[0].canary == 0

    async def test_lowering_is_refused_where_the_rule_is_another(self, ground: Ground) -> None:
        """It tests names: a place in the list may be somebody else's rule by now."""
        await self.stored(ground)
        route = await self.write(ground, self.raising(20))
        lowering = self.router.weights(route, self.rules(route), 0, ARMS, lowering=True)
        turned = list(reversed(route["spec"]["rules"]))
        turn = [{"op": "replace", "path": "/spec/rules", "value": turned}]
        await ground.kube.patch(self.ref(ground), turn)
        with pytest.raises(ConflictError):
            await ground.kube.patch(self.ref(ground), lowering)

    async def test_nothing_else_of_the_route_is_touched(self, ground: Ground) -> None:
        route = await self.stored(ground)
        after = await self.write(ground, self.raising(20))
        for body in (route, after):
            for rule in body["spec"]["rules"]:
                for backend in rule["backendRefs"]:
                    backend.pop("weight", None)
                rule["backendRefs"] = rule["backendRefs"][:1]
                rule["backendRefs"][0].pop("name")
        assert after["spec"] == route["spec"]

    async def test_another_writer_is_told_apart(self, ground: Ground) -> None:
        await self.stored(ground)
        await self.write(ground, self.raising(20))
        await self.accepted(ground)
        await ground.apply(self.at_rest())
        (rule,) = self.rules(await self.now(ground))
        assert (rule.form, rule.ours) == (Form.REST, False)
        assert rule.writer == "kubectl-client-side-apply"

    async def test_what_a_user_edits_elsewhere_outlives_the_restore(self, ground: Ground) -> None:
        originals = self.originals(await self.stored(ground))
        await self.write(ground, self.raising(20))
        await ground.apply(self.edited())
        edited = await self.now(ground)
        await self.write(ground, self.raising(20))
        route = await self.write(ground, lambda now: self.router.restore(now, originals))
        assert route["spec"] == edited["spec"]

    def test_it_names_the_services(self) -> None:
        body = self.at_rest()
        body["metadata"]["namespace"] = "ns"
        assert set(self.router.services(body, "")) == {"shop", "files"}


class GatewayContract(RouterContract):
    """Routes of the Gateway API."""

    match: ClassVar[Body]

    def at_rest(self) -> Body:
        header = {"set": [{"name": "x-from", "value": "a"}]}
        backend: dict[str, Any] = {"name": "shop", "port": 80, "weight": 9}
        backend["filters"] = [{"type": "RequestHeaderModifier", "requestHeaderModifier": header}]
        return {
            "apiVersion": self.kind.api_version,
            "kind": self.kind.kind,
            "metadata": {"name": "shop"},
            "spec": {
                "parentRefs": [{"name": "gateway", "namespace": "gateway"}],
                "hostnames": ["a.example"],
                "rules": [
                    {"name": "other", "backendRefs": [{"name": "files", "port": 80}]},
                    {"name": "main", "matches": [self.match], "backendRefs": [backend]},
                ],
            },
        }

    def edited(self) -> Body:
        body = self.at_rest()
        body["spec"]["hostnames"] = ["a.example", "b.example"]
        body["spec"]["rules"][0]["backendRefs"][0]["weight"] = 3
        return body


class TestHTTPRoute(GatewayContract):
    kind = ROUTES["HTTPRoute"].kind
    router = ROUTES["HTTPRoute"].router
    match: ClassVar[Body] = {"path": {"type": "PathPrefix", "value": "/main"}}


class TestGRPCRoute(GatewayContract):
    kind = ROUTES["GRPCRoute"].kind
    router = ROUTES["GRPCRoute"].router
    match: ClassVar[Body] = {"method": {"type": "Exact", "service": "shop.Main"}}


def test_there_is_a_contract_for_every_router() -> None:
    assert set(ROUTES) == {TestHTTPRoute.kind.kind, TestGRPCRoute.kind.kind}
