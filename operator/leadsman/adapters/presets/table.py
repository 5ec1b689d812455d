"""The presets by the names that the API gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from leadsman.adapters.presets import counters, meshes, proxies, servers, traefik
from leadsman.adapters.presets.arms import Arms
from leadsman.adapters.presets.shape import Shape


class Preset(NamedTuple):
    """How one provider's metrics answer the two well-known questions.

    `errors` gives the share of failed requests, `latency` the share slower than so many seconds;
    either raises QueryInvalidError where the provider cannot tell. `router` counts all requests as
    the router saw them, None where the provider is no router.
    """

    errors: Callable[[Arms], Shape]
    latency: Callable[[Arms, float], Shape]
    router: Callable[[Arms], Shape] | None = None


PRESETS: Mapping[str, Preset] = {
    "Traefik": Preset(traefik.errors, traefik.latency, traefik.requests),
    "Pod": Preset(counters.pod_errors, counters.pod_latency),
    "Istio": Preset(meshes.istio_errors, meshes.istio_latency, meshes.istio_requests),
    "EnvoyGateway": Preset(
        proxies.envoy_gateway_errors, proxies.envoy_gateway_latency, proxies.envoy_gateway_requests
    ),
    "Linkerd": Preset(meshes.linkerd_errors, meshes.linkerd_latency),
    "NGINXGatewayFabric": Preset(
        proxies.nginx_gateway_errors, proxies.nginx_gateway_latency, proxies.nginx_gateway_requests
    ),
    "IngressNGINX": Preset(
        proxies.ingress_errors, proxies.ingress_latency, proxies.ingress_requests
    ),
    "Contour": Preset(proxies.contour_errors, proxies.contour_latency, proxies.contour_requests),
    "OpenTelemetryHTTP": Preset(servers.otel_http_errors, servers.otel_http_latency),
    "OpenTelemetryGRPC": Preset(servers.otel_grpc_errors, servers.otel_grpc_latency),
    "MicrometerHTTP": Preset(servers.micrometer_http_errors, servers.micrometer_http_latency),
    "MicrometerGRPC": Preset(servers.micrometer_grpc_errors, servers.micrometer_grpc_latency),
    "GoGRPC": Preset(servers.go_grpc_errors, servers.go_grpc_latency),
}
