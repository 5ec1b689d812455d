"""The probes: what fails life, what fails readiness, and that metrics are served."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from leadsman.runtime.health import Health
from leadsman.runtime.telemetry import Telemetry


@pytest.fixture
async def health() -> AsyncIterator[Health]:
    health = Health(Telemetry().render)
    await health.start("127.0.0.1", 0)
    yield health
    await health.stop()


async def asked(health: Health, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{health.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_well_is_200(health: Health) -> None:
    health.live("scheduler", lambda: "")
    assert await asked(health, "/healthz") == (200, "ok\n")


async def test_what_fails_life_fails_readiness_too_and_says_why(health: Health) -> None:
    health.live("scheduler", lambda: "a pass hangs")
    assert await asked(health, "/healthz") == (503, "scheduler: a pass hangs\n")
    assert (await asked(health, "/readyz"))[0] == 503


async def test_not_ready_is_no_reason_to_restart(health: Health) -> None:
    health.ready("start", lambda: "not everything was read yet")
    assert (await asked(health, "/readyz"))[0] == 503
    assert (await asked(health, "/healthz"))[0] == 200


async def test_a_check_that_raises_is_a_failing_one(health: Health) -> None:
    def broken() -> str:
        raise KeyError

    health.live("broken", broken)
    assert await asked(health, "/healthz") == (503, "broken: KeyError\n")
    assert health.problems() == {"broken": "KeyError"}


async def test_metrics_are_served(health: Health) -> None:
    status, text = await asked(health, "/metrics")
    assert status == 200
    assert "leadsman_api_requests_total" in text
    assert "process_resident_memory_bytes" in text
