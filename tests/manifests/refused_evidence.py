"""Wrong Guards and ReleaseContracts of those that judge by statistics."""

from __future__ import annotations

from typing import Any

from tests.manifests.rows import ABSENT, DURATION, GUARD, NAME, PERCENT, SHORT, Change, Row

NUMBER = "must be a number in quotes"
JUDGE = "spec.judge"


def _judged(**judge: Any) -> Change:
    return {"spec.judge": judge}


def _measured(**measure: Any) -> Change:
    return {"spec.errors": ABSENT, **{f"spec.{name}": value for name, value in measure.items()}}


def _row(field: str, rule: str, change: Change, *says: str) -> Row:
    return field, rule, change, (field.replace("[]", "[0]"), *says)


def _unions() -> tuple[Row, ...]:
    """Two judges in one guard: exactly one."""
    others: dict[str, Any] = {
        "relative": {"maxRatio": "1.5", "minEvents": 50},
        "sequential": {},
        "nonInferiority": {"margin": "1%"},
        "negativeControl": {},
        "sampleRatio": {},
    }
    return tuple(
        _row(JUDGE, f"union-{name}", {f"spec.judge.{name}": judge}, "exactly one of threshold")
        for name, judge in others.items()
    )


def _unknown() -> tuple[Row, ...]:
    """Fields that a judge does not have."""
    judges: dict[str, Any] = {
        "sequential": {"alpha": "1%"},
        "nonInferiority": {"margin": "1%", "tolerance": "1%"},
        "absolute": {"max": "1%", "window": "30s"},
        "negativeControl": {"alpha": "5%"},
        "sampleRatio": {"max": "1%"},
        "relative": {"maxRatio": "2", "minEvents": 9, "max": "1%"},
    }
    return tuple(
        _row(f"{JUDGE}.{name}", "unknown", _judged(**{name: judge}), "unknown field")
        for name, judge in judges.items()
    )


GUARD_ROWS: tuple[Row, ...] = (
    *_unions(),
    _row(JUDGE, "none", _judged(), "exactly one of threshold"),
    _row(
        "spec.judge.sequential.tolerance", "number",
        _judged(sequential={"tolerance": 0.1}), "string",
    ),
    _row(
        "spec.judge.sequential.tolerance", "sign",
        _judged(sequential={"tolerance": "-10%"}), PERCENT,
    ),
    _row(
        "spec.judge.sequential.tolerance", "above",
        _judged(sequential={"tolerance": "150%"}), PERCENT,
    ),
    _row(
        "spec.judge.sequential.overdispersion", "pattern",
        _judged(sequential={"overdispersion": "10%"}), NUMBER,
    ),
    _row(
        "spec.judge.sequential.overdispersion", "sign",
        _judged(sequential={"overdispersion": "-1"}), NUMBER,
    ),
    _row(
        "spec.judge.sequential.overdispersion", "type",
        _judged(sequential={"overdispersion": 1}), "string",
    ),
    _row(
        "spec.judge.nonInferiority.margin", "pattern",
        _judged(nonInferiority={"margin": "0.005"}), PERCENT,
    ),
    _row(
        "spec.judge.nonInferiority.margin", "sign",
        _judged(nonInferiority={"margin": "-1%"}), PERCENT,
    ),
    _row(
        "spec.judge.sequentialMean.margin", "required",
        {
            **_measured(latency={"preset": "Pod", "above": "1s"}),
            **_judged(sequentialMean={}),
        },
        "Required value",
    ),
    _row(
        "spec.judge.sequentialMean.margin", "unit",
        {
            **_measured(latency={"preset": "Pod", "above": "1s"}),
            **_judged(sequentialMean={"margin": "1 min"}),
        },
        "must be a latency, a percentage or a number",
    ),
    _row(
        "spec.judge.sequentialMean.worse", "enum",
        {
            **_measured(latency={"preset": "Pod", "above": "1s"}),
            **_judged(sequentialMean={"margin": "1ms", "worse": "Less"}),
        },
        '"Higher", "Lower"',
    ),
    _row("spec.judge.absolute.max", "required", _judged(absolute={}), "Required value"),
    _row("spec.judge.absolute.max", "sign", _judged(absolute={"max": "-1%"}), PERCENT),
    _row("spec.judge.absolute.max", "type", _judged(absolute={"max": 1}), "string"),
    _row(
        "spec.judge.relative.maxRatio", "required",
        _judged(relative={"minEvents": 50}), "Required value",
    ),
    _row(
        "spec.judge.relative.minEvents", "required",
        _judged(relative={"maxRatio": "2"}), "Required value",
    ),
    _row(
        "spec.judge.relative.minEvents", "minimum",
        _judged(relative={"maxRatio": "2", "minEvents": 0}), "greater than or equal to 1",
    ),
    _row(
        "spec.judge.relative.window", "pattern",
        _judged(relative={"maxRatio": "2", "minEvents": 50, "window": "1 minute"}), DURATION,
    ),
    _row(JUDGE, "mean-of-errors", _judged(sequentialMean={"margin": "0.1"}), "needs a mean"),
    _row(
        JUDGE, "mean-of-ratio",
        {
            **_measured(ratio={"bad": {"metric": "a"}, "total": {"metric": "b"}}),
            **_judged(sequentialMean={"margin": "0.1"}),
        },
        "needs a mean",
    ),
    _row(
        JUDGE, "split-of-latency",
        {
            **_measured(latency={"preset": "Pod", "above": "1s"}),
            **_judged(sampleRatio={}),
        },
        "measure by errors or ratio",
    ),
    *(
        _row(
            JUDGE, f"query-{name}",
            {**_measured(promQL={"query": "up{$arm}"}), **_judged(**{name: judge})},
            "promQL gives no counters",
        )
        for name, judge in {
            "absolute": {"max": "1%"},
            "nonInferiority": {"margin": "1%"},
            "negativeControl": {},
            "relative": {"maxRatio": "2", "minEvents": 9},
        }.items()
    ),
    _row("spec.slices.label", "required", {"spec.slices": {"values": ["/"]}}, "Required value"),
    _row("spec.slices.values", "required", {"spec.slices": {"label": "r"}}, "Required value"),
    _row(
        "spec.slices.values", "minItems",
        {"spec.slices": {"label": "r", "values": []}}, "at least 1 item",
    ),
    _row(
        "spec.slices.values[0]", "empty",
        {"spec.slices": {"label": "r", "values": [""]}}, "at least 1",
    ),
    _row(
        "spec.slices.values[0]", "long",
        {"spec.slices": {"label": "r", "values": ["/" * 129]}}, "128",
    ),
    _row(
        "spec.slices.label", "digit",
        {"spec.slices": {"label": "9lives", "values": ["x"]}}, "must be a label's name",
    ),
    _row(
        "spec.slices.values", "type",
        {"spec.slices": {"label": "r", "values": "/"}}, "array",
    ),
    _row("spec.family", "case", {"spec.family": "errors"}, '"Errors", "Latency"'),
    *_unknown(),
)  # fmt: skip


