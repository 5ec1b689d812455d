"""The status in the API and the status in the core, one into the other and back.

The API's form is for people and tools (camelCase, RFC 3339, percent strings), the core's is for
deciding. What the core remembers must survive the way there and back exactly; texts are cut to what
the schema allows. A damaged status never raises: what cannot be read is dropped and named, because
a Rollout that somebody edited by hand must still be able to roll back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leadsman.adapters.workloads.moments import format_time
from leadsman.core.status import (
    HISTORY,
    Attempt,
    Condition,
    Direction,
    Display,
    Original,
    Past,
    Refused,
    Stable,
    StageStatus,
    Status,
)
from leadsman.ports import Body
from leadsman.runtime.codec_guards import encode_guard, encode_outlook, percent
from leadsman.runtime.codec_reading import Remembered, decode_status

__all__ = ["Remembered", "decode_status", "encode_status", "percent"]

WORD, TEXT, MESSAGE, VERSION = 64, 1024, 4096, 128


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else format_time(seconds)


def _present(tree: Mapping[str, Any]) -> Body:
    """Drop what is not said: the API's fields are absent rather than null."""
    return {key: value for key, value in tree.items() if value is not None and value != ""}


def encode_status(status: Status) -> Body:
    """Return the Rollout's `status` as the API stores it."""
    return _present(
        {
            "observedGeneration": status.observed_generation,
            "conditions": [_encode_condition(one) for one in status.conditions] or None,
            "stable": _encode_stable(status.stable),
            "attempt": _encode_attempt(status.attempt),
            "refused": _encode_refused(status.refused),
            "history": [_encode_past(one) for one in status.history[-HISTORY:]] or None,
            "holdMode": _cut(status.hold_mode, WORD),
            "display": _encode_display(status.display),
        }
    )


def _encode_condition(one: Condition) -> Body:
    return {
        "type": one.type,
        "status": one.status,
        "reason": one.reason,
        "message": _cut(one.message, MESSAGE),
        "lastTransitionTime": format_time(one.since),
        "observedGeneration": one.generation,
    }


def _encode_stable(one: Stable | None) -> Body | None:
    if one is None:
        return None
    return _present(
        {
            "revision": one.revision,
            "template": one.template,
            "replicas": one.replicas,
            "uid": one.uid,
        }
    )


def _encode_refused(one: Refused | None) -> Body | None:
    if one is None:
        return None
    return _present(
        {
            "revision": one.revision,
            "template": one.template,
            "reason": _cut(one.reason, WORD),
            "message": _cut(one.message, TEXT),
            "at": format_time(one.at),
            "guards": [encode_guard(guard) for guard in one.guards] or None,
            "requests": one.requests or None,
            "failed": one.failed or None,
        }
    )


def _encode_past(one: Past) -> Body:
    reason, _, message = one.reason.partition(": ")
    return _present(
        {
            "revision": one.revision,
            "number": one.number,
            "version": _cut(one.version, VERSION),
            "outcome": one.outcome,
            "startedAt": format_time(one.started_at),
            "endedAt": format_time(one.ended_at),
            "maxWeight": one.max_weight,
            "reason": _cut(reason, WORD),
            "message": _cut(message, TEXT),
            "tries": one.tries or None,
        }
    )


def _encode_display(one: Display) -> Body | None:
    found = _present(
        {
            "state": _cut(one.state, WORD),
            "stage": _cut(one.stage, WORD),
            "weight": _cut(one.weight, WORD),
            "guards": _cut(one.guards, WORD),
            "next": _cut(one.next, WORD),
            "version": _cut(one.version, VERSION),
        }
    )
    return found or None


def _encode_attempt(one: Attempt | None) -> Body | None:
    if one is None:
        return None
    return _present(
        {
            "id": one.id,
            "number": one.number,
            "revision": one.revision,
            "template": one.template,
            "version": _cut(one.version, VERSION),
            "direction": _encode_direction(one.direction),
            "stage": _encode_stage(one.stage, one.weight),
            "startedAt": format_time(one.started_at),
            "weight": one.weight,
            "maxWeight": one.max_weight,
            "replicas": one.replicas,
            "baseReplicas": one.base_replicas,
            "frozen": one.frozen,
            "tookOver": one.took_over,
            "pinned": one.pinned,
            "foreignWrites": one.foreign_writes,
            "original": [_encode_original(rule) for rule in one.original] or None,
            "guards": [encode_guard(guard) for guard in one.guards] or None,
            "weightSince": _moment(one.weight_since),
            "routedAt": _moment(one.routed_at),
            "released": one.released_at is not None,
            "releasedAt": _moment(one.released_at),
            "restedAt": _moment(one.rested_at),
            "outlook": [encode_outlook(stage) for stage in one.outlook] or None,
        }
    )


def _encode_direction(one: Direction) -> Body:
    return _present(
        {
            "name": one.name.value,
            "since": format_time(one.since),
            "reason": _cut(one.reason, WORD),
            "message": _cut(one.message, TEXT),
        }
    )


def _encode_stage(one: StageStatus, weight: int) -> Body:
    return _present(
        {
            "index": one.index,
            "name": one.name,
            "weight": weight,
            "enteredAt": format_time(one.entered_at),
            "waitSince": format_time(one.wait_since),
            "commandedAt": _moment(one.commanded_at),
            "acceptedAt": _moment(one.accepted_at),
            "measuringSince": _moment(one.measuring_since),
            "dueAt": _moment(one.due_at),
            "told": list(one.told) or None,
        }
    )


def _encode_original(one: Original) -> Body:
    return {
        "kind": one.kind,
        "route": one.route,
        "index": one.index,
        "rule": one.rule,
        "service": one.service,
        "backends": one.backends,
        "owner": one.owner,
        "generation": one.generation,
    }
