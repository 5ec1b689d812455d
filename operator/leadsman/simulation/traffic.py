"""Synthetic traffic: what the counters of both arms gain from one moment to the next.

The base share of bad events is the same for both arms, times `ratio` in the canary. On top of that
come the things that mislead a comparison in real life: noise of one arm against the other, noise
and bursts that hit both, scrapes that fail, and pods that start again with their counters at zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt
from random import Random
from typing import NamedTuple

from leadsman.simulation.draw import poisson


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the world does to the two arms.

    `rps`: requests a second of both arms; `errors`, `slow`: the base shares (0..1) of failed and of
    slow requests; `latency`: the mean seconds of a request, for guards on a mean; `ratio`: the
    canary's rate of bad events (or its mean), in units of stable's; `worse`: the
    guards for which it holds (none named: all).
    `arm_noise`: the coefficient of variation with which the canary's rate wanders against stable's,
    anew in each interval or, with `noise_seconds`, with so long a memory; `common_noise` the same
    for both arms together. `bursts`: so many an hour, each of 30 s with ten times the bad events in
    both arms. `gaps`: the share (0..1) of scrapes that fail; `blackout`: the seconds without any
    scrape in the middle of each stage. `resets`: restarts of each pod an hour, of `pods` in each
    arm. `interval`: seconds between two scrapes.
    """

    rps: float = 50.0
    errors: float = 0.005
    slow: float = 0.02
    latency: float = 0.1
    ratio: float = 1.0
    worse: tuple[str, ...] = ()
    arm_noise: float = 0.0
    noise_seconds: float = 0.0
    common_noise: float = 0.0
    bursts: float = 0.0
    gaps: float = 0.0
    blackout: float = 0.0
    resets: float = 0.0
    pods: int = 4
    interval: float = 15.0


BURST_SECONDS = 30.0
BURST_FACTOR = 10.0


class Rates(NamedTuple):
    """Factors on the base share, at one time: of both arms, and of the canary alone."""

    both: float
    canary: float


class Weather:
    """The factors over time, one step an interval."""

    def __init__(self, traffic: Traffic, random: Random) -> None:
        self._random = random
        self._interval = traffic.interval
        self._arm = _Noise(traffic.arm_noise, traffic.noise_seconds, traffic.interval, random)
        self._common = _Noise(traffic.common_noise, traffic.noise_seconds, traffic.interval, random)
        self._bursts = traffic.bursts / 3600
        self._burst_until = -1.0

    def at(self, time: float) -> Rates:
        """The factors of the interval that begins at `time`, seconds; to be asked in order."""
        both = self._common.step()
        if self._bursts:
            if poisson(self._random.random, self._bursts * self._interval):
                self._burst_until = time + BURST_SECONDS
            if time < self._burst_until:
                both *= BURST_FACTOR
        return Rates(both, self._arm.step())


class _Noise:
    """A factor of mean 1: log-normal, with exponentially fading memory."""

    def __init__(self, cv: float, memory: float, interval: float, random: Random) -> None:
        self._sigma = sqrt(log(1 + cv * cv))
        self._keep = exp(-interval / memory) if memory > 0 else 0.0
        self._fresh = sqrt(1 - self._keep * self._keep)
        self._random = random
        self._now = random.gauss(0.0, self._sigma) if cv else 0.0

    def step(self) -> float:
        sigma = self._sigma
        if not sigma:
            return 1.0
        self._now = self._keep * self._now + self._fresh * self._random.gauss(0.0, sigma)
        return exp(self._now - sigma * sigma / 2)
