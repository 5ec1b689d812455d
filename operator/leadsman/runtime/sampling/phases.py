"""When to ask: shortly after a scrape can be read, not at any odd moment.

Prometheus scrapes each target at its own fixed phase, and a sample can be read some milliseconds
after its time. Both are learned from the answers: the distance of samples, and the delay from a
sample's time (the server's clock) to the first poll that saw it (ours; so a difference of the
clocks is learned with it). The delay follows a simple rule that settles where about nine polls in
ten find the new sample at once: a bit shorter after each hit, more after each miss. A missed poll
is repeated soon, in growing steps. With more phases than polls the polls are spread evenly instead.

A large family's poll is several queries over a second or more. When a sample becomes readable in
the middle of it, the first answers are a scrape behind the last ones; they would be in every poll,
so such a poll counts as missed, and the next ones begin when the first answer saw the sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Seen = tuple[float, Mapping[str, Iterable[float]]]
"""One answer: when it was asked for, and the sample times of each target."""

UNKNOWN_INTERVAL = 15.0
AGAIN = (0.0, 0.04, 0.12, 0.28, 0.6, 1.2)
"""Seconds after the expected moment at which a missing sample is asked for again."""
_GROUP = 0.03
_APART = 0.06
_FORGET = 10
_FINEST = 0.004
_COARSEST = 0.032


@dataclass(slots=True)
class _Target:
    last: float
    interval: float
    tries: int = 0


class Phases:
    """The learned rhythm of one source's targets. All times are Unix seconds."""

    def __init__(self) -> None:
        self._targets: dict[str, _Target] = {}
        self._delay = _COARSEST
        self._step = _COARSEST
        self._late = 0
        self._asked = 0.0
        self._certain = False

    @property
    def interval(self) -> float:
        """The shortest distance of scrapes, in seconds."""
        known = [target.interval for target in self._targets.values()]
        return min(known, default=UNKNOWN_INTERVAL)

    @property
    def delay(self) -> float:
        """How long after its time a sample is expected to be readable, in seconds."""
        return self._delay

    def fits(self, polls_per_second: float) -> bool:
        """Return whether so many polls a second suffice to follow every phase."""
        if not self._targets:
            return True
        return self._clusters() <= max(1.0, polls_per_second * self.interval - 0.5)

    def polled(self, asked: float, received: float, answers: Sequence[Seen]) -> None:
        """Learn from the answers of one poll that lasted from `asked` to `received`."""
        self._asked = asked
        seen: dict[str, list[tuple[float, list[float]]]] = {}
        for at, targets in answers:
            for name, times in targets.items():
                if found := sorted(times):
                    seen.setdefault(name, []).append((at, found))
        for name, told in seen.items():
            if not self._straddled(name, told):
                together = sorted({time for _, times in told for time in times})
                self._learn(name, together, asked, received)
        for name, target in list(self._targets.items()):
            if asked - target.last - self._delay > _FORGET * target.interval + 1:
                del self._targets[name]
            elif name not in seen and asked >= self._due(target):
                target.tries += 1

    def next(self, now: float, polls_per_second: float) -> float | None:
        """Return when to ask next, None if nothing is known about the targets."""
        if not self._targets or not self._certain:
            return None
        if not self.fits(polls_per_second):
            return max(now, self._asked + 1 / polls_per_second)
        dues = sorted(self._due(target) for target in self._targets.values())
        together = [due for due in dues if due <= dues[0] + _GROUP]
        return max(now, together[-1])

    def _straddled(self, name: str, told: list[tuple[float, list[float]]]) -> bool:
        """Note that some answers saw a new sample and others, asked before, did not; else False.

        Once only: what is behind in the repeated poll as well has ended.
        """
        target = self._targets.get(name)
        newest = max(times[-1] for _, times in told)
        if target is None or target.tries or newest <= target.last:
            return False
        oldest = newest - 1.5 * target.interval
        behind = [(at, times[-1]) for at, times in told if oldest < times[-1] < newest]
        if not behind:
            return False
        last = max(at for at, _ in behind)
        readable = min(
            (at for at, times in told if times[-1] == newest and at > last), default=last
        )
        self._delay = max(self._delay, readable - newest)
        self._step = _COARSEST
        target.last = max(target.last, min(time for _, time in behind))
        target.tries = 1
        return True

    def _learn(self, name: str, times: list[float], asked: float, received: float) -> None:
        gaps = [later - earlier for earlier, later in pairwise(times)]
        gaps = [gap for gap in gaps if gap > 0.05]
        target = self._targets.get(name)
        if target is None:
            interval = min(gaps, default=0.0)
            if interval:
                self._targets[name] = _Target(times[-1], interval)
            return
        if gaps:
            target.interval = min(gaps)
        if times[-1] <= target.last:
            if asked >= self._due(target):
                self._missed(target)
            return
        self._found(target, times[-1], asked, received)

    def _missed(self, target: _Target) -> None:
        if target.tries == 0:
            self._delay += self._step
            self._step = max(self._step / 2, _FINEST)
        target.tries += 1

    def _found(self, target: _Target, newest: float, asked: float, received: float) -> None:
        on_time = asked <= target.last + target.interval + self._delay + AGAIN[1]
        if target.tries <= 1:
            self._late = 0
        else:
            self._late += 1
        if target.tries == 0 and on_time:
            self._delay -= self._step / 8
        elif self._late > 1:
            # Late twice in a row is no accident: take the bracket's upper end instead of small
            # steps, and large steps on the way back.
            self._delay += AGAIN[min(target.tries, len(AGAIN) - 1)] - AGAIN[1]
            self._step, self._late = _COARSEST, 0
        # A sample that was read at `received` cannot have a longer delay than this.
        self._delay = min(self._delay, received - newest)
        self._certain = True
        target.last, target.tries = newest, 0

    def _due(self, target: _Target) -> float:
        expected = target.last + target.interval + self._delay
        if target.tries < len(AGAIN):
            return expected + AGAIN[target.tries]
        return expected + AGAIN[-1] + (target.tries - len(AGAIN) + 1) * target.interval

    def _clusters(self) -> int:
        interval = self.interval
        phases = sorted(target.last % interval for target in self._targets.values())
        apart = sum(later - earlier > _APART for earlier, later in pairwise(phases))
        around = phases[0] + interval - phases[-1] > _APART
        return max(1, apart + around)
