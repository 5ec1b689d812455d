"""What stands around a Service before an attempt: routes that are not listed, attached policies.

It is listed once when an attempt may begin, not watched: it decides whether an attempt can start
at all, and nothing during one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leadsman.adapters.routers.gateway_api import leaks, services_named
from leadsman.adapters.workloads.arms import attached
from leadsman.core.observation import Service
from leadsman.core.spec import InCluster, Problem, RolloutSpec
from leadsman.errors import ApiError, NotFoundError
from leadsman.ports import GRPCROUTE, HTTPROUTE, Body, Clock, Kind, Kube
from leadsman.runtime.scheduler import Key

BACKENDTLSPOLICY = Kind("gateway.networking.k8s.io", "v1", "backendtlspolicies", "BackendTLSPolicy")
REMEMBERED_SECONDS = 5.0
Listed = tuple[tuple[str, str, str], ...]


def candidates(listed: Listed, routes: Mapping[tuple[str, str], Body]) -> list[str]:
    """Return the Services that the listed rules name."""
    found: dict[str, None] = {}
    for kind, name, rule in listed:
        route = routes.get((kind, name))
        for service in () if route is None else services_named(route, rule):
            found.setdefault(service)
    return list(found)


class Surroundings:
    """Looks around Services, at most once in five seconds for a Rollout."""

    def __init__(self, kube: Kube, clock: Clock) -> None:
        """Lists through `kube`."""
        self._kube = kube
        self._clock = clock
        self._known: dict[Key, tuple[float, tuple[Problem, ...]]] = {}

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a Rollout."""
        self._known.pop(key, None)

    async def problems(
        self, key: Key, spec: RolloutSpec, services: Sequence[Service], listed: Listed
    ) -> tuple[Problem, ...]:
        """Return what forbids an attempt; a kind that cannot be listed says nothing."""
        now = self._clock.monotonic()
        known = self._known.get(key)
        if known is not None and now - known[0] < REMEMBERED_SECONDS:
            return known[1]
        names = [service.name for service in services]
        found: list[Problem] = []
        open_ones = [
            service.name
            for service in services
            if spec.in_cluster is InCluster.SHARED or service.apply_owner
        ]
        if open_ones:
            for kind in (HTTPROUTE, GRPCROUTE):
                for route in await self._list(kind, key[0]):
                    found += leaks(route, kind.kind, open_ones, listed)
        found += attached(await self._list(BACKENDTLSPOLICY, key[0]), names)
        self._known[key] = (now, tuple(found))
        return tuple(found)

    async def _list(self, kind: Kind, namespace: str) -> tuple[Body, ...]:
        try:
            return (await self._kube.list(kind, namespace)).items
        except NotFoundError:
            return ()
        except ApiError:
            return ()
