"""Scrapes: what a metrics source would have of one guard, as the readings that the core judges.

The same counts, windows and blocks as in the cluster are made of it, in three ways that come to the
same bits. Where pods restart, raw counters of each pod go through the very differencing that finds
resets. Without restarts that gives the increments themselves, which are counted at once. And where
only blocks are judged and each scrape ends one, the block is made at once.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from random import Random

from leadsman.core.spec import Contract, Family, GuardSpec
from leadsman.guards.blocks import SHORTEST, Block, Running, cut
from leadsman.guards.counters import ArmName, Counted, Counts
from leadsman.guards.gathering import GATHERING
from leadsman.guards.judges import (
    Absolute,
    NegativeControl,
    Relative,
    SequentialMean,
    Threshold,
)
from leadsman.guards.windows import ArmCounts, Reading, Window
from leadsman.simulation.draw import poisson
from leadsman.simulation.traffic import Rates, Traffic

ARMS: tuple[ArmName, ArmName] = ("canary", "stable")
KEEP = 60.0
"""Seconds that increments are kept beyond the longest window."""


class Measure(Enum):
    """What a guard's second counter counts: bad events, seconds, or those of stable's halves."""

    SHARE = "share"
    MEAN = "mean"
    HALVES = "halves"


class Arms:
    """The counters of both arms for one question, since the present weight."""

    def __init__(
        self,
        traffic: Traffic,
        share: float,
        ratio: float,
        keep: float,
        measure: Measure = Measure.SHARE,
    ) -> None:
        self.share = share
        self._measure = measure
        self._ratio = ratio
        self._rps = traffic.rps
        self._pods = traffic.pods
        self._restarts = traffic.resets / 3600
        self._keep = keep
        self._grown = [0.0, 0.0, 0.0, 0.0]
        self._raw = {
            arm: [[0.0, 0.0] for _ in range(traffic.pods if traffic.resets else 0)] for arm in ARMS
        }
        self.begin(0.0)

    def begin(self, since: float) -> None:
        """A weight is new: nothing from before Unix time `since` counts."""
        self._counts = Counts(since, self._keep) if self._restarts else None
        self.canary = ArmCounts(self._keep) if self._counts is None else self._counts.arms["canary"]
        self.stable = ArmCounts(self._keep) if self._counts is None else self._counts.arms["stable"]
        self._base = False
        self._grown = [0.0, 0.0, 0.0, 0.0]

    def grow(self, random: Random, seconds: float, weight: int, rates: Rates) -> tuple[int, int]:
        """Let requests come for so long; return the canary's, and the bad ones among them."""
        draw = random.random
        share = min(1.0, self.share * rates.both)
        worse = min(1.0, share * self._ratio * rates.canary)
        toward = self._rps * seconds * weight / 100
        rest = self._rps * seconds - toward
        if self._measure is Measure.HALVES:
            toward = rest = rest / 2
            worse = share
        elif self._measure is Measure.MEAN:
            return self._grow_seconds(random, toward, rest, rates)
        if self._restarts:
            return self._grow_pods(random, seconds, (toward, worse), (rest, share))
        good, bad = poisson(draw, toward * (1 - worse)), poisson(draw, toward * worse)
        grown = self._grown
        grown[0] += good + bad
        grown[1] += bad
        bad_too = poisson(draw, rest * share)
        grown[2] += poisson(draw, rest * (1 - share)) + bad_too
        grown[3] += bad_too
        return good + bad, bad

    def _grow_seconds(
        self, random: Random, toward: float, rest: float, rates: Rates
    ) -> tuple[int, int]:
        """Requests that take `share` seconds each, as unevenly as an exponential law has it.

        Of a block's many requests only the sum is seen, which is then close to normal.
        """
        grown = self._grown
        canary, stable = poisson(random.random, toward), poisson(random.random, rest)
        for place, count, mean in (
            (0, canary, self.share * rates.both * self._ratio * rates.canary),
            (2, stable, self.share * rates.both),
        ):
            grown[place] += count
            grown[place + 1] += max(0.0, random.gauss(count * mean, count**0.5 * mean))
        return canary, 0

    def _grow_pods(
        self,
        random: Random,
        seconds: float,
        canary: tuple[float, float],
        stable: tuple[float, float],
    ) -> tuple[int, int]:
        requests = failed = 0
        for arm, (mean, share) in zip(ARMS, (canary, stable), strict=True):
            for pod in self._raw[arm]:
                parts = [1.0]
                if poisson(random.random, self._restarts * seconds):
                    before = random.random()
                    parts = [before, 1 - before]
                for index, part in enumerate(parts):
                    if index:
                        pod[:] = [0.0, 0.0]
                    each = mean * part / self._pods
                    bad = poisson(random.random, each * share)
                    total = bad + poisson(random.random, each * (1 - share))
                    pod[0] += total
                    pod[1] += bad
                    if arm == "canary":
                        requests, failed = requests + total, failed + bad
        return requests, failed

    def scrape(self, at: float) -> None:
        """Take a sample of all counters at Unix time `at`; the first of a weight is the base."""
        if self._counts is not None:
            self._counts.feed(self._samples(at))
            return
        canary, canary_bad, stable, stable_bad = self._grown
        self._grown = [0.0, 0.0, 0.0, 0.0]
        if self._base:
            self.canary.add(at, canary, canary_bad)
            self.stable.add(at, stable, stable_bad)
        self._base = True

    def _samples(self, at: float) -> list[Counted]:
        return [
            Counted(f"{arm}{number}{kind}", f"{arm}{number}", arm, total, bad, ((at, value),))
            for arm in ARMS
            for number, pod in enumerate(self._raw[arm])
            for kind, total, bad, value in (("t", 1, 0, pod[0]), ("b", 0, 1, pod[1]))
        ]

    def block(self, begin: float, at: float) -> tuple[Block, ...]:
        """Scrape at Unix time `at`; the block since `begin` that `blocks` would make of it."""
        canary, canary_bad, stable, stable_bad = self._grown
        self._grown = [0.0, 0.0, 0.0, 0.0]
        if not self._base:
            self._base = True
            return ()
        return (Block(begin, at, canary, canary_bad, stable, stable_bad),)

    def blocks(self, begin: float, *, alone: bool) -> tuple[Block, ...]:
        """The complete blocks from Unix time `begin` on."""
        canary = running(self.canary)
        return cut(canary, canary if alone else running(self.stable), begin)


