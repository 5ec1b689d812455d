"""Sources are opened from their objects; their tokens are read from files at each query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from leadsman.ports import METRICSSOURCE, Answer, Body
from leadsman.runtime import sources
from leadsman.runtime.sources import Sources
from leadsman.runtime.store import OwnStore
from leadsman.testing import FakeClock

TOKEN = "Bearer s3cret"


def source(address: str, credentials: dict[str, Any] | None = None) -> Body:
    about: dict[str, Any] = {"address": address}
    if credentials is not None:
        about["credentials"] = credentials
    return {
        "metadata": {"name": "guarded", "uid": "u", "resourceVersion": "1", "generation": 1},
        "spec": {"prometheus": about},
    }


async def asked(body: Body) -> Answer:
    store = OwnStore()
    store.observe(METRICSSOURCE, body)
    client = Sources(store, FakeClock(), loopback=True).open("guarded")
    assert client is not None
    try:
        return await client.range("up", 5)
    finally:
        await client.close()


@pytest.fixture
async def guarded() -> Any:
    """A source that asks for a bearer token, as a proxy before a Prometheus does."""

    async def query(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != TOKEN:
            return web.Response(status=401)
        return web.json_response(
            {"status": "success", "data": {"resultType": "matrix", "result": []}}
        )

    app = web.Application()
    app.router.add_post("/api/v1/query", query)
    server = TestServer(app)
    await server.start_server()
    yield f"http://127.0.0.1:{server.port}"
    await server.close()


async def test_a_secrets_key_is_the_bearer_token(
    guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "SECRETS", tmp_path)
    (tmp_path / "metrics-credentials").mkdir()
    (tmp_path / "metrics-credentials" / "prod").write_text("s3cret\n")
    reference = {"secretRef": {"name": "metrics-credentials", "key": "prod"}}
    assert (await asked(source(guarded, reference))).error == ""
    (tmp_path / "metrics-credentials" / "prod").write_text("rotated")
    assert (await asked(source(guarded, reference))).detail == "HTTP 401"


async def test_a_file_is_the_bearer_token(guarded: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    assert (await asked(source(guarded, {"file": str(tmp_path / "token")}))).error == ""


async def test_without_credentials_no_token_is_sent(guarded: str) -> None:
    assert (await asked(source(guarded))).detail == "HTTP 401"


async def test_a_token_that_cannot_be_read_is_said_and_nothing_is_asked(guarded: str) -> None:
    answer = await asked(source(guarded, {"secretRef": {"name": "metrics-credentials"}}))
    assert (answer.error, answer.detail) == ("Refused", "the source's bearer token cannot be read")
