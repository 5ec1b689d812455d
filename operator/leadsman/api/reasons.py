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
    """Why a condition of an object is as it is."""

    # Ready=True
    STABLE = "Stable", "Nothing to do: the stable version serves and the route is at rest."
    PROMOTED = "Promoted", "The last attempt was promoted; nothing to do."
    VALID = "Valid", "The object was read and can be used."

    # Ready=False, Reconciling=True
    PROGRESSING = "Progressing", "An attempt is under way."
    HOLDING = "Holding", "An attempt waits; the message says for what."
    ADOPTING = "Adopting", "The first visit: waiting for a complete Deployment."
    ROLLING_BACK = "RollingBack", "Traffic and canary are being taken back."
    HANDING_OVER = "HandingOver", "The canary is being given to the Deployment."
    GIVING_BACK = "GivingBack", "The Rollout is being deleted; all is put back as it was."
    RECLAIMING = "Reclaiming", "The release to the Deployment went wrong and is being repeated."

    # What an attempt waits for
    WAITING_FOR_CAPACITY = "WaitingForCapacity", "The canary's pods are not ready yet."
    WAITING_FOR_ROUTE = "WaitingForRoute", "The gateway has not accepted the weight yet."
    WAITING_FOR_STABLE = "WaitingForStable", "Stable has fewer pods than its share needs."
    WAITING_FOR_TARGET = "WaitingForTarget", "The Deployment is not complete yet."
    SETTLING = "Settling", "The weight has arrived; the settle time is not over."
    MEASURING = "Measuring", "The stage's hold is not over."
    APPROVAL_MISSING = "ApprovalMissing", "The stage waits for people to agree."
    SCALED_TO_ZERO = "ScaledToZero", "The Deployment has no replicas: no pods, no evidence."

    # Ready=False, Stalled=True: how an attempt ended
    ROLLED_BACK = "RolledBack", "The revision was rolled back and is not tried again."
    ABORTED = "Aborted", "The attempt was ended by somebody; the revision is not tried again."

    # Why an attempt was rolled back or ended
    ADVANCING = "Advancing", "The attempt goes forward."
    GUARD_FAILED = "GuardFailed", "A guard failed, its trigger fired and its onFail is Rollback."
    CANARY_CRASHED = "CanaryCrashed", "The canary's containers exit, or crash in a loop."
    CANARY_LOST = "CanaryLost", "The canary has no ready pod left, by no fault of its own."
    CANARY_THIN = "CanaryThin", "The canary lost pods; the weight was lowered to what it carries."
    DEADLINE_EXCEEDED = (
        "DeadlineExceeded",
        "Pods or route were not ready within progressDeadline.",
    )
    SUPERSEDED = "Superseded", "A newer template came during the attempt."
    REVERTED = "Reverted", "The template went back to the stable one."
    DELETED = "Deleted", "The Rollout was deleted."
    TARGET_REPLACED = "TargetReplaced", "The Deployment was made anew during the attempt."
    BLIND = "Blind", "There was no data for too long."
    WEIGHT_LOWERED = "WeightLowered", "Somebody else lowered the canary's weight: an abort."
    OWN_WRITE_FOUND = "OwnWriteFound", "A rollback that was begun before a restart goes on."
    APPROVAL_WITHDRAWN = "ApprovalWithdrawn", "The approval of the stage was taken back."

    # Ready=False, Stalled=True: what the operator alone can see
    PLAN_INVALID = "PlanInvalid", "The plan cannot be carried out; the message names the field."
    CONTRACT_INVALID = "ContractInvalid", "The contract cannot be used; the message says why."
    STRATEGY_UNSUPPORTED = "StrategyUnsupported", "This version cannot carry out the strategy."
    JUDGE_UNSUPPORTED = "JudgeUnsupported", "This version cannot judge by this statistic."
    MEASURE_UNSUPPORTED = "MeasureUnsupported", "This version cannot measure this."
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
    POLICY_MISSING = "PolicyMissing", "The server has no admission policy that holds templates."
    FORBIDDEN = "Forbidden", "A right is missing; the message names it."
    API_UNAVAILABLE = "ApiUnavailable", "The API server does not answer as it should."

    # Available
    SERVING = "Serving", "Stable pods are ready and serve."
    NOT_SERVING = "NotServing", "No stable pod is ready."

    # GuardsPassing
    PASSING = "Passing", "All guards pass."
    FAILING = "Failing", "A guard fails; the message names it."
    INCONCLUSIVE = "Inconclusive", "A guard has too little evidence."
    NO_DATA = "NoData", "A guard gets no data."
    NOTHING_TO_JUDGE = "NothingToJudge", "No attempt is under way."
    UNGUARDED = "Unguarded", "The Rollout has no contract and says why."

    # TrafficInSync
    IN_SYNC = "InSync", "The route says what was commanded and the gateway has accepted it."
    AT_REST = "AtRest", "The route is as the user wrote it."
    NOT_ACCEPTED = "NotAccepted", "The gateway has not accepted the route."
    NOT_MEASURED = "NotMeasured", "The arrived share cannot be measured; the stage goes on."
    SHARE_MISMATCH = "ShareMismatch", "The arrived share is not the commanded one."
    FOREIGN_WRITER = "ForeignWriter", "Somebody else writes the route; the message names whom."

    # InClusterPinned
    PINNED = "Pinned", "Callers inside the cluster meet stable pods only."
    NOT_PINNED = "NotPinned", "No pin is needed: no attempt, or inCluster is Shared."
    SELECTOR_OWNED = "SelectorOwned", "Server-side apply owns the selector; no pin is set."

    # Hold
    HELD = "Held", "The template is held back and does not roll out by itself."
    NOT_HELD = "NotHeld", "There is nothing to hold back."
    BY_POLICY = "ByPolicy", "New templates are held by an admission policy."
    BY_PAUSE = "ByPause", "New templates are held because the Deployment is paused at rest."


