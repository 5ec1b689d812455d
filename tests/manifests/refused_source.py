"""Wrong MetricsSources."""

from __future__ import annotations

from tests.manifests.rows import ABSENT, DURATION, NAME, Row

_ADDRESS = "spec.prometheus.address"
_CREDENTIALS = "spec.prometheus.credentials"

ROWS: tuple[Row, ...] = (
    (
        "spec.prometheus",
        "required",
        {"spec.prometheus": ABSENT},
        ("spec.prometheus: Required value",),
    ),
    (_ADDRESS, "required", {_ADDRESS: ABSENT}, (f"{_ADDRESS}: Required value",)),
    (
        _ADDRESS,
        "pattern",
        {_ADDRESS: "http://admin:secret@prometheus:9090"},
        (_ADDRESS, "must be http:// or https://, a host, and perhaps a port and a path"),
    ),
    (_ADDRESS, "maxLength", {_ADDRESS: "http://" + "a" * 512}, (_ADDRESS, "512")),
    (
        "spec.prometheus.timeout",
        "pattern",
        {"spec.prometheus.timeout": "2"},
        ("spec.prometheus.timeout", DURATION),
    ),
    (
        "spec.prometheus.timeout",
        "range",
        {"spec.prometheus.timeout": "1m"},
        ("spec.prometheus.timeout", "from 100ms to 30s"),
    ),
    (
        _CREDENTIALS,
        "union",
        {_CREDENTIALS: {"file": "/var/run/token", "secretRef": {"name": "token"}}},
        (_CREDENTIALS, "exactly one of file, secretRef must be set"),
    ),
    (
        f"{_CREDENTIALS}.file",
        "pattern",
        {_CREDENTIALS: {"file": "token"}},
        (f"{_CREDENTIALS}.file", "must be an absolute path"),
    ),
    (
        f"{_CREDENTIALS}.file",
        "rule",
        {_CREDENTIALS: {"file": "/var/run/../token"}},
        (f"{_CREDENTIALS}.file", "must not contain '..'"),
    ),
    (
        f"{_CREDENTIALS}.secretRef.name",
        "pattern",
        {_CREDENTIALS: {"secretRef": {"name": "kube-system/token"}}},
        (f"{_CREDENTIALS}.secretRef.name", NAME),
    ),
    (
        f"{_CREDENTIALS}.secretRef.key",
        "pattern",
        {_CREDENTIALS: {"secretRef": {"name": "token", "key": "a/b"}}},
        (f"{_CREDENTIALS}.secretRef.key", "must be a key of a Secret"),
    ),
    (
        "spec.allowPromQL",
        "type",
        {"spec.allowPromQL": "yes"},
        ("spec.allowPromQL", "must be of type boolean"),
    ),
    (
        "spec.namespaces.from",
        "enum",
        {"spec.namespaces": {"from": "Same"}},
        ("spec.namespaces.from", '"All", "Selector"'),
    ),
    (
        "spec.namespaces",
        "selector",
        {"spec.namespaces": {"from": "Selector"}},
        ("spec.namespaces.matchLabels", "must be set with from Selector, and only then"),
    ),
    (
        "spec.limits.queriesPerSecond",
        "minimum",
        {"spec.limits": {"queriesPerSecond": 0}},
        ("spec.limits.queriesPerSecond", "greater than or equal to 1"),
    ),
    (
        "spec.limits.queriesPerSecond",
        "maximum",
        {"spec.limits": {"queriesPerSecond": 101}},
        ("spec.limits.queriesPerSecond", "less than or equal to 100"),
    ),
    (
        "spec.limits.series",
        "maximum",
        {"spec.limits": {"series": 1_000_001}},
        ("spec.limits.series", "less than or equal to 1000000"),
    ),
    (
        "spec.limits.bodyBytes",
        "minimum",
        {"spec.limits": {"bodyBytes": 1}},
        ("spec.limits.bodyBytes", "greater than or equal to 1024"),
    ),
)
