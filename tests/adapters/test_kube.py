"""KubeApi against a small HTTP server on loopback: what it sends, and what each answer means."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.configuration import Configuration

from leadsman.adapters.kube import KubeApi
from leadsman.adapters.kube_wire import lines, path_of
from leadsman.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from leadsman.ports import (
    CONTROLLERREVISION,
    DEPLOYMENT,
    METRICSSOURCE,
    POD,
    ROLLOUT,
    SERVICE,
    Kube,
    Ref,
    WatchEvent,
)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
REF = Ref(DEPLOYMENT, "ns", "shop")


class Server:
    """An API server that notes requests and answers as the test says."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answer: Answer = self.say({"metadata": {"name": "shop"}})
        self.told: list[tuple[str, str, int]] = []
        self.arrived = asyncio.Condition()

    @staticmethod
    def say(body: Any, status: int = 200, **headers: str) -> Answer:
        async def answer(_: web.Request) -> web.StreamResponse:
            return web.json_response(body, status=status, headers=headers)

        return answer

    def refuse(self, code: int, reason: str = "", message: str = "", **details: Any) -> None:
        body = {"kind": "Status", "code": code, "reason": reason, "message": message}
        self.answer = self.say({**body, "details": details}, code)

    def stream(self, *parts: bytes | float) -> None:
        """Send bytes, and wait where a number of seconds is given."""

        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            for part in parts:
                if isinstance(part, bytes):
                    await response.write(part)
                else:
                    await asyncio.sleep(part)
            return response

        self.answer = answer

    async def reached(self, count: int) -> None:
        """Wait until there were this many requests."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.requests) >= count)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.requests.append(
            {
                "method": request.method,
                "path": request.path,
                "query": dict(request.query),
                "headers": request.headers,
                "body": json.loads(body) if body else None,
                "text": body,
                "connection": request.transport,
            }
        )
        async with self.arrived:
            self.arrived.notify_all()
        return await self.answer(request)


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def api(server: Server) -> AsyncIterator[KubeApi]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app) as http:
        configuration = Configuration(host=str(http.make_url("/")).rstrip("/"))
        configuration.api_key["BearerToken"] = "bearer first"
        api = KubeApi(
            configuration,
            observe=lambda verb, what, status, _: server.told.append((verb, what, status)),
            watch_silence=0.2,
            request_timeout=0.5,
        )
        yield api
        await api.close()


async def collected(watch: AsyncIterator[WatchEvent]) -> list[WatchEvent]:
    return [event async for event in watch]


def line(type_: str, version: str, **fields: Any) -> bytes:
    event = {"type": type_, "object": {"metadata": {"resourceVersion": version}, **fields}}
    return json.dumps(event).encode() + b"\n"


def test_it_is_a_kube(api: KubeApi) -> None:
    assert isinstance(api, Kube)


@pytest.mark.parametrize(
    ("ref", "path"),
    [
        (Ref(POD, "ns", "a"), "/api/v1/namespaces/ns/pods/a"),
        (Ref(POD, "", ""), "/api/v1/pods"),
        (Ref(ROLLOUT, "ns", ""), "/apis/leadsman.dev/v1alpha1/namespaces/ns/rollouts"),
        (Ref(METRICSSOURCE, "", "default"), "/apis/leadsman.dev/v1alpha1/metricssources/default"),
        (Ref(SERVICE, "ns", "../secrets"), "/api/v1/namespaces/ns/services/..%2Fsecrets"),
    ],
)
def test_paths_are_those_of_the_api(ref: Ref, path: str) -> None:
    assert path_of(ref.kind, ref.namespace, ref.name) == path


async def test_every_request_says_who_asks(api: KubeApi, server: Server) -> None:
    await api.get(REF)
    headers = server.requests[0]["headers"]
    assert headers["User-Agent"].startswith("leadsman/")
    assert headers["Authorization"] == "bearer first"


async def test_a_refreshed_token_is_used_for_the_next_request(api: KubeApi, server: Server) -> None:
    def refresh(configuration: Any) -> None:
        configuration.api_key["BearerToken"] = "bearer second"

    api._configuration.refresh_api_key_hook = refresh
    await api.get(REF)
    assert server.requests[0]["headers"]["Authorization"] == "bearer second"
    credentials = await api.credentials()
    assert credentials.token == "second"
    assert "second" not in repr(credentials)


async def test_a_patch_is_a_json_patch_by_our_field_manager(api: KubeApi, server: Server) -> None:
    operations = ({"op": "test", "path": "/spec/paused", "value": None},)
    await api.patch(REF, operations, subresource="status", dry_run=True)
    sent = server.requests[0]
    assert (sent["method"], sent["path"]) == (
        "PATCH",
        "/apis/apps/v1/namespaces/ns/deployments/shop/status",
    )
    assert sent["headers"]["Content-Type"] == "application/json-patch+json"
    assert sent["query"] == {"fieldManager": "leadsman", "dryRun": "All"}
    assert sent["body"] == [{"op": "test", "path": "/spec/paused", "value": None}]
    assert server.told == [("patch", "deployments/status", 200)]


async def test_a_create_keeps_nulls_and_unknown_fields(api: KubeApi, server: Server) -> None:
    body = {"metadata": {"name": "a", "creationTimestamp": None}, "spec": {"new": [1.5, True, ""]}}
    await api.create(SERVICE, "ns", body)
    assert server.requests[0]["body"] == body
    assert server.requests[0]["query"] == {"fieldManager": "leadsman"}


async def test_bodies_are_spelled_as_the_api_server_spells_them(
    api: KubeApi, server: Server
) -> None:
    await api.create(CONTROLLERREVISION, "ns", {"data": {"a": [1, 0.1], "b": "<ü&>"}})
    assert server.requests[0]["text"] == (
        '{"data":{"a":[1,0.1],"b":"\\u003c\\u00fc\\u0026\\u003e"}}'
    )


async def test_a_delete_sends_its_preconditions(api: KubeApi, server: Server) -> None:
    await api.delete(REF, uid="u", resource_version="7", orphan=True)
    assert server.requests[0]["body"] == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Orphan",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
    }
    await api.delete(REF)
    assert "preconditions" not in server.requests[1]["body"]
    assert server.requests[1]["body"]["propagationPolicy"] == "Background"


async def test_a_list_is_read_in_chunks_and_its_items_name_their_kind(
    api: KubeApi, server: Server
) -> None:
    async def answer(request: web.Request) -> web.Response:
        more = request.query.get("continue")
        about = {"resourceVersion": "9"} if more else {"resourceVersion": "9", "continue": "x/=+"}
        name = "b" if more else "a"
        return web.json_response({"metadata": about, "items": [{"metadata": {"name": name}}]})

    server.answer = answer
    found = await api.list(DEPLOYMENT, "ns", labels="a in (b,c),d=e", fields="metadata.name=x")
    assert [item["metadata"]["name"] for item in found.items] == ["a", "b"]
    assert found.items[1]["kind"] == "Deployment"
    assert found.items[1]["apiVersion"] == "apps/v1"
    assert found.resource_version == "9"
    assert server.requests[0]["query"] == {
        "labelSelector": "a in (b,c),d=e",
        "fieldSelector": "metadata.name=x",
        "limit": "500",
    }
    assert server.requests[1]["query"]["continue"] == "x/=+"


async def test_a_list_that_expires_between_chunks_is_read_again_as_a_whole(
    api: KubeApi, server: Server
) -> None:
    async def answer(request: web.Request) -> web.Response:
        if "continue" in request.query:
            return web.json_response({"kind": "Status", "reason": "Expired"}, status=410)
        about = {"resourceVersion": "9"}
        more = {"continue": "x"} if "limit" in request.query else {}
        return web.json_response({"metadata": {**about, **more}, "items": [{"metadata": {}}]})

    server.answer = answer
    assert len((await api.list(DEPLOYMENT)).items) == 1
    assert [sorted(r["query"]) for r in server.requests] == [["limit"], ["continue", "limit"], []]


async def test_versions_are_read_page_by_page_from_metadata_alone(
    api: KubeApi, server: Server
) -> None:
    async def answer(request: web.Request) -> web.Response:
        more = request.query.get("continue")
        name = "b" if more else "a"
        item = {"metadata": {"namespace": "ns", "name": name, "resourceVersion": "5"}}
        about = {"resourceVersion": "9", **({} if more else {"continue": "x"})}
        return web.json_response({"metadata": about, "items": [item]})

    server.answer = answer
    assert await api.versions(DEPLOYMENT, "ns") == {("ns", "a"): "5", ("ns", "b"): "5"}
    assert "as=PartialObjectMetadataList" in server.requests[0]["headers"]["Accept"]
    assert await api.latest(DEPLOYMENT, "ns") == "9"
    assert server.requests[-1]["query"] == {"limit": "1"}


GENERIC = "the server rejected our request due to an error in our request"


@pytest.mark.parametrize(
    ("code", "reason", "message", "details", "error"),
    [
        (404, "NotFound", "", {}, NotFoundError),
        (409, "AlreadyExists", "", {}, AlreadyExistsError),
        (409, "Conflict", "", {}, ConflictError),
        (410, "Expired", "", {}, GoneError),
        (401, "Unauthorized", "", {}, ForbiddenError),
        (403, "Forbidden", "", {}, ForbiddenError),
        (400, "BadRequest", "", {}, InvalidError),
        (405, "MethodNotAllowed", "", {}, InvalidError),
        (415, "UnsupportedMediaType", "", {}, InvalidError),
        (422, "Invalid", GENERIC, {}, ConflictError),
        (422, "Invalid", "testing value /a failed: test failed", {}, ConflictError),
        (422, "Invalid", "bad", {"kind": "Service", "causes": [{"field": "x"}]}, InvalidError),
        (422, "Invalid", GENERIC, {"kind": "X", "causes": [{"field": "a"}]}, InvalidError),
        (429, "TooManyRequests", "", {"retryAfterSeconds": 3}, UnavailableError),
        (500, "InternalError", "", {}, UnavailableError),
        (503, "ServiceUnavailable", "", {}, UnavailableError),
        (504, "Timeout", "", {}, UnavailableError),
    ],
)
async def test_each_refusal_has_its_error(
    api: KubeApi,
    server: Server,
    code: int,
    reason: str,
    message: str,
    details: dict[str, Any],
    error: type[ApiError],
) -> None:
    server.refuse(code, reason, message, **details)
    with pytest.raises(ApiError) as caught:
        await api.patch(REF, [{"op": "test", "path": "/a", "value": 1}])
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.message) == (code, message)
    assert caught.value.retry_after == details.get("retryAfterSeconds", 0.0)


async def test_the_general_refusal_is_a_conflict_only_where_something_was_tested(
    api: KubeApi, server: Server
) -> None:
    server.refuse(422, "Invalid", GENERIC)
    with pytest.raises(InvalidError):
        await api.create(SERVICE, "ns", {})
    with pytest.raises(InvalidError):
        await api.patch(REF, [{"op": "remove", "path": "/not/there"}])


async def test_the_servers_wish_to_wait_is_passed_on(api: KubeApi, server: Server) -> None:
    server.answer = server.say({}, 429, **{"Retry-After": "2"})
    with pytest.raises(UnavailableError) as caught:
        await api.get(REF)
    assert caught.value.retry_after == 2


async def test_a_page_that_is_not_the_api_servers_is_not_quoted(
    api: KubeApi, server: Server
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>secret</html>")

    server.answer = answer
    with pytest.raises(UnavailableError) as caught:
        await api.get(REF)
    assert "secret" not in str(caught.value)


async def test_half_an_answer_is_none(api: KubeApi, server: Server) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text='{"metadata": ')

    server.answer = answer
    with pytest.raises(UnavailableError):
        await api.get(REF)


async def test_silence_is_an_error_in_bounded_time(api: KubeApi, server: Server) -> None:
    server.stream(0.7)
    with pytest.raises(UnavailableError) as caught:
        await api.get(REF)
    assert caught.value.reason == "Timeout"
    assert server.told == [("get", "deployments", 0)]


async def test_a_server_that_hangs_up_is_an_error(api: KubeApi, server: Server) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport
        request.transport.close()
        return web.Response()

    server.answer = answer
    with pytest.raises(UnavailableError) as caught:
        await api.patch(REF, [])
    assert caught.value.reason == "Unreachable"
    assert len(server.requests) == 1


async def test_nobody_listening_is_an_error() -> None:
    api = KubeApi(Configuration(host="http://127.0.0.1:9"))
    with pytest.raises(UnavailableError):
        await api.get(REF)
    await api.close()


async def test_a_watch_streams_events_wherever_the_bytes_are_cut(
    api: KubeApi, server: Server
) -> None:
    whole = line("ADDED", "5") + line("BOOKMARK", "6") + line("DELETED", "7", big="x" * 5_000_000)
    server.stream(whole[:10], whole[10:70], whole[70:])
    events = await collected(api.watch(POD, "ns", labels="a=b", since="4"))
    assert [(e.type, e.body["metadata"]["resourceVersion"]) for e in events] == [
        ("ADDED", "5"),
        ("BOOKMARK", "6"),
        ("DELETED", "7"),
    ]
    assert server.requests[0]["query"] == {
        "labelSelector": "a=b",
        "watch": "true",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "290",
        "resourceVersion": "4",
    }


async def test_a_silent_watch_is_noticed_and_closed(api: KubeApi, server: Server) -> None:
    server.stream(line("ADDED", "5"), 0.4)
    watch = api.watch(POD, since="4")
    assert (await anext(watch)).type == "ADDED"
    with pytest.raises(UnavailableError) as caught:
        await anext(watch)
    assert caught.value.reason == "Timeout"


async def test_a_watch_parses_wanted_objects_and_bookmarks_only(
    api: KubeApi, server: Server
) -> None:
    def event(name: str, rest: str = "}") -> bytes:
        about = f'{{"name":"{name}","namespace":"ns","resourceVersion":"5"}}'
        return f'{{"type":"ADDED","object":{{"kind":"X","metadata":{about}{rest}}}\n'.encode()

    broken = event("other", rest=", this is not JSON")
    server.stream(event("mine"), broken, line("BOOKMARK", "9"), event("mine"))
    asked: list[tuple[str, str]] = []

    def wanted(namespace: str, name: str) -> bool:
        asked.append((namespace, name))
        return name == "mine"

    events = await collected(api.watch(DEPLOYMENT, since="4", wanted=wanted))
    assert [event.type for event in events] == ["ADDED", "BOOKMARK", "ADDED"]
    assert asked == [("ns", "mine"), ("ns", "other"), ("ns", "mine")]


@pytest.mark.parametrize(
    "status", [{"code": 410, "reason": "Gone"}, {"code": 500, "reason": "Expired"}]
)
async def test_an_expired_watch_is_gone(
    api: KubeApi, server: Server, status: dict[str, Any]
) -> None:
    event = {"type": "ERROR", "object": {"kind": "Status", **status}}
    server.stream(json.dumps(event).encode() + b"\n")
    with pytest.raises(GoneError):
        await collected(api.watch(POD, since="4"))


async def test_a_watch_that_is_refused_says_why(api: KubeApi, server: Server) -> None:
    server.refuse(403, "Forbidden", "no")
    with pytest.raises(ForbiddenError):
        await collected(api.watch(POD, since="4"))
    assert server.told == [("watch", "pods", 403)]


async def test_rubbish_in_a_watch_is_a_lost_watch(api: KubeApi, server: Server) -> None:
    server.stream(b"<html>\n")
    with pytest.raises(UnavailableError):
        await collected(api.watch(POD, since="4"))


async def test_watches_never_starve_requests(api: KubeApi, server: Server) -> None:
    server.stream(0.19)
    watches = [asyncio.create_task(collected(api.watch(POD, since="4"))) for _ in range(60)]
    await server.reached(60)
    server.answer = server.say({"metadata": {}})
    await api.get(REF)
    await asyncio.gather(*watches, return_exceptions=True)


async def test_requests_reuse_their_connection(api: KubeApi, server: Server) -> None:
    for _ in range(3):
        await api.get(REF)
    assert len({id(request["connection"]) for request in server.requests}) == 1


async def test_lines_are_whole_and_empty_ones_are_skipped() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"a", b"b\n\n", b"c\nd", b"e\nlost"):
            yield chunk

    assert [found async for found in lines(chunks())] == [b"ab", b"c", b"de"]


def test_the_generated_apis_and_models_are_not_loaded() -> None:
    code = (
        "import re, sys, leadsman.adapters.kube\n"
        "generated = re.compile(r'kubernetes[.](aio[.])?client[.](api|models)[.]')\n"
        "found = [name for name in sys.modules if generated.match(name)]\n"
        "print(len(found), found[:5])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": "operator"},
    )
    assert done.stdout.startswith("0 "), done.stdout