class EventReason(_Documented):
    """What happened, once a decision: the reasons of events."""

    ATTEMPT_STARTED = "AttemptStarted", "A new template is held and an attempt begins."
    STAGE_STARTED = "StageStarted", "The attempt enters a stage."
    WEIGHT_CHANGED = "WeightChanged", "The canary's weight was written to the route."
    GUARD_FAILED = "GuardFailed", "A guard failed."
    GUARD_INCONCLUSIVE = "GuardInconclusive", "A guard has too little evidence at maxHold."
    HOLD_STARTED = "HoldStarted", "The attempt waits; the message says for what."
    HOLD_ENDED = "HoldEnded", "The attempt goes on."
    APPROVAL_REQUESTED = "ApprovalRequested", "A stage waits for people to agree."
    PROMOTED = "Promoted", "The canary is the Deployment's own."
    ROLLED_BACK = "RolledBack", "Rolled back, with the guard, the value and the exposure."
    ABORTED = "Aborted", "Ended by somebody."
    FOREIGN_WRITER = "ForeignWriter", "Somebody else wrote the route; the message names whom."
    PLAN_INVALID = "PlanInvalid", "The plan cannot be carried out."
    TARGET_MISSING = "TargetMissing", "The Deployment does not exist."
    SUPERSEDED = "Superseded", "A newer template came during the attempt."
    REVERTED = "Reverted", "The template went back to the stable one."
    ADOPTED = "Adopted", "The Deployment's present version is the stable one from now on."
    CANARY_LOST = "CanaryLost", "The canary lost pods that it needs."
    RECLAIMED = "Reclaimed", "The canary was taken back to release it again."
    GIVEN_BACK = "GivenBack", "All objects are as they were before the Rollout."
    TEMPLATE_RELEASED = (
        "TemplateReleased",
        "The Rollout is gone, so a template that was refused rolls out by the Deployment.",
    )


class VerdictReason(_Documented):
    """Why a guard's verdict is what it is."""

    WITHIN_LIMIT = "WithinLimit", "What was measured is allowed."
    THRESHOLD_BREACHED = "ThresholdBreached", "What was measured is above the limit."
    HARM_DETECTED = "HarmDetected", "The evidence says that the canary is worse."
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
