"""The Kubernetes API over `kubernetes.aio`'s ApiClient, on plain dictionaries.

Only the low-level client is used: it brings authentication, TLS and proxies, while the generated
APIs and models would cost a hundred MiB and lose fields that they do not know. Watches have a
connection pool of their own, so that no number of them makes a write wait; a request's connection
is kept open for longer than the time between two steps, so that a rollback seldom waits for a
TLS handshake. Nothing is retried here: whoever asked decides again from what is then true.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from urllib.parse import quote

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import load_incluster_config, load_kube_config

from leadsman import __version__
from leadsman.adapters.kube_errors import api_error, status_error
from leadsman.errors import ApiError, GoneError, UnavailableError
from leadsman.ports import FIELD_MANAGER, Body, JsonPatch, Kind, Listing, Ref, WatchEvent

CHUNK = 500
CONNECT_TIMEOUT = 5.0
REQUEST_TIMEOUT = 30.0
WATCH_SECONDS = 290
WATCH_SILENCE = 66.0
"""Seconds without a byte after which a watch counts as lost: bookmarks come once a minute."""
KEEP_ALIVE = 75.0
"""Seconds that an idle connection is kept; the API server itself closes it after 90."""

JSON = "application/json"
METADATA_ONLY = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

Observe = Callable[[str, str, int, float], None]
"""Told after each request: verb, plural (with sub-resource), HTTP status or 0, seconds."""
Query = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to reach the API server and as whom, for another client in this process."""

    server: str
    ca_path: str = ""
    insecure: bool = False
    token: str = field(default="", repr=False)
    certificate_path: str = ""
    private_key_path: str = ""


class _Connections(RESTClientObject):  # type: ignore[misc]
    """The client's connection pool, with connections that live as long as the server allows."""

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            limit=self.maxsize, ssl=self.ssl_context, keepalive_timeout=KEEP_ALIVE
        )


