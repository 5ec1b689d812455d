"""`round_3400_*`: one sampling round of 3,400 Rollouts with five guards each.

The operator's own sampler and client ask a real Prometheus, with the limits that a MetricsSource
has by default (4 queries a second, 10,000 series and 8 MiB an answer). Two guards read Traefik's
series, three those of the pods. A round is every query of every family once, from the first byte
asked to the last guard judged, the waiting for the rate limit included and the waiting for the next
scrape not.

All Rollouts but one exist for the sampler only. That one is an attempt on a cluster in memory, with
the whole operator from its scheduler to its executor (`bench.operating`), in the same process as
the sampler. In the middle its canary begins to fail; from the moment when another reader of the
same Prometheus could see it, it is timed to the write by which the route's weight is 0.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence

import httpx

from bench.attempt import Attempt
from bench.figures import Figure, figure
from bench.operating import Cluster, Operator
from bench.synthetic import (
    FAILING,
    SCRAPE,
    Urls,
    backend_of,
    prometheus,
    replica_set_of,
    service_of,
)
from leadsman.adapters.clock import SystemClock
from leadsman.adapters.presets.arms import ArmNames, Arms
from leadsman.core.spec import GuardSpec
from leadsman.guards.judges import Threshold, judge
from leadsman.guards.verdict import Verdict
from leadsman.runtime.sampler import Sampler
from leadsman.runtime.sampling.group import Group
from leadsman.shell import memory
from leadsman.testing import FakeClock

ROLLOUTS = 3400
_LEARNING = 2
"""Rounds before the rhythm, in which it is looked up whose each series is and the past is read; the
longest of them is told beside the others."""
_ROUNDS = 6
_COMPUTED = "note:round_3400_seconds"
_TOLD = "note:round_3400_breach_seconds"
_ATTEMPT = ("load", f"app{FAILING}")
"""The Rollout that is more than a subscription."""
_LONGEST = 120.0
_ORDERS = {
    "bad": {"metric": "orders_total", "match": {"state": "lost"}},
    "total": {"metric": "orders_total"},
}
_QUESTIONS: dict[str, object] = {
    "errors": {"errors": {"preset": "Traefik"}},
    "slow": {"latency": {"preset": "Traefik", "above": "250ms"}},
    "own-errors": {"errors": {"preset": "Pod"}},
    "own-slow": {"latency": {"preset": "Pod", "above": "500ms"}},
    "orders": {"ratio": _ORDERS},
}
GUARDS = tuple(
    GuardSpec(name, Threshold(0.05, 30.0, 100), query=json.dumps(question))
    for name, question in _QUESTIONS.items()
)


def arms_of(number: int) -> Arms:
    """A Rollout's arms."""

    def arm(name: str) -> ArmNames:
        return ArmNames((service_of(number, name),), (replica_set_of(number, name),))

    return Arms("load", arm("canary"), arm("stable"), (("HTTPRoute", f"app{number}"),))


class Rounds:
    """Times each family's polls: (family, begin, end, queries)."""

    def __init__(self) -> None:
        self.done: list[tuple[int, float, float, int]] = []

    def watch(self, group: Group) -> None:
        """Time this family from now on."""
        asked = group.poll

        async def timed() -> None:
            began, queries = time.monotonic(), len(group.queries)
            await asked()
            self.done.append((id(group), began, time.monotonic(), queries))

        group.poll = timed  # type: ignore[method-assign]

    def rounds(self, families: Sequence[int]) -> list[tuple[float, int]]:
        """Seconds and queries of each round: the n-th polls of all families."""
        by_family = [[one for one in self.done if one[0] == family] for family in families]
        return [
            (_covered([(began, end) for _, began, end, _ in polls]), sum(one[3] for one in polls))
            for polls in zip(*by_family, strict=False)
        ]


def _covered(spans: list[tuple[float, float]]) -> float:
    """Seconds that are in at least one of the spans."""
    total, until = 0.0, float("-inf")
    for began, end in sorted(spans):
        total += max(0.0, end - max(began, until))
        until = max(until, end)
    return total


class Breach:
    """The one attempt, and when its readings told of the breach and its route had weight 0."""

    def __init__(self, urls: Urls) -> None:
        kube = Cluster(FakeClock(time.time()))
        self.attempt = Attempt(kube, *_ATTEMPT, self._moved)
        self.operator = Operator(kube, SystemClock(), heard=self._heard)
        self.told: float | None = None
        self.off: float | None = None
        """When the route got the canary at weight 0 that it has now, Unix seconds."""
        self._urls = urls
        self._keeping = asyncio.create_task(kube.keep_time())

    async def begin(self, client: httpx.AsyncClient) -> None:
        """Bring the attempt to a stage that is measured."""
        await self.operator.start()
        self.attempt.install(GUARDS, self._urls.prometheus)
        await _until(self.attempt.adopted, 30)
        self.attempt.release()
        await _until(lambda: len(self.attempt.replica_sets()) == 2, 30)
        found = self.attempt.replica_sets()
        for arm, version in (("stable", "v1"), ("canary", "v2")):
            asked = {"arm": arm, "set": found[version]}
            (await client.post(f"{self._urls.target}/pods", params=asked)).raise_for_status()
        await _until(self.attempt.measuring, _LONGEST)

    async def end(self) -> None:
        """End the operator and the cluster."""
        await self.operator.stop()
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)

    def _heard(self, key: tuple[str, str]) -> None:
        if key == _ATTEMPT and self.told is None and _failed(self.operator.sampler):
            self.told = time.time()

    def _moved(self, weight: int | None) -> None:
        # An attempt begins with weight 0 too; None is the route as the user stored it, at rest.
        if weight is not None:
            self.off = time.time() if weight == 0 else None


