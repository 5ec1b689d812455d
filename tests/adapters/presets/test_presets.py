"""Golden series of each preset: whose arm they are, and what they count.

The series are in the form that each project documents; the preset's module names the document.
Every row is one series as Prometheus returns it. `(1, 1)` is a failed (or slow) event, `(1, 0)` a
good one, `(0, -1)` the bucket of the fast ones, None nothing at all.
"""

from __future__ import annotations

import re

import pytest

from leadsman.adapters.presets.arms import ArmNames, Arms
from leadsman.adapters.presets.question import router_total, shape_of
from leadsman.adapters.presets.shape import QueryInvalidError
from leadsman.adapters.presets.table import PRESETS
from leadsman.api.guard import Preset
from leadsman.runtime.sampling.evidence import new_tally
from leadsman.runtime.sampling.plan import family_of, selector_of

ARMS = Arms(
    namespace="shop",
    routes=(("HTTPRoute", "web"),),
    canary=ArmNames(("web-canary",), ("web-6d4cf56db6",), (), "6d4cf56db6"),
    stable=ArmNames(("web-stable",), ("web-5c9d8f7b6",), (), "5c9d8f7b6"),
)
GRPC = Arms(ARMS.namespace, ARMS.canary, ARMS.stable, (("GRPCRoute", "web"),))
CANARY_POD = "web-6d4cf56db6-x7k2p"
STABLE_POD = "web-5c9d8f7b6-9wq4z"


def pod(name, metric, who=CANARY_POD, **labels):
    """A series that a pod itself shows, with the labels that the scrape adds."""
    scraped = {"namespace": "shop", "pod": who, "job": "shop/web", "instance": "10.1.0.7:9090"}
    return {"__name__": name + metric, **scraped, **labels}


def istio(metric="istio_requests_total", service="web-canary.shop.svc.cluster.local", **labels):
    return {
        "__name__": metric,
        "reporter": "source",
        "source_workload": "gateway-istio",
        "source_workload_namespace": "istio-ingress",
        "destination_workload": "web-6d4cf56db6",
        "destination_service": service,
        "destination_service_name": service.split(".")[0],
        "destination_service_namespace": "shop",
        "request_protocol": "http",
        "response_code": "200",
        "response_flags": "-",
        "connection_security_policy": "unknown",
        "namespace": "istio-ingress",
        "pod": "gateway-istio-7f9c-abcde",
        **labels,
    }


def envoy(cluster, metric="envoy_cluster_upstream_rq_xx", **labels):
    return {
        "__name__": metric,
        "envoy_cluster_name": cluster,
        "namespace": "gateway-system",
        "pod": "envoy-abc",
        **labels,
    }


def nginx(upstream, status="2xx"):
    return {
        "__name__": "nginx_http_upstream_peer_responses_total",
        "nginx_upstream_name": upstream,
        "nginx_peer_address": "10.1.0.7:8080",
        "nginx_peer_name": "10.1.0.7:8080",
        "nginx_zone_name": upstream,
        "nginx_status_range": status,
        "namespace": "nginx-gateway",
        "pod": "gateway-nginx-abc",
    }


def ingress(canary="", metric="nginx_ingress_controller_requests", **labels):
    own = {"canary": canary} if canary else {}
    return {
        "__name__": metric,
        "namespace": "shop",
        "ingress": "web",
        "service": "web-stable",
        "status": "200",
        "method": "GET",
        "path": "/",
        "controller_class": "k8s.io/ingress-nginx",
        "controller_namespace": "ingress-nginx",
        "controller_pod": "ingress-nginx-controller-abc",
        **own,
        **labels,
    }


IN = {"direction": "inbound", "tls": "true"}
OTEL = "http_server_request_duration_seconds"
RPC = "rpc_server_call_duration_seconds"
BOOT = "http_server_requests_seconds"
BOOT_GRPC = "grpc_server_processing_duration_seconds"
STABLE_HOST = "web-stable.shop.svc.cluster.local"

