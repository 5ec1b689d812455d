"""The status of a Rollout: the operator's only memory, and what users read.

Everything in it is absolute and bounded: moments instead of countdowns, weights instead of steps,
a history of ten. What the core must remember across a restart is here and nowhere else, so a field
leaves only with the core's agreement. Lengths are generous: an API server refuses a whole status
for one string that is too long. The API server drops what is not declared here, so a new
fact needs one more field in one of these classes and nothing else.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from leadsman.api.conditions import Conditions
from leadsman.api.guardstatus import GuardStatus
from leadsman.api.schema import ATOMIC, ApiStatus, ListMap
from leadsman.api.types import Revision, Timestamp, Word

Prose = Annotated[str, Field(max_length=4096)]
ObjectText = Annotated[str, Field(max_length=253)]
TemplateIdentity = Annotated[str, Field(max_length=256)]


class DirectionName(StrEnum):
    """Where an attempt is going; it never turns back by itself."""

    ADVANCING = "Advancing"
    STEPPING_BACK = "SteppingBack"
    ROLLING_BACK = "RollingBack"
    HANDING_OVER = "HandingOver"


class Outcome(StrEnum):
    """How an attempt ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    SUPERSEDED = "Superseded"
    REVERTED = "Reverted"


class StableStatus(ApiStatus):
    """The version that serves."""

    revision: Revision | None = Field(
        default=None, description="The pod-template-hash of the ReplicaSet that serves."
    )
    template: TemplateIdentity | None = Field(
        default=None, description="The identity of its pod template."
    )
    replicas: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="The replicas of that ReplicaSet."
    )
    uid: Word | None = Field(
        default=None, description="The Deployment's uid: one made anew is another one."
    )


class Direction(ApiStatus):
    """Where an attempt is going, and why."""

    name: DirectionName | None = Field(
        default=None, description="Advancing, SteppingBack, RollingBack or HandingOver."
    )
    reason: Word | None = Field(default=None, description="One word for why.")
    message: Prose | None = Field(default=None, description="The same for people.")
    since: Timestamp | None = Field(default=None, description="Since when.")


class OriginalRule(ApiStatus):
    """A rule of a user's route as it was before the attempt."""

    kind: Word | None = Field(default=None, description="The route's kind.")
    route: ObjectText | None = Field(default=None, description="The route's name.")
    rule: ObjectText | None = Field(
        default=None, description="The rule's name; empty if it has none."
    )
    index: int | None = Field(
        default=None, ge=0, le=1024, description="The rule's place in the route, from 0."
    )
    service: ObjectText | None = Field(
        default=None, description="The user's Service that the rule named."
    )
    backends: Annotated[str, Field(max_length=8192)] | None = Field(
        default=None, description="The rule's backends as JSON."
    )
    owner: ObjectText | None = Field(
        default=None, description="The field manager that owned the rule."
    )
    generation: int | None = Field(
        default=None,
        ge=0,
        le=2**53,
        description="The route's generation when somebody's write of it was last answered.",
    )


class StageStatus(ApiStatus):
    """The stage that an attempt is in."""

    index: int | None = Field(
        default=None, ge=-1, le=64, description="The stage's place in the plan, from 0."
    )
    name: Word | None = Field(default=None, description="The stage's name.")
    weight: int | None = Field(
        default=None, ge=0, le=100, description="The canary's share in this stage, percent."
    )
    entered_at: Timestamp | None = Field(default=None, description="When the stage began.")
    commanded_at: Timestamp | None = Field(
        default=None, description="When the weight was written to the route."
    )
    accepted_at: Timestamp | None = Field(
        default=None, description="When the gateway had accepted the weight."
    )
    arrived_at: Timestamp | None = Field(
        default=None, description="When the weight was seen to be in force."
    )
    measuring_since: Timestamp | None = Field(
        default=None, description="Since when Pass counts: arrival and settle time."
    )
    due_at: Timestamp | None = Field(
        default=None, description="When the hold is over, if the guards pass."
    )
    wait_since: Timestamp | None = Field(
        default=None, description="The start of the wait that progressDeadline measures."
    )
    told: Annotated[tuple[ObjectText, ...], Field(max_length=64), ATOMIC] | None = Field(
        default=None,
        description="What of its guards was told in events in this stage: guard/reason.",
    )


class StageOutlook(ApiStatus):
    """What a stage can show, from the traffic that was seen."""

    stage: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="The stage's name."
    )
    detectable: Word | None = Field(
        default=None, description="The smallest worsening that its hold can show, as a ratio."
    )
    minutes: Word | None = Field(
        default=None, description="How long the contract's designRatio takes at its weight."
    )


