"""A Rollout with its references followed: what the core is asked to decide about.

Everything that only the operator can see is found here: a plan that does not exist, a guard that
asks a source it may not use, a second Rollout on the same target. Each is a `Problem` with the
field's path, never an exception, and the rest of the Rollout is resolved all the same: it must
still be able to roll back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from leadsman.api.guard import Guard
from leadsman.api.kinds import parse
from leadsman.api.metricssource import From, MetricsSource
from leadsman.api.releasecontract import ContractSpec, ReleaseContract
from leadsman.api.resource import InvalidObjectError, Resource
from leadsman.api.rollout import Rollout
from leadsman.api.rolloutplan import PlanSpec, RolloutPlan
from leadsman.core.spec import Contract, HoldMode, InCluster, Problem, RolloutSpec, Terms
from leadsman.errors import ApiError
from leadsman.ports import NAMESPACE, Body, Clock, Kube, Ref
from leadsman.runtime.resolve_terms import Found, contract_of, plan_of, terms_of
from leadsman.runtime.store import OwnStore, key_of

LABELS_SECONDS = 60.0
"""How long a namespace's labels are remembered."""


class Resolver:
    """Follows references through the store of our own kinds."""

    def __init__(self, store: OwnStore, kube: Kube, clock: Clock) -> None:
        """`kube` is asked for a namespace's labels only, where a source selects by them."""
        self._store = store
        self._kube = kube
        self._clock = clock
        self._parsed: dict[tuple[str, str, str], tuple[Body, Resource]] = {}
        self._labels: dict[str, tuple[float, Mapping[str, str] | None]] = {}

    async def resolve(self, body: Body) -> RolloutSpec:
        """Return the Rollout as the core sees it; total for any stored object."""
        metadata = body["metadata"]
        found = Found()
        rollout: Rollout | None = None
        try:
            rollout = _rollout(self._read(body))
        except InvalidObjectError as error:
            found.add("PlanInvalid", "; ".join(error.problems[:3]))
        terms = None
        if rollout is not None:
            terms = await self._terms(rollout, found)
            found.problems.extend(self._conflicts(body))
        raw = body.get("spec") or {}
        return RolloutSpec(
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            uid=str(metadata.get("uid", "")),
            generation=int(metadata.get("generation") or 0),
            target=str((raw.get("targetRef") or {}).get("name") or ""),
            terms=terms,
            deleting="deletionTimestamp" in metadata,
            hold=HoldMode.PAUSED if raw.get("hold") == HoldMode.PAUSED else HoldMode.POLICY,
            in_cluster=_in_cluster(raw.get("inCluster")),
            unguarded=str(raw.get("unguarded") or ""),
            problems=tuple(found.problems),
            warnings=tuple(found.warnings),
        )

    def forget(self, namespace: str, name: str) -> None:
        """Drop what is remembered of a Rollout that is gone."""
        self._parsed.pop(("Rollout", namespace, name), None)

    def _read(self, body: Body) -> Resource:
        """Return the model of an object; parsed once for each stored spec."""
        about = body["metadata"]
        key = (str(body.get("kind", "")), about.get("namespace") or "", about["name"])
        known = self._parsed.get(key)
        if known is not None and known[0] == body.get("spec"):
            return known[1]
        # The status is the codec's business, and a damaged one must not make the spec unreadable.
        model = parse({name: value for name, value in body.items() if name != "status"})
        self._parsed[key] = (body.get("spec") or {}, model)
        return model

    async def _terms(self, rollout: Rollout, found: Found) -> Terms | None:
        plan = self._plan(rollout, found)
        contract = await self._contract(rollout, found)
        if plan is None or contract is None:
            return None
        resolved = plan_of(plan, found)
        return None if resolved is None else terms_of(resolved, contract)

    def _plan(self, rollout: Rollout, found: Found) -> PlanSpec | None:
        if rollout.spec.plan is not None:
            return rollout.spec.plan
        name = rollout.spec.plan_ref.name if rollout.spec.plan_ref is not None else ""
        body = self._store.plan(rollout.namespace, name)
        model = self._referenced("spec.planRef", "RolloutPlan", name, body, found)
        return model.spec if isinstance(model, RolloutPlan) else None

    async def _contract(self, rollout: Rollout, found: Found) -> Contract | None:
        if rollout.spec.unguarded:
            return Contract()
        specs: list[tuple[str, ContractSpec]] = []
        if rollout.spec.contract is not None:
            specs.append(("spec.contract", rollout.spec.contract))
        for index, reference in enumerate(rollout.spec.contract_refs or ()):
            path = f"spec.contractRefs[{index}]"
            body = self._store.contract(rollout.namespace, reference.name)
            model = self._referenced(path, "ReleaseContract", reference.name, body, found)
            if isinstance(model, ReleaseContract):
                specs.append((f"ReleaseContract {reference.name}: spec", model.spec))
            else:
                return None
        contract = contract_of(
            specs, lambda path, name: self._guard(rollout, path, name, found), found
        )
        if contract is not None:
            await self._sources(rollout, contract, found)
        return contract

    def _guard(self, rollout: Rollout, path: str, name: str, found: Found) -> Guard | None:
        body = self._store.guard(rollout.namespace, name)
        model = self._referenced(path, "Guard", name, body, found)
        return model if isinstance(model, Guard) else None

    def _referenced(
        self, path: str, kind: str, name: str, body: Body | None, found: Found
    ) -> Resource | None:
        if body is None:
            found.add("ReferenceMissing", f"{path}: {kind} {name} does not exist")
            return None
        try:
            return self._read(body)
        except InvalidObjectError as error:
            reason = "PlanInvalid" if kind == "RolloutPlan" else "ContractInvalid"
            found.add(reason, f"{kind} {name}: " + "; ".join(error.problems[:3]))
            return None

    async def _sources(self, rollout: Rollout, contract: Contract, found: Found) -> None:
        """Check that every guard may ask its source, and what it asks."""
        for name in dict.fromkeys(guard.source for guard in contract.guards):
            body = self._store.source(name)
            users = ", ".join(one.name for one in contract.guards if one.source == name)
            if body is None:
                found.add("SourceMissing", f"guard {users}: MetricsSource {name} does not exist")
                continue
            try:
                source = self._read(body)
            except InvalidObjectError as error:
                found.add("SourceMissing", f"MetricsSource {name}: {'; '.join(error.problems[:3])}")
                continue
            if isinstance(source, MetricsSource):
                await self._admitted(rollout, source, found)
                _no_queries(source, contract, found)

    async def _admitted(self, rollout: Rollout, source: MetricsSource, found: Found) -> None:
        rule = source.spec.namespaces
        if rule.from_ is From.ALL:
            return
        labels = await self._namespace_labels(rollout.namespace)
        wanted = rule.match_labels or {}
        if labels is None or any(labels.get(key) != value for key, value in wanted.items()):
            found.add(
                "SourceForbidden",
                f"MetricsSource {source.name} admits namespaces with the labels"
                f" {', '.join(f'{key}={value}' for key, value in sorted(wanted.items()))};"
                f" {rollout.namespace} does not have them",
            )

    async def _namespace_labels(self, name: str) -> Mapping[str, str] | None:
        known = self._labels.get(name)
        now = self._clock.now()
        if known is not None and now - known[0] < LABELS_SECONDS:
            return known[1]
        labels: Mapping[str, str] | None = None
        try:
            body = await self._kube.get(Ref(NAMESPACE, "", name))
            labels = body["metadata"].get("labels") or {}
        except ApiError:
            labels = None if known is None else known[1]
        self._labels[name] = (now, labels)
        return labels

    def _conflicts(self, body: Body) -> list[Problem]:
        """A Problem for the older Rollout that has the same target or route rule."""
        mine = key_of(body)
        for other in self._store.rollouts():
            if key_of(other) == mine or key_of(other)[0] != mine[0] or _age(body) < _age(other):
                continue
            shared = _shared(body, other)
            if shared:
                name = other["metadata"]["name"]
                return [Problem("Conflicted", f"Rollout {name} is older and has {shared} already")]
        return []


