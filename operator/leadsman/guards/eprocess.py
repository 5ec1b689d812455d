"""The e-process: is the canary's rate of bad events more than (1 + tolerance) times stable's?

Given m bad events in a block, the number of them in the canary is binomial with the share that its
requests and the ratio of the rates say; how bad the day is for both arms drops out. The evidence
against "no worse than tolerated" is the likelihood ratio of a worse ratio to the tolerated one,
averaged over a grid of ratios and multiplied over blocks. If the canary is no worse, its
expectation never exceeds 1, so it crosses 1/alpha with probability at most alpha, however often
somebody looks and whenever they stop (Ville). A second set of sums starts afresh with each stage,
so that a release that goes wrong late is not shielded by its good beginning; a weighted mean of
e-processes is one. At most `restarts` sums are kept: with more stages, neighbours share one that
starts with the first of them, which is decided before the first block and therefore just as valid.
The sums that start with the first stage are the global ones and are stored once.

Over-dispersion tempers a block's evidence by 1 / (phi + tau2 v), v the binomial variance that a
minute has at the block's shares and at the pace of bad events of the last minutes: `tau2` is
measured per minute, so that blocks of one second and of fifteen are tempered alike. A power below
1 of a likelihood ratio, chosen before it is known whose the bad events are, still has an
expectation of at most 1.
Two-sided, for the control of stable against itself, the grid holds each ratio and its inverse.
Stages are numbered from 0. Nothing here raises: a block that is not sound, or that overlaps what
was counted, changes nothing.
`power` has the figures for planning and reports, `band` the interval for the ratio.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, fsum, log
from typing import NamedTuple

from leadsman.guards.blocks import Block, usable
from leadsman.guards.packing import pack, unpack

GRID = (1.2, 1.5, 2.0, 3.0, 6.0, 20.0)
"""The worsenings beyond the tolerated ratio that evidence is gathered for, equally weighted."""

FADING = 5.0
"""Minutes after which the memory of the pace of bad events has faded to 1/e."""

KIND = "r1"
SCALARS = 15


@dataclass(frozen=True, slots=True)
class RatioSettings:
    """What one guard tests, and at which level.

    `alpha` is the chance of a false alarm over the whole attempt (0..1); `tolerance` a share: 0.1
    accepts 1.1 times stable's rate; `stages` how many the plan has; `tau2` (relative variance of an
    arm's rate, times minutes) and `phi` the measured over-dispersion, 0 and 1: none;
    `design_ratio` the worsening that a release must not hide; `global_weight` the part of the
    evidence that never restarts.
    """

    alpha: float
    tolerance: float = 0.0
    stages: int = 1
    tau2: float = 0.0
    phi: float = 1.0
    design_ratio: float = 1.5
    grid: tuple[float, ...] = GRID
    global_weight: float = 0.6
    two_sided: bool = False
    restarts: int = 8
    ratio0: float = field(init=False)
    groups: int = field(init=False)
    points: tuple[tuple[float, float, float], ...] = field(init=False)
    design_step: float = field(init=False)

    def __post_init__(self) -> None:
        ratio0 = 1 + self.tolerance
        points = [(ratio0 * r, ratio0, log(r)) for r in self.grid]
        if self.two_sided:
            points += [(1 / (ratio0 * r), 1 / ratio0, -log(r)) for r in self.grid]
        for name, value in (
            ("ratio0", ratio0),
            ("groups", max(1, min(self.stages, self.restarts))),
            ("points", tuple(points)),
            ("design_step", max(1.0, self.design_ratio / (1 if self.two_sided else ratio0))),
        ):
            object.__setattr__(self, name, value)

    @property
    def limit(self) -> float:
        """The log evidence at which the guard fails, ln(1/alpha)."""
        return -log(self.alpha)

    def group(self, stage: int) -> int:
        """Return which of the restarts a stage belongs to."""
        return min(max(stage, 0) * self.groups // max(1, self.stages), self.groups - 1)


class RatioState(NamedTuple):
    """All that is remembered of the blocks so far; build it with `empty` and `update`.

    `at` is the end of the last block, Unix seconds (0: none). `sums` has one tuple of log
    likelihood ratios for each restart that has begun, the first of them the global one. `log_e` is
    the natural logarithm of the evidence, `max_log_e` the largest it ever was. Then counts, the
    parts of the Mantel-Haenszel ratio, and what `power` needs: the information gathered (nats), the
    bad events and the share of the canary expected among them, both tempered; last the fading bad
    events and minutes that give their pace (only kept where `tau2` is set).
    """

    at: float
    sums: tuple[tuple[float, ...], ...]
    log_e: float
    max_log_e: float
    blocks: int
    canary: float
    canary_bad: float
    stable: float
    stable_bad: float
    mh_canary: float
    mh_stable: float
    information: float
    events: float
    expected: float
    recent_bad: float
    recent_minutes: float


def empty(settings: RatioSettings) -> RatioState:
    """Return the state before the first block: evidence 1, of nothing."""
    none = ((0.0,) * len(settings.points),)
    return RatioState(0.0, none, 0.0, 0.0, 0, *(0.0,) * 11)


def update(settings: RatioSettings, state: RatioState, block: Block, stage: int) -> RatioState:
    """Add a block of a stage (from 0); one that was counted, or is not sound, changes nothing."""
    if not usable(block, state.at):
        return state
    _, at, canary, canary_bad, stable, stable_bad = block
    if canary <= 0 or stable <= 0:
        return state._replace(at=at)
    both, bad = canary + stable, canary_bad + stable_bad
    sums, log_e, max_log_e = state.sums, state.log_e, state.max_log_e
    information, events, expected = state.information, state.events, state.expected
    recent_bad, recent_minutes = faded(settings, block, state.recent_bad, state.recent_minutes)
    if bad > 0:
        p0, temper = tempering(settings, block, recent_bad, recent_minutes)
        won, lost = temper * canary_bad, temper * bad
        gains = [
            won * step + lost * log((base * canary + stable) / (ratio * canary + stable))
            for ratio, base, step in settings.points
        ]
        missing = settings.group(stage) + 1 - len(sums)
        if missing > 0:
            sums += ((0.0,) * len(gains),) * missing
        sums = tuple([tuple([a + b for a, b in zip(row, gains, strict=True)]) for row in sums])
        log_e = _mixture(settings, sums)
        max_log_e = max(max_log_e, log_e)
        information += lost * divergence(settings.design_step, p0)
        events += lost
        expected += lost * canary / both
    return RatioState(
        at,
        sums,
        log_e,
        max_log_e,
        state.blocks + 1,
        state.canary + canary,
        state.canary_bad + canary_bad,
        state.stable + stable,
        state.stable_bad + stable_bad,
        state.mh_canary + canary_bad * stable / both,
        state.mh_stable + stable_bad * canary / both,
        information,
        events,
        expected,
        recent_bad,
        recent_minutes,
    )


def log_evidence(settings: RatioSettings, state: RatioState) -> float:
    """Return ln of the evidence; `state.log_e` is the same number, kept."""
    return _mixture(settings, state.sums)


def p_value(state: RatioState) -> float:
    """Return the anytime-valid p-value, 1 over the largest evidence so far, at most 1."""
    return exp(-max(0.0, state.max_log_e))


def mh_ratio(state: RatioState) -> float | None:
    """Return the Mantel-Haenszel ratio of the rates, half an event added to each side.

    None before the first bad event.
    """
    if state.mh_canary + state.mh_stable <= 0:
        return None
    return (state.mh_canary + 0.5) / (state.mh_stable + 0.5)


def faded(settings: RatioSettings, block: Block, bad: float, minutes: float) -> tuple[float, float]:
    """Return the fading memory of bad events and of minutes after a block; zeros without `tau2`."""
    if settings.tau2 <= 0:
        return 0.0, 0.0
    length = (block.at - block.start) / 60
    fade = exp(-length / FADING)
    return bad * fade + block.canary_bad + block.stable_bad, minutes * fade + length


def tempering(
    settings: RatioSettings, block: Block, recent_bad: float, recent_minutes: float
) -> tuple[float, float]:
    """Return the canary's share of a block's bad events as tolerated, and the evidence's power.

    Both arms must have requests; both results are in 0..1. The pace is that of `faded`, the block
    included: a single block of a second has too few bad events to tell it.
    """
    tolerated = block.canary if settings.two_sided else settings.ratio0 * block.canary
    p0 = tolerated / (tolerated + block.stable)
    if settings.tau2 <= 0 or recent_minutes <= 0:
        return p0, 1 / settings.phi
    variance = recent_bad / recent_minutes * p0 * (1 - p0)
    return p0, 1 / (settings.phi + settings.tau2 * variance)


def divergence(step: float, p0: float) -> float:
    """Return KL(q || p0), the nats that a bad event carries about a worsening by factor `step`.

    `p0` is the canary's share of bad events as tolerated and q its share if it is `step` times
    worse than that, both in 0..1.
    """
    if not 0 < p0 < 1 or step <= 0:
        return 0.0
    odds = p0 / (1 - p0) * step
    q = odds / (1 + odds)
    if not 0 < q < 1:
        return 0.0
    return q * log(q / p0) + (1 - q) * log((1 - q) / (1 - p0))


def encode(state: RatioState) -> str:
    """Return the state as text, at most 700 characters with 8 restarts; see `decode`."""
    width = len(state.sums[0])
    head = (float(width), state.at, *state[2:])
    return pack(KIND, (*head, *(value for row in state.sums for value in row)))


def decode(text: str) -> RatioState | None:
    """Return the very state that was encoded, or None for anything else."""
    numbers = unpack(KIND, text)
    if numbers is None or len(numbers) <= SCALARS + 1 or numbers[0] < 1:
        return None
    width, at, log_e, max_log_e, seen = numbers[:5]
    rest, flat = numbers[5 : SCALARS + 1], numbers[SCALARS + 1 :]
    step = int(width)
    if len(flat) % step:
        return None
    rows = tuple(flat[index : index + step] for index in range(0, len(flat), step))
    return RatioState(at, rows, log_e, max_log_e, int(seen), *rest)


def _mixture(settings: RatioSettings, sums: tuple[tuple[float, ...], ...]) -> float:
    # Restarts that have not begun are at evidence 1, which is what keeps the sum an e-process.
    groups = settings.groups
    restart = (1 - settings.global_weight) / groups
    sums = sums[:groups]
    waiting = groups - len(sums)
    top = max(map(max, sums))
    if waiting:
        top = max(top, 0.0)
    width = len(sums[0])
    terms = [fsum([exp(value - top) for value in row]) / width for row in sums]
    terms[0] *= settings.global_weight + restart
    for index in range(1, len(terms)):
        terms[index] *= restart
    if waiting:
        terms.append(waiting * restart * exp(-top))
    return top + log(fsum(terms))
