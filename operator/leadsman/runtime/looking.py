"""A full look: sets, pods, Services, arms, endpoints and routes of one Rollout.

The reads of one kind do not wait for those of another, and each that fails is named on its own: a
rollback needs the route and nothing else, so a list of pods that does not answer must not hide it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import TypeVar

from leadsman.adapters.routers import managed
from leadsman.adapters.routers.factory import ROUTES
from leadsman.adapters.routers.gateway_api import Arms, label
from leadsman.adapters.workloads import arms as arm_facts
from leadsman.adapters.workloads.deployment import controller, selector_text
from leadsman.adapters.workloads.factory import DEPLOYMENTS
from leadsman.adapters.workloads.templates import HASH_LABEL
from leadsman.core.observation import Observation, Pod, ReplicaSet, Role, Service
from leadsman.core.spec import Problem, RolloutSpec
from leadsman.core.status import Attempt, Status
from leadsman.errors import ApiError
from leadsman.ports import (
    ENDPOINTSLICE,
    POD,
    REPLICASET,
    SERVICE,
    Body,
    Clock,
    Kind,
    Kube,
    Ref,
    RouteRules,
)
from leadsman.runtime.differing import Differing
from leadsman.runtime.reader import Reader
from leadsman.runtime.readiness import Readiness
from leadsman.runtime.resolve import route_rules
from leadsman.runtime.scheduler import Key
from leadsman.runtime.sight import Sight, arm_names
from leadsman.runtime.surroundings import Surroundings, candidates

T = TypeVar("T")
Listed = tuple[tuple[str, str, str], ...]
"""(kind, route, rule name) of what is shifted; rule "" is the whole route."""


class _Reading:
    """The reads of one look, with what went wrong."""

    def __init__(self, reader: Reader, key: Key) -> None:
        self._reader = reader
        self.key = key
        self.unread: list[Problem] = []
        self.problems: list[Problem] = []
        self.read: dict[Ref, Body | None] = {}

    async def get(self, kind: Kind, name: str) -> Body | None:
        body = await self._try(kind, self._reader.get(self.key, kind, name), None)
        self.read[Ref(kind, self.key[0], name)] = body
        return body

    async def list(self, kind: Kind, labels: str) -> tuple[Body, ...]:
        nothing: tuple[Body, ...] = ()
        return await self._try(kind, self._reader.list(self.key, kind, labels), nothing)

    async def get_all(self, kind: Kind, names: Sequence[str]) -> dict[str, Body]:
        found = await asyncio.gather(*(self.get(kind, name) for name in names))
        return {name: body for name, body in zip(names, found, strict=True) if body is not None}

    async def _try(self, kind: Kind, reading: Awaitable[T], nothing: T) -> T:
        try:
            return await reading
        except ApiError as error:
            problem = Problem(kind.kind, f"{error.status} {error.reason} {error.message}".strip())
            if all(one.reason != kind.kind for one in self.unread):
                self.unread.append(problem)
            return nothing


class Looker:
    """Makes full looks."""

    def __init__(self, kube: Kube, clock: Clock, reader: Reader) -> None:
        """`kube` is for what is listed once before an attempt."""
        self._reader = reader
        self._surroundings = Surroundings(kube, clock)
        self._readiness = Readiness(clock)
        self._differing = Differing()

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a Rollout."""
        self._surroundings.forget(key)
        self._readiness.forget(key)

    async def look(
        self,
        key: Key,
        spec: RolloutSpec,
        status: Status,
        rollout: Body,
        deployment: Body | None,
        base: Observation,
    ) -> Sight:
        """Return everything that is to be seen of a Rollout; never raises."""
        reading = _Reading(self._reader, key)
        attempt = status.attempt
        listed = _listed(rollout, attempt)
        selector = _selector(deployment, status)
        none: tuple[Body, ...] = ()
        set_bodies, pod_bodies, routes = await asyncio.gather(
            reading.list(REPLICASET, selector) if selector else _value(none),
            reading.list(POD, selector) if selector else _value(none),
            self._routes(reading, listed, rollout),
        )
        sets = DEPLOYMENTS.sets(_of_target(set_bodies, deployment), deployment, spec.uid)
        found_pods = DEPLOYMENTS.pods(
            pod_bodies, sets, attempt.revision if attempt is not None else ""
        )
        services = await self._services(reading, rollout, attempt, listed, routes, deployment)
        # A Service that an attempt remembers has its arms, and its rules name them, also while it
        # is missing or cannot be read: their weights must be seen, and taken back.
        remembered = () if attempt is None else tuple(one.service for one in attempt.original)
        names = arm_names(tuple(dict.fromkeys((*services, *remembered))))
        arm_bodies, slices = await asyncio.gather(
            self._arms(reading, names, rollout),
            self._slices(reading, names),
        )
        rules = self._rules(reading, listed, routes, names, attempt)
        facts = _facts(services, slices, found_pods, status)
        stale = self._differing.stale(services, arm_bodies)
        sight = Sight(
            replace(
                base,
                sets=sets,
                pods=found_pods,
                services=facts,
                arms=self._readiness.dated(key, arm_facts.all_arms(arm_bodies, slices, stale)),
                rules=tuple(rule for one in rules for rule in one.rules),
                route_drift=self._drift(reading, rollout, routes, attempt),
            ),
            rollout,
            deployment,
            {body["metadata"]["name"]: body for body in set_bodies},
            services,
            arm_bodies,
            routes,
            reading.read,
            self._differing,
        )
        if attempt is None and not reading.unread and not spec.deleting:
            reading.problems += _shared(facts, slices, found_pods, sets, pod_bodies)
            if base.target is not None and not _settled(status, base):
                reading.problems += await self._surroundings.problems(key, spec, facts, listed)
        return replace(
            sight,
            seen=replace(
                sight.seen,
                problems=(*base.problems, *reading.problems),
                unread=(*base.unread, *reading.unread),
            ),
        )

    def _drift(
        self,
        reading: _Reading,
        rollout: Body,
        routes: dict[tuple[str, str], Body],
        attempt: Attempt | None,
    ) -> str:
        """How a managed route differs from its template; during an attempt only whether it is."""
        wanted = managed.manifest(rollout)
        if wanted is None or reading.unread:
            return ""
        route = routes.get((wanted["kind"], wanted["metadata"]["name"]))
        if attempt is not None:
            return managed.MISSING if route is None else ""
        found, problem = managed.drift(route, wanted)
        if problem is not None:
            reading.problems.append(problem)
        return found

    async def _routes(
        self, reading: _Reading, listed: Listed, rollout: Body
    ) -> dict[tuple[str, str], Body]:
        wanted = list(dict.fromkeys((kind, name) for kind, name, _ in listed))
        known = [(kind, name) for kind, name in wanted if kind in ROUTES]
        before = len(reading.unread)
        bodies = await asyncio.gather(
            *(reading.get(ROUTES[kind].kind, name) for kind, name in known)
        )
        found = {at: body for at, body in zip(known, bodies, strict=True) if body is not None}
        if len(reading.unread) == before and managed.manifest(rollout) is None:
            reading.problems += [
                Problem("RouteMissing", f"{label(*at)} does not exist in {reading.key[0]}")
                for at in wanted
                if at not in found
            ]
        return found

    async def _services(
        self,
        reading: _Reading,
        rollout: Body,
        attempt: Attempt | None,
        listed: Listed,
        routes: dict[tuple[str, str], Body],
        deployment: Body | None,
    ) -> dict[str, Body]:
        """The user's Services: those named, those remembered, or the routes' own backends."""
        named = [one["name"] for one in (rollout.get("spec") or {}).get("serviceRefs") or []]
        if attempt is not None:
            named += [one.service for one in attempt.original]
        if named:
            wanted = list(dict.fromkeys(named))
            found = await reading.get_all(SERVICE, wanted)
        else:
            found = await reading.get_all(SERVICE, candidates(listed, routes))
            found = _selecting(found, deployment, rollout["metadata"]["uid"])
            wanted = list(found)
        if not any(one.reason == SERVICE.kind for one in reading.unread):
            reading.problems += [
                Problem("ServiceMissing", f"Service {name} does not exist in {reading.key[0]}")
                for name in wanted
                if name not in found
            ]
        suitable: dict[str, Body] = {}
        for name, body in found.items():
            problem = arm_facts.unsuitable(body)
            if problem is None:
                suitable[name] = body
            else:
                reading.problems.append(problem)
        return suitable

    async def _arms(
        self, reading: _Reading, names: Arms, rollout: Body
    ) -> dict[tuple[str, Role], Body]:
        wanted = [
            (service, role, arm_facts.arm_name(service, role)) for service in names for role in Role
        ]
        bodies = await asyncio.gather(*(reading.get(SERVICE, name) for _, _, name in wanted))
        found: dict[tuple[str, Role], Body] = {}
        for (service, role, name), body in zip(wanted, bodies, strict=True):
            if body is None:
                continue
            if arm_facts.is_arm(body, rollout, role):
                found[service, role] = body
            else:
                reading.problems.append(
                    Problem(
                        "ArmNameTaken",
                        f"Service {name} exists and is not ours: the {role.value} arm of Service"
                        f" {service} needs this name; rename yours",
                    )
                )
        return found

    async def _slices(self, reading: _Reading, names: Arms) -> tuple[Body, ...]:
        if not names:
            return ()
        every = sorted({*names, *(n for arm in names.values() for n in (arm.stable, arm.canary))})
        labels = f"{arm_facts.SLICE_LABEL} in ({','.join(every)})"
        return await reading.list(ENDPOINTSLICE, labels)

    def _rules(
        self,
        reading: _Reading,
        listed: Listed,
        routes: dict[tuple[str, str], Body],
        names: Arms,
        attempt: Attempt | None,
    ) -> list[RouteRules]:
        found: list[RouteRules] = []
        seen: set[tuple[str, str]] = set()
        for kind, name, rule in listed:
            route = routes.get((kind, name))
            if route is None or (attempt is not None and (kind, name) in seen):
                continue
            seen.add((kind, name))
            originals = (
                None
                if attempt is None
                else [one for one in attempt.original if (one.kind, one.route) == (kind, name)]
            )
            rules = ROUTES[kind].router.read(route, kind, names, rule, originals)
            found.append(rules)
            reading.problems += rules.problems
        return found


