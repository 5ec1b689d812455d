"""The API server's audit log: who asked for what. Only the bare cluster has one at hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.backend import Backend

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the API server saw it; `at` is its arrival as the log writes it (RFC 3339)."""

    at: str
    user: str
    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int

    def told(self) -> str:
        """The request in a line."""
        sub = f"/{self.subresource}" if self.subresource else ""
        return (
            f"{self.at} {self.verb} {self.resource}{sub} {self.namespace}/{self.name} {self.code}"
        )


class Audit:
    """The log from the moment at which this was made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size

    @staticmethod
    def of(cluster: Backend) -> Audit | None:
        """The cluster's audit log; None when it has none."""
        path = getattr(cluster, "audit_log", None)
        return Audit(Path(path)) if path is not None and Path(path).exists() else None

    def requests(self, user: str, namespace: str = "") -> list[Request]:
        """The requests of a user since then, in a namespace or everywhere."""
        found = (_request(event) for event in self._events(user))
        return [one for one in found if one.user == user and namespace in ("", one.namespace)]

    def _events(self, containing: str) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as handle:
            handle.seek(self._offset)
            for line in handle:
                if containing.encode() in line and line.endswith(b"\n"):
                    yield json.loads(line)


def _request(event: dict[str, Any]) -> Request:
    about = event.get("objectRef") or {}
    return Request(
        at=event.get("requestReceivedTimestamp", ""),
        user=event["user"]["username"],
        verb=event["verb"],
        resource=about.get("resource", event.get("requestURI", "")),
        subresource=about.get("subresource", ""),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=int((event.get("responseStatus") or {}).get("code", 0)),
    )