def _guards(**more: Any) -> Change:
    return {"spec.guards": [{"name": "errors", "guardRef": {"name": "errors"}, **more}]}


def _inline(**judge: Any) -> Change:
    guard = {**GUARD, "judge": judge}
    return {"spec.guards": [{"name": "errors", "guard": guard}]}


CONTRACT_ROWS: tuple[Row, ...] = (
    _row("spec.falseRollback", "most", {"spec.falseRollback": "21%"}, "at most 20%"),
    _row("spec.falseRollback", "share", {"spec.falseRollback": "0.01"}, PERCENT),
    _row("spec.falseRollback", "type", {"spec.falseRollback": 1}, "string"),
    _row("spec.designRatio", "percent", {"spec.designRatio": "150%"}, NUMBER),
    _row("spec.designRatio", "word", {"spec.designRatio": "twice"}, NUMBER),
    _row("spec.onInconclusive", "case", {"spec.onInconclusive": "promote"}, '"Promote"'),
    _row("spec.maxBlind.freezeAfter", "word", {"spec.maxBlind": {"freezeAfter": "soon"}}, DURATION),
    _row(
        "spec.maxBlind.stepBackAfter", "order",
        {"spec.maxBlind": {"freezeAfter": "6m", "stepBackAfter": "5m"}}, "at least freezeAfter",
    ),
    _row(
        "spec.guards[].trigger.hysteresis", "pattern",
        _guards(trigger={"hysteresis": "0.1"}), PERCENT,
    ),
    _row(
        "spec.guards[].trigger.hysteresis", "most",
        _guards(trigger={"hysteresis": "95%"}), "at most 90%",
    ),
    _row(
        "spec.guards[].trigger.sustainedFor", "word",
        _guards(trigger={"sustainedFor": "3 windows"}), DURATION,
    ),
    _row(
        "spec.guards[].trigger.consecutive", "type",
        _guards(trigger={"consecutive": "3"}), "integer",
    ),
    _row("spec.guards[].trigger", "unknown", _guards(trigger={"windows": 3}), "unknown field"),
    _row("spec.guards[].guard.judge", "none", _inline(), "exactly one of threshold"),
    _row(
        "spec.guards[].guard.judge.sequential.tolerance", "pattern",
        _inline(sequential={"tolerance": "ten percent"}), PERCENT,
    ),
    _row(
        "spec.guards[].guard.judge", "union",
        _inline(sequential={}, absolute={"max": "1%"}), "exactly one of threshold",
    ),
    _row(
        "spec.guards[].guard.judge.nonInferiority.margin", "latency",
        _inline(nonInferiority={"margin": "1ms"}), PERCENT,
    ),
    _row("spec.guards[].name", "spaces", _guards(name="two words"), SHORT),
    _row("spec.guards[].guardRef.name", "empty", _guards(guardRef={"name": ""}), NAME),
)  # fmt: skip