class Attempt(ApiStatus):
    """The release that is under way; absent at rest."""

    id: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="Derived from the revision and the number, never drawn."
    )
    revision: Revision | None = Field(
        default=None, description="The pod-template-hash of the canary."
    )
    template: TemplateIdentity | None = Field(
        default=None, description="The identity of its pod template."
    )
    number: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="The number of this attempt, from 1."
    )
    version: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="The version as people call it, from the image's tag."
    )
    weight: int | None = Field(
        default=None, ge=0, le=100, description="The commanded share of the canary, percent."
    )
    max_weight: int | None = Field(
        default=None, ge=0, le=100, description="The highest share so far, percent."
    )
    replicas: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="The commanded replicas of the canary."
    )
    base_replicas: int | None = Field(
        default=None,
        ge=0,
        le=2**31 - 1,
        description=(
            "The Deployment's replicas when the weight was raised, or the fewest that it was"
            " scaled to since: what the canary's pods are counted against."
        ),
    )
    direction: Direction | None = Field(default=None, description="Where it is going, and why.")
    started_at: Timestamp | None = Field(default=None, description="When it began.")
    frozen: ObjectText | None = Field(
        default=None,
        description="The ControllerRevision that keeps plan, contracts and guards as they were.",
    )
    took_over: bool | None = Field(
        default=None, description="Whether the canary was an old ReplicaSet of the Deployment."
    )
    pinned: bool | None = Field(
        default=None, description="Whether the user's Services are pinned to stable by us."
    )
    released: bool | None = Field(
        default=None, description="Whether the canary was given to the Deployment."
    )
    weight_since: Timestamp | None = Field(
        default=None,
        description="When that weight was commanded; evidence counts from then on.",
    )
    routed_at: Timestamp | None = Field(
        default=None, description="Since when the routes' rules name the arms."
    )
    released_at: Timestamp | None = Field(
        default=None, description="When the canary was given to the Deployment."
    )
    rested_at: Timestamp | None = Field(
        default=None, description="When the routes were at rest again."
    )
    foreign_writes: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="Writes of others to the route, answered."
    )
    original: Annotated[tuple[OriginalRule, ...], Field(max_length=64), ATOMIC] | None = Field(
        default=None, description="The routes' rules as they were before."
    )
    stage: StageStatus | None = Field(default=None, description="The stage that it is in.")
    guards: Annotated[tuple[GuardStatus, ...], Field(max_length=80), ListMap()] | None = Field(
        default=None, description="The last verdict of each guard."
    )
    outlook: Annotated[tuple[StageOutlook, ...], Field(max_length=30), ATOMIC] | None = Field(
        default=None, description="What each stage can show, from the traffic that was seen."
    )


class Refused(ApiStatus):
    """A revision that is not tried again by itself."""

    revision: Revision | None = Field(default=None, description="Its pod-template-hash.")
    template: TemplateIdentity | None = Field(
        default=None, description="The identity of its pod template."
    )
    reason: Word | None = Field(default=None, description="One word for why.")
    message: Prose | None = Field(default=None, description="The same for people.")
    at: Timestamp | None = Field(default=None, description="When it was refused.")
    guards: Annotated[tuple[GuardStatus, ...], Field(max_length=80), ListMap()] | None = Field(
        default=None, description="What each guard said when it was rolled back."
    )
    requests: int | None = Field(
        default=None, ge=0, le=2**53, description="Requests that the canary had been given."
    )
    failed: int | None = Field(
        default=None, ge=0, le=2**53, description="How many of them were bad, as the guards count."
    )


class HistoryEntry(ApiStatus):
    """An attempt that has ended."""

    id: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="The attempt's id."
    )
    revision: Revision | None = Field(default=None, description="Its pod-template-hash.")
    number: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="The number of the attempt, from 1."
    )
    version: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="The version as people call it."
    )
    outcome: Outcome | None = Field(
        default=None,
        description="Promoted, RolledBack, Aborted, Superseded or Reverted.",
    )
    started_at: Timestamp | None = Field(default=None, description="When it began.")
    ended_at: Timestamp | None = Field(default=None, description="When it ended.")
    max_weight: int | None = Field(
        default=None, ge=0, le=100, description="The highest share that it had, percent."
    )
    reason: Word | None = Field(default=None, description="One word for why.")
    message: Prose | None = Field(default=None, description="The same for people.")
    tries: int | None = Field(
        default=None,
        ge=0,
        le=2**31 - 1,
        description=(
            "How often the revision had been tried without a promotion by then; each halves what"
            " the next may spend of falseRollback."
        ),
    )


class Display(ApiStatus):
    """What the columns show, ready to read."""

    stage: Word | None = Field(default=None, description='The stage, such as "3/6".')
    guards: Word | None = Field(default=None, description='Guards that pass, such as "4/4".')
    next: Word | None = Field(
        default=None, description='When something is next due, such as "14:05Z".'
    )
    version: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="The version in question."
    )
    weight: Word | None = Field(default=None, description="The canary's share, percent.")
    state: Word | None = Field(default=None, description="What is going on, in one word.")
    message: Prose | None = Field(default=None, description="The same for people.")


class RolloutStatus(ApiStatus):
    """How it is going: conditions for tools, display for people, the rest for the operator."""

    observed_generation: int | None = Field(
        default=None,
        ge=0,
        le=2**53,
        description="The generation of spec that the operator has last looked at.",
    )
    conditions: Conditions | None = Field(
        default=None,
        description=(
            "Ready, Reconciling, Stalled, Available, GuardsPassing, TrafficInSync, "
            "InClusterPinned and Hold."
        ),
    )
    stable: StableStatus | None = Field(default=None, description="The version that serves.")
    attempt: Attempt | None = Field(
        default=None, description="The release that is under way; absent at rest."
    )
    refused: Refused | None = Field(
        default=None, description="The revision that is not tried again by itself."
    )
    history: Annotated[tuple[HistoryEntry, ...], Field(max_length=10), ATOMIC] | None = Field(
        default=None, description="The last ten attempts, the latest last."
    )
    hold_mode: Word | None = Field(
        default=None,
        description="What holds templates back: Policy, Paused, or Unprotected (nothing does).",
    )
    display: Display | None = Field(default=None, description="What the columns show.")
