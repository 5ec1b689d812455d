"""The attempt that the bench of 3,400 Rollouts times: the operator's own parts, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from bench.attempt import WEIGHT, Attempt
from bench.operating import Cluster, Operator
from bench.round3400 import GUARDS, arms_of
from leadsman.testing import FakeClock, FakeMetrics

KEY = ("load", "app1234")


class Seen:
    """The operator, one attempt, and the weights that its route had."""

    def __init__(self) -> None:
        self.kube = Cluster(FakeClock())
        self.metrics = FakeMetrics(self.kube)
        self.weights: list[int | None] = []
        self.heard: list[tuple[str, str]] = []
        self.attempt = Attempt(self.kube, *KEY, self.weights.append)
        self.operator = Operator(self.kube, heard=self.heard.append, source=self.metrics)

    async def until(self, met: Callable[[], bool], seconds: float = 60.0) -> None:
        end = self.kube.clock.now() + seconds
        while not met():
            assert self.kube.clock.now() < end, self.attempt.told()
            await self.kube.run(0.25)


@pytest.fixture
async def seen() -> AsyncIterator[Seen]:
    seen = Seen()
    await seen.operator.start()
    yield seen
    await seen.operator.stop()


async def test_the_attempt_is_measured_at_its_weight_and_a_breach_ends_at_weight_0(
    seen: Seen,
) -> None:
    seen.attempt.install(GUARDS[:2], "http://prometheus.monitoring.svc:9090")
    seen.metrics.route_load(*KEY, 200)
    await seen.until(seen.attempt.adopted)
    seen.attempt.release()
    await seen.until(seen.attempt.measuring)
    assert seen.weights[-1] == WEIGHT
    assert set(seen.attempt.replica_sets()) == {"v1", "v2"}
    await seen.kube.run(10)
    assert seen.weights[-1] == WEIGHT
    seen.heard.clear()
    seen.metrics.set_quality("app1234:v2", error_rate=0.5)
    await seen.until(lambda: seen.weights[-1] == 0, 20)
    assert KEY in seen.heard


async def test_what_is_measured_beside_it_has_no_rollout_and_is_not_forgotten(seen: Seen) -> None:
    seen.operator.sampler.subscribe(("load", "app1"), GUARDS, arms_of(1), seen.kube.clock.now())
    await seen.kube.run(5)
    assert len(seen.operator.sampler.readings(("load", "app1"))) == len(GUARDS)
