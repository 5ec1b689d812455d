"""Which router reads and writes a kind of route: one entry a kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from leadsman.adapters.routers import gateway_api, gateway_patches
from leadsman.core.observation import Rule
from leadsman.core.status import Original
from leadsman.ports import (
    GRPCROUTE,
    HTTPROUTE,
    ArmNames,
    Body,
    JsonPatch,
    Kind,
    Router,
    RouteRules,
)


class GatewayRouter:
    """Routes of the Gateway API whose rules have weighted backends."""

    def read(
        self,
        route: Body,
        kind: str,
        arms: Mapping[str, ArmNames],
        rule_name: str = "",
        originals: Sequence[Original] | None = None,
    ) -> RouteRules:
        """See `gateway_api.read_rules`."""
        return gateway_api.read_rules(route, kind, arms, rule_name, originals)

    def services(self, route: Body, rule_name: str) -> tuple[str, ...]:
        """See `gateway_api.services_named`."""
        return gateway_api.services_named(route, rule_name)

    def weights(
        self,
        route: Body,
        rules: Iterable[Rule],
        canary: int,
        arms: Mapping[str, ArmNames],
        *,
        lowering: bool,
    ) -> JsonPatch:
        """See `gateway_patches.weights_patch`."""
        return gateway_patches.weights_patch(route, rules, canary, arms, lowering=lowering)

    def restore(self, route: Body, originals: Sequence[Original]) -> JsonPatch:
        """See `gateway_patches.restore_patch`."""
        return gateway_patches.restore_patch(route, originals)


@dataclass(frozen=True, slots=True)
class RouteType:
    """A kind of route and the router for it."""

    kind: Kind
    router: Router


_GATEWAY = GatewayRouter()
ROUTES: Mapping[str, RouteType] = {
    kind.kind: RouteType(kind, _GATEWAY) for kind in (HTTPROUTE, GRPCROUTE)
}
"""By the kind's name, as `routeRefs` say it."""
