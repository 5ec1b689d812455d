"""The whole process against a small API server: what it reads, in which order, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.configuration import Configuration

from leadsman.adapters.clock import SystemClock
from leadsman.adapters.kube import Credentials, KubeApi
from leadsman.ports import DEPLOYMENT, NAMESPACE, Body, Kind
from leadsman.runtime.scheduler import Key, Wake
from leadsman.runtime.settings import Settings
from leadsman.runtime.store import OWN
from leadsman.runtime.telemetry import Telemetry
from leadsman.shell.handlers import connection
from leadsman.shell.process import Context, Process

KINDS = (*OWN, DEPLOYMENT)


def thing(name: str, version: int, spec: Any = None) -> Body:
    about = {"namespace": "ns", "name": name, "uid": name, "resourceVersion": str(version)}
    return {"metadata": about, "spec": spec or {}}


def resource(kind: Kind) -> Body:
    return {
        "name": kind.plural,
        "singularName": kind.kind.lower(),
        "kind": kind.kind,
        "namespaced": kind.namespaced,
        "verbs": ["get", "list", "watch"],
    }


class ApiServer:
    """Serves our kinds and Deployments: discovery, lists and watches."""

    def __init__(self) -> None:
        self.objects: dict[str, list[Body]] = {kind.plural: [] for kind in KINDS}
        self.watches: dict[str, web.StreamResponse] = {}
        self.writes: list[str] = []
        self.lists: list[str] = []
        self.changed = asyncio.Condition()
        self.closing = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            self.writes.append(f"{request.method} {request.path}")
        parts = request.path.strip("/").split("/")
        if request.path in ("/api", "/apis"):
            return web.json_response(self._groups())
        if len(parts) == 3 and parts[0] == "apis":
            return web.json_response(self._resources(parts[1]))
        if request.path == "/api/v1":
            return web.json_response({"resources": [resource(NAMESPACE)]})
        plural = next((part for part in reversed(parts) if part in self.objects), "")
        if not plural:
            return web.json_response({"resources": []})
        if request.path.endswith(plural):
            if "watch" in request.query:
                return await self._watch(request, plural)
            self.lists.append(plural)
            items = self.objects[plural]
            return web.json_response({"metadata": {"resourceVersion": "100"}, "items": items})
        for body in self.objects[plural]:
            if body["metadata"]["name"] == parts[-1]:
                return web.json_response(body)
        return web.json_response({"kind": "Status", "reason": "NotFound"}, status=404)

    async def send(self, plural: str, type_: str, body: Body) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: plural in self.watches)
        line = json.dumps({"type": type_, "object": body}).encode() + b"\n"
        await self.watches[plural].write(line)

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async with self.changed:
            self.watches[plural] = response
            self.changed.notify_all()
        await self.closing.wait()
        return response

    def _groups(self) -> Body:
        groups = sorted({(kind.group, kind.version) for kind in KINDS})
        return {
            "versions": ["v1"],
            "groups": [
                {
                    "name": group,
                    "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
                    "preferredVersion": {"version": version},
                }
                for group, version in groups
            ],
        }

    def _resources(self, group: str) -> Body:
        return {"resources": [resource(kind) for kind in KINDS if kind.group == group]}


class Engine:
    """Notes each pass and what was known then."""

    def __init__(self, context: Context) -> None:
        self.store = context.store
        self.passes: asyncio.Queue[tuple[Key, bool, bool]] = asyncio.Queue()
        self.ended = 0

    async def reconcile(self, key: Key) -> Wake:
        plan = self.store.plan("ns", "canary") is not None
        known = self.store.deployment("ns", "shop") is not None
        self.passes.put_nowait((key, plan, known))
        return Wake()

    async def start(self) -> None:
        assert self.passes.empty()

    async def stop(self) -> None:
        self.ended += 1


@pytest.fixture
async def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
async def api(server: ApiServer) -> AsyncIterator[KubeApi]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app) as http:
        api = KubeApi(Configuration(host=str(http.make_url("/")).rstrip("/")))
        yield api
        await api.close()
        server.closing.set()


async def test_it_reads_everything_then_acts_then_follows_and_ends_at_once(
    server: ApiServer, api: KubeApi
) -> None:
    spec = {"targetRef": {"name": "shop"}, "planRef": {"name": "canary"}}
    server.objects["rollouts"] = [thing("shop", 5, spec)]
    server.objects["rolloutplans"] = [thing("canary", 4)]
    server.objects["deployments"] = [thing("shop", 3), thing("stranger", 2)]
    engines: list[Engine] = []

    def build(context: Context) -> Engine:
        engines.append(Engine(context))
        return engines[0]

    settings = Settings(health_host="127.0.0.1", health_port=0)
    process = Process(Context(settings, api, SystemClock(), Telemetry()), build)
    running = asyncio.create_task(process.run())
    async with asyncio.timeout(20):
        passes = engines[0].passes
        assert await passes.get() == (("ns", "shop"), True, True)
        await server.send("deployments", "MODIFIED", thing("stranger", 110))
        await server.send("deployments", "MODIFIED", thing("shop", 111))
        assert (await passes.get())[0] == ("ns", "shop")
        await server.send("rolloutplans", "MODIFIED", thing("canary", 112, {"stages": []}))
        assert (await passes.get())[0] == ("ns", "shop")
        await server.send("rollouts", "DELETED", thing("shop", 113, spec))
        await passes.get()
        assert engines[0].store.rollouts() == ()
        assert engines[0].store.deployment("ns", "stranger") is None
        os.kill(os.getpid(), signal.SIGTERM)
        await running
    assert server.writes == []
    assert engines[0].ended == 1
    assert passes.empty()


def test_kopf_gets_the_same_access_as_our_own_client() -> None:
    info = connection(Credentials("https://api:6443", ca_path="/ca", token="t"))
    assert (info.server, info.ca_path, info.token, info.scheme) == (
        "https://api:6443",
        "/ca",
        "t",
        "Bearer",
    )
    bare = connection(Credentials("http://api", certificate_path="/c", private_key_path="/k"))
    assert (bare.token, bare.scheme, bare.certificate_path) == (None, None, "/c")