def _no_queries(source: MetricsSource, contract: Contract, found: Found) -> None:
    """Refuse guards that bring their own query to a source that takes none."""
    own = [
        guard.name
        for guard in contract.guards
        if guard.source == source.name and "promQL" in json.loads(guard.query)
    ]
    if own and not source.spec.allow_prom_ql:
        found.add(
            "SourceForbidden",
            f"guard {', '.join(own)}: MetricsSource {source.name} takes no promQL"
            " (its spec.allowPromQL is false): measure by errors, latency, ratio or histogram, or"
            " ask its administrator",
        )


def _rollout(model: Resource) -> Rollout:
    if not isinstance(model, Rollout):
        raise InvalidObjectError("Rollout", model.name, ("kind: must be Rollout",))
    return model


def _in_cluster(value: object) -> InCluster:
    try:
        return InCluster(str(value))
    except ValueError:
        return InCluster.STABLE


def _age(body: Body) -> tuple[str, str]:
    about = body["metadata"]
    return str(about.get("creationTimestamp") or ""), str(about["name"])


def route_rules(body: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Return (kind, route, rule name) of all that a Rollout shifts; rule "" is the whole route."""
    traffic = ((body.get("spec") or {}).get("traffic") or {}).get("gatewayAPI") or {}
    template = traffic.get("template")
    if template:
        name = (template.get("metadata") or {}).get("name", "")
        return ((template.get("kind") or "HTTPRoute", name, ""),)
    return tuple(
        (one.get("kind") or "HTTPRoute", str(one.get("name")), str(one.get("ruleName") or ""))
        for one in traffic.get("routeRefs") or []
    )


def _shared(one: Body, other: Body) -> str:
    target = ((one.get("spec") or {}).get("targetRef") or {}).get("name")
    if target == ((other.get("spec") or {}).get("targetRef") or {}).get("name"):
        return f"Deployment {target}"
    for kind, route, rule in route_rules(one):
        for kind2, route2, rule2 in route_rules(other):
            if (kind, route) == (kind2, route2) and (rule == rule2 or not rule or not rule2):
                return (
                    f"rule {rule or rule2} of {kind} {route}"
                    if rule or rule2
                    else (f"{kind} {route}")
                )
    return ""
