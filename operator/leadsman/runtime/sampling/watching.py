"""One guard and what it is measured by; a Rollout's guards at one source; and the readings of them.

Readings are computed when they are asked for, so that staleness is judged at that moment, and a
source that failed once does not spoil samples that are still fresh. A guard that gathers evidence
is judged here as well after each poll, on top of what the core remembers, by the core's own
function: so the core is woken by the block that decides, and by no other.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace

from leadsman.core.evidence import judge_guard
from leadsman.core.spec import GuardSpec
from leadsman.core.status import GuardStatus
from leadsman.guards.gathering import GATHERING
from leadsman.guards.judges import Relative, Threshold, judge
from leadsman.guards.memory import Memory, Place
from leadsman.guards.verdict import Judged, Reason, Verdict
from leadsman.guards.windows import GATHERING_WINDOW, RECENT, Block, Reading
from leadsman.runtime.sampling.evidence import Tally
from leadsman.runtime.sampling.ledger import Ledger
from leadsman.runtime.sampling.panel import Panel
from leadsman.runtime.sampling.split import Split

KEEP_MORE = 30.0
"""Seconds of evidence kept beyond the longest window."""
SLACK = 1.0
"""Seconds that a sample may be late beyond two scrapes before it is stale."""
_WINDOW = 30.0
_LONG_AGO = float("-inf")


@dataclass(slots=True, eq=False)
class Watch:
    """One guard: its evidence, or why there can be none; and what was last told about it."""

    guard: GuardSpec
    tally: Tally | None
    error: str = ""
    detail: str = ""
    told: tuple[str, str] = ("", "")
    told_at: float = _LONG_AGO
    ledger: Ledger | None = None
    slices: tuple[Ledger, ...] = ()
    place: Place = field(default_factory=Place)
    running: GuardStatus | None = None
    """What this guard has come to by the newest block, for one that gathers evidence."""
    fresh: tuple[list[Block], ...] = ()
    """Blocks of the whole and of each slice that `running` has not taken yet."""

    @property
    def width(self) -> float:
        """The window that the judge looks at, in seconds."""
        return window_of(self.guard)

    def ledgers(self) -> Iterator[Ledger]:
        """The whole's ledger and the slices'."""
        if self.ledger is not None:
            yield self.ledger
            yield from self.slices

    def concerns(self, asked: Container[int]) -> bool:
        """Whether any of its tallies, the slices' too, is among these (by id)."""
        if self.tally is None or id(self.tally) in asked:
            return True
        return any(id(ledger.tally) in asked for ledger in self.slices)

    def reading(
        self, now: float, counted: GuardStatus | None = None, *, telling: bool = False
    ) -> Reading:
        """Return what is known at `now`, Unix seconds; `counted` is what the core remembers.

        Blocks that the core has counted are left out, and forgotten. `telling`: there is a verdict
        to explain, so the newest blocks are shown in any case.
        """
        tally = self.tally
        if tally is None:
            return Reading(self.guard.name, (), (), self.error, None)
        self._extend()
        found = self._seen(tally, now, counted)
        if telling or self.told[0] == Verdict.FAIL:
            return replace(found, recent=self._recent(tally))
        return found

    def _recent(self, tally: Tally) -> tuple[Block, ...]:
        """The newest blocks: of the slice that fails, of the whole, or as the samples make them."""
        if self.ledger is not None:
            part = "" if self.running is None else self.running.slice
            if part in self.guard.slices:
                return self.slices[self.guard.slices.index(part)].recent()
            return self.ledger.recent()
        counts = tally.counts
        if counts.last is None:
            return ()
        back = max(counts.since, counts.last - (RECENT + 2) * max(1.0, tally.interval))
        stable = counts.arms["stable"].last
        ledger = Ledger(tally, back, alone=stable is None or stable <= back)
        ledger.extend()
        return ledger.recent()

    def _extend(self) -> None:
        for ledger, fresh in zip(self.ledgers(), self.fresh, strict=False):
            fresh.extend(ledger.extend())

    def _seen(self, tally: Tally, now: float, counted: GuardStatus | None) -> Reading:
        counts, oldest = tally.counts, 2 * tally.interval + SLACK
        last = counts.arms["canary"].last
        newest_for, canary_for = tally.unchanged()
        error = self._error(tally, now, _is_fresh(counts.last, now, newest_for, oldest))
        blocks = () if self.ledger is None else self.ledger.newer(counted_to(counted))
        slices = tuple(
            ledger.newer(counted_to(counted, name))
            for name, ledger in zip(self.guard.slices, self.slices, strict=False)
        )
        name = self.guard.name
        if error:
            return Reading(name, (), (), error, last, blocks, slices)
        number = max(1, self.guard.trigger.consecutive) if self.ledger is None else 1
        stable = counts.windows("stable", self.width, number)
        if not _is_fresh(last, now, canary_for, oldest):
            return Reading(name, (), stable, "", last, blocks, slices)
        canary = counts.windows("canary", self.width, number)
        return Reading(name, canary, stable, "", last, blocks, slices)

    def news(self, now: float) -> bool:
        """Judge, and return whether somebody should look: another verdict, or a newer Fail."""
        judged = self._gathered(now) if self.ledger is not None else self.judged(now)
        word = (judged.verdict.value, judged.reason.value)
        at = judged.at if judged.at is not None else _LONG_AGO
        newer_fail = judged.verdict is Verdict.FAIL and at > self.told_at
        if word == self.told and not newer_fail:
            return False
        self.told, self.told_at = word, at
        return True

    def judged(self, now: float) -> Judged:
        """Return the judgement of the newest window."""
        return judge(self.guard.judge, self.reading(now))

    def _gathered(self, now: float) -> Judged:
        """Judge what the newest blocks add to what was gathered until now."""
        tally = self.tally
        if tally is None:
            return self.judged(now)
        self._extend()
        fresh = tuple(tuple(blocks) for blocks in self.fresh)
        for blocks in self.fresh:
            blocks.clear()
        seen = self._seen(tally, now, None)
        reading = Reading(
            seen.guard, seen.canary, seen.stable, seen.error, seen.last_sample, fresh[0], fresh[1:]
        )
        self.running = judge_guard(self.guard, reading, self.running, now, self.place)
        found = self.running
        return Judged(
            Verdict(found.verdict), Reason(found.reason), None, None, 0, reading.last_sample
        )

    def why(self) -> str:
        """Return a sentence about what is wrong, "" if nothing is."""
        if self.tally is None:
            return self.detail
        if self.tally.lacks_bucket():
            wanted = self.tally.shape.bounds[0]
            return f"no bucket {wanted}; there are: {self.tally.bounds or 'not known yet'}"
        return self.tally.detail

    @staticmethod
    def _error(tally: Tally, now: float, fresh: bool) -> str:
        last = tally.counts.last
        if fresh:
            return "NoSuchBucket" if tally.lacks_bucket() else ""
        if tally.error:
            return tally.error
        if last is not None:
            return "Stale"
        early = now - tally.counts.since < 3 * tally.interval + SLACK
        return "Pending" if early or not tally.answered else "Empty"


