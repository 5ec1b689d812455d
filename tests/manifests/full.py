"""A Rollout with everything in it: the most that a team may write and the operator may remember.

30 stages, 20 guards with 20 slices each inline, a status in mid-attempt with the state of every
guard and ten attempts of history. It proves that nothing is pruned and that it stays small enough.
Four contracts with 20 guards each, and the slices that a Rollout may have over all of them, are
more still: `crowded_status`.
"""

from __future__ import annotations

import json
from typing import Any

SINCE = "2026-11-21T14:05:00.123456Z"
SLICE_STATE = 304
"""The longest evidence of a slice: that of `sequential` after 30 stages."""


def full_rollout(name: str = "full") -> dict[str, Any]:
    """Return the manifest, with its status."""
    return {
        "apiVersion": "leadsman.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": _spec(),
        "status": _status(),
    }


def crowded_status(guards: int = 80, slices: int = 5) -> dict[str, Any]:
    """Return the status of a full Rollout with so many guards of so many slices each.

    The evidence is as long as any judge's, the slices' names are as long as they may be, and every
    slice of the refused revision had failed.
    """
    status = _status()
    one = _guard_status(3, "", slices)
    for number, part in enumerate(one["slices"]):
        part |= {"name": f"/{number:0127d}", "state": "s" * SLICE_STATE, "level": "Critical"}
        part |= {"consecutive": 1, "failingSince": SINCE}
    names = [f"guard-{number:057d}" for number in range(guards)]
    status["attempt"]["guards"] = [{**one, "name": name} for name in names]
    failed = [
        {key: value for key, value in part.items() if key != "state"} for part in one["slices"]
    ]
    without = {key: value for key, value in one.items() if key != "state"}
    status["refused"]["guards"] = [{**without, "name": name, "slices": failed} for name in names]
    return status


def _spec() -> dict[str, Any]:
    return {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
        "traffic": {
            "gatewayAPI": {
                "routeRefs": [
                    {"kind": "HTTPRoute", "name": f"shop-{number}", "ruleName": "main"}
                    for number in range(8)
                ]
            }
        },
        "serviceRefs": [{"name": f"shop-{number}"} for number in range(8)],
        "plan": {
            "stages": [
                {
                    "name": f"stage-{number}",
                    "weight": min(100, 4 * number),
                    "hold": "5m",
                    "maxHold": "30m",
                    "replicas": number + 1,
                    "approval": {"count": 2},
                }
                for number in range(30)
            ]
        },
        "contract": {"guards": [_guard(number) for number in range(20)]},
    }


def _guard(number: int) -> dict[str, Any]:
    return {
        "name": f"guard-{number}",
        "guard": {
            "ratio": {
                "bad": {
                    "metric": "http_server_requests_seconds_count",
                    "match": {"job": "shop"},
                    "matchRegex": {"code": "5..|429"},
                },
                "total": {"metric": "http_server_requests_seconds_count"},
                "arm": {"by": "Label", "label": "pod_template_hash"},
            },
            "judge": {"threshold": {"max": "2.5%", "window": "30s", "minEvents": 800}},
            "slices": {"label": "route", "values": [f"/api/v1/things/{n}" for n in range(20)]},
            "family": "Errors",
        },
        "onFail": "Rollback",
        "trigger": {"consecutive": 3, "sustainedFor": "30s"},
    }


def _status() -> dict[str, Any]:
    backends = json.dumps([{"name": "shop", "port": 80, "weight": 1, "group": "", "kind": ""}] * 8)
    message = "guard errors: 7.1 % of 1210 requests failed, at most 2.5 % may " * 4
    return {
        "observedGeneration": 3,
        "conditions": [
            {
                "type": kind,
                "status": "True",
                "reason": "Progressing",
                "message": message,
                "lastTransitionTime": SINCE,
                "observedGeneration": 3,
            }
            for kind in (
                "Ready",
                "Reconciling",
                "Stalled",
                "Available",
                "GuardsPassing",
                "TrafficInSync",
                "InClusterPinned",
                "Hold",
            )
        ],
        "stable": {"revision": "6d4cf56db6", "template": "t" * 64, "replicas": 4, "uid": "u" * 36},
        "attempt": _attempt(backends, message),
        "refused": {
            "revision": "5c9d8f7b6",
            "template": "t" * 64,
            "reason": "GuardFailed",
            "message": message,
            "at": SINCE,
            "guards": [_guard_status(number, message, slices=1) for number in range(20)],
            "requests": 31210,
            "failed": 91,
        },
        "history": [
            {
                "id": f"5c9d8f7b6-{number}",
                "number": number,
                "revision": "5c9d8f7b6",
                "version": "v1.8.2",
                "outcome": "RolledBack",
                "startedAt": SINCE,
                "endedAt": SINCE,
                "maxWeight": 25,
                "reason": "GuardFailed",
                "message": message,
                "tries": number + 1,
            }
            for number in range(10)
        ],
        "holdMode": "Policy",
        "display": {
            "stage": "3/6",
            "guards": "4/4",
            "next": "14:05Z",
            "version": "v1.8.2",
            "weight": "25",
            "state": "Progressing",
            "message": message,
        },
    }


