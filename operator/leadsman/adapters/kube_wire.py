"""How requests and answers look on the wire, purely: paths, parameters, JSON, lines of a watch."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

from leadsman.adapters.kube_errors import status_error
from leadsman.errors import ApiError, GoneError, UnavailableError
from leadsman.ports import FIELD_MANAGER, Body, Kind, WatchEvent

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
METADATA_ONLY = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

NAMED = re.compile(
    rb'"metadata":\{"name":"([^"\\\\]+)"(?:,"generateName":"[^"]*")?,"namespace":"([^"\\\\]+)"'
)
"""How the API server begins an object's metadata: always in this order."""

Query = list[tuple[str, str]]


def path_of(kind: Kind, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The URL path of a collection, an object, or an object's sub-resource."""
    parts = ["/apis", kind.group, kind.version] if kind.group else ["/api", kind.version]
    if kind.namespaced and namespace:
        parts += ["namespaces", quote(namespace, safe="")]
    parts.append(kind.plural)
    if name:
        parts.append(quote(name, safe=""))
    if subresource:
        parts.append(subresource)
    return "/".join(parts)


def selectors(labels: str, fields: str) -> Query:
    """Query parameters of a list's selectors."""
    pairs = (("labelSelector", labels), ("fieldSelector", fields))
    return [(name, value) for name, value in pairs if value]


def writing(*, dry_run: bool = False) -> Query:
    """Query parameters of every write: one field manager says who wrote."""
    return [("fieldManager", FIELD_MANAGER), *([("dryRun", "All")] if dry_run else [])]


def unreachable(lost: BaseException) -> UnavailableError:
    """The error for a request without an answer; the write may have happened."""
    reason = "Timeout" if isinstance(lost, TimeoutError) else "Unreachable"
    return UnavailableError(0, reason, f"{type(lost).__name__} on the way to the API server")


def encoded(body: Any) -> bytes:
    """JSON without blanks and with the escapes that Go's encoder writes."""
    text = json.dumps(body, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("ascii")


def decoded(status: int, raw: bytes) -> Body:
    """A JSON object, or an UnavailableError: half an answer is none."""
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise UnavailableError(status, "BadBody", "the answer is not a JSON object")
    return body


def event_of(line: bytes) -> WatchEvent:
    """One line of a watch. Raises the ApiError that an ERROR event tells."""
    event: Mapping[str, Any] = decoded(200, line)
    kind, body = event.get("type"), event.get("object")
    if kind == "ERROR" and isinstance(body, dict):
        raise watch_error(body)
    if kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK") or not isinstance(body, dict):
        raise UnavailableError(200, "BadEvent", "the watch sent something that is not an event")
    return WatchEvent(kind, body)


def watch_error(body: Body) -> ApiError:
    """The error of a watch's ERROR event; an expired version may come with any code."""
    if body.get("reason") == "Expired":
        return GoneError(410, "Expired", str(body.get("message") or ""))
    return status_error(body)


def named(line: bytes) -> tuple[str, str] | None:
    """Namespace and name of the object in an event, without parsing it; None if not to be told."""
    found = NAMED.search(line, 0, 4096)
    return (found[2].decode(), found[1].decode()) if found else None


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whole lines of a stream, however long they are and wherever it is cut."""
    rest = b""
    async for chunk in chunks:
        whole = (rest + chunk).split(b"\n")
        rest = whole.pop()
        for line in whole:
            if line.strip():
                yield line