def running(arm: ArmCounts) -> Running:
    """An arm's sums, as blocks are cut from them."""
    return Running(
        arm._times,  # noqa: SLF001 (read only, as `guards.blocks` does)
        arm._total,  # noqa: SLF001
        arm._bad,  # noqa: SLF001
        arm._total_before,  # noqa: SLF001
        arm._bad_before,  # noqa: SLF001
    )


def measure_of(guard: GuardSpec) -> Measure:
    """What the guard's second counter counts."""
    if isinstance(guard.judge, NegativeControl):
        return Measure.HALVES
    return Measure.MEAN if isinstance(guard.judge, SequentialMean) else Measure.SHARE


def counted(contract: Contract) -> GuardSpec | None:
    """The guard whose bad events are users' failed requests: the first on errors, else the first.

    None where no guard has a share of bad events; means and halves of stable have none.
    """
    shares = [one for one in contract.guards if measure_of(one) is Measure.SHARE]
    return next((one for one in shares if one.family is Family.ERRORS), next(iter(shares), None))


def is_plain(guard: GuardSpec, traffic: Traffic) -> bool:
    """Whether each scrape ends one block, so that it can be made without looking for its ends."""
    return (
        isinstance(guard.judge, GATHERING)
        and not isinstance(guard.judge, Absolute)
        and not traffic.resets
        and traffic.interval >= SHORTEST
    )


class Watched:
    """One guard of the contract, its counters and what it was last told."""

    def __init__(self, guard: GuardSpec, traffic: Traffic) -> None:
        judge = guard.judge
        self.guard = guard
        self._window, self._count = traffic.interval, 1
        if isinstance(judge, Threshold | Relative):
            self._window, self._count = judge.window, max(2, guard.trigger.consecutive)
        self._needs_stable = isinstance(judge, Relative)
        self._alone = isinstance(judge, Absolute)
        self.measure = measure_of(guard)
        keep = self._window + KEEP + self._count * traffic.interval
        base = traffic.slow if guard.family is Family.LATENCY else traffic.errors
        if self.measure is Measure.MEAN:
            base = traffic.latency
        ratio = traffic.ratio if not traffic.worse or guard.name in traffic.worse else 1.0
        parts = len(guard.slices)
        self.whole = Arms(traffic, base, ratio, keep, self.measure)
        self._slices = [Arms(_part_of(traffic, parts), base, ratio, keep) for _ in range(parts)]
        self._plain = is_plain(guard, traffic)
        self._end = 0.0
        self._ends = [0.0] * parts
        self.last: float | None = None

    def begin(self, since: float) -> None:
        """A weight is new at Unix time `since`."""
        self._end = since
        self._ends = [since] * len(self._slices)
        self.last = None
        for arms in (self.whole, *self._slices):
            arms.begin(since)

    def grow(self, random: Random, seconds: float, weight: int, rates: Rates) -> tuple[int, int]:
        """Let requests come for so long; return the canary's, and the bad ones among them."""
        for part in self._slices:
            part.grow(random, seconds, weight, rates)
        return self.whole.grow(random, seconds, weight, rates)

    def read(self, at: float) -> Reading:
        """Scrape at Unix time `at` and read."""
        if self._plain:
            return self._read_plain(at)
        self.whole.scrape(at)
        for part in self._slices:
            part.scrape(at)
        self.last = at
        found = self.whole.blocks(self._end, alone=self._alone)
        if found:
            self._end = found[-1].at
        slices: list[tuple[Block, ...]] = []
        for index, part in enumerate(self._slices):
            cut_now = part.blocks(self._ends[index], alone=self._alone)
            if cut_now:
                self._ends[index] = cut_now[-1].at
            slices.append(cut_now)
        canary = self.whole.canary.windows(self._window, self._count)
        stable = self.whole.stable.windows(self._window, self._count) if self._needs_stable else ()
        return Reading(self.guard.name, canary, stable, "", at, found, tuple(slices))

    def _read_plain(self, at: float) -> Reading:
        self.last = at
        found = self.whole.block(self._end, at)
        slices = tuple([part.block(self._end, at) for part in self._slices])
        if not found:
            return Reading(self.guard.name, (), (), "", at, (), slices)
        self._end = at
        newest = found[0]
        window = (Window(at, newest.canary, newest.canary_bad),)
        return Reading(self.guard.name, window, (), "", at, found, slices)

    def blind(self) -> Reading:
        """What is known when a scrape failed: nothing new."""
        return Reading(self.guard.name, (), (), "Stale", self.last)


def _part_of(traffic: Traffic, parts: int) -> Traffic:
    return replace(traffic, rps=traffic.rps / parts)