ERRORS = [
    # Istio
    ("Istio", istio(), "canary", (1, 0)),
    ("Istio", istio(response_code="503", response_flags="UH"), "canary", (1, 1)),
    ("Istio", istio(response_code="404"), "canary", (1, 0)),
    ("Istio", istio(service=STABLE_HOST, response_code="500"), "stable", (1, 1)),
    ("Istio", istio(reporter="destination"), "canary", None),
    ("Istio", istio(request_protocol="grpc", grpc_response_status="13"), "canary", (1, 1)),
    ("Istio", istio(request_protocol="grpc", grpc_response_status="5"), "canary", (1, 0)),
    ("Istio", istio(service="web-canary.evil.svc.cluster.local"), None, (1, 0)),
    ("Istio", istio(service="web.shop.svc.cluster.local"), None, (1, 0)),
    ("Istio", istio(service="web-canary.shop.svc.example.org"), "canary", (1, 0)),
    # Envoy Gateway
    (
        "EnvoyGateway",
        envoy("httproute/shop/web/rule/0/backend/1", envoy_response_code_class="2"),
        "canary",
        (1, 0),
    ),
    (
        "EnvoyGateway",
        envoy("httproute/shop/web/rule/3/backend/0", envoy_response_code_class="5"),
        "stable",
        (1, 1),
    ),
    ("EnvoyGateway", envoy("httproute/shop/web/rule/0"), None, (1, 0)),
    ("EnvoyGateway", envoy("httproute/evil/web/rule/0/backend/1"), None, (1, 0)),
    ("EnvoyGateway", envoy("httproute/shop/web2/rule/0/backend/1"), None, (1, 0)),
    ("EnvoyGateway", envoy("httproute/shop/web/rule/0/backend/2"), None, (1, 0)),
    # Contour
    ("Contour", envoy("shop_web-canary_80", envoy_response_code_class="2"), "canary", (1, 0)),
    ("Contour", envoy("shop_web-canary_80", envoy_response_code_class="5"), "canary", (1, 1)),
    ("Contour", envoy("shop_web-stable_http", envoy_response_code_class="4"), "stable", (1, 0)),
    ("Contour", envoy("evil_web-canary_80"), None, (1, 0)),
    ("Contour", envoy("shop_web_80"), None, (1, 0)),
    # Linkerd
    (
        "Linkerd",
        pod("response", "_total", **IN, status_code="200", classification="success"),
        "canary",
        (1, 0),
    ),
    (
        "Linkerd",
        pod("response", "_total", **IN, status_code="500", classification="failure"),
        "canary",
        (1, 1),
    ),
    (
        "Linkerd",
        pod("response", "_total", **IN, grpc_status_code="14", classification="failure"),
        "canary",
        (1, 1),
    ),
    (
        "Linkerd",
        pod("response", "_total", STABLE_POD, **IN, classification="success"),
        "stable",
        (1, 0),
    ),
    (
        "Linkerd",
        pod("response", "_total", direction="outbound", classification="failure"),
        "canary",
        None,
    ),
    # NGINX Gateway Fabric
    ("NGINXGatewayFabric", nginx("shop_web-canary_80"), "canary", (1, 0)),
    ("NGINXGatewayFabric", nginx("shop_web-canary_80", "5xx"), "canary", (1, 1)),
    ("NGINXGatewayFabric", nginx("shop_web-stable_8080", "4xx"), "stable", (1, 0)),
    ("NGINXGatewayFabric", nginx("shop_web-stable_80_web_shop_0"), "stable", (1, 0)),
    ("NGINXGatewayFabric", nginx("evil_web-canary_80"), None, (1, 0)),
    # ingress-nginx
    ("IngressNGINX", ingress("shop-web-canary-80"), "canary", (1, 0)),
    ("IngressNGINX", ingress("shop-web-canary-http", status="502"), "canary", (1, 1)),
    ("IngressNGINX", ingress("shop-web-canary-80", status="5xx"), "canary", (1, 1)),
    ("IngressNGINX", ingress(), "stable", (1, 0)),
    ("IngressNGINX", ingress(status="500"), "stable", (1, 1)),
    ("IngressNGINX", ingress(service="other"), None, (1, 0)),
    ("IngressNGINX", ingress("shop-other-canary-80"), None, (1, 0)),
    ("IngressNGINX", ingress("evil-web-canary-80", namespace="evil"), None, (1, 0)),
    # Servers by their own conventions
    ("Pod", pod("http_requests", "_total", code="200", method="get"), "canary", (1, 0)),
    ("Pod", pod("http_requests", "_total", STABLE_POD, code="500"), "stable", (1, 1)),
    (
        "OpenTelemetryHTTP",
        pod(OTEL, "_count", http_response_status_code="200", http_route="/cart"),
        "canary",
        (1, 0),
    ),
    (
        "OpenTelemetryHTTP",
        pod(OTEL, "_count", http_response_status_code="500", error_type="500"),
        "canary",
        (1, 1),
    ),
    ("OpenTelemetryHTTP", pod(OTEL, "_count", error_type="java.io.IOException"), "canary", (1, 1)),
    (
        "OpenTelemetryHTTP",
        pod(OTEL, "_count", STABLE_POD, http_response_status_code="404", error_type=""),
        "stable",
        (1, 0),
    ),
    ("OpenTelemetryGRPC", pod(RPC, "_count", rpc_response_status_code="OK"), "canary", (1, 0)),
    (
        "OpenTelemetryGRPC",
        pod(RPC, "_count", rpc_response_status_code="UNAVAILABLE", error_type="UNAVAILABLE"),
        "canary",
        (1, 1),
    ),
    (
        "OpenTelemetryGRPC",
        pod(RPC, "_count", STABLE_POD, rpc_response_status_code="NOT_FOUND"),
        "stable",
        (1, 0),
    ),
    ("MicrometerHTTP", pod(BOOT, "_count", status="200", outcome="SUCCESS"), "canary", (1, 0)),
    ("MicrometerHTTP", pod(BOOT, "_count", status="503", uri="/cart"), "canary", (1, 1)),
    ("MicrometerHTTP", pod(BOOT, "_count", "web-6d4cf56db6x", status="503"), None, (1, 1)),
    ("MicrometerGRPC", pod(BOOT_GRPC, "_count", statusCode="OK"), "canary", (1, 0)),
    ("MicrometerGRPC", pod(BOOT_GRPC, "_count", statusCode="INTERNAL"), "canary", (1, 1)),
    ("MicrometerGRPC", pod(BOOT_GRPC, "_count", statusCode="CANCELLED"), "canary", (1, 0)),
    ("GoGRPC", pod("grpc_server_handled", "_total", grpc_code="OK"), "canary", (1, 0)),
    ("GoGRPC", pod("grpc_server_handled", "_total", grpc_code="Internal"), "canary", (1, 1)),
    (
        "GoGRPC",
        pod("grpc_server_handled", "_total", STABLE_POD, grpc_code="DeadlineExceeded"),
        "stable",
        (1, 1),
    ),
    ("GoGRPC", pod("grpc_server_handled", "_total", namespace="evil"), None, (1, 0)),
]


