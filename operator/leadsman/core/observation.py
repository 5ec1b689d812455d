"""What the outside said, as one immutable value: facts, not judgements.

The observer fills it; errors of reading are facts too. Nothing here is a default for "unknown":
what could not be read is named in `unread`, and the policies that need it wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from leadsman.core.spec import Problem, Terms
from leadsman.guards.windows import Reading
from leadsman.guards.words import plain


@plain
class Owner(StrEnum):
    """Who controls a ReplicaSet."""

    DEPLOYMENT = "Deployment"
    ROLLOUT = "Rollout"
    NONE = "None"
    OTHER = "Other"


@plain
class Fault(StrEnum):
    """Why a pod is not well. The first three are the version's own fault."""

    NONE = "None"
    EXITED = "Exited"
    OUT_OF_MEMORY = "OutOfMemory"
    CRASH_LOOP = "CrashLoop"
    IMAGE = "Image"
    EVICTED = "Evicted"


OWN_FAULTS = frozenset({Fault.EXITED, Fault.OUT_OF_MEMORY, Fault.CRASH_LOOP})


@plain
class Form(StrEnum):
    """What a route rule's backends look like."""

    REST = "Rest"
    ARMS = "Arms"
    OTHER = "Other"


@dataclass(frozen=True, slots=True)
class Target:
    """The user's Deployment.

    `template` identifies its pod template (a hash of the stored JSON without pod-template-hash);
    `complete` means: rolled out, as `kubectl rollout status` says it, at this generation.
    """

    name: str
    uid: str
    resource_version: str
    replicas: int
    paused: bool
    template: str
    complete: bool
    recreate: bool = False
    deleting: bool = False
    version: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """A ReplicaSet of the target's selector.

    `template` is the same hash as Target's; `matches`: its template equals the Deployment's
    present one, compared field by field without pod-template-hash. `failure`: why its pods cannot
    be made, in the API server's words, "" where they can.
    """

    name: str
    uid: str
    resource_version: str
    revision: str
    template: str
    replicas: int
    ready: int
    available: int
    owner: Owner
    matches: bool
    created_at: float
    deleting: bool = False
    observed: bool = True
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of the target's selector, told apart by pod-template-hash.

    `restarted_at`: when one of its containers was last started again, Unix seconds; None: never.
    """

    name: str
    revision: str
    ready: bool
    deleting: bool = False
    fault: Fault = Fault.NONE
    restarted_at: float | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A user's Service: where its selector is pinned to, who owns the selector by Apply.

    `ready_stable`, `ready_canary`, `ready_other`: its ready endpoints by revision.
    """

    name: str
    resource_version: str
    pinned_to: str = ""
    apply_owner: str = ""
    ready_stable: int = 0
    ready_canary: int = 0
    ready_other: int = 0


@plain
class Role(StrEnum):
    """The two arms of a Service."""

    STABLE = "stable"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the two Services of ours for a user's Service; `ready` counts ready endpoints.

    `ready_since`: Unix time at which the last of them joined. `stale`: but for its revision it is
    no longer what the user's Service is now (ports, selector and what else an arm copies).
    """

    service: str
    role: Role
    name: str
    resource_version: str
    revision: str
    ready: int
    ready_since: float = 0.0
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One route rule that names the Service or its arms.

    `stable` and `canary` are the weights in ARMS form (0 in others). `ours`: the last writer of
    the rules was this operator. `accepted` is the gateway's word for the present generation.
    `permanent`: the user's own rule names the arms (weights only), it has no rest form. `backends`
    is what stands there as JSON, a permanent rule's with nothing on the canary's arm.
    """

    kind: str
    route: str
    index: int
    name: str
    service: str
    form: Form
    stable: int
    canary: int
    ours: bool
    writer: str
    accepted: bool
    why_not: str
    backends: str
    resource_version: str
    permanent: bool = False
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """Requests since the present weight, by arm, from the router's own counters."""

    canary: int
    total: int


@dataclass(frozen=True, slots=True)
class Observation:
    """All that was seen in one pass.

    `sets`, `pods`, `services`, `arms`, `rules` are read only when an attempt runs or may start.
    `terms`: the attempt's frozen plan and contract, None while not recorded or not readable.
    `frozen_replicas`: whether the freezing policy is in force now (None: not asked).
    `route_drift`: how a managed route differs from its template: "" | "missing" | "changed".
    `autoscaler`: the autoscaler that multiplies by the canary's pods too, with its metric, or "".
    `unread`: kinds that could not be read this time, with the reason.
    """

    target: Target | None = None
    sets: tuple[ReplicaSet, ...] = ()
    pods: tuple[Pod, ...] = ()
    services: tuple[Service, ...] = ()
    arms: tuple[Arm, ...] = ()
    rules: tuple[Rule, ...] = ()
    readings: tuple[Reading, ...] = ()
    share: Share | None = None
    share_measurable: bool = False
    terms: Terms | None = None
    hold_policy: bool = False
    freeze_policy: bool = False
    frozen_replicas: bool | None = None
    finalizer: bool = False
    route_drift: str = ""
    approvals: int = 0
    autoscaler: str = ""
    problems: tuple[Problem, ...] = ()
    unread: tuple[Problem, ...] = ()
