"""The Kubernetes API over `kubernetes.aio`'s ApiClient, on plain dictionaries.

Only the low-level client is used: it brings authentication, TLS and proxies, while the generated
APIs and models would cost a hundred MiB and lose fields that they do not know. Watches have a
connection pool of their own, so that no number of them makes a write wait; a request's connection
is kept open for longer than the time between two steps, so that a rollback seldom waits for a
TLS handshake. Nothing is retried here: whoever asked decides again from what is then true.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject, RESTResponse
from kubernetes.aio.config import load_incluster_config, load_kube_config

from leadsman import __version__
from leadsman.adapters.kube_errors import api_error
from leadsman.adapters.kube_wire import (
    JSON,
    JSON_PATCH,
    METADATA_ONLY,
    Query,
    decoded,
    encoded,
    event_of,
    lines,
    named,
    path_of,
    selectors,
    unreachable,
    writing,
)
from leadsman.errors import GoneError
from leadsman.ports import Body, JsonPatch, Kind, Listing, Ref, WatchEvent

CHUNK = 500
SMALL_CHUNK = 250
CONNECT_TIMEOUT = 5.0
REQUEST_TIMEOUT = 30.0
WATCH_SECONDS = 290
WATCH_SILENCE = 66.0
"""Seconds without a byte after which a watch counts as lost: bookmarks come once a minute."""
KEEP_ALIVE = 75.0
"""Seconds that an idle connection is kept; the API server itself closes it after 90."""

Observe = Callable[[str, str, int, float], None]
"""Told after each request: verb, plural (with sub-resource), HTTP status or 0, seconds."""


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
    """The client's connection pool, with connections that live as long as the server allows.

    Bodies are sent as the API server itself would write them: it keeps some of them as they are
    (a ControllerRevision's data) and takes another spelling of the same JSON for a change.
    """

    pool_manager: aiohttp.ClientSession | None

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            limit=self.maxsize, ssl=self.ssl_context, keepalive_timeout=KEEP_ALIVE
        )

    async def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: Any = None,
        post_params: Any = None,
        _request_timeout: Any = None,
    ) -> RESTResponse:
        """Send a request as it was built; there are no forms in this API."""
        del post_params
        if self.pool_manager is None:
            self.pool_manager = self._create_pool_manager()
        options: dict[str, Any] = {"proxy": self.proxy} if self.proxy else {}
        if self.proxy_headers:
            options["proxy_headers"] = self.proxy_headers
        if self.configuration.tls_server_name:
            options["server_hostname"] = self.configuration.tls_server_name
        response = await self.pool_manager.request(
            method,
            url,
            headers=headers,
            data=None if body is None else encoded(body),
            timeout=_request_timeout,
            **options,
        )
        return RESTResponse(response)


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

    async def versions(self, kind: Kind, namespace: str = "") -> dict[tuple[str, str], str]:
        """The resourceVersion of every object by namespace and name, read in small pages."""
        path, more = path_of(kind, namespace), ""
        found: dict[tuple[str, str], str] = {}
        while True:
            page = [("limit", str(SMALL_CHUNK)), *([("continue", more)] if more else [])]
            body = await self._call("LIST", kind, path, page, accept=METADATA_ONLY)
            for item in body.get("items") or ():
                about = item["metadata"]
                found[about.get("namespace") or "", about["name"]] = about["resourceVersion"]
            more = (body.get("metadata") or {}).get("continue") or ""
            if not more:
                return found

    async def latest(self, kind: Kind, namespace: str = "") -> str:
        """The resourceVersion to watch from, without the objects."""
        path = path_of(kind, namespace)
        body = await self._call("LIST", kind, path, [("limit", "1")], accept=METADATA_ONLY)
        return (body.get("metadata") or {}).get("resourceVersion") or ""

    async def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        since: str,
        wanted: Callable[[str, str], bool] | None = None,
    ) -> AsyncIterator[WatchEvent]:
        """Stream events after `since` until the server ends the watch (after 290 s).

        `wanted` is asked with namespace and name: events of other objects are not even parsed, so
        that thousands of other people's objects cost next to nothing.

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
                if wanted is None or (name := named(line)) is None or wanted(*name):
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
            content_type=JSON_PATCH,
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

    async def _list(self, kind: Kind, namespace: str, query: Query, *, chunk: int) -> Listing:
        items: list[Body] = []
        path, more = path_of(kind, namespace), ""
        while True:
            page = [*query]
            if chunk:
                page.append(("limit", str(chunk)))
            if more:
                page.append(("continue", more))
            body = await self._call("LIST", kind, path, page)
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
            tested = verb == "PATCH" and any(operation.get("op") == "test" for operation in body)
            raise api_error(status, raw, response.headers, tested=tested)
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
