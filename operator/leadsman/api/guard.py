"""Guard: what is measured in which arm, by which statistic, against which limit.

A guard answers one question about a release with a verdict; what follows from a verdict is the
contract's business (`releasecontract.py`). What is measured and how it is judged are two unions,
because almost every measure can be judged in several ways. All judges of the design are in the
schema, so that a manifest is checked in full when it is applied; the operator says with a condition
which of them it cannot judge yet.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StrictInt

from leadsman.api.conditions import PlainStatus
from leadsman.api.resource import API_VERSION, Resource, SourceRef
from leadsman.api.schema import Api, ListSet, Rule, exactly_one
from leadsman.api.types import (
    Duration,
    LabelName,
    Latency,
    Margin,
    MetricName,
    Percent,
    Ratio,
    between,
)


class Preset(StrEnum):
    """Well-known metrics that need no configuration."""

    TRAEFIK = "Traefik"
    POD = "Pod"
    ISTIO = "Istio"
    ENVOY_GATEWAY = "EnvoyGateway"
    LINKERD = "Linkerd"
    NGINX_GATEWAY_FABRIC = "NGINXGatewayFabric"
    INGRESS_NGINX = "IngressNGINX"
    CONTOUR = "Contour"
    OPENTELEMETRY_HTTP = "OpenTelemetryHTTP"
    OPENTELEMETRY_GRPC = "OpenTelemetryGRPC"
    MICROMETER_HTTP = "MicrometerHTTP"
    MICROMETER_GRPC = "MicrometerGRPC"
    GO_GRPC = "GoGRPC"


class ArmBy(StrEnum):
    """How a metric's series tells which arm it belongs to."""

    POD = "Pod"
    SERVICE = "Service"
    LABEL = "Label"


class Family(StrEnum):
    """What kind of harm a guard looks for."""

    ERRORS = "Errors"
    LATENCY = "Latency"
    QUALITY = "Quality"
    SATURATION = "Saturation"


class Worse(StrEnum):
    """Which way a mean is worse."""

    HIGHER = "Higher"
    LOWER = "Lower"


class Arm(Api):
    """How a series tells its arm."""

    by: ArmBy = Field(
        default=ArmBy.POD,
        description=(
            "What the label holds: Pod, the name of a pod; Service, the name of an arm's Service; "
            "Label, the pod-template-hash of the version."
        ),
    )
    label: LabelName = Field(default="pod", description="The label that tells the arm.")


DEFAULT_ARM = Arm()

_LABELS = Rule(
    cel=r"self.all(name, name.matches('^[a-zA-Z_][a-zA-Z0-9_]*$') && !name.startsWith('__'))",
    message=(
        "keys must be names of labels: letters, digits and '_', "
        "not a digit and not two underscores first"
    ),
    holds=lambda labels: all(
        name.isidentifier() and name.isascii() and not name.startswith("__") for name in labels
    ),
)
Matches = Annotated[dict[str, Annotated[str, Field(max_length=256)]], Field(max_length=8), _LABELS]


class Counter(Api):
    """A Prometheus counter, narrowed by labels."""

    metric: MetricName = Field(description="The counter's name.")
    match: Matches | None = Field(
        default=None, description="Labels that must be equal to these values."
    )
    match_regex: Matches | None = Field(
        default=None,
        description="Labels that must match these regular expressions (RE2, anchored).",
    )


class ErrorsMeasure(Api):
    """The share of failed requests, from well-known metrics."""

    preset: Preset = Field(
        description=(
            "Whose metrics. Of a gateway, mesh or ingress, by each arm's Service: Traefik, Istio, "
            "EnvoyGateway, NGINXGatewayFabric, IngressNGINX, Contour. Of the pods: Linkerd, their "
            "proxies; Pod, http_requests_total with a label code, as the Go client has it; "
            "OpenTelemetryHTTP, OpenTelemetryGRPC, MicrometerHTTP, MicrometerGRPC, GoGRPC, the "
            "servers' own. See docs/metrics.md."
        )
    )


