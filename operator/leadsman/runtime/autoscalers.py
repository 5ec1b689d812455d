"""Autoscalers that count the canary: they multiply a metric by the ready pods, of both versions.

A HorizontalPodAutoscaler on a per-pod metric asks for what the whole load needs, whichever version
carries it. On an Object or External metric of type Value it multiplies the pods that it has by the
metric's ratio: each canary pod makes it ask for more, of which the canary would get its share.

All it can do is to scale the Deployment, and that is seen. So autoscalers are not watched: they are
listed when an attempt begins, again when the Deployment's replicas change, before the canary
follows them, and at each sweep for those that have not scaled anything yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from leadsman.core.observation import Target
from leadsman.errors import ApiError, ForbiddenError, NotFoundError
from leadsman.ports import DEPLOYMENT, HORIZONTALPODAUTOSCALER, Body, Clock, Kube
from leadsman.runtime.lookouts import Lookouts
from leadsman.runtime.scheduler import Key

MULTIPLYING = ("Object", "External")
AGAIN_SECONDS = 5.0
"""After an answer that failed."""


class _Found(NamedTuple):
    """What was found, and when: at which attempt, with how many replicas, in which sweep."""

    attempt: str
    replicas: int
    sweep: int
    told: str


class Autoscalers:
    """Remembers for each Rollout what was found during its attempt."""

    def __init__(self, kube: Kube, clock: Clock, lookouts: Lookouts | None = None) -> None:
        """Lists through `kube`; `lookouts` tell when a sweep was made, None where none is."""
        self._kube = kube
        self._clock = clock
        self._lookouts = lookouts
        self._known: dict[Key, _Found] = {}
        self._not_before: dict[Key, float] = {}

    def forget(self, key: Key) -> None:
        """The attempt has ended, or the Rollout is gone."""
        self._not_before.pop(key, None)
        if self._known.pop(key, None) is not None and self._lookouts is not None:
            self._lookouts.revisit(key, wanted=False)

    async def multiplying(self, key: Key, attempt: str, about: Target) -> str:
        """Return which autoscaler of the Deployment counts the canary, and by which metric, or "".

        Never raises: where it may not be asked, or is not served, nothing is known of any; an
        answer that failed changes nothing, and is asked for again.
        """
        sweep = 0 if self._lookouts is None else self._lookouts.sweeps
        known = self._known.get(key)
        if known is not None and known[:3] == (attempt, about.replicas, sweep):
            return known.told
        before = known.told if known is not None and known.attempt == attempt else ""
        if self._clock.monotonic() < self._not_before.get(key, 0.0):
            return before
        try:
            found = (await self._kube.list(HORIZONTALPODAUTOSCALER, key[0])).items
        except (NotFoundError, ForbiddenError):
            found = ()
        except ApiError:
            self._not_before[key] = self._clock.monotonic() + AGAIN_SECONDS
            return before
        told = next(iter(counting(found, about.name)), "")
        self._known[key] = _Found(attempt, about.replicas, sweep, told)
        if self._lookouts is not None:
            self._lookouts.revisit(key, wanted=True)
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