def slow(labels, metric, bound, **more):
    """The two series of a histogram that count: all events, and those within the bound."""
    named = labels | {"le": bound, **more}
    return (labels | more | {"__name__": f"{metric}_count"}), named | {
        "__name__": f"{metric}_bucket"
    }


ISTIO_MS = "istio_request_duration_milliseconds"
ENVOY_MS = "envoy_cluster_upstream_rq_time"
INGRESS_S = "nginx_ingress_controller_request_duration_seconds"
LATENCY = {
    # Of 250 ms: histograms in milliseconds say 250, those in seconds 0.25.
    "Istio": (istio(), ISTIO_MS, "250"),
    "EnvoyGateway": (envoy("httproute/shop/web/rule/0/backend/1"), ENVOY_MS, "250"),
    "Contour": (envoy("shop_web-canary_80"), ENVOY_MS, "250"),
    "Linkerd": (pod("", "", **IN), "response_latency_ms", "250"),
    "IngressNGINX": (ingress("shop-web-canary-80"), INGRESS_S, "0.25"),
    "Pod": (pod("", ""), "http_request_duration_seconds", "0.25"),
    "OpenTelemetryHTTP": (pod("", "", http_route="/cart"), OTEL, "0.25"),
    "OpenTelemetryGRPC": (pod("", "", rpc_method="shop.Cart/Get"), RPC, "0.25"),
    "MicrometerHTTP": (pod("", "", uri="/cart"), BOOT, "0.25"),
    "MicrometerGRPC": (pod("", "", methodType="UNARY"), BOOT_GRPC, "0.25"),
    "GoGRPC": (pod("", "", grpc_type="unary"), "grpc_server_handling_seconds", "0.25"),
}


def errors(preset, arms=ARMS):
    return shape_of({"errors": {"preset": preset}}, arms)


def latency(preset, arms=ARMS, above="250ms"):
    return shape_of({"latency": {"preset": preset, "above": above}}, arms)


def counts(shape, labels):
    role = shape.role_of(labels)
    return (role.total, role.bad) if role else None


def ids():
    seen: dict[str, int] = {}
    for preset, *_ in ERRORS:
        seen[preset] = seen.get(preset, 0) + 1
        yield f"{preset}-{seen[preset]}"


@pytest.mark.parametrize(("preset", "labels", "arm", "events"), ERRORS, ids=ids())
def test_each_documented_series_counts_for_the_right_arm(preset, labels, arm, events):
    shape = errors(preset)
    assert shape.arm_of(labels) == arm
    assert counts(shape, labels) == events


