"""Moments: the API's RFC 3339 strings, and Unix seconds as the core wants them.

Written with milliseconds, which is what the core's times are rounded to, so that a status read back
is the status that was written.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def format_time(seconds: float) -> str:
    """Return Unix seconds as RFC 3339 in UTC with milliseconds.

    Raises OverflowError for a moment outside the years 1 to 9999.
    """
    moment = _EPOCH + timedelta(milliseconds=round(seconds * 1000))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_time(text: object) -> float | None:
    """Return the Unix seconds of an RFC 3339 moment, rounded to milliseconds, or None."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return round((moment - _EPOCH) / _MILLISECOND) / 1000
