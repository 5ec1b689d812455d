"""The band: between which ratios of the rates the truth lies, at any time, for reports.

A confidence sequence by the prior-posterior ratio: a ratio is left out once a prior over all ratios
predicts the data 1/alpha times better than that ratio does (Waudby-Smith and Ramdas 2020). It is
read on 81 ratios from 1/32 to 32, evenly spaced in the logarithm; the ends are the outermost that
are still in. The log likelihood at 81 points would be too much to keep in a status, and totals per
stage give only an approximation when the shares wander. But as a function of the log ratio it is a
straight line less a sum of softplus curves, whose nearest singularity lies pi away from the real
axis: its values at 24 Chebyshev nodes fix it to about nine digits. Those are what is kept (about
290 characters), apart from the test's own sums, so that decisions do not pay for the picture.
"""

from __future__ import annotations

from functools import cache
from math import cos, exp, fsum, inf, log, pi, sin
from typing import NamedTuple

from leadsman.guards.blocks import Block, usable
from leadsman.guards.eprocess import RatioSettings, faded, tempering
from leadsman.guards.packing import pack, unpack

EDGE = 32.0
POINTS = 81
NODES = 24
KIND = "b1"

_ANGLES = tuple(pi * (2 * i + 1) / (2 * NODES) for i in range(NODES))
_PLACES = tuple(log(EDGE) * cos(angle) for angle in _ANGLES)
_RATIOS = tuple(exp(place) for place in _PLACES)


class RatioBand(NamedTuple):
    """What the interval needs: the last block's end (Unix s, 0: none) and the likelihood's parts.

    `won` is the canary's bad events (tempered); `lost` at each node the log of what all bad events
    would have been divided by. The last two are the fading memory of the test's tempering.
    """

    at: float = 0.0
    won: float = 0.0
    lost: tuple[float, ...] = (0.0,) * NODES
    recent_bad: float = 0.0
    recent_minutes: float = 0.0


def update(settings: RatioSettings, band: RatioBand, block: Block) -> RatioBand:
    """Add a block; one that was counted, or is not sound, changes nothing."""
    if not usable(block, band.at):
        return band
    bad = block.canary_bad + block.stable_bad
    if block.canary <= 0 or block.stable <= 0:
        return band._replace(at=block.at)
    recent = faded(settings, block, band.recent_bad, band.recent_minutes)
    if bad <= 0:
        return RatioBand(block.at, band.won, band.lost, *recent)
    _, temper = tempering(settings, block, *recent)
    share = block.canary / (block.canary + block.stable)
    lost = temper * bad
    return RatioBand(
        block.at,
        band.won + temper * block.canary_bad,
        tuple(
            [
                before + lost * log(1 + (ratio - 1) * share)
                for before, ratio in zip(band.lost, _RATIOS, strict=True)
            ]
        ),
        *recent,
    )


def interval(band: RatioBand, level: float = 0.95) -> tuple[float, float]:
    """Return the ratios between which the truth lies with confidence `level` (0..1), at all times.

    An end of 0 or infinity says that the data do not bound that side.
    """
    logs = [
        band.won * place
        - fsum(weight * value for weight, value in zip(row, band.lost, strict=True))
        for place, row in _rows()
    ]
    top = max(logs)
    priors = [exp(-place * place / 2) for place, _ in _rows()]
    whole = fsum(priors)
    mean = top + log(
        fsum(p / whole * exp(value - top) for p, value in zip(priors, logs, strict=True))
    )
    inside = [i for i, value in enumerate(logs) if mean - value < -log(1 - level)]
    if not inside:
        return 0.0, inf
    low, high = inside[0], inside[-1]
    return (
        0.0 if low == 0 else exp(_rows()[low][0]),
        inf if high == POINTS - 1 else exp(_rows()[high][0]),
    )


def encode(band: RatioBand) -> str:
    """Return the band as text that gives the same bits back."""
    return pack(KIND, (band.at, band.won, *band[3:], *band.lost))


def decode(text: str) -> RatioBand | None:
    """Return the very band that was encoded, or None for anything else."""
    numbers = unpack(KIND, text)
    if numbers is None or len(numbers) != NODES + 4:
        return None
    return RatioBand(numbers[0], numbers[1], numbers[4:], numbers[2], numbers[3])


@cache
def _rows() -> tuple[tuple[float, tuple[float, ...]], ...]:
    """For each of the 81 log ratios, the weights of the nodes' values (barycentric)."""
    rows = []
    for index in range(POINTS):
        place = log(EDGE) * (2 * index / (POINTS - 1) - 1)
        shares = []
        for node, (angle, at) in enumerate(zip(_ANGLES, _PLACES, strict=True)):
            if abs(place - at) < 1e-13:
                shares = [0.0] * NODES
                shares[node] = 1.0
                break
            shares.append((-1) ** node * sin(angle) / (place - at))
        whole = fsum(shares)
        rows.append((place, tuple(share / whole for share in shares)))
    return tuple(rows)