def _attempt(backends: str, message: str) -> dict[str, Any]:
    return {
        "id": "5c9d8f7b6-2",
        "revision": "5c9d8f7b6",
        "template": "t" * 64,
        "number": 2,
        "version": "v1.8.2",
        "weight": 25,
        "maxWeight": 50,
        "replicas": 2,
        "baseReplicas": 4,
        "direction": {
            "name": "Advancing",
            "reason": "StageComplete",
            "message": message,
            "since": SINCE,
        },
        "startedAt": SINCE,
        "frozen": "shop-5c9d8f7b6-2",
        "tookOver": False,
        "pinned": True,
        "released": False,
        "weightSince": SINCE,
        "routedAt": SINCE,
        "releasedAt": SINCE,
        "restedAt": SINCE,
        "foreignWrites": 0,
        "original": [
            {
                "kind": "HTTPRoute",
                "route": f"shop-{number}",
                "rule": "main",
                "index": 0,
                "service": "shop",
                "backends": backends,
                "owner": "kubectl-client-side-apply",
                "generation": 3,
            }
            for number in range(16)
        ],
        "stage": {
            "index": 2,
            "name": "half",
            "weight": 25,
            "enteredAt": SINCE,
            "commandedAt": SINCE,
            "acceptedAt": SINCE,
            "arrivedAt": SINCE,
            "measuringSince": SINCE,
            "dueAt": SINCE,
            "waitSince": SINCE,
            "told": [f"guard-{number}/GuardInconclusive" for number in range(20)],
        },
        "guards": [_guard_status(number, message, slices=20) for number in range(20)],
        "outlook": [
            {"stage": f"stage-{number}", "detectable": "1.612", "minutes": "23.61"}
            for number in range(29)
        ],
    }


def _guard_status(number: int, message: str, slices: int) -> dict[str, Any]:
    return {
        "name": f"guard-{number}",
        "verdict": "Pass",
        "level": "None",
        "value": "0.4%",
        "limit": "2.5%",
        "events": 1210,
        "reason": "WithinLimit",
        "message": message,
        "since": SINCE,
        "lastSample": SINCE,
        "consecutive": 0,
        "failingSince": SINCE,
        "noDataSince": SINCE,
        **({"state": "e" * 1024} if slices > 1 or number == 0 else {}),
        "slice": "/api/v1/things/3",
        "stableValue": "0.41%",
        "estimate": "1.31042",
        "interval": "0.71043 to 2.10432",
        "eValue": "0.8831",
        "eLimit": "200",
        "information": "83%",
        "detectable": "1.61234",
        "blocks": 600,
        "bad": 7,
        "slices": [_slice_status(part) for part in range(slices)],
        # The first few of those that fail together are shown with their blocks.
        **({"lastBlocks": [_block(second) for second in range(8)]} if number < 3 else {}),
    }


def _block(second: int) -> str:
    return f"2026-11-21T14:05:0{second}.123Z 1s canary 12/40 stable 1/160"


def _slice_status(part: int) -> dict[str, Any]:
    """One slice; a failing one says more than those that pass."""
    failing = {"level": "Critical", "consecutive": 1, "failingSince": SINCE}
    return {
        "name": f"/api/v1/things/{part}",
        "verdict": "Pass",
        "value": "0.4%",
        "events": 1210,
        "reason": "NoHarmSeen",
        "state": "s" * 216,
        **(failing if part == 0 else {}),
    }
