"""The Prometheus adapter against a server on loopback that shows every fault."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import time

import pytest
from aiohttp import web

from leadsman.adapters.addresses import networks, refused
from leadsman.adapters.breaker import Breaker
from leadsman.adapters.clock import SystemClock
from leadsman.adapters.prometheus import Bounds, Prometheus
from leadsman.ports import Evaluator, Histogram, MetricsSource, Sample

LOOPBACK = ("127.0.0.0/8",)
SECRET = "s3cret-in-an-error-page"


class Served:
    """A server whose next answer is what the test sets."""

    def __init__(self):
        self.answer = matrix([])
        self.requests = []
        self.running = 0
        self.most = 0
        self.url = ""

    async def handle(self, request):
        self.requests.append((request.method, request.path, dict(await request.post())))
        self.headers = request.headers
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            answer = self.answer
            return await answer(request) if callable(answer) else answer()
        finally:
            self.running -= 1


def matrix(result, **more):
    return document(
        {"status": "success", "data": {"resultType": "matrix", "result": result}, **more}
    )


def document(body, status=200):
    class Answer:
        def __call__(self):
            return web.Response(text=json.dumps(body), status=status)

    return _plain(Answer())


def text(body, status=200, headers=None):
    data = body if isinstance(body, bytes) else body.encode()
    return _plain(lambda: web.Response(body=data, status=status, headers=headers))


def _plain(make):
    async def answer(_):
        return make()

    return answer


@pytest.fixture
async def server():
    served = Served()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", served.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


@pytest.fixture
async def source(server):
    source = make(server.url)
    yield source
    await source.close()


def make(url, **more):
    bounds = Bounds(**({"timeout": 0.3, "queries_per_second": 1000} | more))
    return Prometheus(url, SystemClock(), bounds=bounds, allowed=LOOPBACK)


async def test_it_is_a_metrics_source(source):
    assert isinstance(source, MetricsSource)


async def test_samples_labels_warnings_and_infos_are_kept(server, source):
    result = [
        {
            "metric": {"__name__": "x", "code": "200"},
            "values": [[1700000000.123, "1"], [1700000001.123, "NaN"], [1700000002, "+Inf"]],
        },
        {"metric": {"__name__": "x", "code": "500"}, "values": [[1700000002, "-Inf"]]},
        {
            "metric": {"__name__": "native"},
            "histograms": [
                [
                    1700000002.5,
                    {
                        "count": "7",
                        "sum": "1.5",
                        "buckets": [[3, "-0.1", "0.1", "2"], [0, "0.25", "0.5", "5"]],
                    },
                ],
                [1700000003.5, {"count": "0", "sum": "0"}],
            ],
        },
    ]
    server.answer = matrix(result, warnings=["w"], infos=["i"])
    answer = await source.range('x{a="b"}', 1.5)
    assert answer.error == ""
    assert (answer.warnings, answer.infos) == (("w",), ("i",))
    first, second, third = answer.series
    assert first.labels == {"__name__": "x", "code": "200"}
    assert first.samples[0] == Sample(1700000000.123, 1.0)
    assert math.isnan(first.samples[1].value)
    assert (first.samples[2].value, second.samples[0].value) == (math.inf, -math.inf)
    assert third.samples == ()
    assert third.histograms == (
        Histogram(1700000002.5, 7.0, ((-0.1, 0.1, 2.0), (0.25, 0.5, 5.0))),
        Histogram(1700000003.5, 0.0, ()),
    )
    asked = {"query": 'x{a="b"}[1500ms]', "timeout": "300ms", "limit": "10001"}
    assert server.requests == [("POST", "/api/v1/query", asked)]


async def test_a_users_expression_is_evaluated_in_brackets_at_whole_steps(server):
    source = Prometheus(server.url, SystemClock(), allowed=LOOPBACK, expressions=True)
    server.answer = matrix([{"metric": {}, "values": [[1700000000, "0.5"]]}])
    answer = await source.evaluate("sum(x)/sum(y)", 10, 5)
    await source.close()
    assert isinstance(source, Evaluator)
    assert answer.series[0].samples == (Sample(1700000000, 0.5),)
    assert server.requests[0][2]["query"] == "(sum(x)/sum(y))[10000ms:5000ms]"


async def test_an_expression_is_refused_where_the_source_does_not_allow_it(server, source):
    answer = await source.evaluate("up", 10, 5)
    assert (answer.error, server.requests) == ("Refused", [])
    assert "promQL" in answer.detail


async def test_an_empty_answer_is_no_error(source):
    answer = await source.range("x", 5)
    assert (answer.error, answer.series) == ("", ())


FAULTS = {
    "400": (document({"status": "error", "error": SECRET}, 400), "BadRequest"),
    "401": (text(SECRET, 401), "BadRequest"),
    "422": (
        document({"status": "error", "errorType": "execution", "error": SECRET}, 422),
        "BadRequest",
    ),
    "500": (text(SECRET, 500), "ServerError"),
    "503": (
        document({"status": "error", "errorType": "timeout", "error": SECRET}, 503),
        "ServerError",
    ),
    "a redirect is not followed": (
        text(SECRET, 302, {"Location": "http://127.0.0.1:1/"}),
        "Refused",
    ),
    "html": (text(f"<html>{SECRET}</html>"), "BadJSON"),
    "cut off": (text('{"status":"success","data":{"resultType":"matrix","result":[{'), "BadJSON"),
    "nothing": (text(""), "BadJSON"),
    "not utf-8": (text(b'{"status":"\xff"}'), "BadJSON"),
    "a list": (document([SECRET]), "BadJSON"),
    "null": (document(None), "BadJSON"),
    "no data": (document({"status": "success"}), "BadJSON"),
    "deeply nested": (text("[" * 15_000), "BadJSON"),
    "status error with 200": (document({"status": "error", "error": SECRET}), "ServerError"),
    "vector": (
        document({"status": "success", "data": {"resultType": "vector", "result": []}}),
        "WrongType",
    ),
    "scalar": (
        document({"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}),
        "WrongType",
    ),
    "a string for a result": (
        document({"status": "success", "data": {"resultType": "matrix", "result": SECRET}}),
        "WrongType",
    ),
    "a number that is none": (matrix([{"metric": {}, "values": [[1, SECRET]]}]), "BadJSON"),
    "a time that is none": (matrix([{"metric": {}, "values": [[None, "1"]]}]), "BadJSON"),
    "values that are no list": (matrix([{"metric": {}, "values": "12"}]), "BadJSON"),
    "a sample of three": (matrix([{"metric": {}, "values": [[1, "1", "1"]]}]), "BadJSON"),
    "a histogram that is none": (matrix([{"metric": {}, "histograms": [[1, {}]]}]), "BadJSON"),
    "a bucket that is none": (
        matrix([{"metric": {}, "histograms": [[1, {"count": "1", "buckets": [["1"]]}]]}]),
        "BadJSON",
    ),
    "too many buckets": (
        matrix(
            [
                {
                    "metric": {},
                    "histograms": [[1, {"count": "1", "buckets": [[0, "1", "2", "1"]] * 101}]],
                }
            ]
        ),
        "TooLarge",
    ),
    "no metric": (matrix([{"values": [[1, "1"]]}]), "BadJSON"),
    "a label that is no text": (matrix([{"metric": {"a": 1}, "values": []}]), "BadJSON"),
    "compressed without being asked": (
        text(gzip.compress(b"x" * 100), headers={"Content-Encoding": "gzip"}),
        "BadJSON",
    ),
    "too many series": (matrix([{"metric": {}, "values": []}] * 11), "TooLarge"),
    "too many samples": (matrix([{"metric": {}, "values": [[1, "1"]] * 101}]), "TooLarge"),
    "too many bytes": (text("x" * 20_001), "TooLarge"),
}


@pytest.mark.parametrize(("answer", "error"), FAULTS.values(), ids=FAULTS)
async def test_a_fault_is_a_word_and_no_part_of_the_body_gets_out(server, answer, error):
    source = make(server.url, series=10, samples=100, body_bytes=20_000)
    server.answer = answer
    found = await source.range("x", 5)
    await source.close()
    assert (found.error, found.series) == (error, ())
    assert found.detail
    assert SECRET not in repr(found)
    assert len(server.requests) == 1


async def test_a_body_without_a_length_is_bounded_while_it_comes(server):
    sent = 0

    async def endless(request):
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(10_000):
            await response.write(b" " * 10_000)
            sent += 10_000
        return response

    source = make(server.url, body_bytes=50_000, timeout=5)
    server.answer = endless
    assert (await source.range("x", 5)).error == "TooLarge"
    await source.close()
    assert sent < 20_000_000


async def test_a_slow_answer_is_a_time_out(server, source):
    async def slow(_):
        await asyncio.sleep(5)
        return web.Response()

    server.answer = slow
    assert (await source.range("x", 5)).error == "Timeout"


async def test_an_answer_that_trickles_is_a_time_out(server, source):
    async def trickle(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    server.answer = trickle
    assert (await source.range("x", 5)).error == "Timeout"


async def test_a_closed_connection_is_unreachable(server, source):
    async def hang_up(request):
        request.transport.close()
        return web.Response()

    server.answer = hang_up
    assert (await source.range("x", 5)).error == "Unreachable"


async def test_nobody_listening_is_unreachable():
    source = make("http://127.0.0.1:9")
    assert (await source.range("x", 5)).error == "Unreachable"
    await source.close()


async def test_nothing_is_retried_inside_a_poll(server, source):
    server.answer = text("", 503)
    await source.range("x", 5)
    assert len(server.requests) == 1


async def test_at_most_two_questions_are_open_at_once(server):
    async def slowly(_):
        await asyncio.sleep(0.02)
        return web.Response(text="{}")

    source = make(server.url, timeout=5)
    server.answer = slowly
    await asyncio.gather(*(source.range("x", 5) for _ in range(8)))
    await source.close()
    assert server.most == 2


async def test_the_rate_of_questions_is_bounded(server):
    source = make(server.url, queries_per_second=4, timeout=5)
    started = time.monotonic()
    await asyncio.gather(*(source.range("x", 5) for _ in range(6)))
    await source.close()
    assert time.monotonic() - started >= 0.4


async def test_a_bearer_token_is_read_at_each_use(server):
    tokens = iter(["one", "two"])
    source = Prometheus(server.url, SystemClock(), allowed=LOOPBACK, token=lambda: next(tokens))
    await source.range("x", 5)
    assert server.headers["Authorization"] == "Bearer one"
    await source.range("x", 5)
    assert server.headers["Authorization"] == "Bearer two"
    await source.close()


async def test_proxy_settings_of_the_environment_are_not_used(server, source, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert (await source.range("x", 5)).error == ""


async def test_a_wrong_token_file_is_a_value(server):
    def lost():
        raise FileNotFoundError(SECRET)

    source = Prometheus(server.url, SystemClock(), allowed=LOOPBACK, token=lost)
    answer = await source.range("x", 5)
    await source.close()
    assert answer.error == "Refused"
    assert SECRET not in repr(answer)


# Addresses


REFUSED = [
    "http://127.0.0.1:9090",
    "http://127.9.9.9",
    "http://[::1]:9090",
    "http://[::ffff:127.0.0.1]:9090",
    "http://169.254.169.254/latest",
    "http://[fe80::1]",
    "http://0.0.0.0:9090",
    "http://[::]:9090",
    "http://localhost:9090",
    "http://0x7f.1:9090",
    "ftp://example.com",
    "file:///etc/passwd",
    "not an address",
]


@pytest.mark.parametrize("address", REFUSED)
async def test_loopback_and_link_local_are_refused_in_any_spelling(address):
    source = Prometheus(address, SystemClock(), bounds=Bounds(timeout=1))
    answer = await source.range("x", 5)
    await source.close()
    assert answer.error == "Refused"


async def test_a_number_for_an_address_is_not_even_tried():
    source = Prometheus("http://2130706433:9090", SystemClock())
    answer = await source.range("x", 5)
    await source.close()
    assert (answer.error, answer.detail) == ("Unreachable", "InvalidUrlClientError")


def test_only_listed_networks_are_excepted():
    allowed = networks(["127.0.0.1/32", "fd00::/8"])
    assert not refused("127.0.0.1", allowed)
    assert refused("127.0.0.2", allowed)
    assert refused("169.254.1.1", allowed)
    assert not refused("10.0.0.1")
    assert not refused("prometheus.monitoring.svc")


# Breaker


async def test_after_five_failures_questions_are_answered_without_asking(server):
    source = make(server.url)
    server.answer = text("", 503)
    for _ in range(5):
        assert (await source.range("x", 5)).error == "ServerError"
    assert (await source.range("x", 5)).error == "Unreachable"
    assert len(server.requests) == 5
    await source.close()


async def test_a_bad_question_does_not_open_the_circuit(server):
    source = make(server.url)
    server.answer = text("", 400)
    for _ in range(8):
        assert (await source.range("x", 5)).error == "BadRequest"
    await source.close()


def test_an_open_circuit_lets_one_probe_through_and_waits_longer_each_time():
    breaker = Breaker(failures=2, pause=1.0, longest=3.0)
    breaker.failed(0.0)
    assert breaker.allows(0.0)
    breaker.failed(0.0)
    assert [breaker.allows(t) for t in (0.5, 1.0, 1.0)] == [False, True, False]
    breaker.failed(1.0)
    assert [breaker.allows(t) for t in (2.9, 3.0)] == [False, True]
    breaker.failed(3.0)
    assert [breaker.allows(t) for t in (5.9, 6.0)] == [False, True]
    breaker.abandoned()
    assert breaker.allows(6.0)
    breaker.succeeded()
    assert breaker.allows(6.0)
    assert not breaker.is_open


async def test_a_question_that_was_cancelled_does_not_block_the_next_probe(server):
    source = make(server.url, timeout=5)

    async def slow(_):
        await asyncio.sleep(5)
        return web.Response()

    server.answer = slow
    task = asyncio.create_task(source.range("x", 5))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.answer = matrix([])
    assert (await source.range("x", 5)).error == ""
    await source.close()
