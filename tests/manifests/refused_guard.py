"""Wrong Guards."""

from __future__ import annotations

from typing import Any

from tests.manifests.rows import ABSENT, DURATION, NAME, PERCENT, Change, Row

_RATIO = {
    "bad": {"metric": "requests_total", "matchRegex": {"code": "5.."}},
    "total": {"metric": "requests_total"},
}
_THRESHOLD = "spec.judge.threshold"


def _measured(**measure: Any) -> Change:
    return {"spec.errors": ABSENT, **{f"spec.{name}": value for name, value in measure.items()}}


def _judged(**judge: Any) -> Change:
    return {"spec.judge": judge}


ROWS: tuple[Row, ...] = (
    (
        "spec",
        "union",
        {"spec.latency": {"preset": "Traefik", "above": "250ms"}},
        ("spec: Invalid value", "exactly one of errors, latency, ratio, histogram, promQL"),
    ),
    ("spec.judge", "required", {"spec.judge": ABSENT}, ("spec.judge: Required value",)),
    (
        "spec.judge",
        "union",
        {"spec.judge.absolute": {"max": "1%"}},
        ("spec.judge: Invalid value", "exactly one of threshold, relative"),
    ),
    (
        "spec.judge",
        "query",
        {**_measured(promQL={"query": "up"}), **_judged(sequential={})},
        ("spec.judge", "promQL gives no counters: its judge must be threshold or sequentialMean"),
    ),
    (
        "spec.judge",
        "mean",
        _judged(sequentialMean={"margin": "1ms"}),
        ("spec.judge", "measure by histogram, latency or promQL"),
    ),
    (
        "spec.judge",
        "requests",
        {
            **_measured(histogram={"metric": "seconds", "above": "1s"}),
            **_judged(sampleRatio={}),
        },
        ("spec.judge", "measure by errors or ratio"),
    ),
    (
        "spec.errors.preset",
        "enum",
        {"spec.errors.preset": "Nginx"},
        ("spec.errors.preset", '"Traefik", "Pod"'),
    ),
    (
        "spec.errors.preset",
        "required",
        {"spec.errors": {}},
        ("spec.errors.preset: Required value",),
    ),
    (
        "spec.latency.above",
        "required",
        _measured(latency={"preset": "Traefik"}),
        ("spec.latency.above: Required value",),
    ),
    (
        "spec.latency.above",
        "pattern",
        _measured(latency={"preset": "Traefik", "above": "0ms"}),
        ("spec.latency.above", "must be a latency above zero"),
    ),
    (
        "spec.latency.preset",
        "enum",
        _measured(latency={"preset": "Squid", "above": "1s"}),
        ("spec.latency.preset", '"Traefik", "Pod"'),
    ),
    (
        "spec.ratio.bad",
        "required",
        _measured(ratio={"total": {"metric": "requests_total"}}),
        ("spec.ratio.bad: Required value",),
    ),
    (
        "spec.ratio.total",
        "required",
        _measured(ratio={"bad": {"metric": "requests_total"}}),
        ("spec.ratio.total: Required value",),
    ),
    (
        "spec.ratio.bad.metric",
        "pattern",
        _measured(ratio={**_RATIO, "bad": {"metric": 'requests_total{code="500"}'}}),
        ("spec.ratio.bad.metric", "must be a metric's name"),
    ),
    (
        "spec.ratio.bad.match",
        "keys",
        _measured(
            ratio={**_RATIO, "bad": {"metric": "requests_total", "match": {"__name__": "up"}}}
        ),
        ("spec.ratio.bad.match", "keys must be names of labels"),
    ),
    (
        "spec.ratio.bad.match",
        "maxProperties",
        _measured(
            ratio={
                **_RATIO,
                "bad": {"metric": "m_total", "match": {f"l{n}": "x" for n in range(9)}},
            }
        ),
        ("spec.ratio.bad.match", "at most 8"),
    ),
    (
        "spec.ratio.bad.matchRegex",
        "keys",
        _measured(
            ratio={**_RATIO, "bad": {"metric": "m_total", "matchRegex": {'c"}) or up{a': "x"}}}
        ),
        ("spec.ratio.bad.matchRegex", "keys must be names of labels"),
    ),
    (
        "spec.ratio.bad.matchRegex{}",
        "maxLength",
        _measured(
            ratio={**_RATIO, "bad": {"metric": "m_total", "matchRegex": {"code": "5" * 257}}}
        ),
        ("spec.ratio.bad.matchRegex", "256"),
    ),
    (
        "spec.ratio.arm.by",
        "enum",
        _measured(ratio={**_RATIO, "arm": {"by": "Version", "label": "version"}}),
        ("spec.ratio.arm.by", '"Pod", "Service", "Label"'),
    ),
    (
        "spec.ratio.arm.label",
        "pattern",
        _measured(ratio={**_RATIO, "arm": {"by": "Label", "label": "app.kubernetes.io/version"}}),
        ("spec.ratio.arm.label", "must be a label's name"),
    ),
    (
        "spec.histogram.metric",
        "pattern",
        _measured(histogram={"metric": "request-seconds", "above": "1s"}),
        ("spec.histogram.metric", "must be a metric's name"),
    ),
    (
        "spec.histogram.above",
        "pattern",
        _measured(histogram={"metric": "request_seconds", "above": "0.25"}),
        ("spec.histogram.above", "must be a latency above zero"),
    ),
    (
        "spec.promQL.query",
        "minLength",
        _measured(promQL={"query": ""}),
        ("spec.promQL.query", "at least 1 chars"),
    ),
    (
        "spec.promQL.query",
        "maxLength",
        _measured(promQL={"query": "x" * 2049}),
        ("spec.promQL.query", "2048"),
    ),
    (
        f"{_THRESHOLD}.max",
        "required",
        {f"{_THRESHOLD}.max": ABSENT},
        (f"{_THRESHOLD}.max: Required value",),
    ),
    (f"{_THRESHOLD}.max", "pattern", {f"{_THRESHOLD}.max": "5"}, (f"{_THRESHOLD}.max", PERCENT)),
    (
        f"{_THRESHOLD}.max",
        "type",
        {f"{_THRESHOLD}.max": 0.05},
        (f"{_THRESHOLD}.max", "must be of type string"),
    ),
    (
        f"{_THRESHOLD}.window",
        "pattern",
        {f"{_THRESHOLD}.window": "30 s"},
        (f"{_THRESHOLD}.window", DURATION),
    ),
    (
        f"{_THRESHOLD}.window",
        "range",
        {f"{_THRESHOLD}.window": "2h"},
        (f"{_THRESHOLD}.window", "from 1s to 1h"),
    ),
    (
        f"{_THRESHOLD}.minEvents",
        "required",
        {f"{_THRESHOLD}.minEvents": ABSENT},
        (f"{_THRESHOLD}.minEvents: Required value",),
    ),
    (
        f"{_THRESHOLD}.minEvents",
        "minimum",
        {f"{_THRESHOLD}.minEvents": 0},
        (f"{_THRESHOLD}.minEvents", "greater than or equal to 1"),
    ),
    (
        "spec.judge.relative.maxRatio",
        "pattern",
        _judged(relative={"maxRatio": "150%", "minEvents": 50}),
        ("spec.judge.relative.maxRatio", "must be a number in quotes"),
    ),
    (
        "spec.judge.relative.maxRatio",
        "rule",
        _judged(relative={"maxRatio": "0.0", "minEvents": 50}),
        ("spec.judge.relative.maxRatio", "must be above zero"),
    ),
    (
        "spec.judge.sequential.tolerance",
        "pattern",
        _judged(sequential={"tolerance": "0.1"}),
        ("spec.judge.sequential.tolerance", PERCENT),
    ),
    (
        "spec.judge.nonInferiority.margin",
        "required",
        _judged(nonInferiority={}),
        ("spec.judge.nonInferiority.margin: Required value",),
    ),
    (
        "spec.judge.sequentialMean.margin",
        "pattern",
        {
            **_measured(latency={"preset": "Pod", "above": "1s"}),
            **_judged(sequentialMean={"margin": "one ms"}),
        },
        ("spec.judge.sequentialMean.margin", "must be a latency, a percentage or a number"),
    ),
    (
        "spec.judge.absolute.max",
        "pattern",
        _judged(absolute={"max": "101%"}),
        ("spec.judge.absolute.max", PERCENT),
    ),
    (
        "spec.slices.values",
        "maxItems",
        {"spec.slices": {"label": "route", "values": [f"/{n}" for n in range(21)]}},
        ("spec.slices.values", "at most 20 items"),
    ),
    (
        "spec.slices.values",
        "unique",
        {"spec.slices": {"label": "route", "values": ["/", "/"]}},
        ("spec.slices.values[1]: Duplicate value",),
    ),
    (
        "spec.slices.label",
        "pattern",
        {"spec.slices": {"label": "http-route", "values": ["/"]}},
        ("spec.slices.label", "must be a label's name"),
    ),
    (
        "spec.slices",
        "query",
        {
            **_measured(promQL={"query": "up"}),
            "spec.slices": {"label": "route", "values": ["/"]},
        },
        ("spec.slices", "leave slices out with promQL"),
    ),
    (
        "spec.family",
        "enum",
        {"spec.family": "Traffic"},
        ("spec.family", '"Errors", "Latency", "Quality", "Saturation"'),
    ),
    (
        "spec.sourceRef.name",
        "pattern",
        {"spec.sourceRef": {"name": "http://prometheus:9090"}},
        ("spec.sourceRef.name", NAME),
    ),
)