@pytest.mark.parametrize(("preset", "labels", "arm", "events"), ERRORS, ids=ids())
def test_the_query_lets_in_every_series_that_counts(preset, labels, arm, events):
    if arm is None or events is None:
        return
    shape = errors(preset)
    assert labels["__name__"] in shape.metrics
    assert re.fullmatch("|".join(shape.asked), labels.get(shape.arm_label, ""))
    assert shape.namespace in ("", labels.get("namespace"))
    assert all(re.fullmatch(value, labels.get(label, "")) for label, _, value in shape.matchers)


@pytest.mark.parametrize("preset", LATENCY)
def test_slow_is_the_count_less_the_bucket_in_the_histograms_unit(preset):
    labels, metric, bound = LATENCY[preset]
    shape = latency(preset)
    count, bucket = slow(labels, metric, bound)
    assert (counts(shape, count), counts(shape, bucket)) == ((1, 1), (0, -1))
    assert shape.arm_of(count) == shape.arm_of(bucket) == "canary"
    assert counts(shape, bucket | {"le": "+Inf"}) is None
    assert counts(shape, bucket | {"le": "2500"}) is None
    assert counts(shape, labels | {"__name__": f"{metric}_sum"}) is None
    assert f"{metric}_count" in selector_of([new_tally(shape, 0.0, 60.0, 0.0)])


@pytest.mark.parametrize(
    ("above", "spellings"),
    [
        ("0.5ms", {"0.5"}),
        ("1ms", {"1", "1.0"}),
        ("300ms", {"300", "300.0"}),
        ("1.1s", {"1100", "1100.0"}),
        ("10s", {"10000", "10000.0"}),
    ],
)
def test_milliseconds_are_whole_where_they_should_be(above, spellings):
    assert set(latency("Istio", above=above).bounds) == spellings


@pytest.mark.parametrize("preset", PRESETS)
def test_gateways_that_cannot_see_a_grpc_status_refuse_to_judge_it(preset):
    blind = {"Traefik", "EnvoyGateway", "Contour", "NGINXGatewayFabric", "IngressNGINX"}
    if preset not in blind:
        assert errors(preset, GRPC).asked
        return
    with pytest.raises(QueryInvalidError, match="gRPC"):
        errors(preset, GRPC)


def test_a_provider_without_a_histogram_says_what_to_do_instead():
    with pytest.raises(QueryInvalidError, match="measure the pods"):
        latency("NGINXGatewayFabric")


def test_envoy_gateways_clusters_are_those_of_routes():
    with pytest.raises(QueryInvalidError, match="no route"):
        errors("EnvoyGateway", Arms("shop", ARMS.canary, ARMS.stable))


@pytest.mark.parametrize("preset", PRESETS)
def test_arms_that_are_not_known_yet_are_not_asked_for(preset):
    nobody = Arms("shop", ArmNames(), ArmNames(), ARMS.routes)
    assert errors(preset, nobody).asked == ()


@pytest.mark.parametrize("preset", PRESETS)
def test_the_tenant_is_bound_in_every_preset(preset):
    """Of another namespace no series counts, and the query names ours."""
    shape = errors(preset)
    selector = selector_of([new_tally(shape, 0.0, 60.0, 0.0)])
    assert "shop" in selector
    other = errors(preset, Arms("evil", ARMS.canary, ARMS.stable, ARMS.routes))
    for name, labels, arm, _ in ERRORS:
        if name == preset and arm is not None:
            assert other.arm_of(labels) is None


@pytest.mark.parametrize("preset", PRESETS)
def test_two_rollouts_with_the_same_preset_share_a_query(preset):
    other = Arms("evil", ARMS.canary, ARMS.stable, ARMS.routes)
    assert family_of(errors(preset)) == family_of(errors(preset, other))


def test_the_api_names_exactly_these_presets():
    assert {preset.value for preset in Preset} == set(PRESETS)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_routers_own_count_is_that_of_the_router_that_a_guard_names(preset):
    questions = [{"histogram": {"metric": "h", "above": "1s"}}, {"errors": {"preset": preset}}]
    shape = router_total(ARMS, questions)
    if PRESETS[preset].router is None:
        assert shape == router_total(ARMS)
        return
    for name, labels, arm, events in ERRORS:
        if name == preset and arm is not None:
            assert shape.arm_of(labels) == arm
            assert counts(shape, labels) == (events and (1, 0))
