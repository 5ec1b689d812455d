"""Opens a MetricsSource object as a client that the sampler can ask.

A source that is not there, or whose object cannot be read, opens as nothing: the guards that name
it say so. Tokens come from files, read anew at each query since they rotate. A Secret is never
asked for through the API (the operator has no right to): it is mounted, and found by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from leadsman.adapters.prometheus import Bounds, Prometheus
from leadsman.api.kinds import parse
from leadsman.api.metricssource import Credentials, MetricsSource
from leadsman.api.resource import InvalidObjectError
from leadsman.api.types import parse_duration
from leadsman.ports import METRICSSOURCE, Body, Clock
from leadsman.runtime.store import OwnStore

SECRETS = Path("/var/run/secrets/leadsman.dev")
"""Where Secrets of the operator's namespace are mounted: `<name>/<key>`."""
LOOPBACK = ("127.0.0.0/8", "::1/128")

log = structlog.get_logger(__name__)


class Sources:
    """Opens sources by name from the store."""

    def __init__(self, store: OwnStore, clock: Clock, *, loopback: bool = False) -> None:
        """`loopback` lets a source be on this machine (tests)."""
        self._store = store
        self._clock = clock
        self._allowed = LOOPBACK if loopback else ()

    def open(self, name: str) -> Prometheus | None:
        """A client for the source of this name, None when there is none that can be read."""
        body = self._store.source(name)
        if body is None:
            return None
        try:
            source = _parsed(body)
        except InvalidObjectError as error:
            log.warning("source not understood", name=name, problems=error.problems[:3])
            return None
        about, limits = source.spec.prometheus, source.spec.limits
        return Prometheus(
            about.address,
            self._clock,
            bounds=Bounds(
                timeout=parse_duration(about.timeout),
                body_bytes=limits.body_bytes,
                series=limits.series,
                queries_per_second=limits.queries_per_second,
            ),
            allowed=self._allowed,
            token=token_reader(about.credentials),
            expressions=source.spec.allow_prom_ql,
        )


def token_reader(credentials: Credentials | None) -> Callable[[], str] | None:
    """What reads the bearer token now; it raises OSError when there is none to read."""
    if credentials is None:
        return None
    if credentials.file is not None:
        path = Path(credentials.file)
    elif credentials.secret_ref is not None:
        path = SECRETS / credentials.secret_ref.name / credentials.secret_ref.key
    else:
        return None
    return lambda: path.read_text(encoding="utf-8").strip()


def _parsed(body: Body) -> MetricsSource:
    # Items of a list do not always name their kind.
    named = {"apiVersion": METRICSSOURCE.api_version, "kind": METRICSSOURCE.kind, **body}
    source = parse(named)
    if not isinstance(source, MetricsSource):
        raise InvalidObjectError(METRICSSOURCE.kind, "", ("kind: must be MetricsSource",))
    return source