class LatencyMeasure(Api):
    """The share of slow requests, from well-known metrics."""

    preset: Preset = Field(
        description=(
            "Whose histogram, as with errors: Traefik, Istio, EnvoyGateway, IngressNGINX, Contour, "
            "Linkerd, Pod (http_request_duration_seconds), OpenTelemetryHTTP, OpenTelemetryGRPC, "
            "MicrometerHTTP, MicrometerGRPC or GoGRPC. NGINXGatewayFabric has none."
        )
    )
    above: Latency = Field(
        description="A request slower than this is slow; use the bound of a bucket."
    )


class RatioMeasure(Api):
    """The share of bad events, from any two counters."""

    bad: Counter = Field(description="Counts the bad events.")
    total: Counter = Field(description="Counts all events.")
    arm: Arm = Field(default=DEFAULT_ARM, description="How a series tells its arm.")


class HistogramMeasure(Api):
    """The share of slow events, from any histogram."""

    metric: MetricName = Field(description="The histogram's name, without _bucket.")
    match: Matches | None = Field(
        default=None, description="Labels that must be equal to these values."
    )
    match_regex: Matches | None = Field(
        default=None,
        description="Labels that must match these regular expressions (RE2, anchored).",
    )
    above: Latency = Field(
        description="An event slower than this is slow; use the bound of a bucket."
    )
    arm: Arm = Field(default=DEFAULT_ARM, description="How a series tells its arm.")


class PromQLMeasure(Api):
    """Any query, where the MetricsSource allows it."""

    query: Annotated[str, Field(min_length=1, max_length=2048)] = Field(
        description="A PromQL expression; only where the MetricsSource has allowPromQL."
    )


Window = Annotated[Duration, between("1s", "1h")]


class Threshold(Api):
    """The share in a sliding window must stay at or below a limit."""

    max: Percent = Field(description="The highest share that passes.")
    window: Window = Field(
        default="30s", description="How far back the window reaches, never past the last raise."
    )
    min_events: StrictInt = Field(
        ge=1,
        le=10_000_000,
        description=(
            "With fewer events in the window the verdict is Inconclusive. "
            "Twenty divided by the limit is a good choice: 400 for 5%."
        ),
    )


class Relative(Api):
    """The canary's share divided by stable's must stay at or below a ratio."""

    max_ratio: Annotated[
        Ratio,
        Rule(
            cel="!self.matches('^[0.]+$')",
            message='must be above zero, such as "1.5"',
            holds=lambda text: text.strip("0.") != "",
        ),
    ] = Field(description="The highest ratio that passes.")
    window: Window = Field(
        default="1m", description="How far back the window reaches, never past the last raise."
    )
    min_events: StrictInt = Field(
        ge=1,
        le=10_000_000,
        description="With fewer events of an arm in the window the verdict is Inconclusive.",
    )


class Sequential(Api):
    """Evidence of harm, valid at every look: the canary's rate against stable's."""

    tolerance: Percent = Field(
        default="10%", description="A worsening up to this, relative to stable, is accepted."
    )
    overdispersion: Ratio = Field(
        default="0",
        description=(
            "How much the arms differ by more than counting explains (tau squared), from a "
            "calibration on days without a release; 0 for requests that are routed one by one."
        ),
    )


class NonInferiority(Api):
    """Promotion waits until the canary is shown to be no worse than stable by a margin."""

    margin: Percent = Field(description="The difference of shares that still counts as equal.")


class SequentialMean(Api):
    """Evidence that the mean is worse than stable's by more than a margin."""

    margin: Margin = Field(description="The difference of means that still counts as equal.")
    worse: Worse = Field(
        default=Worse.HIGHER,
        description="Higher (a duration, a cost) or Lower (a score): which way a mean is worse.",
    )


class Absolute(Api):
    """Evidence that the canary's share is above a limit, without looking at stable."""

    max: Percent = Field(description="The highest share that is accepted.")


class NegativeControl(Api):
    """Stable against itself: a difference says that the measurement is confounded."""


class SampleRatio(Api):
    """The arrived traffic share against the commanded weight."""


