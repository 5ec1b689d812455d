"""The statistics of a contract, on simulated traffic: no cluster, the code that decides in one.

Good releases must not be rolled back and bad ones must not be promoted, at little and at much
traffic, with and without noise. The plan is 5-10-25-50 % for ten minutes each and nothing waits for
more evidence: a stage without a Fail goes on when its time is over, which makes misses as likely as
they can be. The rules that other tools use judge the very same releases, request by request.

Each figure's samples are one number a release; a rate has its interval (Wilson, 95 %).
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import NamedTuple

from bench.figures import Figure, figure, revision, share
from leadsman.core.spec import Contract, GuardSpec, OnInconclusive, Plan, Stage, Terms
from leadsman.guards.intervals import newcombe
from leadsman.guards.judges import Sequential
from leadsman.guards.power import overdispersion
from leadsman.guards.windows import Block
from leadsman.simulation.draw import poisson
from leadsman.simulation.release import START, Ending, Outcome, Release, horizon
from leadsman.simulation.traffic import Traffic, Weather

WEIGHTS = (5, 10, 25, 50)
HOLD = 600.0
GOOD = 5_000
"""Good releases of each row; a row at another size is told with its interval all the same."""
BAD = 2_000
INTERVAL = 15.0
SEED = "bench"
FIVE_MINUTES = 300.0


@dataclass(frozen=True, slots=True)
class Row:
    """One key: traffic, how many releases, and what is counted of each."""

    key: str
    traffic: Traffic
    runs: int
    counts: str
    tolerance: float = 0.0
    kind: str = ""
    """Which of several rows under one key: the key's value is the worst of them."""


ROWS = (
    *(
        Row(f"false_rollback_{rps}rps", Traffic(rps=rps), GOOD, "rolled back")
        for rps in (2, 50, 2000)
    ),
    *(
        Row(
            f"false_rollback_noise_{rps}rps",
            Traffic(rps=rps, arm_noise=0.3, noise_seconds=memory),
            GOOD,
            "rolled back",
            tolerance=0.25,
            kind=kind,
        )
        for rps in (50, 2000)
        for kind, memory in (("white", 0.0), ("correlated", FIVE_MINUTES))
    ),
    *(
        Row(f"harm_x2_{rps}rps", Traffic(rps=rps, ratio=2.0, interval=5.0), BAD, "excess")
        for rps in (50, 2000)
    ),
    Row("miss_x2_50rps", Traffic(rps=50, ratio=2.0, interval=5.0), BAD, "promoted"),
    Row("miss_x1_5_2000rps", Traffic(rps=2000, ratio=1.5, interval=5.0), BAD, "promoted"),
    Row("gap_false_rollback", Traffic(rps=50, blackout=300.0), GOOD, "rolled back"),
)
KEYS = tuple(dict.fromkeys(row.key for row in ROWS))


def terms(tolerance: float = 0.0, tau2: float = 0.0) -> Terms:
    """One sequential guard with the whole budget of 1 %, over the plan."""
    stages = tuple(Stage(f"{weight}", weight, HOLD, HOLD) for weight in WEIGHTS)
    contract = Contract(on_inconclusive=OnInconclusive.PROMOTE)
    judge = Sequential(
        tolerance,
        contract.false_rollback,
        len(stages),
        contract.design_ratio,
        overdispersion=tau2,
    )
    return Terms(Plan(stages), replace(contract, guards=(GuardSpec("errors", judge),)))


def calibrated(traffic: Traffic, seed: str = SEED) -> float:
    """The over-dispersion that an operator would set: from a day without a release.

    Stable's pods in two halves, batches of five minutes, the noise between the halves.
    """
    random = Random(f"{seed}/calibration")
    weather = Weather(traffic, random)
    batches = []
    steps = round(FIVE_MINUTES / traffic.interval)
    half = traffic.rps / 2 * traffic.interval
    for _ in range(288):
        one = other = 0
        for _ in range(steps):
            rates = weather.at(0.0)
            share = traffic.errors * rates.both
            one += poisson(random.random, half * share * rates.canary)
            other += poisson(random.random, half * share)
        batches.append((float(one), float(one + other), 0.5))
    return overdispersion(batches, FIVE_MINUTES / 60)


