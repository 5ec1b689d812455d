"""What a Rollout's status says of each guard: the verdict, its numbers, and the evidence so far.

The same record is kept with a refused revision. `state` is the statistic's own memory (its form is
`guards/memory.py`), so a restart of the operator loses no evidence; everything else is for people.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from leadsman.api.schema import ATOMIC, ApiStatus, ListMap
from leadsman.api.types import Timestamp, Word

Text = Annotated[str, Field(max_length=1024)]

BlockText = Annotated[str, Field(max_length=192)]


class Verdict(StrEnum):
    """What a guard says."""

    PASS = "Pass"  # noqa: S105  (a verdict, not a password)
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"
    NO_DATA = "NoData"
    CONFOUNDED = "Confounded"


class Level(StrEnum):
    """How bad it is."""

    NONE = "None"
    WARNING = "Warning"
    CRITICAL = "Critical"
    EMERGENCY = "Emergency"


class SliceStatus(ApiStatus):
    """The last verdict of one guard about one part of the traffic."""

    name: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="The value of the slices' label."
    )
    verdict: Verdict | None = Field(
        default=None, description="Pass, Fail, Inconclusive, NoData or Confounded."
    )
    level: Level | None = Field(default=None, description="How bad it is.")
    value: Word | None = Field(default=None, description="What was measured.")
    events: int | None = Field(
        default=None, ge=0, le=2**53, description="How many events were counted."
    )
    reason: Word | None = Field(default=None, description="One word for why.")
    consecutive: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="Failing blocks, one after another."
    )
    failing_since: Timestamp | None = Field(
        default=None, description="The sample time since which it fails without a break."
    )
    state: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Evidence already counted, in the statistic's own form."
    )


class GuardStatus(ApiStatus):
    """The last verdict of one guard."""

    name: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="The guard's name in its contract."
    )
    verdict: Verdict | None = Field(
        default=None, description="Pass, Fail, Inconclusive, NoData or Confounded."
    )
    level: Level | None = Field(default=None, description="How bad it is.")
    value: Word | None = Field(default=None, description="What was measured.")
    limit: Word | None = Field(default=None, description="What is allowed.")
    events: int | None = Field(
        default=None, ge=0, le=2**53, description="How many events were counted."
    )
    reason: Word | None = Field(default=None, description="One word for why.")
    message: Text | None = Field(default=None, description="The same for people.")
    since: Timestamp | None = Field(default=None, description="Since when the verdict is so.")
    last_sample: Timestamp | None = Field(
        default=None, description="The time of the last sample that was counted."
    )
    consecutive: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="Failing readings, one after another."
    )
    failing_since: Timestamp | None = Field(
        default=None, description="The sample time since which it fails without a break."
    )
    no_data_since: Timestamp | None = Field(
        default=None, description="Since when there is no data."
    )
    state: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Evidence already counted, in the statistic's own form."
    )
    slice: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="The part of the traffic that the verdict is about."
    )
    stable_value: Word | None = Field(default=None, description="What was measured of stable.")
    estimate: Word | None = Field(
        default=None,
        description="The canary against stable (a ratio of rates, a difference), or its own share.",
    )
    interval: Word | None = Field(
        default=None,
        description=(
            "Where the estimate's true value lies: at every look (a confidence sequence), of a"
            " window for this one look."
        ),
    )
    e_value: Word | None = Field(
        default=None, description="The evidence of harm; it fails at eLimit, 1 is none."
    )
    e_limit: Word | None = Field(default=None, description="The evidence at which it fails.")
    information: Word | None = Field(
        default=None, description="How much there is of what a stage needs to pass."
    )
    detectable: Word | None = Field(
        default=None,
        description=(
            "The smallest worsening that would have been seen by now: a ratio (1.5), a difference"
            " from stable (+0.02, +0.5%), or a share (6%)."
        ),
    )
    blocks: int | None = Field(
        default=None, ge=0, le=2**53, description="How many pieces of time were counted."
    )
    bad: int | None = Field(
        default=None, ge=0, le=2**53, description="How many of the canary's events were bad."
    )
    slices: Annotated[tuple[SliceStatus, ...], Field(max_length=20), ListMap()] | None = Field(
        default=None, description="The verdict for each part of the traffic."
    )
    last_blocks: Annotated[tuple[BlockText, ...], Field(max_length=8), ATOMIC] | None = Field(
        default=None,
        description=(
            "The newest pieces of time behind a verdict that rolled back: when each ended, how"
            " long it was, and the bad of all events of each arm."
        ),
    )
