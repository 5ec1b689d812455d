"""Prometheus as a MetricsSource: raw samples by an instant query of a range selector.

One POST to /api/v1/query for each question. Nothing is retried here: the next poll follows soon and
counters are cumulative, so a lost answer loses nothing. Everything that can go wrong becomes a word
of `ports.Answer.error`, and no part of a response's text is passed on, because error pages and
proxies' messages can hold secrets. Time, bytes, series, samples, concurrency and rate are bounded;
redirects and proxy settings of the environment are not followed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiolimiter import AsyncLimiter

from leadsman.adapters.addresses import AddressRefusedError, GuardedResolver, networks, refused
from leadsman.adapters.breaker import Breaker
from leadsman.ports import Answer, Clock, Histogram, Sample, Series

_NOTES, _NOTE_LENGTH = 8, 256
_PARSE_INLINE = 512 * 1024
_OUTAGES = frozenset({"Timeout", "Unreachable", "ServerError", "BadJSON"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one question, and one second, may cost. `timeout` in seconds."""

    timeout: float = 2.0
    body_bytes: int = 8 * 1024 * 1024
    series: int = 10_000
    samples: int = 1_000_000
    queries_per_second: int = 4
    concurrency: int = 2


class Prometheus:
    """Implements ports.MetricsSource and ports.Evaluator.

    `address` is the base URL. `allowed` are networks, such as "127.0.0.0/8", that may be called
    although they are loopback or link-local. `token` is asked for a bearer token at each query.
    `expressions` says whether queries that users wrote are evaluated.
    """

    def __init__(
        self,
        address: str,
        clock: Clock,
        *,
        bounds: Bounds | None = None,
        allowed: tuple[str, ...] = (),
        token: Callable[[], str] | None = None,
        expressions: bool = False,
    ) -> None:
        self._bounds = bounds or Bounds()
        self._clock = clock
        self._allowed = networks(allowed)
        self._token = token
        self._expressions = expressions
        parts = urlsplit(address)
        self._host_refused = refused(parts.hostname or "", self._allowed)
        self._valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        self._url = address.rstrip("/") + "/api/v1/query"
        self._session: aiohttp.ClientSession | None = None
        self._limiter: AsyncLimiter | None = None
        self._gate = asyncio.Semaphore(self._bounds.concurrency)
        self.breaker = Breaker()

    @property
    def queries_per_second(self) -> int:
        """The most questions that this source takes in a second."""
        return self._bounds.queries_per_second

    @property
    def series_limit(self) -> int:
        """The most series that one answer may have."""
        return self._bounds.series

    async def range(self, selector: str, seconds: float) -> Answer:
        """Return the raw samples of the last `seconds` of all series that `selector` matches."""
        return await self._guarded(f"{selector}[{_milliseconds(seconds)}]")

    async def evaluate(self, expression: str, seconds: float, step: float) -> Answer:
        """Return an expression's values of the last `seconds`, one each `step` seconds."""
        if not self._expressions:
            return Answer(error="Refused", detail="the MetricsSource does not allow promQL")
        span = f"{_milliseconds(seconds)}:{_milliseconds(step)}"
        return await self._guarded(f"({expression})[{span}]")

    async def _guarded(self, query: str) -> Answer:
        if not self._valid or self._host_refused:
            return Answer(error="Refused", detail="the source's address must not be called")
        if not self.breaker.allows(self._clock.monotonic()):
            return Answer(error="Unreachable", detail="not asked: too many failures in a row")
        try:
            async with self._gate:
                answer = await self._ask(query)
        except asyncio.CancelledError:
            self.breaker.abandoned()
            raise
        if answer.error in _OUTAGES:
            self.breaker.failed(self._clock.monotonic())
        else:
            self.breaker.succeeded()
        return answer

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, query: str) -> Answer:
        try:
            async with asyncio.timeout(self._bounds.timeout):
                status, body = await self._post(query)
        except _NoTokenError:
            return Answer(error="Refused", detail="the source's bearer token cannot be read")
        except TimeoutError:
            return Answer(error="Timeout", detail=f"no answer within {self._bounds.timeout:g} s")
        except AddressRefusedError:
            return Answer(error="Refused", detail="the source's address must not be called")
        except _TooLargeError:
            limit = self._bounds.body_bytes
            return Answer(error="TooLarge", detail=f"the answer is larger than {limit} bytes")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error.__cause__, AddressRefusedError):
                return Answer(error="Refused", detail="the source's address must not be called")
            return Answer(error="Unreachable", detail=type(error).__name__)
        if status != 200:
            return Answer(error=_word_of(status), detail=f"HTTP {status}")
        if len(body) > _PARSE_INLINE:
            return await asyncio.to_thread(parse_answer, body, self._bounds)
        return parse_answer(body, self._bounds)

    async def _post(self, query: str) -> tuple[int, bytes]:
        session = self._connected()
        headers = {"Accept-Encoding": "identity"}
        if self._token is not None:
            try:
                headers["Authorization"] = f"Bearer {self._token()}"
            except OSError as error:
                raise _NoTokenError from error
        if self._limiter is not None:
            await self._limiter.acquire()
        # The server is told the same limits: what would be thrown away need not be worked out.
        data = {
            "query": query,
            "timeout": _milliseconds(self._bounds.timeout),
            "limit": str(self._bounds.series + 1),
        }
        async with session.post(
            self._url, data=data, headers=headers, allow_redirects=False
        ) as response:
            if response.status != 200:
                return response.status, b""
            if response.headers.get("Content-Encoding", "identity") != "identity":
                return 200, b"compressed"
            return 200, await _bounded(response, self._bounds.body_bytes)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._bounds.concurrency,
                resolver=GuardedResolver(self._allowed),
                ttl_dns_cache=10,
                keepalive_timeout=60,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                trust_env=False,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
            )
            self._limiter = AsyncLimiter(self._bounds.queries_per_second, 1)
        return self._session


