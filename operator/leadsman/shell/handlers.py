"""kopf's handlers: watch events of our own kinds into the store, and nothing else.

A handler never raises and never waits: kopf would hold back the object's next event, and what an
event means is for the next pass to read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import kopf
import structlog

from leadsman.adapters.kube import Credentials
from leadsman.ports import Kind
from leadsman.runtime.store import OWN, OwnStore

log = structlog.get_logger(__name__)


def registry(
    store: OwnStore,
    login: Callable[[], Awaitable[Credentials]],
    *,
    started: Callable[[], None],
    stopping: Callable[[], Awaitable[None]],
) -> kopf.OperatorRegistry:
    """All handlers of the process.

    `login` gives the credentials of our own client, so that both are the same user. `started` is
    called once kopf runs, `stopping` when its watches have ended and before our tasks would be
    cancelled.
    """
    handlers = kopf.OperatorRegistry()
    for kind in OWN:
        _watch(handlers, store, kind)

    @kopf.on.login(registry=handlers)
    async def on_login(**_: Any) -> kopf.ConnectionInfo:
        return connection(await login())

    @kopf.on.startup(registry=handlers)
    async def on_startup(**_: Any) -> None:
        started()

    @kopf.on.cleanup(registry=handlers)
    async def on_cleanup(**_: Any) -> None:
        await stopping()

    return handlers


def _watch(handlers: kopf.OperatorRegistry, store: OwnStore, kind: Kind) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, id=kind.plural, registry=handlers)
    async def on_event(event: Any, **_: Any) -> None:
        try:
            store.observe(kind, event["object"], deleted=event["type"] == "DELETED")
        except Exception:
            log.exception("event not understood", kind=kind.kind)


def connection(credentials: Credentials) -> kopf.ConnectionInfo:
    """The same access for kopf as for our own client."""
    return kopf.ConnectionInfo(
        server=credentials.server,
        ca_path=credentials.ca_path or None,
        insecure=credentials.insecure or None,
        scheme="Bearer" if credentials.token else None,
        token=credentials.token or None,
        certificate_path=credentials.certificate_path or None,
        private_key_path=credentials.private_key_path or None,
    )
