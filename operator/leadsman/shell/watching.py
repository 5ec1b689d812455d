"""How kopf is tuned: it watches, and it writes and remembers nothing.

By default kopf keeps a copy of each object in annotations to find differences, copies each body
several times an event, posts its log as Events, and gives up after a minute of server errors. Here
it only carries events, so all of that is off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import kopf

SERVER_SECONDS = 290
CLIENT_SECONDS = 300
CONNECT_SECONDS = 5
SILENCE_SECONDS = 66
"""Seconds without an event or a bookmark after which a watch counts as lost."""
REQUEST_SECONDS = 30
CHUNK = 500
FIRST_PAUSES = (1, 1, 2, 3, 5, 8, 13, 21)
LAST_PAUSE = 10


class Endless:
    """Pauses between retries that never run out, and can be walked again for each request."""

    def __iter__(self) -> Iterator[float]:
        """Short pauses first, then the last one for ever."""
        yield from FIRST_PAUSES
        while True:
            yield LAST_PAUSE


class NoDiffBase(kopf.DiffBaseStorage):
    """Remembers no former version of an object: nobody here asks for differences."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> Any:
        """Nothing of the body is essential, so nothing is copied."""
        del body, extra_fields
        return {}

    def fetch(self, *, body: kopf.Body) -> Any:
        """There is no former version."""
        del body

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        """Write nothing."""


class NoProgress(kopf.ProgressStorage):
    """Remembers no progress of handlers: on.event handlers have none."""

    def fetch(self, *, key: Any, body: kopf.Body) -> Any:
        """There is no progress."""
        del key, body

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Write nothing."""

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing was written."""

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        """Write nothing."""

    def clear(self, *, essence: Any) -> Any:
        """Return the essence as it is, without a copy."""
        return essence


def tuned() -> kopf.OperatorSettings:
    """kopf's settings for a process that only watches."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    settings.watching.chunk_size = CHUNK
    settings.watching.server_timeout = SERVER_SECONDS
    settings.watching.client_timeout = CLIENT_SECONDS
    settings.watching.connect_timeout = CONNECT_SECONDS
    settings.watching.inactivity_timeout = SILENCE_SECONDS
    settings.queueing.idle_timeout = 0.2
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.networking.request_timeout = REQUEST_SECONDS
    settings.networking.connect_timeout = CONNECT_SECONDS
    settings.networking.error_backoffs = Endless()
    return settings