async def _value(value: T) -> T:
    return value


def _listed(rollout: Body, attempt: Attempt | None) -> Listed:
    """What is shifted: as the attempt remembers it, or as the Rollout says it now."""
    if attempt is not None and attempt.original:
        return tuple((one.kind, one.route, one.rule) for one in attempt.original)
    return route_rules(rollout)


def _selector(deployment: Body | None, status: Status) -> str:
    """The target's selector; during an attempt on another target, what its set is known by."""
    attempt, stable = status.attempt, status.stable
    uid = None if deployment is None else deployment["metadata"].get("uid")
    if attempt is not None and (stable is None or uid != stable.uid):
        return f"{HASH_LABEL}={attempt.revision}"
    if deployment is None:
        return ""
    return selector_text(deployment["spec"].get("selector") or {})


def _of_target(bodies: Sequence[Body], deployment: Body | None) -> list[Body]:
    """Leave out sets of another Deployment whose selector overlaps."""
    if deployment is None:
        return list(bodies)
    uid = deployment["metadata"].get("uid")
    found = []
    for body in bodies:
        owner = controller(body)
        if owner is None or owner.get("kind") != "Deployment" or owner.get("uid") == uid:
            found.append(body)
    return found


def _selecting(found: dict[str, Body], deployment: Body | None, uid: str) -> dict[str, Body]:
    """Keep the Services that select the target's pods; our own arms are none of the user's."""
    if deployment is None:
        return {}
    template = deployment["spec"]["template"]
    labels = (template.get("metadata") or {}).get("labels") or {}
    return {
        name: body
        for name, body in found.items()
        if arm_facts.selects(body, labels) and not arm_facts.is_ours(body, uid)
    }


