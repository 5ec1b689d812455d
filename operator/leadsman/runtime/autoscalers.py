"""Autoscalers that count the canary: they multiply a metric by the ready pods, of both versions.

A HorizontalPodAutoscaler on a per-pod metric asks for what the whole load needs, whichever version
carries it. On an Object or External metric of type Value it multiplies the pods that it has by the
metric's ratio: each canary pod makes it ask for more, of which the canary would get its share.
It is asked for once an attempt, never watched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from leadsman.errors import ApiError, ForbiddenError, NotFoundError
from leadsman.ports import DEPLOYMENT, HORIZONTALPODAUTOSCALER, Body, Clock, Kube
from leadsman.runtime.scheduler import Key

MULTIPLYING = ("Object", "External")
AGAIN_SECONDS = 5.0
"""After an answer that failed."""


class Autoscalers:
    """Remembers for each Rollout what was found at its attempt."""

    def __init__(self, kube: Kube, clock: Clock) -> None:
        """Lists through `kube`."""
        self._kube = kube
        self._clock = clock
        self._known: dict[Key, tuple[str, str]] = {}
        self._not_before: dict[Key, float] = {}

    def forget(self, key: Key) -> None:
        """The attempt has ended, or the Rollout is gone."""
        self._known.pop(key, None)
        self._not_before.pop(key, None)

    async def multiplying(self, key: Key, attempt: str, deployment: str) -> str:
        """Return which autoscaler of the Deployment counts the canary, and by which metric, or "".

        Never raises: where it may not be asked, or is not served, nothing is known of any.
        """
        known = self._known.get(key)
        if known is not None and known[0] == attempt:
            return known[1]
        if self._clock.monotonic() < self._not_before.get(key, 0.0):
            return ""
        try:
            found = (await self._kube.list(HORIZONTALPODAUTOSCALER, key[0])).items
        except (NotFoundError, ForbiddenError):
            found = ()
        except ApiError:
            self._not_before[key] = self._clock.monotonic() + AGAIN_SECONDS
            return ""
        told = next(iter(counting(found, deployment)), "")
        self._known[key] = (attempt, told)
        return told


def counting(autoscalers: Sequence[Body], deployment: str) -> Iterator[str]:
    """Yield the autoscalers of a Deployment that multiply a metric by its pods, with the metric."""
    for body in autoscalers:
        spec: Mapping[str, Any] = body.get("spec") or {}
        target = spec.get("scaleTargetRef") or {}
        if target.get("kind") != DEPLOYMENT.kind or target.get("name") != deployment:
            continue
        for metric in spec.get("metrics") or []:
            kind = str(metric.get("type") or "")
            about = metric.get(kind.lower()) or {}
            if kind in MULTIPLYING and (about.get("target") or {}).get("type") == "Value":
                name = (about.get("metric") or {}).get("name", "")
                yield f"{body['metadata']['name']} ({kind} metric {name} of type Value)"
