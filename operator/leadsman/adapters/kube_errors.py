"""From the API server's answers to Leadsman's errors, purely.

The API server tells its refusals apart by HTTP status and by `reason`, but for one: a JSON Patch
whose `test` failed is answered with status 422, as an invalid object is, in a general sentence that
names no object; and so is a patch with a path that is not there (tried on 1.36). Where a patch
tests something, that answer is a conflict for us: the world is not what the decision was made from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from leadsman.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)

PATCH_NOT_APPLICABLE = (
    "the server rejected our request due to an error in our request",
    "testing value",
    "test failed",
)


def api_error(
    status: int, raw: bytes, headers: Mapping[str, str] | None = None, *, tested: bool = False
) -> ApiError:
    """The error for an answer with an HTTP status of 300 or more.

    `raw` is the body, normally a Status object; anything else is not quoted, since it may be
    another server's page. `tested` says that the request was a JSON Patch with a `test`.
    """
    body = status_object(raw)
    return status_error({"code": status, **body, "_http": status}, headers, tested=tested)


def status_error(
    body: Mapping[str, Any], headers: Mapping[str, str] | None = None, *, tested: bool = False
) -> ApiError:
    """The error that a Status object tells, as in an ERROR event of a watch."""
    status = _whole(body.get("_http", body.get("code", 500)))
    reason = str(body.get("reason") or "") or "Unknown"
    message = str(body.get("message") or "")
    found = body.get("details")
    details: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    wait = _seconds((headers or {}).get("Retry-After")) or _seconds(
        details.get("retryAfterSeconds")
    )
    match status:
        case 404:
            return NotFoundError(status, reason, message)
        case 409 if reason == "AlreadyExists":
            return AlreadyExistsError(status, reason, message)
        case 409:
            return ConflictError(status, reason, message)
        case 410:
            return GoneError(status, reason, message)
        case 401 | 403:
            return ForbiddenError(status, reason, message)
        case 422 if tested and _not_applicable(message, details):
            return ConflictError(status, "TestFailed", message)
        case 429:
            return UnavailableError(status, reason, message, retry_after=wait)
        case _ if 400 <= status < 500:
            return InvalidError(status, reason, message)
        case _:
            return UnavailableError(status, reason, message, retry_after=wait)


def status_object(raw: bytes) -> dict[str, Any]:
    """The Status object in a body, or nothing when the body is not one."""
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    if not isinstance(body, dict) or body.get("kind") != "Status":
        return {}
    return body


def _not_applicable(message: str, details: Mapping[str, Any]) -> bool:
    # A validation error names the kind and the object; a patch that does not apply names none.
    if details.get("kind") and details.get("causes"):
        return False
    text = message.lower()
    return any(sign in text for sign in PATCH_NOT_APPLICABLE)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 500


def _seconds(value: object) -> float:
    """Seconds of a Retry-After value; 0 for a date, for nonsense and for nothing."""
    try:
        seconds = float(str(value))
    except ValueError:
        return 0.0
    return seconds if 0 < seconds < 3600 else 0.0