def _is_fresh(last: float | None, now: float, unchanged: float, oldest: float) -> bool:
    """Whether the newest sample is at most `oldest` seconds old, by its time and by our clock.

    `last` is its time, None if there is none; `unchanged` for how many seconds none was newer. Its
    time alone would call samples fresh that come from a clock ahead of ours and stand still.
    """
    return last is not None and now - last <= oldest and unchanged <= oldest


def window_of(guard: GuardSpec) -> float:
    """Return the window of a guard's judge in seconds.

    A guard that gathers evidence looks at a window only to see whether there is traffic at all.
    """
    if isinstance(guard.judge, Threshold | Relative):
        return guard.judge.window
    return GATHERING_WINDOW if isinstance(guard.judge, GATHERING) else _WINDOW


def counted_to(counted: GuardStatus | None, part: str = "") -> float:
    """Return the end of the last block that a status remembers, of the whole or of a slice."""
    memory: Memory | None = None
    if counted is not None:
        memory = counted.evidence
        if part:
            found = (one.evidence for one in counted.slices if one.name == part)
            memory = next(found, None)
    return _LONG_AGO if memory is None else memory.at


@dataclass(slots=True, eq=False)
class Part:
    """A Rollout's guards at one source, and the router's own counts of its arms."""

    since: float
    watches: list[Watch] = field(default_factory=list)
    split: Split | None = None
    panel: Panel | None = None
    """All guards of the Rollout together, where they have one verdict."""

    def news(self, asked: Container[int], now: float) -> bool:
        """Judge what these tallies (by id) are about; return whether somebody should look."""
        news = [watch.news(now) for watch in self.watches if watch.concerns(asked)]
        # Whatever the guards say one by one, the panel takes note of what it was told.
        news.append(self.panel is not None and self.panel.news())
        split = self.split
        if split is not None and id(split.tally) in asked:
            news.append(split.news())
        return any(news)

    def tallies(self) -> Iterator[Tally]:
        """Return each tally once."""
        seen: set[int] = set()
        measured = [watch.tally for watch in self.watches]
        sliced = [ledger.tally for watch in self.watches for ledger in watch.slices]
        router = None if self.split is None else self.split.tally
        for tally in [*measured, *sliced, router]:
            if tally is not None and id(tally) not in seen:
                seen.add(id(tally))
                yield tally