class Judge(Api):
    """The statistic that turns measurements into a verdict: exactly one."""

    threshold: Threshold | None = Field(
        default=None, description="A limit on the share in a sliding window."
    )
    relative: Relative | None = Field(
        default=None, description="A limit on the canary's share divided by stable's."
    )
    sequential: Sequential | None = Field(
        default=None, description="Evidence of harm against stable, valid at every look."
    )
    non_inferiority: NonInferiority | None = Field(
        default=None, description="Promotion only once the canary is shown to be no worse."
    )
    sequential_mean: SequentialMean | None = Field(
        default=None, description="Evidence that the mean is worse than stable's."
    )
    absolute: Absolute | None = Field(
        default=None, description="Evidence that the canary's share is above a limit."
    )
    negative_control: NegativeControl | None = Field(
        default=None, description="Stable against itself, to find confounded measurements."
    )
    sample_ratio: SampleRatio | None = Field(
        default=None, description="The arrived share of traffic against the commanded weight."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            "threshold",
            "relative",
            "sequential",
            "non_inferiority",
            "sequential_mean",
            "absolute",
            "negative_control",
            "sample_ratio",
        ),
    )


class Slices(Api):
    """Parts of the traffic that are judged each for itself."""

    label: LabelName = Field(description="The label that tells the slice.")
    values: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=128)], ...],
        Field(min_length=1, max_length=20),
        ListSet(),
    ] = Field(description="The label's values, one a slice.")


def _counted_by_query(spec: GuardSpec) -> bool:
    judge = spec.judge
    return spec.prom_ql is None or (judge.threshold or judge.sequential_mean) is not None


class GuardSpec(Api):
    """What is measured, and how it is judged."""

    source_ref: SourceRef = Field(
        default=SourceRef(name="default"), description="The MetricsSource that is asked."
    )
    errors: ErrorsMeasure | None = Field(
        default=None, description="The share of failed requests, from well-known metrics."
    )
    latency: LatencyMeasure | None = Field(
        default=None, description="The share of slow requests, from well-known metrics."
    )
    ratio: RatioMeasure | None = Field(
        default=None, description="The share of bad events, from any two counters."
    )
    histogram: HistogramMeasure | None = Field(
        default=None, description="The share of slow events, from any histogram."
    )
    prom_ql: PromQLMeasure | None = Field(
        default=None, description="Any query, where the MetricsSource allows it."
    )
    judge: Judge = Field(description="How a verdict is reached: exactly one statistic.")
    slices: Slices | None = Field(
        default=None, description="Parts of the traffic that are judged each for itself."
    )
    family: Family | None = Field(
        default=None,
        description="The kind of harm; Errors and Latency follow from errors and latency.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one("errors", "latency", "ratio", "histogram", "prom_ql"),
        Rule(
            cel="!has(self.promQL) || has(self.judge.threshold) || has(self.judge.sequentialMean)",
            message="promQL gives no counters: its judge must be threshold or sequentialMean",
            holds=_counted_by_query,
            field=".judge",
        ),
        Rule(
            cel=(
                "!has(self.judge.sequentialMean) || has(self.histogram) || has(self.latency) "
                "|| has(self.promQL)"
            ),
            message=("judge.sequentialMean needs a mean: measure by histogram, latency or promQL"),
            holds=lambda spec: (
                spec.judge.sequential_mean is None
                or (spec.histogram or spec.latency or spec.prom_ql) is not None
            ),
            field=".judge",
        ),
        Rule(
            cel="!has(self.judge.sampleRatio) || has(self.errors) || has(self.ratio)",
            message="judge.sampleRatio counts requests: measure by errors or ratio",
            holds=lambda spec: (
                spec.judge.sample_ratio is None or (spec.errors or spec.ratio) is not None
            ),
            field=".judge",
        ),
        Rule(
            cel="!has(self.slices) || !has(self.promQL)",
            message="slices need a label of the metric: leave slices out with promQL",
            holds=lambda spec: spec.slices is None or spec.prom_ql is None,
            field=".slices",
        ),
    )


class Guard(Resource):
    """A guard that several contracts can use by reference."""

    api_version: Literal["leadsman.dev/v1alpha1"] = API_VERSION
    kind: Literal["Guard"] = "Guard"
    spec: GuardSpec = Field(description="What is measured, and how it is judged.")
    status: PlainStatus | None = Field(
        default=None, description="What the operator says about this guard."
    )
