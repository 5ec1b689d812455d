"""Since when each arm has had its ready endpoints, as far as this process has seen.

The API tells it to the second at best. A process that has just started takes what it finds for
new, which costs an attempt a moment and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from leadsman.core.observation import Arm
from leadsman.ports import Clock
from leadsman.runtime.scheduler import Key


class Readiness:
    """Remembers the arms of running attempts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[Key, dict[str, Arm]] = {}

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a Rollout."""
        self._known.pop(key, None)

    def dated(self, key: Key, arms: Iterable[Arm]) -> tuple[Arm, ...]:
        """The arms, each with the Unix time at which an endpoint last joined it."""
        before, now = self._known.get(key, {}), self._clock.now()
        found = tuple(
            replace(arm, ready_since=_since(before.get(arm.name), arm, now)) for arm in arms
        )
        self._known[key] = {arm.name: arm for arm in found}
        return found


def _since(before: Arm | None, arm: Arm, now: float) -> float:
    if before is None or before.revision != arm.revision or arm.ready > before.ready:
        return now
    return before.ready_since