class _NoTokenError(Exception):
    """Raised when the file of the bearer token cannot be read."""


class _TooLargeError(Exception):
    """Raised when a body is longer than allowed."""


async def _bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    if (response.content_length or 0) > limit:
        raise _TooLargeError
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > limit:
            raise _TooLargeError
        chunks.append(chunk)
    return b"".join(chunks)


def _milliseconds(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


def _word_of(status: int) -> str:
    if 300 <= status < 400:
        return "Refused"
    return "BadRequest" if 400 <= status < 500 else "ServerError"


def parse_answer(body: bytes, bounds: Bounds) -> Answer:
    """Return what a 200 response says; a body that is not what Prometheus sends is an error."""
    try:
        document = json.loads(body)
        if document["status"] != "success":
            return Answer(error="ServerError", detail="status is not success")
        data = document["data"]
        kind, result = data["resultType"], data["result"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Answer(error="BadJSON", detail="not an answer of Prometheus")
    if kind != "matrix" or not isinstance(result, list):
        return Answer(error="WrongType", detail=f"resultType is {str(kind)[:32]}, not matrix")
    if len(result) > bounds.series:
        return Answer(error="TooLarge", detail=f"more than {bounds.series} series")
    try:
        if sum(map(_weight, result)) > bounds.samples:
            return Answer(error="TooLarge", detail=f"more than {bounds.samples} samples")
        series = tuple(_series(item) for item in result)
        warnings, infos = _notes(document, "warnings"), _notes(document, "infos")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Answer(error="BadJSON", detail="not an answer of Prometheus")
    return Answer(series=series, warnings=warnings, infos=infos)


def _weight(item: dict[str, Any]) -> int:
    """How many numbers a series holds: a native histogram has one for each bucket."""
    numbers = len(item.get("values", ()))
    if "histograms" in item:
        numbers += sum(len(one.get("buckets", ())) + 1 for _, one in item["histograms"])
    return numbers


def _series(item: dict[str, Any]) -> Series:
    labels = item["metric"]
    if not {str}.issuperset(map(type, labels.values())):
        raise TypeError("labels must be strings")
    samples = [Sample(round(float(time), 3), float(value)) for time, value in _list(item, "values")]
    histograms = tuple(map(_histogram, _list(item, "histograms"))) if "histograms" in item else ()
    return Series(labels, tuple(samples), histograms)


def _histogram(sample: list[Any]) -> Histogram:
    time, body = sample
    return Histogram(
        round(float(time), 3),
        float(body["count"]),
        # The rule which of the bounds belong to the bucket matters at a single value only.
        tuple(
            (float(lower), float(upper), float(count))
            for _, lower, upper, count in _list(body, "buckets")
        ),
    )


def _list(item: dict[str, Any], key: str) -> list[Any]:
    values = item.get(key, [])
    if not isinstance(values, list):
        raise TypeError(f"{key} must be a list")
    return values


def _notes(document: dict[str, Any], key: str) -> tuple[str, ...]:
    notes = document.get(key) or []
    return tuple(str(note)[:_NOTE_LENGTH] for note in notes[:_NOTES])
