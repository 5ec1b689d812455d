"""FakeMetrics' data behind a server on loopback that answers as Prometheus does."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from leadsman.adapters.clock import SystemClock
from leadsman.adapters.prometheus import Bounds, Prometheus
from leadsman.ports import Answer
from leadsman.testing import FakeMetrics

RANGE = re.compile(r"(.*)\[([0-9]+)ms\]", re.DOTALL)
SUBQUERY = re.compile(r"\((.*)\)\[([0-9]+)ms:([0-9]+)ms\]", re.DOTALL)


@asynccontextmanager
async def prometheus(
    metrics: FakeMetrics, *, expressions: bool = False
) -> AsyncIterator[Prometheus]:
    """The real adapter, asking a server that has these metrics."""

    async def query(request: web.Request) -> web.Response:
        answer = await _asked(metrics, str((await request.post())["query"]))
        if answer.error:
            return web.json_response({"status": "error"}, status=400)
        result = [
            {
                "metric": dict(series.labels),
                "values": [[sample.time, str(sample.value)] for sample in series.samples],
            }
            for series in answer.series
        ]
        body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
        return web.Response(text=json.dumps(body), content_type="application/json")

    app = web.Application()
    app.router.add_post("/api/v1/query", query)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    adapter = Prometheus(
        f"http://127.0.0.1:{runner.addresses[0][1]}/",
        SystemClock(),
        bounds=Bounds(queries_per_second=1000),
        allowed=("127.0.0.0/8",),
        expressions=expressions,
    )
    yield adapter
    await adapter.close()
    await runner.cleanup()


async def _asked(metrics: FakeMetrics, query: str) -> Answer:
    if found := SUBQUERY.fullmatch(query):
        return await metrics.evaluate(found[1], int(found[2]) / 1000, int(found[3]) / 1000)
    if found := RANGE.fullmatch(query):
        return await metrics.range(found[1], int(found[2]) / 1000)
    return Answer(error="BadRequest")