async def sample(urls: Urls) -> dict[str, list[float]]:
    """The samples of every key."""
    memory.settle()
    breach = Breach(urls)
    try:
        async with httpx.AsyncClient() as client:
            await breach.begin(client)
            return await _sample(urls, breach, client)
    finally:
        await breach.end()


async def _sample(urls: Urls, breach: Breach, client: httpx.AsyncClient) -> dict[str, list[float]]:
    sampler = breach.operator.sampler
    since, before = time.time() - 3 * SCRAPE, time.monotonic()
    for number in range(ROLLOUTS):
        if number != FAILING:
            sampler.subscribe(("load", f"app{number}"), GUARDS, arms_of(number), since)
    print(f"{ROLLOUTS} Rollouts subscribed in {time.monotonic() - before:.1f} s", flush=True)
    rounds = Rounds()
    await _until(lambda: len(_groups(sampler)) == 2, 30)
    for group in _groups(sampler):
        rounds.watch(group)
    families = [id(group) for group in _groups(sampler)]
    await _until(lambda: len(rounds.rounds(families)) >= _LEARNING, _LONGEST)
    computed, counted = time.process_time(), len(rounds.rounds(families))
    await _until(lambda: len(rounds.rounds(families)) >= _LEARNING + 2, _LONGEST)
    if breach.off is not None or not breach.attempt.measuring():
        raise AssertionError(f"the attempt was not left alone: {breach.attempt.told()}")
    # In a thread: in this busy loop the bench would read late, and the operator look early.
    reading = asyncio.create_task(asyncio.to_thread(_readable, urls))
    await client.post(f"{urls.target}/fail")
    readable = await reading
    await _until(lambda: breach.off is not None, _LONGEST)
    await _until(lambda: len(rounds.rounds(families)) >= _LEARNING + _ROUNDS, _LONGEST)
    computed = (time.process_time() - computed) / (len(rounds.rounds(families)) - counted)
    missing = _unread(sampler)
    timed = rounds.rounds(families)
    learning, found = timed[:_LEARNING], timed[_LEARNING:]
    print(f"at first: {learning}", flush=True)
    print(f"rounds: {found}; guards without a verdict: {missing}", flush=True)
    if missing or breach.told is None or breach.off is None:
        raise AssertionError(f"{missing} guards have no verdict, told {breach.told}")
    guards = ROLLOUTS * len(GUARDS)
    return {
        "round_3400_seconds": [seconds for seconds, _ in found],
        "round_3400_queries": [float(queries) for _, queries in found],
        "round_3400_shared_percent": [100 * (1 - queries / guards) for _, queries in found],
        "round_3400_breach_seconds": [max(0.0, breach.off - readable)],
        _TOLD: [breach.off - breach.told],
        _COMPUTED: [computed, max(seconds for seconds, _ in learning)],
    }


def _groups(sampler: Sampler) -> list[Group]:
    return [group for poller in sampler._pollers.values() for group, _ in poller._groups.values()]


def _failed(sampler: Sampler) -> bool:
    return any(
        judge(guard.judge, reading).verdict is Verdict.FAIL
        for guard, reading in zip(GUARDS, sampler.readings(_ATTEMPT), strict=False)
    )


def _unread(sampler: Sampler) -> int:
    """How many guards have no verdict though everything is there.

    The one that was taken back is measured no more.
    """
    judged = (
        judge(guard.judge, reading).verdict
        for number in range(ROLLOUTS)
        if number != FAILING
        for guard, reading in zip(GUARDS, sampler.readings(("load", f"app{number}")), strict=True)
    )
    return sum(verdict not in (Verdict.PASS, Verdict.FAIL) for verdict in judged)


def _readable(urls: Urls) -> float:
    """When the first question was sent whose answer shows the failures to anybody.

    Asked for by the one series' name, so that Prometheus is not kept busy by the asking.
    """
    labels = f'service="{backend_of(FAILING, "canary")}",code="500"'
    query = f"increase(traefik_service_requests_total{{{labels}}}[{2 * SCRAPE}s]) > 100"
    with httpx.Client(base_url=urls.prometheus, timeout=10.0, trust_env=False) as http:
        ends = time.monotonic() + _LONGEST
        while time.monotonic() < ends:
            sent = time.time()
            asked = http.get("/api/v1/query", params={"query": query})
            if asked.json()["data"]["result"]:
                return sent
            time.sleep(0.05)
    raise TimeoutError("the failures never became readable")


async def _until(true: Callable[[], bool], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            raise TimeoutError("the sampler did not get there in time")
        await asyncio.sleep(0.02)


def measure() -> dict[str, Figure]:
    """The figures of every key; none where the machine was too busy to take a single reading."""
    with prometheus(ROLLOUTS) as urls:
        try:
            found = asyncio.run(sample(urls))
        except (AssertionError, TimeoutError, httpx.HTTPError) as error:
            print(f"round_3400: {error!r}", flush=True)
            return {}
    computed, caught_up = found.pop(_COMPUTED)
    (acted,) = found.pop(_TOLD)
    notes = {
        "round_3400_seconds": f"of it {computed:.1f} s of one core in the operator; the longest"
        " round at first, in which it is looked up whose each series is and the past is read,"
        f" {caught_up:.1f} s",
        "round_3400_breach_seconds": f"of it {1000 * acted:.0f} ms from the sampler's word to the"
        " write",
    }
    return {key: figure(key, samples, notes.get(key, "")) for key, samples in found.items()}


if __name__ == "__main__":
    with prometheus(ROLLOUTS) as there:
        print(json.dumps(asyncio.run(sample(there)), indent=1))
