"""What a gathering judge remembers, and where the attempt stands while it judges.

The evidence is a value of its statistic's own type beside plain totals; in a status it is a short
string that gives the same bits back. A string that this version cannot read is no evidence: the
guard begins anew with what its source still has of the present stage. What was gathered in the
stages before is lost, for both sides: it takes longer, and the level is spent a second time.
"""

from __future__ import annotations

from typing import NamedTuple

from leadsman.guards import absolute, band, difference, eprocess, gauges, share
from leadsman.guards.absolute import AbsoluteState
from leadsman.guards.band import RatioBand
from leadsman.guards.difference import DifferenceState
from leadsman.guards.eprocess import RatioState
from leadsman.guards.gauges import MeanState
from leadsman.guards.packing import pack, unpack
from leadsman.guards.share import ShareState

State = RatioState | AbsoluteState | DifferenceState | MeanState | ShareState
"""The evidence of one statistic."""

TOTALS = "t1"
_DECODERS = (
    eprocess.decode,
    absolute.decode,
    difference.decode,
    gauges.decode,
    share.decode,
)


class Memory(NamedTuple):
    """Evidence and totals: `at` is the end of the last block, Unix seconds.

    `band`: what the interval of a ratio needs, for the whole and not for a slice.
    """

    at: float
    blocks: int
    canary: float
    canary_bad: float
    stable: float
    stable_bad: float
    state: State
    band: RatioBand | None = None


class Place(NamedTuple):
    """Where in its plan an attempt is.

    `stage` from 0; `retry`: how often this revision was tried before; `weight`: the commanded
    percent of the canary; `sliced`: a slice is judged, not the whole.
    """

    stage: int = 0
    retry: int = 0
    weight: int = 0
    sliced: bool = False


class Gathered(NamedTuple):
    """What is remembered of one guard, and how it fails.

    `row`: how many of the last blocks were failing, without a break; `failing_since`: the end of
    the first of them, Unix seconds.
    """

    memory: Memory | None = None
    row: int = 0
    failing_since: float | None = None


def encode_memory(memory: Memory | None) -> str:
    """Return evidence as text, "" for none: totals, statistic and band, with dots between them."""
    if memory is None:
        return ""
    state = memory.state
    if isinstance(state, RatioState):
        text = eprocess.encode(state)
    elif isinstance(state, AbsoluteState):
        text = absolute.encode(state)
    elif isinstance(state, DifferenceState):
        text = difference.encode(state)
    elif isinstance(state, MeanState):
        text = gauges.encode(state)
    else:
        text = share.encode(state)
    parts = [pack(TOTALS, memory[:6]), text]
    if memory.band is not None:
        parts.append(band.encode(memory.band))
    return ".".join(parts)


def decode_memory(text: str) -> Memory | None:
    """Return the evidence of a text, None if this version cannot read it."""
    totals, _, rest = text.partition(".")
    numbers = unpack(TOTALS, totals)
    if numbers is None or len(numbers) != 6:
        return None
    statistic, _, picture = rest.partition(".")
    state: State | None = None
    for decode in _DECODERS:
        state = decode(statistic)
        if state is not None:
            break
    if state is None or (picture and band.decode(picture) is None):
        return None
    at, blocks, *counts = numbers
    canary, canary_bad, stable, stable_bad = counts
    return Memory(
        at,
        int(blocks),
        canary,
        canary_bad,
        stable,
        stable_bad,
        state,
        band.decode(picture) if picture else None,
    )
