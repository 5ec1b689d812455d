"""What is remembered between passes: only what cannot be seen again (the table in docs/concepts).

Times are Unix seconds in UTC. A good test of a field here: delete it, restart, and say what would
go wrong. Everything is absolute ("weight 20", never "+10") and bounded. What is made anew in every
pass is a named tuple, which costs a fifth of a frozen dataclass to make and less to compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from leadsman.guards.glances import Glance, Told
from leadsman.guards.memory import Memory
from leadsman.guards.verdict import Figures
from leadsman.guards.windows import Block
from leadsman.guards.words import plain

HISTORY = 10
"""How many finished attempts a Rollout remembers."""


@plain
class Heading(StrEnum):
    """Where an attempt goes. It never turns back on its own."""

    ADVANCING = "Advancing"
    STEPPING_BACK = "SteppingBack"
    ROLLING_BACK = "RollingBack"
    HANDING_OVER = "HandingOver"


@dataclass(frozen=True, slots=True)
class Direction:
    """The heading, why, and since when."""

    name: Heading
    since: float
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Stable:
    """The version that serves: target's uid, pod-template-hash, and the template's identity."""

    uid: str
    revision: str
    template: str
    replicas: int = 0


@dataclass(frozen=True, slots=True)
class Original:
    """One route rule as the user stored it: its backends as JSON, and who owned the rule.

    `generation`: the route's, when somebody's write of the rule was last remembered or answered.
    """

    kind: str
    route: str
    index: int
    rule: str
    service: str
    backends: str
    owner: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True)
class StageStatus:
    """The stage that an attempt is in.

    `commanded_at`: the weight was written; `accepted_at`: the gateway took it; `measuring_since`:
    it has arrived and settled, the hold counts from here; `wait_since`: the progress deadline
    counts from here; `told`: what of its guards was told in events, "guard/reason" each.
    """

    index: int
    name: str
    entered_at: float
    wait_since: float
    commanded_at: float | None = None
    accepted_at: float | None = None
    measuring_since: float | None = None
    due_at: float | None = None
    told: tuple[str, ...] = ()


class SliceStatus(NamedTuple):
    """What a guard says about one part of the traffic; the fields are those of GuardStatus."""

    name: str
    verdict: str
    reason: str
    level: str = "None"
    value: float | None = None
    events: int = 0
    row: int = 0
    failing_since: float | None = None
    evidence: Memory | None = None
    figures: Figures | None = None


class GuardStatus(NamedTuple):
    """What a guard says, and the little that its trigger must remember.

    `evidence`: what was counted already, for a judge that gathers it; `figures`: what it says, for
    people; `slice`: the part of the traffic that the verdict is about ("" is the whole); `row`: how
    many of the last blocks failed without a break. `state`: evidence in a form that this version
    cannot read, kept as it is. `recent`: the newest blocks of a guard that rolled back, for people.
    `glance`: the windows of a judge that looks at them, of which figures are made when it is told;
    or, after a restart, the figures of any guard as they were told before.
    """

    name: str
    verdict: str
    reason: str
    since: float
    level: str = "None"
    value: float | None = None
    limit: float | None = None
    events: int = 0
    failing_since: float | None = None
    no_data_since: float | None = None
    state: str = ""
    evidence: Memory | None = None
    figures: Figures | None = None
    slice: str = ""
    row: int = 0
    slices: tuple[SliceStatus, ...] = ()
    recent: tuple[Block, ...] = ()
    glance: Glance | Told | None = None


@dataclass(frozen=True, slots=True)
class StageOutlook:
    """What a stage can show: the smallest worsening within its hold, None if none.

    `minutes`: how long the contract's design ratio takes at the stage's weight; may be infinite.
    """

    stage: str
    detectable: float | None
    minutes: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one revision.

    `weight`: commanded share of the canary in percent, `weight_since` then (evidence counts from
    there); `base_replicas`: the Deployment's replicas when that weight was raised, or the fewest
    that it was scaled to since; `routed_at`: the rules name the arms since; `released_at`: the set
    is the Deployment's since; `rested_at`: the rules are the user's own again since.
    """

    id: str
    number: int
    revision: str
    template: str
    direction: Direction
    stage: StageStatus
    started_at: float
    weight: int = 0
    weight_since: float | None = None
    max_weight: int = 0
    replicas: int = 0
    base_replicas: int = 0
    frozen: str = ""
    version: str = ""
    took_over: bool = False
    pinned: bool = False
    foreign_writes: int = 0
    original: tuple[Original, ...] = ()
    guards: tuple[GuardStatus, ...] = ()
    routed_at: float | None = None
    released_at: float | None = None
    rested_at: float | None = None
    outlook: tuple[StageOutlook, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The revision that is not tried again until it is changed or retried.

    `guards`: what each guard said when it was rolled back, without the evidence itself;
    `requests`, `failed`: what the canary had been given by then, as far as the guards counted it.
    """

    revision: str
    template: str
    reason: str
    message: str
    at: float
    guards: tuple[GuardStatus, ...] = ()
    requests: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Past:
    """One finished attempt.

    `tries`: how often its revision had been tried by then without a promotion, this time included;
    0 where nobody counted. The history is short, so the count goes on from entry to entry.
    """

    revision: str
    number: int
    outcome: str
    started_at: float
    ended_at: float
    max_weight: int
    reason: str = ""
    version: str = ""
    tries: int = 0


class Condition(NamedTuple):
    """A condition as Kubernetes knows it; `status` is "True", "False" or "Unknown"."""

    type: str
    status: str
    reason: str
    message: str
    since: float
    generation: int


@dataclass(frozen=True, slots=True)
class Display:
    """What the columns of `kubectl get` show; derived, for people."""

    state: str = ""
    stage: str = ""
    weight: str = ""
    guards: str = ""
    next: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """All that a Rollout remembers."""

    observed_generation: int = 0
    stable: Stable | None = None
    attempt: Attempt | None = None
    refused: Refused | None = None
    history: tuple[Past, ...] = ()
    conditions: tuple[Condition, ...] = ()
    display: Display = Display()
    hold_mode: str = ""
