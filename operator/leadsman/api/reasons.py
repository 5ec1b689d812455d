"""Every reason that a condition, an event or a verdict can carry, each with what it means.

Reasons are part of the API: alerts and scripts compare them, so each is one fixed CamelCase word
with one meaning. `Reason` is for conditions, `EventReason` for events, `VerdictReason` for guards.
Each member's `doc` is the sentence that the generated reference shows.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class _Documented(StrEnum):
    """A word with a sentence: `doc` says what it means."""

    doc: str

    def __new__(cls, word: str, doc: str) -> Self:
        member = str.__new__(cls, word)
        member._value_ = word
        member.doc = doc
        return member


class Reason(_Documented):
    """Why a condition of an object is as it is, or where an attempt is going."""

    # Ready=True
    STABLE = "Stable", "Nothing to do: the stable version serves and the route is at rest."
    PROMOTED = "Promoted", "The last attempt was promoted; nothing to do."

    # Ready=False, Reconciling=True
    PROGRESSING = "Progressing", "An attempt is under way."
    HOLDING = "Holding", "An attempt waits; the message says for what."
    SAMPLE_RATIO_MISMATCH = "SampleRatioMismatch", "The arrived share is not the commanded one."
    SUPERSEDED = "Superseded", "A newer template came during the attempt."

    # Ready=False, Stalled=True: how an attempt ended
    ROLLED_BACK = "RolledBack", "The revision was rolled back and is not tried again."
    ABORTED = "Aborted", "The attempt was ended by somebody; the revision is not tried again."

    # Where an attempt is going, and why
    ADVANCING = "Advancing", "The attempt goes forward."
    ROLLING_BACK = "RollingBack", "Traffic and canary are being taken back."
    HANDING_OVER = "HandingOver", "The canary is being given to the Deployment."
    RECLAIMED = "Reclaimed", "The canary was taken back from the Deployment to release it again."
    GUARD_FAILED = "GuardFailed", "A guard failed, its trigger fired and its onFail is Rollback."
    CANARY_CRASHED = "CanaryCrashed", "The canary's containers exit, or crash in a loop."
    CANARY_VANISHED = "CanaryVanished", "The canary's ReplicaSet was deleted by somebody else."
    CANARY_NOT_READY = (
        "CanaryNotReady",
        "The canary lost pods; the weight was lowered to what the others carry.",
    )
    DEADLINE_EXCEEDED = (
        "DeadlineExceeded",
        "Pods or route were not ready within progressDeadline.",
    )
    NO_DATA = "NoData", "There was no data for too long."
    INCONCLUSIVE = "Inconclusive", "The evidence was still open at the stage's maxHold."
    BLIND = "Blind", "There was no data for so long that the weight was lowered by a stage."
    REVERTED = "Reverted", "The template went back to the stable one."
    DELETED = "Deleted", "The Rollout was deleted."
    TARGET_REPLACED = "TargetReplaced", "The Deployment was made anew during the attempt."
    INTERRUPTED = (
        "Interrupted",
        "A rollback that was begun before a restart was brought to its end.",
    )

    # Ready=False, Stalled=True: what the operator alone can see
    PLAN_INVALID = "PlanInvalid", "Plan or contract cannot be carried out; the message says why."
    JUDGE_UNSUPPORTED = "JudgeUnsupported", "This version cannot judge by this statistic."
    STRATEGY_UNSUPPORTED = "StrategyUnsupported", "This version cannot follow this strategy."
    MEASURE_UNSUPPORTED = "MeasureUnsupported", "This version cannot measure what a guard asks for."
    CONTRACT_INVALID = (
        "ContractInvalid",
        "A contract or a guard of it cannot be read, or its guards have too many slices together.",
    )
    API_UNAVAILABLE = "ApiUnavailable", "The API server refuses or does not answer a write."
    TARGET_MISSING = "TargetMissing", "The Deployment does not exist."
    ROUTE_MISSING = "RouteMissing", "A route does not exist."
    RULE_MISSING = "RuleMissing", "The route has no rule of that name."
    SERVICE_MISSING = "ServiceMissing", "A Service does not exist."
    REFERENCE_MISSING = "ReferenceMissing", "A plan, contract or guard does not exist."
    SOURCE_MISSING = "SourceMissing", "The MetricsSource does not exist."
    SOURCE_FORBIDDEN = "SourceForbidden", "The MetricsSource does not admit this namespace."
    QUERY_FORBIDDEN = "QueryForbidden", "The MetricsSource does not allow queries of one's own."
    AMBIGUOUS_RULE = "AmbiguousRule", "It cannot be told which rule of the route is meant."
    CONFLICTED = "Conflicted", "An older Rollout has the same Deployment or route rule."
    RULE_SHARED = "RuleShared", "The rule has another weighted backend beside the Service."
    UNLISTED_RULE = (
        "UnlistedRule",
        "Another rule names the Service, is not listed, and would leak canary traffic.",
    )
    ARM_NAME_TAKEN = "ArmNameTaken", "A Service of the arm's name belongs to somebody else."
    BACKEND_POLICY_ATTACHED = (
        "BackendPolicyAttached",
        "A policy is attached to the Service that its arms would lose.",
    )
    SERVICE_SHARED = "ServiceShared", "The Service also selects ready pods of another owner."
    SERVICE_UNSUITABLE = "ServiceUnsuitable", "The Service has no selector, or is ExternalName."
    RECREATE = "Recreate", "The Deployment's strategy says that versions must not run together."
    NO_HEALTHY_ARM = "NoHealthyArm", "Stable has no ready endpoint; the route is left as it is."
    PIN_REQUIRED = "PinRequired", "inCluster is Required and the Service cannot be pinned."
    FORBIDDEN = "Forbidden", "A right is missing; the message names it."

    # Reconciling=False, Stalled=False
    SETTLED = "Settled", "Nothing is under way."
    NONE = "None", "Nothing is in the way."

    # Available
    STABLE_SERVES = "StableServes", "Users are served by the stable version."
    NOT_ADOPTED = "NotAdopted", "No stable version is known yet."

    # GuardsPassing
    WITHIN_LIMITS = "WithinLimits", "Every guard passes."
    CLOSE_TO_LIMIT = "CloseToLimit", "Every guard passes, one within 10 % of its limit."
    WARNED = "Warned", "Only guards fail whose onFail is Warn."
    UNGUARDED = "Unguarded", "The Rollout has no contract; the message says why."

    # TrafficInSync
    ACCEPTED = "Accepted", "The route says what was commanded and the gateway has accepted it."
    NOT_ACCEPTED = "NotAccepted", "The gateway has not accepted the route."
    NOT_MEASURED = "NotMeasured", "The arrived share cannot be measured; the stage goes on."
    NOT_ROUTED = "NotRouted", "No rule of a route is seen."
    FOREIGN_WRITER = "ForeignWriter", "Somebody else writes the route; the message names whom."

    # Hold
    POLICY_MISSING = "PolicyMissing", "Nothing holds a new template before the operator sees it."

    # ContractSound
    SOUND = "Sound", "Contract and plan can do what they promise."
    MIN_EVENTS_LOW = (
        "MinEventsLow",
        "A threshold is judged by so few events that luck decides; the message has the figures.",
    )
    LOWER_BOUND_ROLLS_BACK = (
        "LowerBoundRollsBack",
        "A guard asks for a rollback when a lower bound is missed; the message has the figures.",
    )
    CANNOT_STOP = (
        "CannotStop",
        "No guard of the contract can stop a bad release; the message says what to add.",
    )
    CANNOT_DETECT = (
        "CannotDetect",
        "From the traffic seen, the plan is too short to detect its contract's designRatio, or a"
        " gate sees no bad event at all.",
    )

    # InClusterPinned
    PINNED = "Pinned", "Callers inside the cluster meet stable pods only."
    NOT_PINNED = "NotPinned", "Callers inside the cluster may meet both versions."
    SHARED = "Shared", "Callers inside the cluster meet both versions, as inCluster asks."
    SELECTOR_OWNED = "SelectorOwned", "Server-side apply owns the selector; no pin is set."

    # AutoscalingSafe, said only where it is not so
    CANARY_COUNTED = (
        "CanaryCounted",
        "An autoscaler multiplies a metric of type Value by the ready pods, the canary's included.",
    )

    # CanarySteady, said only where it is not so
    CANDIDATE_RESTARTING = (
        "CandidateRestarting",
        "More than half of the canary's pods were started again in this stage, without a failure.",
    )


class EventReason(_Documented):
    """What happened, once a decision: the reasons of events."""

    ATTEMPT_STARTED = "AttemptStarted", "A new template is held and an attempt begins."
    STAGE_STARTED = "StageStarted", "The attempt enters a stage."
    WEIGHT_CHANGED = "WeightChanged", "The canary's weight was written to the route."
    GUARD_FAILED = (
        "GuardFailed",
        "A guard whose onFail is Hold or Warn failed; told once a stage.",
    )
    GUARD_WARNING = (
        "GuardWarning",
        "A guard is close to its limit, so that the next stage waits; told once a stage.",
    )
    GUARD_INCONCLUSIVE = (
        "GuardInconclusive",
        "A guard has too little evidence at the stage's maxHold; the message says what follows.",
    )
    HOLD_STARTED = (
        "HoldStarted",
        "Held by the operator: the policy did not hold a template, or somebody unpaused it.",
    )
    HOLD_ENDED = (
        "HoldEnded",
        "The Deployment is unpaused; the message says why, and what rolls out by it.",
    )
    PROMOTED = "Promoted", "The canary is the Deployment's own."
    ROLLED_BACK = "RolledBack", "Rolled back, with the guard, the value and the exposure."
    ABORTED = "Aborted", "Ended by somebody."
    CANDIDATE_RESTARTING = (
        "CandidateRestarting",
        "More than half of the canary's pods were started again in this stage, without a failure.",
    )
    FOREIGN_WRITER = "ForeignWriter", "Somebody else wrote the route; the message names whom."
    PLAN_INVALID = (
        "PlanInvalid",
        "The plan cannot be carried out. So does every other reason of Stalled that somebody"
        " has to mend: told when it begins.",
    )
    TARGET_MISSING = "TargetMissing", "The Deployment does not exist; told when it begins."
    SUPERSEDED = "Superseded", "A newer template came during the attempt."
    REVERTED = "Reverted", "The template went back to the stable one."
    ADOPTED = "Adopted", "The Deployment's present version is the stable one from now on."
    HANDING_OVER = "HandingOver", "The last stage is complete; the canary becomes the Deployment's."
    HAND_OVER_REPEATED = (
        "HandOverRepeated",
        "The Deployment did not take the canary whole: it was taken back to release it again.",
    )


class VerdictReason(_Documented):
    """Why a guard's verdict is what it is."""

    WITHIN_LIMIT = "WithinLimit", "What was measured is allowed."
    THRESHOLD_BREACHED = "ThresholdBreached", "What was measured is above the limit."
    HARM_DETECTED = "HarmDetected", "The evidence says that the canary is worse."
    NO_HARM_SEEN = "NoHarmSeen", "There is evidence enough, and it shows no harm."
    NOT_INFERIOR = "NotInferior", "The canary is shown to be no worse by more than the margin."
    UNCONFIRMED = (
        "Unconfirmed",
        "It fails and the trigger has not fired yet, or it failed and is within the hysteresis.",
    )
    INSUFFICIENT_DATA = "InsufficientData", "Fewer events than minEvents in the window."
    NO_TRAFFIC = "NoTraffic", "The canary gets no requests."
    METRICS_UNAVAILABLE = "MetricsUnavailable", "The source does not answer, or with an error."
    STALE = "Stale", "The last sample is too old."
    CONFOUNDED = "Confounded", "Stable differs from itself: the measurement is not trusted."
    SAMPLE_RATIO_MISMATCH = (
        "SampleRatioMismatch",
        "The arrived share of traffic is not the commanded weight.",
    )
    WARMING_UP = "WarmingUp", "No sample since the weight arrived."
    NO_SUCH_BUCKET = "NoSuchBucket", "The histogram has no bucket with that bound."
    QUERY_INVALID = "QueryInvalid", "The guard's question cannot be asked as it is written."
    JUDGE_UNSUPPORTED = "JudgeUnsupported", "This version cannot judge by this statistic."
