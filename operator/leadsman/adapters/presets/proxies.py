"""Gateways and ingress controllers other than Traefik, by their own counters of each backend.

Contour (projectcontour.io, "Collecting Metrics with Prometheus", 1.31; Envoy's cluster statistics):
every backend is an Envoy cluster whose statistics are named `<namespace>_<Service>_<port>`.
`envoy_cluster_upstream_rq_xx` has a class of response codes ("5"), `envoy_cluster_upstream_rq_time`
is a histogram in milliseconds.

Envoy Gateway (gateway.envoyproxy.io, "Proxy Metrics", latest): the same series, with clusters named
`<kind>/<namespace>/<route>/rule/<n>/backend/<i>` where the backends of a rule have clusters of
their own. By default it merges them into one, and then nothing tells the arms apart, no series
matches, and the guard says that there are none. The place `i` is the place in `backendRefs`: the
operator writes stable first and canary second.

NGINX Gateway Fabric (docs.nginx.com, "Monitoring with Prometheus", 2.x) counts by backend only with
NGINX Plus: `nginx_http_upstream_peer_responses_total` by `nginx_status_range`, upstreams named
`<namespace>_<Service>_<port>`. It tells average times only, so there is no latency.

ingress-nginx (kubernetes.github.io/ingress-nginx, "Monitoring", and its socket collector, main):
`nginx_ingress_controller_requests` with `status`, and `..._request_duration_seconds`. A request
that a canary Ingress took has its upstream `<namespace>-<Service>-<port>` in the label `canary` and
the main Ingress' Service in `service`; all others have no `canary`. It must be scraped with
`honorLabels`, or `namespace` and `service` are those of the controller.

None of them sees a gRPC status, which comes in the trailers, so errors of a GRPCRoute are refused.
"""

from __future__ import annotations

from leadsman.adapters.presets.arms import ArmNames, Arms
from leadsman.adapters.presets.buckets import bounds_of, milliseconds
from leadsman.adapters.presets.codes import HTTP_FAILED
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

_ENVOY_REQUESTS = "envoy_cluster_upstream_rq_xx"
_ENVOY_TIME = "envoy_cluster_upstream_rq_time"
_ENVOY_LABEL = "envoy_cluster_name"
_ENVOY_FAILED = Condition("envoy_response_code_class", "5")
_ENVOY_ERRORS = (Role(_ENVOY_REQUESTS, 1, 1, (_ENVOY_FAILED,)), Role(_ENVOY_REQUESTS, 1, 0))
_NGINX_REQUESTS = "nginx_http_upstream_peer_responses_total"
_NGINX_FAILED = Condition("nginx_status_range", "5xx")
_INGRESS_REQUESTS = "nginx_ingress_controller_requests"
_INGRESS_SECONDS = "nginx_ingress_controller_request_duration_seconds"
_INGRESS_FAILED = Condition("status", f"{HTTP_FAILED}|5xx")
_STABLE_PLACE, _CANARY_PLACE = 0, 1


def contour_requests(arms: Arms) -> Shape:
    """Return the shape that counts all requests, with nothing bad."""
    return _by_backend(arms, _ENVOY_LABEL, (Role(_ENVOY_REQUESTS, 1, 0),))


def contour_errors(arms: Arms) -> Shape:
    """Return the shape of the share of failed requests. Raises QueryInvalidError for gRPC."""
    _no_grpc(arms, "Contour")
    return _by_backend(arms, _ENVOY_LABEL, _ENVOY_ERRORS)


def contour_latency(arms: Arms, above: float) -> Shape:
    """Return the shape of the share of requests slower than `above` seconds."""
    bounds = milliseconds(above)
    return _by_backend(arms, _ENVOY_LABEL, slow_roles(_ENVOY_TIME, bounds), bounds)


def envoy_gateway_requests(arms: Arms) -> Shape:
    """Return the shape that counts all requests, with nothing bad."""
    return _by_place(arms, (Role(_ENVOY_REQUESTS, 1, 0),))


def envoy_gateway_errors(arms: Arms) -> Shape:
    """Return the shape of the share of failed requests. Raises QueryInvalidError for gRPC."""
    _no_grpc(arms, "EnvoyGateway")
    return _by_place(arms, _ENVOY_ERRORS)


def envoy_gateway_latency(arms: Arms, above: float) -> Shape:
    """Return the shape of the share of requests slower than `above` seconds."""
    bounds = milliseconds(above)
    return _by_place(arms, slow_roles(_ENVOY_TIME, bounds), bounds)


