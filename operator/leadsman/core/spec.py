"""What the user asked for, resolved and immutable: the core's own view of a Rollout's spec.

The API's models are for people and for the API server; the core wants numbers in one unit and
references already followed. Durations are seconds, weights are percent (0..100), shares 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from leadsman.guards.judges import JudgeSpec
from leadsman.guards.words import plain


@plain
class Strategy(StrEnum):
    """How a new version meets traffic."""

    CANARY = "Canary"
    BLUE_GREEN = "BlueGreen"
    AB_TEST = "ABTest"
    IMMEDIATE = "Immediate"


@plain
class Promotion(StrEnum):
    """How the canary becomes the Deployment's own."""

    HAND_OVER = "HandOver"
    ROLLING_UPDATE = "RollingUpdate"


@plain
class InCluster(StrEnum):
    """What callers that bypass the router may meet during an attempt."""

    STABLE = "Stable"
    SHARED = "Shared"
    REQUIRED = "Required"


@plain
class HoldMode(StrEnum):
    """What keeps a new template from rolling out by itself."""

    POLICY = "Policy"
    PAUSED = "Paused"


@plain
class OnFail(StrEnum):
    """What a guard's Fail leads to."""

    ROLLBACK = "Rollback"
    HOLD = "Hold"
    WARN = "Warn"


@plain
class Absence(StrEnum):
    """What missing data or missing traffic leads to."""

    HOLD = "Hold"
    ROLLBACK = "Rollback"
    PROCEED = "Proceed"


@plain
class OnInconclusive(StrEnum):
    """What a stage does at its `maxHold` when the evidence is still open."""

    HOLD = "Hold"
    PROMOTE = "Promote"
    ROLLBACK = "Rollback"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: the canary's weight in percent, and how long it is watched."""

    name: str
    weight: int
    hold: float = 0.0
    max_hold: float | None = None
    replicas: int | None = None
    approvals: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """The stages in order. All durations in seconds."""

    stages: tuple[Stage, ...]
    strategy: Strategy = Strategy.CANARY
    settle: float = 5.0
    progress_deadline: float = 600.0
    promotion: Promotion = Promotion.HAND_OVER
    scale_down_delay: float = 30.0


@plain
class Family(StrEnum):
    """What kind of harm a guard looks for; an emergency needs two of them."""

    ERRORS = "Errors"
    LATENCY = "Latency"
    QUALITY = "Quality"
    SATURATION = "Saturation"


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a Fail counts: `consecutive` readings with newer samples, and for `sustained_for` s.

    `hysteresis`, a share of the limit: a failing guard is well again only below the limit by that
    much; between the two neither the count nor the time starts anew.
    """

    consecutive: int = 1
    sustained_for: float = 0.0
    hysteresis: float = 0.0


@dataclass(frozen=True, slots=True)
class GuardSpec:
    """One guard of a contract. `query` is the guard's question as canonical JSON, for the sampler.

    The core never looks into `query`; it judges what comes back under the guard's name. `slices`
    are the values of the label by which the traffic is judged in parts as well.
    """

    name: str
    judge: JudgeSpec
    on_fail: OnFail = OnFail.ROLLBACK
    trigger: Trigger = Trigger()
    source: str = "default"
    query: str = "{}"
    family: Family = Family.ERRORS
    slices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Missing:
    """After how many seconds without data (or traffic) which action."""

    after: float = 180.0
    action: Absence = Absence.HOLD


@dataclass(frozen=True, slots=True)
class Contract:
    """The guards that a release must honour, and what to do in the dark.

    `false_rollback`: how likely a good release may be rolled back by statistics, shared by all
    sequential guards; `design_ratio`: the worsening that a release must not hide.
    """

    guards: tuple[GuardSpec, ...] = ()
    no_data: Missing = Missing()
    no_traffic: Missing = Missing()
    freeze_after: float = 300.0
    step_back_after: float = 600.0
    on_inconclusive: OnInconclusive = OnInconclusive.HOLD
    false_rollback: float = 0.01
    design_ratio: float = 1.5


@dataclass(frozen=True, slots=True)
class Terms:
    """Plan and contract together: what is frozen when an attempt starts."""

    plan: Plan
    contract: Contract


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that only the operator can see is wrong: a reason of the API and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """A Rollout as it is now. `terms` is None while plan or contract cannot be resolved.

    `problems` keep an attempt from beginning, `warnings` are only told.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    target: str
    terms: Terms | None
    deleting: bool = False
    hold: HoldMode = HoldMode.POLICY
    in_cluster: InCluster = InCluster.STABLE
    unguarded: str = ""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
