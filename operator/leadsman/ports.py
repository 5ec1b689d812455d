"""What the runtime needs from the outside, as Protocols of a few methods each.

Adapters implement them for real providers, `leadsman.testing` implements them in memory; one
contract test class for each port runs against both. Objects are the plain dictionaries of the
Kubernetes JSON API: no generated models, no decoding that could lose a field.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from leadsman.core.observation import Pod, ReplicaSet, Rule, Target
from leadsman.core.spec import Problem
from leadsman.core.status import Original

Body = dict[str, Any]
JsonPatch = Sequence[Mapping[str, Any]]
"""RFC 6902 operations, for instance `{"op": "test", "path": "/spec/paused", "value": False}`."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource type of the Kubernetes API."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or `version` alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
REPLICASET = Kind("apps", "v1", "replicasets", "ReplicaSet")
CONTROLLERREVISION = Kind("apps", "v1", "controllerrevisions", "ControllerRevision")
POD = Kind("", "v1", "pods", "Pod")
SERVICE = Kind("", "v1", "services", "Service")
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
ENDPOINTSLICE = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
EVENT = Kind("events.k8s.io", "v1", "events", "Event")
HTTPROUTE = Kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
GRPCROUTE = Kind("gateway.networking.k8s.io", "v1", "grpcroutes", "GRPCRoute")
HORIZONTALPODAUTOSCALER = Kind(
    "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"
)
MUTATINGPOLICY = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicies",
    "MutatingAdmissionPolicy",
    namespaced=False,
)
MUTATINGPOLICYBINDING = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicybindings",
    "MutatingAdmissionPolicyBinding",
    namespaced=False,
)
ROLLOUT = Kind("leadsman.dev", "v1alpha1", "rollouts", "Rollout")
ROLLOUTPLAN = Kind("leadsman.dev", "v1alpha1", "rolloutplans", "RolloutPlan")
RELEASECONTRACT = Kind("leadsman.dev", "v1alpha1", "releasecontracts", "ReleaseContract")
GUARD = Kind("leadsman.dev", "v1alpha1", "guards", "Guard")
METRICSSOURCE = Kind(
    "leadsman.dev", "v1alpha1", "metricssources", "MetricsSource", namespaced=False
)

FIELD_MANAGER = "leadsman"
"""The one field manager of all the operator's writes (core.md: who wrote last)."""


