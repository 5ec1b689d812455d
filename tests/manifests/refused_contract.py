"""Wrong ReleaseContracts."""

from __future__ import annotations

from typing import Any

from tests.manifests.rows import ABSENT, DURATION, GUARD, NAME, PERCENT, SHORT, Row


def _guards(**more: Any) -> list[dict[str, Any]]:
    return [{"name": "errors", "guardRef": {"name": "errors"}, **more}]


ROWS: tuple[Row, ...] = (
    ("spec.guards", "required", {"spec.guards": ABSENT}, ("spec.guards: Required value",)),
    ("spec.guards", "minItems", {"spec.guards": []}, ("spec.guards", "at least 1 item")),
    (
        "spec.guards",
        "maxItems",
        {"spec.guards": [{"name": f"g{n}", "guardRef": {"name": "g"}} for n in range(21)]},
        ("spec.guards", "at most 20 items"),
    ),
    (
        "spec.guards",
        "unique",
        {"spec.guards": _guards() * 2},
        ("spec.guards[1]: Duplicate value",),
    ),
    (
        "spec.guards[].name",
        "pattern",
        {"spec.guards": _guards(name="Error rate")},
        ("spec.guards[0].name", SHORT),
    ),
    (
        "spec.guards[]",
        "union",
        {"spec.guards": _guards(guard=GUARD)},
        ("spec.guards[0]", "exactly one of guardRef, guard must be set"),
    ),
    (
        "spec.guards[].guardRef.name",
        "pattern",
        {"spec.guards": _guards(guardRef={"name": "errors_total"})},
        ("spec.guards[0].guardRef.name", NAME),
    ),
    (
        "spec.guards[].onFail",
        "enum",
        {"spec.guards": _guards(onFail="Abort")},
        ("spec.guards[0].onFail", '"Rollback", "Hold", "Warn"'),
    ),
    (
        "spec.guards[].trigger.consecutive",
        "minimum",
        {"spec.guards": _guards(trigger={"consecutive": 0})},
        ("spec.guards[0].trigger.consecutive", "greater than or equal to 1"),
    ),
    (
        "spec.guards[].trigger.consecutive",
        "maximum",
        {"spec.guards": _guards(trigger={"consecutive": 101})},
        ("spec.guards[0].trigger.consecutive", "less than or equal to 100"),
    ),
    (
        "spec.guards[].trigger.sustainedFor",
        "pattern",
        {"spec.guards": _guards(trigger={"sustainedFor": "5 min"})},
        ("spec.guards[0].trigger.sustainedFor", DURATION),
    ),
    (
        "spec.guards[].trigger.sustainedFor",
        "range",
        {"spec.guards": _guards(trigger={"sustainedFor": "25h"})},
        ("spec.guards[0].trigger.sustainedFor", "from 0s to 24h"),
    ),
    (
        "spec.falseRollback",
        "pattern",
        {"spec.falseRollback": "1"},
        ("spec.falseRollback", PERCENT),
    ),
    (
        "spec.falseRollback",
        "rule",
        {"spec.falseRollback": "0%"},
        ("spec.falseRollback", "above 0% and at most 20%"),
    ),
    ("spec.noData.after", "pattern", {"spec.noData.after": "3"}, ("spec.noData.after", DURATION)),
    (
        "spec.noData.after",
        "range",
        {"spec.noData.after": "0s"},
        ("spec.noData.after", "from 1s to 24h"),
    ),
    (
        "spec.noData.action",
        "enum",
        {"spec.noData.action": "Pass"},
        ("spec.noData.action", '"Hold", "Rollback", "Proceed"'),
    ),
    (
        "spec.noTraffic.after",
        "pattern",
        {"spec.noTraffic.after": "3 m"},
        ("spec.noTraffic.after", DURATION),
    ),
    (
        "spec.noTraffic.action",
        "enum",
        {"spec.noTraffic.action": "Warn"},
        ("spec.noTraffic.action", '"Hold", "Rollback", "Proceed"'),
    ),
    (
        "spec.maxBlind",
        "order",
        {"spec.maxBlind": {"freezeAfter": "10m", "stepBackAfter": "5m"}},
        ("spec.maxBlind.stepBackAfter", "stepBackAfter must be at least freezeAfter"),
    ),
    (
        "spec.maxBlind.freezeAfter",
        "range",
        {"spec.maxBlind": {"freezeAfter": "0s"}},
        ("spec.maxBlind.freezeAfter", "from 1s to 24h"),
    ),
    (
        "spec.onInconclusive",
        "enum",
        {"spec.onInconclusive": "Proceed"},
        ("spec.onInconclusive", '"Hold", "Promote", "Rollback"'),
    ),
    (
        "spec.designRatio",
        "pattern",
        {"spec.designRatio": "1.5x"},
        ("spec.designRatio", 'must be a number in quotes, such as "1.5"'),
    ),
    (
        "spec.designRatio",
        "type",
        {"spec.designRatio": 1.5},
        ("spec.designRatio", "must be of type string"),
    ),
    (
        "spec.designRatio",
        "rule",
        {"spec.designRatio": "1"},
        ("spec.designRatio", "must be above 1"),
    ),
)
