"""What the operator says about itself: Prometheus metrics, and logs as JSON lines.

Metrics have few and bounded labels: verbs, kinds, policies, never names of users' objects. Logs
carry names and reasons; bodies, headers and local variables of tracebacks are never formatted, so
a secret that passes through memory cannot end in a log line.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
QUIET = ("kopf", "aiohttp.access", "asyncio")
"""Loggers of libraries that speak of every event; only their warnings are ours to show."""


class Telemetry:
    """The operator's own metrics. One instance a process, handed to who needs it."""

    def __init__(self) -> None:
        """All metrics live in a registry of their own: `render` gives them as text."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._decisions = Counter(
            "leadsman_decisions",
            "Decisions by the policy that made them.",
            ["policy"],
            registry=self.registry,
        )
        self._requests = Counter(
            "leadsman_api_requests",
            "Requests to the Kubernetes API; code 0 had no answer.",
            ["verb", "resource", "code"],
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "leadsman_api_request_seconds",
            "Time of a request to the Kubernetes API.",
            ["verb"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._reconcile_seconds = Histogram(
            "leadsman_reconcile_seconds",
            "Time of one pass over a Rollout.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._reconcile_failures = Counter(
            "leadsman_reconcile_failures",
            "Passes over a Rollout that ended with an error.",
            registry=self.registry,
        )
        self._events_dropped = Counter(
            "leadsman_events_dropped",
            "Events that were not posted: the queue was full or the API refused them.",
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)

    def decided(self, policy: str) -> None:
        """A decision was made by this policy."""
        self._decisions.labels(policy).inc()

    def requested(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """A request to the Kubernetes API ended: fits KubeApi's `observe`."""
        self._requests.labels(verb, resource, str(code)).inc()
        if verb != "watch":
            self._request_seconds.labels(verb).observe(seconds)

    def reconciled(self, _key: object, seconds: float, well: bool) -> None:
        """A pass ended: fits the Scheduler's `on_run`."""
        self._reconcile_seconds.observe(seconds)
        if not well:
            self._reconcile_failures.inc()

    def event_dropped(self) -> None:
        """An Event could not be told."""
        self._events_dropped.inc()

    def gauge(self, name: str, help_: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when somebody asks."""
        Gauge(name, help_, registry=self.registry).set_function(read)

    def render(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)


def configure_logging(level: str = "info", style: str = "json") -> None:
    """Send our logs and those of libraries to standard error, one line each.

    `level` is debug, info, warning or error; `style` json or console.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        )
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
