"""Which arms differ from their Service, but for those that the cluster insists on.

An arm follows the user's Service. Something in the API server may store it otherwise than asked (an
admission webhook that came after the Service was made): asked again it would answer the same, so
one such answer is remembered, and the arm counts as following until it or the Service changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import structlog

from leadsman.adapters.workloads.arms import arm_changes
from leadsman.core.observation import Role
from leadsman.ports import Body

Place = tuple[str, str]
"""Namespace and name."""

log = structlog.get_logger(__name__)


class Differing:
    """Compares arms with their Services. One for the whole process."""

    def __init__(self) -> None:
        self._insisted: dict[Place, str] = {}

    def stale(
        self, services: Mapping[str, Body], arms: Mapping[tuple[str, Role], Body]
    ) -> frozenset[tuple[str, Role]]:
        """The arms that a write would bring nearer to their Service, by Service and role."""
        found = []
        for at, arm in arms.items():
            service = services.get(at[0])
            if service is None:
                continue
            wanted = _text(arm, service)
            if wanted and self._insisted.get(_place(arm)) != wanted:
                found.append(at)
        return frozenset(found)

    def stored(self, arm: Body, service: Body) -> None:
        """Take an arm as it was stored by a write that made it like its Service."""
        wanted, place = _text(arm, service), _place(arm)
        if not wanted:
            self._insisted.pop(place, None)
        elif self._insisted.get(place) != wanted:
            self._insisted[place] = wanted
            log.warning("an arm is stored otherwise than asked", arm=place[1], missing=wanted)


def _place(arm: Body) -> Place:
    return str(arm["metadata"].get("namespace", "")), str(arm["metadata"]["name"])


def _text(arm: Body, service: Body) -> str:
    """What the arm lacks, as text; "" for nothing."""
    changes = arm_changes(arm, service)
    return json.dumps(changes, sort_keys=True) if changes else ""
