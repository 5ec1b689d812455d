"""Traefik's own counters of a Gateway API route.

Traefik names a route's backend `<kind>-<namespace>-<route>-gw-<gateway>-ep-<entry point>-<rule>-
<hash>-svc-<namespace>-<Service>-<number>@kubernetesgateway`; the number is the backend's place in
the rule (newer versions) or its port. All but the gateway, the entry point and the hash are known,
and what is known is matched as a whole. Dots in a route's name become dashes there. Names with
dashes can be cut in more than one way, so a tenant who may choose namespace, route and Service
names freely could imitate another's series: the label has no namespace of its own to compare.

An answer is an error from 500 on. gRPC answers are no part of that: Traefik reads the gRPC status
from the headers, where it hardly ever is, and so labels every call, good or bad, with code 2. A
guard that cannot see errors must not look like one that sees none, so errors of a GRPCRoute are
refused; the pods' own metrics tell them. Connections that stay open by design (web sockets, event
streams) have no latency.
"""

from __future__ import annotations

import re

from leadsman.adapters.presets.arms import ArmNames, Arms
from leadsman.adapters.presets.buckets import bounds_of
from leadsman.adapters.presets.shape import (
    Condition,
    QueryInvalidError,
    Role,
    Shape,
    exactly,
    label_value,
    literal,
    slow_roles,
)

_REQUESTS = "traefik_service_requests_total"
_SECONDS = "traefik_service_request_duration_seconds"
_LABEL = "service"
_TAIL = "@kubernetesgateway"

HTTP_ERROR = Condition("code", "5..")
NO_GRPC = Condition("protocol", "grpc|grpc-web", negated=True)
NO_STREAM = Condition("protocol", "websocket|sse", negated=True)


def requests(arms: Arms) -> Shape:
    """Return the shape that counts all requests, with nothing bad."""
    return _shape(arms, (Role(_REQUESTS, 1, 0),))


def errors(arms: Arms) -> Shape:
    """Return the shape of the share of failed requests. Raises QueryInvalidError for gRPC."""
    if arms.routes and all(kind == "GRPCRoute" for kind, _ in arms.routes):
        raise QueryInvalidError(
            "Traefik's metrics do not tell failed gRPC calls: measure the pods by ratio"
        )
    roles = (
        Role(_REQUESTS, 1, 1, (NO_GRPC, HTTP_ERROR)),
        Role(_REQUESTS, 1, 0, (NO_GRPC,)),
    )
    return _shape(arms, roles)


def latency(arms: Arms, above: float) -> Shape:
    """Return the shape of the share of requests slower than `above` seconds."""
    bounds = bounds_of(above)
    return _shape(arms, slow_roles(_SECONDS, bounds, (NO_STREAM,)), bounds)


def _shape(arms: Arms, roles: tuple[Role, ...], bounds: tuple[str, ...] = ()) -> Shape:
    if not arms.routes:
        raise QueryInvalidError("preset Traefik counts requests of routes, and there is no route")
    tails = "|".join(sorted(set(_tails(arms, arms.canary) + _tails(arms, arms.stable))))
    return Shape(
        roles=roles,
        arm_label=_LABEL,
        asked=tuple(f"{head}.+-svc-(?:{tails})-[0-9]+{_TAIL}" for head in _heads(arms) if tails),
        canary=_exact(arms, arms.canary),
        stable=_exact(arms, arms.stable),
        bounds=bounds,
    )


def _heads(arms: Arms) -> tuple[str, ...]:
    return tuple(
        literal(f"{kind.lower()}-{_normal(arms.namespace)}-{_normal(name)}-gw-")
        for kind, name in arms.routes
    )


def _tails(arms: Arms, arm: ArmNames) -> tuple[str, ...]:
    return tuple(
        literal(f"{label_value(arms.namespace)}-{label_value(name)}") for name in arm.services
    )


def _exact(arms: Arms, arm: ArmNames) -> str:
    heads, tails = "|".join(_heads(arms)), "|".join(_tails(arms, arm))
    if not tails:
        return exactly([])
    middle = "[a-zA-Z0-9-]+-ep-[a-zA-Z0-9-]+-[0-9]+(?:-[0-9a-f]{10,64})?"
    return f"(?:{heads}){middle}-svc-(?:{tails})-[0-9]+{_TAIL}"


def _normal(name: str) -> str:
    return "-".join(re.findall(r"[^\W_]+", label_value(name)))
