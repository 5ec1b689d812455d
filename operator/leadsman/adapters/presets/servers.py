"""What servers count about themselves, by the conventions of the libraries that do the counting.

The Prometheus Go client (promhttp's instrumentation, client_golang) is preset Pod:
`http_requests_total` with `code`, `http_request_duration_seconds`.

OpenTelemetry (semantic-conventions 1.41, docs/http/http-metrics.md and docs/rpc/rpc-metrics.md, as
the Prometheus exporter names them): `http_server_request_duration_seconds` with
`http_response_status_code`, and `error_type` where there was no answer at all;
`rpc_server_call_duration_seconds` with `rpc_response_status_code` in capitals. The count of the
histogram is the request counter. The older `rpc_server_duration_milliseconds` is not asked for:
a server may send both, and then each call would count twice.

Micrometer (docs.micrometer.io, as Spring Boot 3 names it): `http_server_requests_seconds` with
`status`; `grpc_server_processing_duration_seconds` with `statusCode`
(its MetricCollectingServerInterceptor). Buckets exist only where the application asks for them.

go-grpc-middleware (grpc-ecosystem, providers/prometheus): `grpc_server_handled_total` with
`grpc_code` in Go's spelling; `grpc_server_handling_seconds` where the histogram is switched on.

All of them are told apart by the labels `namespace` and `pod` that the scrape gives, and count
callers past the router as well.
"""

from __future__ import annotations

from leadsman.adapters.presets.arms import Arms
from leadsman.adapters.presets.buckets import bounds_of
from leadsman.adapters.presets.codes import GRPC_FAILED_GO, GRPC_FAILED_NAMES, HTTP_FAILED
from leadsman.adapters.presets.counters import Counter, histogram, ratio, shares
from leadsman.adapters.presets.shape import Condition, Role, Shape

_OTEL_HTTP = "http_server_request_duration_seconds"
_OTEL_GRPC = "rpc_server_call_duration_seconds"
_MICROMETER_HTTP = "http_server_requests_seconds"
_MICROMETER_GRPC = "grpc_server_processing_duration_seconds"
_GO_GRPC = "grpc_server_handled_total"
_GO_GRPC_SECONDS = "grpc_server_handling_seconds"


def otel_http_errors(arms: Arms) -> Shape:
    """Return the shape of the share of failed requests."""
    count = f"{_OTEL_HTTP}_count"
    no_answer = (Condition("http_response_status_code", ""), Condition("error_type", ".+"))
    roles = (
        Role(count, 1, 1, (Condition("http_response_status_code", HTTP_FAILED),)),
        Role(count, 1, 1, no_answer),
        Role(count, 1, 0),
    )
    return shares(arms, roles, "Pod", "pod")


def otel_http_latency(arms: Arms, above: float) -> Shape:
    """Return the shape of the share of requests slower than `above` seconds."""
    return _slow(arms, _OTEL_HTTP, above)


def otel_grpc_errors(arms: Arms) -> Shape:
    """Return the shape of the share of calls that failed by the server's fault."""
    failed = Condition("rpc_response_status_code", GRPC_FAILED_NAMES)
    return _failed(arms, f"{_OTEL_GRPC}_count", failed)


def otel_grpc_latency(arms: Arms, above: float) -> Shape:
    """Return the shape of the share of calls slower than `above` seconds."""
    return _slow(arms, _OTEL_GRPC, above)


def micrometer_http_errors(arms: Arms) -> Shape:
    """Return the shape of the share of failed requests."""
    return _failed(arms, f"{_MICROMETER_HTTP}_count", Condition("status", HTTP_FAILED))


def micrometer_http_latency(arms: Arms, above: float) -> Shape:
    """Return the shape of the share of requests slower than `above` seconds."""
    return _slow(arms, _MICROMETER_HTTP, above)


def micrometer_grpc_errors(arms: Arms) -> Shape:
    """Return the shape of the share of calls that failed by the server's fault."""
    failed = Condition("statusCode", GRPC_FAILED_NAMES)
    return _failed(arms, f"{_MICROMETER_GRPC}_count", failed)


def micrometer_grpc_latency(arms: Arms, above: float) -> Shape:
    """Return the shape of the share of calls slower than `above` seconds."""
    return _slow(arms, _MICROMETER_GRPC, above)


def go_grpc_errors(arms: Arms) -> Shape:
    """Return the shape of the share of calls that failed by the server's fault."""
    return _failed(arms, _GO_GRPC, Condition("grpc_code", GRPC_FAILED_GO))


def go_grpc_latency(arms: Arms, above: float) -> Shape:
    """Return the shape of the share of calls slower than `above` seconds."""
    return _slow(arms, _GO_GRPC_SECONDS, above)


def _failed(arms: Arms, metric: str, failed: Condition) -> Shape:
    return ratio(arms, Counter(metric, (failed,)), Counter(metric), "Pod", "pod")


def _slow(arms: Arms, metric: str, above: float) -> Shape:
    return histogram(arms, Counter(metric), bounds_of(above), "Pod", "pod")
