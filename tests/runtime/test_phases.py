"""The rhythm of polls: each sample soon after it can be read, by every answer of a large family."""

from __future__ import annotations

from dataclasses import dataclass, field

from leadsman.runtime.sampling.phases import Phases

INTERVAL = 5.0


@dataclass
class Family:
    """A target scraped at whole intervals, readable `lag` seconds later; polls of some queries."""

    lag: float
    queries: int = 7
    apart: float = 0.25
    ended: frozenset[int] = frozenset()
    """Queries whose series of the target have no sample after the first minute."""

    phases: Phases = field(default_factory=Phases)
    now: float = 1000.0
    polls: int = 0
    behind: list[float] = field(default_factory=list)
    """Of each scrape: how long after it could be read the last query had seen it."""

    def readable(self, at: float, query: int) -> list[float]:
        """The times of the last three samples that a query sees."""
        newest = (at - self.lag) // INTERVAL * INTERVAL
        times = [newest - back * INTERVAL for back in (2, 1, 0)]
        return [time for time in times if query not in self.ended or time < 1060]

    def live(self, until: float) -> None:
        """Poll whenever the phases ask for it."""
        seen = [0.0] * self.queries
        while self.now < until:
            began, answers = self.now, []
            for query in range(self.queries):
                times = self.readable(self.now, query)
                answers.append((self.now, {"gateway": times} if times else {}))
                if times and times[-1] > seen[query]:
                    seen[query] = times[-1]
                    self.behind.append(self.now - times[-1] - self.lag)
                self.now += self.apart
            self.polls += 1
            self.phases.polled(began, self.now, answers)
            due = self.phases.next(self.now, 4.0)
            self.now = max(self.now + 0.02, self.now + 1.0 if due is None else due)


def test_no_query_of_a_long_poll_stays_a_scrape_behind():
    family = Family(lag=0.9)
    family.live(1120)
    family.behind.clear()
    family.polls = 0
    family.live(2120)
    # A poll takes 1.75 s: with its first query right after the sample, the last sees it then.
    assert max(family.behind) < 2.6
    assert sum(late > 2.1 for late in family.behind) < 0.05 * len(family.behind)
    assert family.polls < 1.1 * (1000 / INTERVAL)


def test_a_delay_that_grows_is_learned_from_the_first_poll_that_tells():
    family = Family(lag=0.1)
    family.live(1300)
    family.lag = 1.4
    family.live(1340)
    family.behind.clear()
    family.live(1640)
    assert max(family.behind) < 2.6


def test_series_that_have_ended_cost_one_more_poll_and_spoil_no_rhythm():
    family = Family(lag=0.9, ended=frozenset({0}))
    family.live(1055)
    family.polls = 0
    family.live(1120)
    assert family.polls <= 65 / INTERVAL + 8
    delay = family.phases.delay
    assert 0.85 <= delay <= 1.6


def test_a_poll_of_one_query_learns_as_before():
    family = Family(lag=0.3, queries=1, apart=0.02)
    family.live(1200)
    family.behind.clear()
    family.live(1700)
    assert sum(late < 0.1 for late in family.behind) > 0.85 * len(family.behind)
