"""Wrong RolloutPlans."""

from __future__ import annotations

from tests.manifests.rows import ABSENT, DURATION, SHORT, Row, stage

ROWS: tuple[Row, ...] = (
    (
        "spec.strategy",
        "enum",
        {"spec.strategy": "canary"},
        ("spec.strategy", '"Canary", "BlueGreen", "ABTest", "Immediate"'),
    ),
    (
        "spec",
        "stages",
        {"spec.stages": ABSENT},
        ("spec: Invalid value", "stages must have at least one stage"),
    ),
    ("spec.stages", "minItems", {"spec.stages": []}, ("spec.stages", "at least 1 item")),
    (
        "spec.stages",
        "maxItems",
        {"spec.stages": [stage(f"s{number}", 100) for number in range(31)]},
        ("spec.stages", "at most 30 items"),
    ),
    (
        "spec.stages",
        "immediate",
        {"spec.strategy": "Immediate"},
        ("spec.stages", "must be left out or be one stage with weight 100"),
    ),
    (
        "spec.stages",
        "order",
        {"spec.stages": [stage("half", 50), stage("less", 20), stage("full", 100)]},
        ("spec.stages", "each weight must be at least the one before"),
    ),
    (
        "spec.stages",
        "last",
        {"spec.stages": [stage("fifth", 20), stage("half", 50)]},
        ("spec.stages", "stages must end with weight 100"),
    ),
    (
        "spec.stages",
        "unique",
        {"spec.stages": [stage("full", 50), stage("full", 100)]},
        ("spec.stages[1]: Duplicate value",),
    ),
    (
        "spec.stages[].name",
        "required",
        {"spec.stages": [{"weight": 100}]},
        ("spec.stages[0].name: Required value",),
    ),
    (
        "spec.stages[].name",
        "pattern",
        {"spec.stages": [stage("5 %", 100)]},
        ("spec.stages[0].name", SHORT),
    ),
    (
        "spec.stages[].name",
        "maxLength",
        {"spec.stages": [stage("a" * 64, 100)]},
        ("spec.stages[0].name", "63"),
    ),
    (
        "spec.stages[].weight",
        "required",
        {"spec.stages": [{"name": "full"}]},
        ("spec.stages[0].weight: Required value",),
    ),
    (
        "spec.stages[].weight",
        "maximum",
        {"spec.stages": [stage("full", 101)]},
        ("spec.stages[0].weight", "less than or equal to 100"),
    ),
    (
        "spec.stages[].weight",
        "minimum",
        {"spec.stages": [stage("less", -1), stage("full", 100)]},
        ("spec.stages[0].weight", "greater than or equal to 0"),
    ),
    (
        "spec.stages[].weight",
        "type",
        {"spec.stages": [stage("full", "100%")]},
        ("spec.stages[0].weight", "must be of type integer"),
    ),
    (
        "spec.stages[].hold",
        "pattern",
        {"spec.stages": [stage("full", 100, hold="2 minutes")]},
        ("spec.stages[0].hold", DURATION),
    ),
    (
        "spec.stages[].hold",
        "range",
        {"spec.stages": [stage("full", 100, hold="169h")]},
        ("spec.stages[0].hold", "from 0s to 168h"),
    ),
    (
        "spec.stages[].hold",
        "maxLength",
        {"spec.stages": [stage("full", 100, hold="0" * 24 + "s")]},
        ("spec.stages[0].hold", "24"),
    ),
    (
        "spec.stages[].maxHold",
        "rule",
        {"spec.stages": [stage("full", 100, hold="2m", maxHold="1m")]},
        ("spec.stages[0].maxHold", "maxHold must be at least hold"),
    ),
    (
        "spec.stages[].maxHold",
        "pattern",
        {"spec.stages": [stage("full", 100, maxHold="1d")]},
        ("spec.stages[0].maxHold", DURATION),
    ),
    (
        "spec.stages[].maxHold",
        "range",
        {"spec.stages": [stage("full", 100, maxHold="721h")]},
        ("spec.stages[0].maxHold", "from 0s to 720h"),
    ),
    (
        "spec.stages[].replicas",
        "minimum",
        {"spec.stages": [stage("full", 100, replicas=0)]},
        ("spec.stages[0].replicas", "greater than or equal to 1"),
    ),
    (
        "spec.stages[].replicas",
        "maximum",
        {"spec.stages": [stage("full", 100, replicas=10_001)]},
        ("spec.stages[0].replicas", "less than or equal to 10000"),
    ),
    (
        "spec.stages[].approval.count",
        "minimum",
        {"spec.stages": [stage("full", 100, approval={"count": 0})]},
        ("spec.stages[0].approval.count", "greater than or equal to 1"),
    ),
    (
        "spec.stages[].approval.count",
        "maximum",
        {"spec.stages": [stage("full", 100, approval={"count": 11})]},
        ("spec.stages[0].approval.count", "less than or equal to 10"),
    ),
    ("spec.settle", "pattern", {"spec.settle": "5"}, ("spec.settle", DURATION)),
    ("spec.settle", "range", {"spec.settle": "11m"}, ("spec.settle", "from 0s to 10m")),
    ("spec.settle", "type", {"spec.settle": 5}, ("spec.settle", "must be of type string")),
    (
        "spec.progressDeadline",
        "pattern",
        {"spec.progressDeadline": "10min"},
        ("spec.progressDeadline", DURATION),
    ),
    (
        "spec.progressDeadline",
        "range",
        {"spec.progressDeadline": "0s"},
        ("spec.progressDeadline", "from 1s to 24h"),
    ),
    (
        "spec.promotion",
        "enum",
        {"spec.promotion": "Replace"},
        ("spec.promotion", '"HandOver", "RollingUpdate"'),
    ),
    (
        "spec.scaleDownDelay",
        "pattern",
        {"spec.scaleDownDelay": "-30s"},
        ("spec.scaleDownDelay", DURATION),
    ),
    (
        "spec.scaleDownDelay",
        "range",
        {"spec.scaleDownDelay": "25h"},
        ("spec.scaleDownDelay", "from 0s to 24h"),
    ),
)
