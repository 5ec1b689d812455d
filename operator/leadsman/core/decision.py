"""What one pass decides: the next status, the actions before it, when to look again, and why."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from leadsman.core.actions import Action
from leadsman.core.status import Status
from leadsman.guards.words import plain


@plain
class Persist(IntEnum):
    """How soon the decided status must be in the API.

    NOW: after this decision's actions. FIRST: before them (an intent). SOON: within 5 seconds, with
    whatever is written next (losing it costs seconds of a timer). LAZY: within a minute (for
    people). NEVER: nothing changed.
    """

    NEVER = 0
    LAZY = 1
    SOON = 2
    NOW = 3
    FIRST = 4


@plain
class Urgency(IntEnum):
    """The scheduler's order: smaller goes first."""

    ROLL_BACK = 0
    ADVANCE = 1
    MEASURE = 2
    IDLE = 3


class Why(NamedTuple):
    """The policy that decided, the API's reason for it, and a sentence for people."""

    policy: str
    reason: str
    message: str


class Decision(NamedTuple):
    """The answer of `decide`. `wake_at` is Unix seconds, None when only events matter."""

    status: Status
    actions: tuple[Action, ...]
    wake_at: float | None
    why: Why
    persist: Persist
    urgency: Urgency = Urgency.IDLE