def nginx_gateway_requests(arms: Arms) -> Shape:
    """Return the shape that counts all requests, with nothing bad."""
    return _by_backend(arms, "nginx_upstream_name", (Role(_NGINX_REQUESTS, 1, 0),))


def nginx_gateway_errors(arms: Arms) -> Shape:
    """Return the shape of the share of failed requests. Raises QueryInvalidError for gRPC."""
    _no_grpc(arms, "NGINXGatewayFabric")
    roles = (Role(_NGINX_REQUESTS, 1, 1, (_NGINX_FAILED,)), Role(_NGINX_REQUESTS, 1, 0))
    return _by_backend(arms, "nginx_upstream_name", roles)


def nginx_gateway_latency(_arms: Arms, _above: float) -> Shape:
    """Raise QueryInvalidError: there is no histogram to ask."""
    raise QueryInvalidError(
        "preset NGINXGatewayFabric has no latency histogram: measure the pods by histogram"
    )


def ingress_requests(arms: Arms) -> Shape:
    """Return the shape that counts all requests, with nothing bad."""
    return _ingress(arms, (Role(_INGRESS_REQUESTS, 1, 0),))


def ingress_errors(arms: Arms) -> Shape:
    """Return the shape of the share of failed requests. Raises QueryInvalidError for gRPC."""
    _no_grpc(arms, "IngressNGINX")
    roles = (Role(_INGRESS_REQUESTS, 1, 1, (_INGRESS_FAILED,)), Role(_INGRESS_REQUESTS, 1, 0))
    return _ingress(arms, roles)


def ingress_latency(arms: Arms, above: float) -> Shape:
    """Return the shape of the share of requests slower than `above` seconds."""
    bounds = bounds_of(above)
    return _ingress(arms, slow_roles(_INGRESS_SECONDS, bounds), bounds)


def _no_grpc(arms: Arms, preset: str) -> None:
    if arms.routes and all(kind == "GRPCRoute" for kind, _ in arms.routes):
        raise QueryInvalidError(
            f"the metrics of {preset} do not tell failed gRPC calls: measure the pods"
        )


def _by_backend(
    arms: Arms, label: str, roles: tuple[Role, ...], bounds: tuple[str, ...] = ()
) -> Shape:
    """Arms by `<namespace>_<Service>_<port>`; an underscore is in no name of Kubernetes."""

    def pattern(arm: ArmNames) -> str:
        heads = [
            literal(f"{label_value(arms.namespace)}_{label_value(name)}_")
            + "[a-zA-Z0-9-]+(?:_[a-zA-Z0-9_.-]+)?"
            for name in arm.services
        ]
        return "|".join(sorted(set(heads))) or exactly([])

    return _two(label, pattern(arms.canary), pattern(arms.stable), roles, bounds)


def _by_place(arms: Arms, roles: tuple[Role, ...], bounds: tuple[str, ...] = ()) -> Shape:
    if not arms.routes:
        raise QueryInvalidError(
            "preset EnvoyGateway counts requests of routes, and there is no route"
        )

    def pattern(arm: ArmNames, place: int) -> str:
        heads = [
            literal(f"{kind.lower()}/{label_value(arms.namespace)}/{label_value(name)}/rule/")
            + f"[0-9]+/backend/{place}"
            for kind, name in arms.routes
        ]
        return "|".join(sorted(set(heads))) if arm.services else exactly([])

    canary, stable = pattern(arms.canary, _CANARY_PLACE), pattern(arms.stable, _STABLE_PLACE)
    return _two(_ENVOY_LABEL, canary, stable, roles, bounds)


def _ingress(arms: Arms, roles: tuple[Role, ...], bounds: tuple[str, ...] = ()) -> Shape:
    upstreams = [
        literal(f"{label_value(arms.namespace)}-{label_value(name)}-") + "[a-zA-Z0-9-]+"
        for name in arms.canary.services
    ]
    canary = "|".join(sorted(set(upstreams))) or exactly([])
    services = exactly(label_value(name) for name in arms.stable.services)
    return Shape(
        roles=roles,
        arm_label="canary",
        asked=("", *sorted(set(upstreams))) if upstreams else (),
        canary=canary,
        stable=exactly([]),
        stable_if_absent=(Condition("service", services),),
        namespace=label_value(arms.namespace),
        bounds=bounds,
    )


def _two(
    label: str, canary: str, stable: str, roles: tuple[Role, ...], bounds: tuple[str, ...]
) -> Shape:
    nothing = exactly([])
    return Shape(
        roles=roles,
        arm_label=label,
        asked=tuple(pattern for pattern in (canary, stable) if pattern != nothing),
        canary=canary,
        stable=stable,
        bounds=bounds,
    )