class KubeApi:
    """The Kube port on a real API server. Close it when done."""

    def __init__(
        self,
        configuration: Any,
        *,
        observe: Observe | None = None,
        watch_silence: float = WATCH_SILENCE,
        request_timeout: float = REQUEST_TIMEOUT,
    ) -> None:
        """Use a `kubernetes.aio` Configuration; times are seconds."""
        self._configuration = configuration
        configuration.client_session_kwargs = {"trust_env": False}
        self._requests = self._client(configuration, limit=32)
        self._watches = self._client(configuration, limit=0)
        self._observe = observe
        self._request_time = aiohttp.ClientTimeout(
            total=request_timeout, sock_connect=min(CONNECT_TIMEOUT, request_timeout)
        )
        self._watch_time = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT, sock_read=watch_silence
        )

    @classmethod
    async def connect(cls, kubeconfig: str = "", *, observe: Observe | None = None) -> KubeApi:
        """Connect by a kubeconfig file, else as this pod's ServiceAccount, else by KUBECONFIG.

        A ServiceAccount's token is read again every minute, since it is a short-lived one.
        Raises `kubernetes.aio.config.ConfigException` when there is nothing to connect with.
        """
        configuration = Configuration()
        if not kubeconfig and "KUBERNETES_SERVICE_HOST" in os.environ:
            load_incluster_config(client_configuration=configuration)
        else:
            await load_kube_config(
                config_file=kubeconfig or os.environ.get("KUBECONFIG"),
                client_configuration=configuration,
                persist_config=False,
            )
        return cls(configuration, observe=observe)

    async def close(self) -> None:
        """Close all connections; watches that still run end with an UnavailableError."""
        await self._requests.close()
        await self._watches.close()

    async def credentials(self) -> Credentials:
        """What a second client needs, with the token as it is now."""
        conf = self._configuration
        token = await conf.get_api_key_with_prefix("BearerToken", alias="authorization") or ""
        return Credentials(
            server=conf.host,
            ca_path=conf.ssl_ca_cert or "",
            insecure=not conf.verify_ssl,
            token=token.split(" ", 1)[-1].strip(),
            certificate_path=conf.cert_file or "",
            private_key_path=conf.key_file or "",
        )

    async def get(self, ref: Ref) -> Body:
        """Read one object. Raises NotFoundError and any other ApiError."""
        return await self._call("GET", ref.kind, path_of(ref.kind, ref.namespace, ref.name), [])

    async def get_path(self, path: str) -> Body:
        """Read a path that is no object, such as `/apis/leadsman.dev/v1alpha1`."""
        return await self._call("GET", None, path, [])

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> Listing:
        """List a kind in chunks; a list that expires half-way is begun again, once, as a whole."""
        try:
            return await self._list(kind, namespace, selectors(labels, fields), chunk=CHUNK)
        except GoneError:
            return await self._list(kind, namespace, selectors(labels, fields), chunk=0)

    async def metadata(self, kind: Kind, namespace: str = "") -> Listing:
        """List a kind with nothing but `metadata`: names and versions of many large objects."""
        return await self._list(kind, namespace, [], chunk=CHUNK, accept=METADATA_ONLY)

    async def watch(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "", since: str
    ) -> AsyncIterator[WatchEvent]:
        """Stream events after `since` until the server ends the watch (after 290 s).

        Raises GoneError when `since` is too old, UnavailableError when the stream is lost or
        silent for longer than `watch_silence`, any ApiError when it cannot be opened.
        """
        query = [
            *selectors(labels, fields),
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(WATCH_SECONDS)),
            ("resourceVersion", since),
        ]
        started = time.perf_counter()
        status = 0
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._send(
                self._watches, "GET", path_of(kind, namespace), query, timeout=self._watch_time
            )
            status = response.status
            self._told("watch", kind.plural, status, started)
            if status >= 300:
                raise api_error(status, await response.read(), response.headers)
            async for line in lines(response.content.iter_any()):
                yield event_of(line)
        except (aiohttp.ClientError, OSError, TimeoutError) as lost:
            if not status:
                self._told("watch", kind.plural, 0, started)
            raise unreachable(lost) from None
        finally:
            if response is not None:
                response.close()

    async def patch(
        self, ref: Ref, operations: JsonPatch, *, subresource: str = "", dry_run: bool = False
    ) -> Body:
        """Apply a JSON Patch. Raises ConflictError when a `test` fails or the object changed."""
        return await self._call(
            "PATCH",
            ref.kind,
            path_of(ref.kind, ref.namespace, ref.name, subresource),
            writing(dry_run=dry_run),
            body=[dict(operation) for operation in operations],
            content_type="application/json-patch+json",
            subresource=subresource,
        )

    async def create(self, kind: Kind, namespace: str, body: Body) -> Body:
        """Create an object. Raises AlreadyExistsError, InvalidError."""
        return await self._call("POST", kind, path_of(kind, namespace), writing(), body=body)

    async def delete(
        self, ref: Ref, *, uid: str = "", resource_version: str = "", orphan: bool = False
    ) -> None:
        """Delete an object if the preconditions hold. Raises NotFoundError, ConflictError."""
        given = {"uid": uid, "resourceVersion": resource_version}
        options: Body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Orphan" if orphan else "Background",
        }
        if preconditions := {name: value for name, value in given.items() if value}:
            options["preconditions"] = preconditions
        path = path_of(ref.kind, ref.namespace, ref.name)
        await self._call("DELETE", ref.kind, path, [], body=options)

    def _client(self, configuration: Any, *, limit: int) -> Any:
        configuration.connection_pool_maxsize = limit
        client = ApiClient(configuration)
        client.rest_client = _Connections(configuration)
        client.user_agent = f"leadsman/{__version__}"
        return client

    async def _list(
        self, kind: Kind, namespace: str, query: Query, *, chunk: int, accept: str = JSON
    ) -> Listing:
        items: list[Body] = []
        path, more = path_of(kind, namespace), ""
        while True:
            page = [*query]
            if chunk:
                page.append(("limit", str(chunk)))
            if more:
                page.append(("continue", more))
            body = await self._call("LIST", kind, path, page, accept=accept)
            # A list's items do not repeat what the list itself says.
            for item in body.get("items") or ():
                item.setdefault("apiVersion", kind.api_version)
                item.setdefault("kind", kind.kind)
                items.append(item)
            about = body.get("metadata") or {}
            more = about.get("continue") or ""
            if not more:
                return Listing(tuple(items), about.get("resourceVersion") or "")

    async def _call(
        self,
        verb: Literal["GET", "LIST", "POST", "PATCH", "DELETE"],
        kind: Kind | None,
        path: str,
        query: Query,
        *,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        subresource: str = "",
    ) -> Body:
        """One request and its JSON answer. Raises any ApiError."""
        started, status = time.perf_counter(), 0
        try:
            response = await self._send(
                self._requests,
                "GET" if verb == "LIST" else verb,
                path,
                query,
                body=body,
                content_type=content_type,
                accept=accept,
                timeout=self._request_time,
            )
            status = response.status
            raw = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as lost:
            status = 0
            raise unreachable(lost) from None
        finally:
            plural = kind.plural if kind else "paths"
            what = f"{plural}/{subresource}" if subresource else plural
            self._told(verb.lower(), what, status, started)
        if status >= 300:
            raise api_error(status, raw, response.headers, patch=verb == "PATCH")
        return decoded(status, raw)

    async def _send(
        self,
        client: Any,
        method: str,
        path: str,
        query: Query,
        *,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own limits, for each phase
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> aiohttp.ClientResponse:
        _, url, headers, payload, _ = await client.param_serialize(
            method=method,
            resource_path=path,
            query_params=query,
            header_params={"Accept": accept, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = await client.call_api(method, url, headers, payload, _request_timeout=timeout)
        return cast("aiohttp.ClientResponse", answer.response)

    def _told(self, verb: str, what: str, status: int, started: float) -> None:
        if self._observe is not None:
            self._observe(verb, what, status, time.perf_counter() - started)


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


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whole lines of a stream, however long they are and wherever it is cut."""
    rest = b""
    async for chunk in chunks:
        whole = (rest + chunk).split(b"\n")
        rest = whole.pop()
        for line in _filled(whole):
            yield line


def _filled(whole: Iterable[bytes]) -> Iterable[bytes]:
    return (line for line in whole if line.strip())
