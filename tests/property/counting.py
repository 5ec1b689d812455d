"""Readings for the lab that come from counted requests, through the sampler's own counting.

Each second the requests that the gateway sends to each arm are added to raw counters, a version's
failures among them evenly spread, and fed as samples. Blocks, windows and staleness are then what
the operator makes of them. The counters are the world's and survive an operator's crash; what was
read of them is the process' own and does not.
"""

from __future__ import annotations

from typing import Any

from leadsman.adapters.presets.shape import Shape
from leadsman.core.status import Status
from leadsman.guards.counters import Counted
from leadsman.guards.windows import Reading
from leadsman.runtime.codec import decode_status
from leadsman.runtime.sampling.evidence import Tally, new_tally
from leadsman.runtime.sampling.ledger import Ledger
from leadsman.runtime.sampling.watching import KEEP_MORE, Watch, counted_to, window_of
from leadsman.testing import FakeClock, FakeKube
from tests.property.cluster import Metrics
from tests.property.manifests import LRO

RATE = 200
NO_SHAPE = Shape((), "service", (), "", "")


class CountedMetrics(Metrics):
    """A source with raw counters: `errors` is each version's share of failed requests."""

    def __init__(self, kube: FakeKube, clock: FakeClock, errors: dict[str, float]) -> None:
        super().__init__(kube, clock, set())
        self.errors = errors
        self._second = int(clock.now())
        self._counters = {"canary": [0.0, 0.0], "stable": [0.0, 0.0]}
        self._samples: list[tuple[float, dict[str, tuple[float, float]]]] = []
        self._watches: dict[str, tuple[float, Watch]] = {}
        self.blocks_counted = 0

    def forget_reading(self) -> None:
        """What a killed process forgets."""
        self._watches.clear()

    def unsubscribe(self, key: Any) -> None:
        """Forget the question and what was read for it."""
        super().unsubscribe(key)
        self._watches.clear()

    def readings(self, key: Any) -> tuple[Reading, ...]:
        """A reading for each guard, with the blocks that the stored status has not counted."""
        self.scrape()
        guards, _, since = self._subscribed.get(key, ((), None, 0.0))
        now = self.clock.now()
        status = self.remembered()
        known = {one.name: one for one in (status.attempt.guards if status.attempt else ())}
        found = []
        for guard in guards:
            began, watch = self._watches.get(guard.name, (0.0, None))
            counted = known.get(guard.name)
            if watch is None or began != since:
                keep = window_of(guard) + KEEP_MORE
                begin = max(since, counted_to(counted))
                tally = new_tally(NO_SHAPE, since, keep, now, begin)
                watch = Watch(guard, tally, ledger=Ledger(tally, begin), fresh=([],))
                self._watches[guard.name] = (since, watch)
                self._feed(tally, tally.covered - 2)
            assert watch.tally is not None
            self._feed(watch.tally, now - 5)
            reading = watch.reading(now, counted)
            self.blocks_counted += len(reading.blocks)
            found.append(reading)
        return tuple(found)

    def remembered(self) -> Status:
        """The stored status; the lab's reconciler may know a newer one."""
        return decode_status((self.kube.peek(LRO) or {}).get("status")).status

    def scrape(self) -> None:
        """Count and sample every whole second until now."""
        now = self.clock.now()
        while self._second + 1 <= now:
            self._second += 1
            self._count()
            values = {arm: (total, bad) for arm, (total, bad) in self._counters.items()}
            self._samples.append((self._second, values))
        del self._samples[:-900]

    def _count(self) -> None:
        if self.mode != "good":
            return
        traffic = self.kube.traffic("default", "shop").pods
        for pod in self.kube.pods("default"):
            requests = traffic.get(pod["metadata"]["name"], 0.0) * RATE
            version = pod["spec"]["containers"][0]["image"].partition(":")[2]
            canary = pod["metadata"]["labels"].get("pod-template-hash") == self._canary()
            counter = self._counters["canary" if canary else "stable"]
            counter[0] += requests
            counter[1] += requests * self.errors.get(version, 0.0)

    def _feed(self, tally: Tally, since: float) -> None:
        tally.answered = True
        tally.intervals["all"] = 1.0
        times = [(at, values) for at, values in self._samples if at >= since]
        batch = []
        for arm in ("canary", "stable"):
            for place, (total, bad) in enumerate(((1, 0), (0, 1))):
                samples = [(float(at), float(int(values[arm][place]))) for at, values in times]
                batch.append(Counted(f"{arm}{place}", arm, arm, total, bad, samples))  # type: ignore[arg-type]
        tally.counts.feed(batch)
