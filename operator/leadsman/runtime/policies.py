"""The two admission policies: whether they are installed, and whether the freeze is in force.

Installed is asked for at the first pass, before attempts and at hand-overs. In force is
asked by a dry run: a scale that a freezing policy puts back shows it, and nothing is stored.
"""

from __future__ import annotations

import asyncio

from leadsman.adapters.workloads.deployment import number
from leadsman.adapters.workloads.deployment_moves import probe_freeze
from leadsman.errors import ApiError, NotFoundError
from leadsman.ports import (
    DEPLOYMENT,
    MUTATINGPOLICY,
    MUTATINGPOLICYBINDING,
    Body,
    Clock,
    Kube,
    Ref,
)
from leadsman.runtime.scheduler import Key

HOLD, FREEZE = "leadsman-hold", "leadsman-freeze"
REFRESH_SECONDS = 60.0


class Policies:
    """What is known about the policies, for all Rollouts together."""

    def __init__(self, kube: Kube, clock: Clock) -> None:
        """Asks through `kube`."""
        self._kube = kube
        self._clock = clock
        self._installed: tuple[bool, bool] = (False, False)
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()
        self._frozen: dict[Key, tuple[str, float]] = {}

    async def installed(self, *, refresh: bool) -> tuple[bool, bool]:
        """Return whether the holding and the freezing policy exist; False where none can.

        Asked once, and with `refresh` again after a minute. An answer that does not come leaves
        what was known.
        """
        now = self._clock.monotonic()
        due = self._asked_at is None or (refresh and now - self._asked_at >= REFRESH_SECONDS)
        if due and not self._asking.locked():
            async with self._asking:
                self._asked_at = now
                hold = await self._exists(HOLD)
                freeze = await self._exists(FREEZE)
                before = self._installed
                self._installed = (
                    before[0] if hold is None else hold,
                    before[1] if freeze is None else freeze,
                )
                if hold is None or freeze is None:
                    self._asked_at = now - REFRESH_SECONDS + 5.0
        return self._installed

    async def frozen(self, key: Key, attempt: str, since: float, deployment: Body) -> bool | None:
        """Return whether a scale of the Deployment is put back now; None when it cannot be asked.

        Yes is remembered for one hand-over (`attempt`, `since`).
        """
        if self._frozen.get(key) == (attempt, since):
            return True
        about = deployment["metadata"]
        ref = Ref(DEPLOYMENT, about["namespace"], about["name"])
        wanted = number(deployment["spec"].get("replicas"), 1)
        try:
            answer = await self._kube.patch(ref, probe_freeze(deployment), dry_run=True)
        except ApiError:
            return None
        if number(answer["spec"].get("replicas"), 1) != wanted:
            return False
        self._frozen[key] = (attempt, since)
        return True

    def forget(self, key: Key) -> None:
        """The Rollout is gone."""
        self._frozen.pop(key, None)

    async def _exists(self, name: str) -> bool | None:
        try:
            for kind in (MUTATINGPOLICY, MUTATINGPOLICYBINDING):
                await self._kube.get(Ref(kind, "", name))
        except NotFoundError:
            return False
        except ApiError:
            return None
        return True
