"""Many simulated releases: spread over the cores, and the same bytes however they were spread.

Each release has a seed of its own, made of the run's seed and its number, and the results are put
in order before anything is worked out.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import fsum

from leadsman.core.spec import Terms
from leadsman.guards.intervals import wilson
from leadsman.simulation.release import Ending, Outcome, Release, horizon
from leadsman.simulation.traffic import Traffic

CHUNK = 8


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many, with the Wilson interval at 95 %: shares in 0..1."""

    count: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share itself."""
        return self.count / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its 95 % interval, and the median."""

    value: float
    low: float
    high: float
    median: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of all runs.

    `detection`: seconds from the first weight to the rollback; `failed`: the canary's bad requests
    and `excess` those beyond stable's rate, over all runs; `lost` the excess of those rolled back:
    None, all three, where no guard counts them. `culprits`: the guards that rolled back and how
    often; `holding` the reasons of the held.
    """

    runs: int
    rolled_back: Share
    promoted: Share
    held: Share
    detection: Mean | None
    failed: Mean | None
    excess: Mean | None
    lost: Mean | None
    duration: Mean
    culprits: tuple[tuple[str, int], ...]
    holding: tuple[tuple[str, int], ...]


def one(terms: Terms, traffic: Traffic, seed: str, limit: float, number: int) -> Outcome:
    """Run the release of that number."""
    return Release(terms, traffic, f"{seed}/{number}", limit).run()


def outcomes(
    terms: Terms,
    traffic: Traffic,
    runs: int,
    seed: str,
    *,
    workers: int = 1,
    limit: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Outcome]:
    """Run `runs` releases; `progress` is told how many are done. Order and values: the seed's."""
    work = partial(one, terms, traffic, seed, horizon(terms) if limit is None else limit)
    if workers <= 1:
        return list(_told(map(work, range(runs)), progress))
    with multiprocessing.get_context("forkserver").Pool(workers) as pool:
        return list(_told(pool.imap(work, range(runs), CHUNK), progress))


def _told(found: Iterator[Outcome], progress: Callable[[int], None] | None) -> Iterator[Outcome]:
    for number, outcome in enumerate(found, 1):
        if progress is not None:
            progress(number)
        yield outcome


def summarise(found: list[Outcome], *, counted: bool = True) -> Summary:
    """Work out the figures; `counted`: whether a guard counts failed requests.

    Raises ValueError without a run.
    """
    if not found:
        raise ValueError("nothing was simulated")
    back = [outcome for outcome in found if outcome.ending is Ending.ROLLED_BACK]
    held = [outcome for outcome in found if outcome.ending is Ending.HELD]
    promoted = len(found) - len(back) - len(held)
    return Summary(
        len(found),
        share_of(len(back), len(found)),
        share_of(promoted, len(found)),
        share_of(len(held), len(found)),
        mean_of([outcome.seconds for outcome in back]) if back else None,
        mean_of([float(outcome.failed) for outcome in found]) if counted else None,
        mean_of([outcome.excess for outcome in found]) if counted else None,
        mean_of([outcome.excess for outcome in back]) if back and counted else None,
        mean_of([outcome.seconds for outcome in found]),
        _counted([outcome.guard or outcome.reason for outcome in back]),
        _counted([f"{outcome.guard}: {outcome.reason}".strip(": ") for outcome in held]),
    )


def share_of(count: int, of: int) -> Share:
    """A share with its interval."""
    low, high = wilson(count, of)
    return Share(count, of, low, high)


def mean_of(values: list[float]) -> Mean:
    """A mean with its interval."""
    count = len(values)
    mean = fsum(values) / count
    spread = (fsum((value - mean) ** 2 for value in values) / max(1, count - 1)) ** 0.5
    radius = 1.96 * spread / count**0.5
    return Mean(mean, mean - radius, mean + radius, sorted(values)[(count - 1) // 2])


def _counted(names: list[str]) -> tuple[tuple[str, int], ...]:
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    return tuple(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
