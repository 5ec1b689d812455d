"""Service meshes: Istio and Linkerd, whose proxies count every request.

Istio (istio.io, "Istio Standard Metrics", latest): `istio_requests_total` and the histogram
`istio_request_duration_milliseconds`, whose bounds are milliseconds. Both ends of a call report it;
only `reporter="source"` counts here, which a gateway is as well, so that no request counts twice
and one that never reached a pod counts too. An arm is the host of its Service in
`destination_service`, which holds the namespace. gRPC calls carry `grpc_response_status`, a number.

Linkerd (linkerd.io, "Proxy Metrics", 2-edge): `response_total` with a `classification` that
knows HTTP and gRPC alike, and the histogram `response_latency_ms` (time to the first byte). Taken
from the pods' own inbound proxies, so calls that came past the router are in it; `namespace` and
`pod` are the labels that Linkerd's own scrape configuration gives.
"""

from __future__ import annotations

from leadsman.adapters.presets.arms import ArmNames, Arms
from leadsman.adapters.presets.buckets import milliseconds
from leadsman.adapters.presets.codes import GRPC_FAILED_NUMBERS, HTTP_FAILED
from leadsman.adapters.presets.counters import Counter, histogram, ratio
from leadsman.adapters.presets.shape import (
    Condition,
    Role,
    Shape,
    exactly,
    label_value,
    literal,
    slow_roles,
)

_REQUESTS = "istio_requests_total"
_MILLISECONDS = "istio_request_duration_milliseconds"
_SOURCE = Condition("reporter", "source")
_INBOUND = Condition("direction", "inbound")


def istio_requests(arms: Arms) -> Shape:
    """Return the shape that counts all requests, with nothing bad."""
    return _istio(arms, (Role(_REQUESTS, 1, 0, (_SOURCE,)),))


def istio_errors(arms: Arms) -> Shape:
    """Return the shape of the share of failed requests, HTTP and gRPC."""
    failed = (
        Condition("grpc_response_status", GRPC_FAILED_NUMBERS),
        Condition("response_code", HTTP_FAILED),
    )
    bad = tuple(Role(_REQUESTS, 1, 1, (_SOURCE, condition)) for condition in failed)
    return _istio(arms, (*bad, Role(_REQUESTS, 1, 0, (_SOURCE,))))


def istio_latency(arms: Arms, above: float) -> Shape:
    """Return the shape of the share of requests slower than `above` seconds."""
    bounds = milliseconds(above)
    return _istio(arms, slow_roles(_MILLISECONDS, bounds, (_SOURCE,)), bounds)


def _istio(arms: Arms, roles: tuple[Role, ...], bounds: tuple[str, ...] = ()) -> Shape:
    canary, stable = _hosts(arms, arms.canary), _hosts(arms, arms.stable)
    nothing = exactly([])
    return Shape(
        roles=roles,
        arm_label="destination_service",
        asked=tuple(pattern for pattern in (canary, stable) if pattern != nothing),
        canary=canary,
        stable=stable,
        matchers=((_SOURCE.label, "=~", _SOURCE.pattern),),
        bounds=bounds,
    )


def _hosts(arms: Arms, arm: ArmNames) -> str:
    heads = [
        literal(f"{label_value(name)}.{label_value(arms.namespace)}.svc.") + "[a-zA-Z0-9.-]+"
        for name in arm.services
    ]
    return "|".join(sorted(set(heads))) or exactly([])


def linkerd_errors(arms: Arms) -> Shape:
    """Return the shape of the share of responses that the pods' proxies classify as failures."""
    total = Counter("response_total", (_INBOUND,))
    failed = Condition("classification", "failure")
    return ratio(arms, Counter(total.metric, (_INBOUND, failed)), total, "Pod", "pod")


def linkerd_latency(arms: Arms, above: float) -> Shape:
    """Return the shape of the share of responses slower than `above` seconds."""
    source = Counter("response_latency_ms", (_INBOUND,))
    return histogram(arms, source, milliseconds(above), "Pod", "pod")