@dataclass(frozen=True, slots=True)
class Ref:
    """One object: its kind, namespace ("" for cluster-scoped) and name."""

    kind: Kind
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A list's items and the resourceVersion to watch from."""

    items: tuple[Body, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch. BOOKMARK bodies carry only `metadata.resourceVersion`."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    body: Body


@runtime_checkable
class Kube(Protocol):
    """The Kubernetes API in six verbs on plain dictionaries.

    Every method may raise any `ApiError`. No method retries: who asks decides. All writes go
    out as field manager `leadsman`.
    """

    async def get(self, ref: Ref) -> Body:
        """Read one object. Raises NotFoundError."""
        ...

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> Listing:
        """List a kind, chunked inside; namespace "" is the whole cluster.

        `labels` and `fields` are selectors in the API's own syntax.
        """
        ...

    def watch(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "", since: str
    ) -> AsyncIterator[WatchEvent]:
        """Stream events after resourceVersion `since` until the server ends the watch.

        Raises GoneError when `since` is too old, UnavailableError when the stream is lost or
        silent for longer than the watch's time-out.
        """
        ...

    async def patch(
        self, ref: Ref, operations: JsonPatch, *, subresource: str = "", dry_run: bool = False
    ) -> Body:
        """Apply a JSON Patch and return the object as stored.

        Raises ConflictError when a `test` fails or the object changed, NotFoundError,
        InvalidError.
        """
        ...

    async def create(self, kind: Kind, namespace: str, body: Body) -> Body:
        """Create an object. Raises AlreadyExistsError, InvalidError."""
        ...

    async def delete(
        self, ref: Ref, *, uid: str = "", resource_version: str = "", orphan: bool = False
    ) -> None:
        """Delete an object if the preconditions hold (background propagation, or orphan).

        Raises NotFoundError, ConflictError.
        """
        ...


@dataclass(frozen=True, slots=True)
class ArmNames:
    """The names of the two arms of one Service."""

    stable: str
    canary: str


@dataclass(frozen=True, slots=True)
class RouteRules:
    """The rules of one route that matter, and what is wrong with it."""

    rules: tuple[Rule, ...] = ()
    problems: tuple[Problem, ...] = ()


@runtime_checkable
class Router(Protocol):
    """One provider's routes: pure functions on stored objects, patches as values.

    `arms` maps each Service of the user's to the names of its arms. A patch without operations
    means that the object says so already.
    """

    def read(
        self,
        route: Body,
        kind: str,
        arms: Mapping[str, ArmNames],
        rule_name: str = "",
        originals: Sequence[Original] | None = None,
    ) -> RouteRules:
        """The rules that name a Service or its arms; with `originals` exactly those."""
        ...

    def services(self, route: Body, rule_name: str) -> tuple[str, ...]:
        """The Services that the chosen rules name (all rules when `rule_name` is "")."""
        ...

    def weights(
        self,
        route: Body,
        rules: Iterable[Rule],
        canary: int,
        arms: Mapping[str, ArmNames],
        *,
        lowering: bool,
    ) -> JsonPatch:
        """Give the canary `canary` percent; lowering tests names only."""
        ...

    def restore(self, route: Body, originals: Sequence[Original]) -> JsonPatch:
        """Put the user's own backends back. Raises ValueError when they are not readable."""
        ...


@runtime_checkable
class Workload(Protocol):
    """One kind of workload: facts from stored objects, and the moves of a release as patches.

    Each patch tests the uid or the resourceVersion that it is given; without operations it is done.
    """

    def target(self, body: Body) -> Target:
        """The workload as the core sees it."""
        ...

    def sets(
        self, bodies: Iterable[Body], body: Body | None, rollout: str
    ) -> tuple[ReplicaSet, ...]:
        """Its versions' sets, oldest first; `rollout` is the Rollout's uid."""
        ...

    def pods(
        self, bodies: Iterable[Body], sets: Sequence[ReplicaSet], revision: str = ""
    ) -> tuple[Pod, ...]:
        """The pods of these sets, and those of the attempt's revision whose set is gone."""
        ...

    def canary(self, body: Body, rollout: Body, revision: str, replicas: int) -> Body:
        """The manifest of the canary's set, controlled by the Rollout."""
        ...

    def pause(self, body: Body, uid: str, version: str, *, paused: bool) -> JsonPatch:
        """Hold or release the workload's own rollout."""
        ...

    def take_over(self, one: Body, rollout: Body, uid: str, version: str) -> JsonPatch:
        """Make the Rollout a set's controller."""
        ...

    def release(self, one: Body, rollout: Body, uid: str, version: str, replicas: int) -> JsonPatch:
        """Let the workload claim a set as saturated at `replicas`, in one patch."""
        ...


class Sample(NamedTuple):
    """One raw sample: Unix time in seconds as Prometheus stored it, and the value."""

    time: float
    value: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """One raw sample of a native histogram: all its events, and its buckets that are not empty.

    A bucket is (lower bound, upper bound, events), its events are above the lower bound and up to
    the upper one; the unit is the metric's. `time` is Unix seconds.
    """

    time: float
    count: float
    buckets: tuple[tuple[float, float, float], ...]


class Series(NamedTuple):
    """One series of a range-selector answer: labels (with `__name__`), samples in time order.

    A native histogram has `histograms`, in time order, and no samples.
    """

    labels: Mapping[str, str]
    samples: tuple[Sample, ...]
    histograms: tuple[Histogram, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a metrics source said: series, or a typed error, never both.

    `error` is "" or one of Timeout, Unreachable, BadRequest, ServerError, BadJSON, WrongType,
    TooLarge, Refused. `warnings` and `infos` are the source's own, bounded.
    """

    series: tuple[Series, ...] = ()
    error: str = ""
    detail: str = ""
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()


@runtime_checkable
class MetricsSource(Protocol):
    """A source of raw counter samples. Never raises: what went wrong is a value."""

    async def range(self, selector: str, seconds: float) -> Answer:
        """The raw samples of the last `seconds` of all series that `selector` matches."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


@runtime_checkable
class Evaluator(Protocol):
    """A source that also evaluates expressions that users wrote. Never raises."""

    async def evaluate(self, expression: str, seconds: float, step: float) -> Answer:
        """The expression's values at the whole multiples of `step` seconds in the last `seconds`.

        Refused where the source's administrator does not allow it.
        """
        ...


@runtime_checkable
class Clock(Protocol):
    """Time and waiting, so that tests can own both."""

    def now(self) -> float:
        """Unix time, seconds, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """One event to tell users: unique CamelCase reason, a sentence, Normal or Warning."""

    reason: str
    message: str
    warning: bool = False
    about: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Notifier(Protocol):
    """Where decisions are told. A notifier that fails or is slow never delays a decision."""

    def notify(self, rollout: Body, notice: Notice) -> None:
        """Queue a notice about a Rollout; returns at once and never raises."""
        ...