def _settled(status: Status, base: Observation) -> bool:
    """No attempt can begin now: the template is stable's or the refused one."""
    about, stable, refused = base.target, status.stable, status.refused
    if about is None or stable is None:
        return True
    return about.template == stable.template or (
        refused is not None and refused.template == about.template
    )


def _facts(
    services: dict[str, Body], slices: Sequence[Body], found: Sequence[Pod], status: Status
) -> tuple[Service, ...]:
    revisions = {pod.name: pod.revision for pod in found}
    stable = "" if status.stable is None else status.stable.revision
    canary = "" if status.attempt is None else status.attempt.revision
    return tuple(
        arm_facts.service_fact(
            services[name], arm_facts.ready_endpoints(slices, name), revisions, stable, canary
        )
        for name in sorted(services)
    )


def _shared(
    services: Sequence[Service],
    slices: Sequence[Body],
    ours: Sequence[Pod],
    sets: Sequence[ReplicaSet],
    bodies: Sequence[Body],
) -> list[Problem]:
    """A problem for each Service that also selects ready pods of another owner."""
    known = {pod.name for pod in ours}
    # Pods of a set that is not in the cache yet are ours a moment later: no reason to complain.
    fresh = {
        body["metadata"]["name"]
        for body in bodies
        if (owner := controller(body)) is not None
        and owner.get("kind") == "ReplicaSet"
        and owner.get("uid") not in {one.uid for one in sets}
        and HASH_LABEL in (body["metadata"].get("labels") or {})
    }
    problems = []
    for service in services:
        others = sorted(arm_facts.ready_endpoints(slices, service.name) - known - fresh)
        if others:
            problems.append(
                Problem(
                    "ServiceShared",
                    f"Service {service.name} also selects ready pods of another owner"
                    f" ({', '.join(others[:3])}): its arms would cut them off; give the"
                    " Deployment a Service of its own",
                )
            )
    return problems