def measure(wanted: set[str], say: Callable[[str], None] = print) -> dict[str, Figure]:
    """The figures of the wanted keys; `say` is told of each run as it ends."""
    revision()  # before the first minute: the code that runs, whatever is committed meanwhile
    found: dict[str, Figure] = {}
    runs: dict[tuple[Traffic, float], list[dict[str, Fate]]] = {}
    for key in dict.fromkeys(row.key for row in ROWS):
        asked = [rule for rule in ("", *RULES) if _key(rule, key) in wanted]
        rows = [row for row in ROWS if row.key == key and asked]
        for row in rows:
            case = (row.traffic, row.tolerance)
            if case not in runs:
                began = time.monotonic()
                runs[case] = simulated(row, row.runs, _cores())
                took = time.monotonic() - began
                say(f"{row.key} {row.kind}: {row.runs} releases in {took:.0f} s")
        for rule in asked:
            kinds = [_figure(row, rule, runs[row.traffic, row.tolerance]) for row in rows]
            found[_key(rule, key)] = kinds[0] if len(rows) == 1 else _worst(rows, kinds)
    return found


def _key(rule: str, key: str) -> str:
    return f"{rule}_{key}" if rule else key


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _figure(row: Row, rule: str, found: list[dict[str, Fate]]) -> Figure:
    key, ends = _key(rule, row.key), [each[rule] for each in found]
    if row.counts == "excess":
        missed = share([100.0 * (one.ending is Ending.PROMOTED) for one in ends])
        back = sorted(one.seconds for one in ends if one.ending is Ending.ROLLED_BACK)
        told = []
        if back:
            told.append(f"rolled back after {back[len(back) // 2] / 60:.1f} min (median)")
        if missed["value"]:
            told.append(f"{missed['value']:.3g} % promoted, counted to the end of the plan")
        return figure(key, [one.excess for one in ends], "; ".join(told), {"missed": missed})
    made = figure(key, _samples(row, ends))
    if row.traffic.blackout and rule:
        other = share(_samples(row, [each[f"{rule}{PASSED_OVER}"] for each in found]))
        if other["value"] != made.value:
            note = f"a minute without data is a failed one; passed over: {other['value']:.3g} %"
            return replace(made, note=note, details={"passed_over": other})
    return made


def _samples(row: Row, ends: list[Fate]) -> list[float]:
    counted = Ending.ROLLED_BACK if row.counts == "rolled back" else Ending.PROMOTED
    return [100.0 * (one.ending is counted) for one in ends]


def _worst(rows: list[Row], kinds: list[Figure]) -> Figure:
    """The worst of the rows of one key, with all of them in its note and details."""
    details = {}
    for row, one in zip(rows, kinds, strict=True):
        tau2 = round(calibrated(row.traffic), 4)
        noise = {"memory_seconds": row.traffic.noise_seconds, "tau2_per_minute": tau2}
        details[row.kind] = share(one.samples) | noise
    note = "; ".join(
        f"{kind} noise {one['value']:.3g} % (95 %: at most {one['interval'][1]:.3g})"
        for kind, one in details.items()
    )
    return replace(max(kinds, key=lambda one: one.value), note=note, details=details)


# --- the same releases, by the guard and by the rules of other tools -----------------------------


class Fate(NamedTuple):
    """What a rule made of one release, after how many seconds since its first weight.

    `excess`: how many more of the canary's requests had failed by then than a good one's.
    """

    ending: Ending
    seconds: float
    excess: float


class Minute(NamedTuple):
    """What both arms counted in the minute before a measurement, and when that was."""

    seconds: float
    excess: float
    canary: float = 0.0
    canary_bad: float = 0.0
    stable: float = 0.0
    stable_bad: float = 0.0

    @property
    def known(self) -> bool:
        """Whether there was any data."""
        return self.canary + self.stable > 0


class Course(Release):
    """A release that remembers what a rule which looks once a minute is told.

    It looks with the scrapes, at what the guard's blocks of the last minute have: no half-filled
    windows, and nothing from before the canary's first weight.
    """

    def __init__(self, made: Terms, traffic: Traffic, seed: str) -> None:
        self.minutes: list[Minute] = []
        self._each = round(60 / traffic.interval)
        self._oldest = 60 + 1.01 * traffic.interval
        self._scrapes = -1  # the first one is what the increments are taken from
        self._blocks: list[Block] = []
        super().__init__(made, traffic, seed, horizon(made))

    def _read(self) -> None:
        super()._read()
        (reading,) = self._readings
        self._blocks.extend(reading.blocks)
        self._scrapes += 1
        if self._scrapes < 1 or self._scrapes % self._each:
            return
        # After a gap the first block has all of it: for a window of one minute that is nothing.
        seen = [one for one in self._blocks if one.start > self.now - self._oldest]
        self._blocks = []
        counts = [sum(column) for column in list(zip(*seen, strict=True))[2:]]
        self.minutes.append(Minute(self.now - START, self._excess, *counts))


BLIND = 1000.0
"""A tolerance under which nothing is rolled back: the release as it would have gone on."""
PASSED_OVER = ", minutes without data passed over"


def simulated(row: Row, runs: int, workers: int) -> list[dict[str, Fate]]:
    """Of each release its fate under the guard ("") and under each of RULES."""
    tau2 = calibrated(row.traffic) if row.traffic.arm_noise else 0.0
    work = partial(fates, terms(row.tolerance, tau2), row.traffic)
    if workers <= 1:
        return list(map(work, range(runs)))
    with multiprocessing.get_context("forkserver").Pool(workers) as pool:
        return list(pool.imap(work, range(runs), 8))


def fates(made: Terms, traffic: Traffic, number: int) -> dict[str, Fate]:
    """The fates of the release of that number."""
    seed = f"{SEED}/{number}"
    course = Course(made, traffic, seed)
    ended: Outcome | None = course.run()
    assert ended is not None
    found = {"": Fate(ended.ending, ended.seconds, ended.excess)}
    if ended.ending is not Ending.PROMOTED:
        course, ended = Course(terms(BLIND), traffic, seed), None
        while ended is None and not _all_settled(course.minutes):
            ended = course.step()
    for name, rule in RULES.items():
        minutes = course.minutes
        found[name] = _fate(rule(minutes), minutes, ended)
        if traffic.blackout:
            minutes = [one for one in minutes if one.known]
            found[f"{name}{PASSED_OVER}"] = _fate(rule(minutes), minutes, ended)
    return found


def _all_settled(minutes: list[Minute]) -> bool:
    """Whether every rule has rolled back, so that the rest of the release changes nothing."""
    known = [one for one in minutes if one.known]
    return all(rule(minutes) is not None and rule(known) is not None for rule in RULES.values())


def _fate(at: int | None, minutes: list[Minute], ended: Outcome | None) -> Fate:
    if at is not None:
        return Fate(Ending.ROLLED_BACK, minutes[at].seconds, minutes[at].excess)
    assert ended is not None
    return Fate(ended.ending, ended.seconds, ended.excess)


LIMIT = 0.01
"""A threshold's limit: 99 % of requests must be good, as examples of such tools have it."""


def failure_limit(minutes: list[Minute]) -> int | None:
    """A threshold, measured each minute; the fourth failed measurement of a release rolls back.

    Rules return the place of the measurement that rolls back. A measurement without data is a
    failed one for the two thresholds: known tools count it as a failed check or as an error, and
    give up after a few of either.
    """
    failed = [index for index, one in enumerate(minutes) if _above(one)]
    return failed[3] if len(failed) > 3 else None


def consecutive_errors(minutes: list[Minute]) -> int | None:
    """The same threshold; three failed measurements in a row roll back."""
    return _in_a_row([_above(one) for one in minutes], 3)


def lower_bound(minutes: list[Minute]) -> int | None:
    """Three windows in a row in which the 95 % lower bound of canary less stable is below 0.

    The difference is of the shares of good requests, as a contract would write it.
    """
    return _in_a_row(
        [
            one.known
            and newcombe(
                one.canary - one.canary_bad,
                one.canary,
                one.stable - one.stable_bad,
                one.stable,
            )[0]
            < 0
            for one in minutes
        ],
        3,
    )


RULES: dict[str, Callable[[list[Minute]], int | None]] = {
    "failure_limit": failure_limit,
    "consecutive": consecutive_errors,
    "lower_bound": lower_bound,
}


def _above(one: Minute) -> bool:
    return not one.known or (one.canary > 0 and one.canary_bad / one.canary > LIMIT)


def _in_a_row(failed: list[bool], count: int) -> int | None:
    row = 0
    for index, one in enumerate(failed):
        row = row + 1 if one else 0
        if row >= count:
            return index
    return None
