"""What the operator knows at rest: its own kinds, and the Deployments that Rollouts name.

Watch events, the sweep and our own writes all end here; the newer resourceVersion wins. Whatever
changes makes the Rollouts due that it concerns: an edited Guard those whose contracts use it, a
Deployment those that target it. A Rollout whose status alone changed makes nothing due, since
that is what we wrote ourselves. Deployments that nobody governs are dropped where they arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from leadsman.ports import (
    DEPLOYMENT,
    GUARD,
    METRICSSOURCE,
    RELEASECONTRACT,
    ROLLOUT,
    ROLLOUTPLAN,
    Body,
    Kind,
    Listing,
)
from leadsman.runtime.scheduler import Key

OWN = (METRICSSOURCE, GUARD, RELEASECONTRACT, ROLLOUTPLAN, ROLLOUT)
"""Our kinds, each after those that it refers to."""

OnDue = Callable[[Key], None]


class OwnStore:
    """Objects by kind, namespace and name. Bodies are shared: do not change them."""

    def __init__(
        self, on_due: OnDue | None = None, on_target: Callable[[str, str], None] | None = None
    ) -> None:
        """`on_due` is told each Rollout that something changed for.

        `on_target` is told namespace and name of a Deployment that a Rollout names and that is
        not known yet; answer with `put_target`.
        """
        self.on_due = on_due
        self.on_target = on_target
        self.on_source: Callable[[str], None] | None = None
        """Told the name of a MetricsSource that is new, changed or gone."""
        self._own: dict[Kind, dict[Key, Body]] = {kind: {} for kind in OWN}
        self._targets: dict[Key, set[Key]] = {}
        self._deployments: dict[Key, Body | None] = {}
        self._deleted: dict[Key, str] = {}

    def rollout(self, key: Key) -> Body | None:
        """The Rollout with its status, or None."""
        return self._own[ROLLOUT].get(key)

    def rollouts(self) -> tuple[Body, ...]:
        """All Rollouts by namespace and name."""
        return self.all(ROLLOUT)

    def plan(self, namespace: str, name: str) -> Body | None:
        """A RolloutPlan, or None."""
        return self._own[ROLLOUTPLAN].get((namespace, name))

    def contract(self, namespace: str, name: str) -> Body | None:
        """A ReleaseContract, or None."""
        return self._own[RELEASECONTRACT].get((namespace, name))

    def guard(self, namespace: str, name: str) -> Body | None:
        """A Guard, or None."""
        return self._own[GUARD].get((namespace, name))

    def source(self, name: str) -> Body | None:
        """A MetricsSource, or None."""
        return self._own[METRICSSOURCE].get(("", name))

    def all(self, kind: Kind) -> tuple[Body, ...]:
        """All objects of one of our kinds, by namespace and name."""
        found = self._own[kind]
        return tuple(found[key] for key in sorted(found))

    def deployment(self, namespace: str, name: str) -> Body | None:
        """A Deployment that a Rollout names; None when it is not there or not known yet."""
        return self._deployments.get((namespace, name))

    def deployment_known(self, namespace: str, name: str) -> bool:
        """Whether the API server was asked about this Deployment: None then means absent."""
        return (namespace, name) in self._deployments

    def rollouts_on(self, namespace: str, deployment: str) -> tuple[Key, ...]:
        """The Rollouts that name this Deployment."""
        return tuple(sorted(self._targets.get((namespace, deployment), ())))

    def targets(self) -> tuple[Key, ...]:
        """All Deployments that Rollouts name."""
        return tuple(sorted(self._targets))

    def governs(self, namespace: str, deployment: str) -> bool:
        """Whether any Rollout names this Deployment."""
        return (namespace, deployment) in self._targets

    def observe(self, kind: Kind, body: Body, *, deleted: bool = False) -> None:
        """Take an event of a watch."""
        key = key_of(body)
        if kind == DEPLOYMENT:
            self._observe_deployment(key, body, deleted=deleted)
        elif deleted:
            self._remove(kind, key, body)
        else:
            self._put(kind, key, body)

    def observe_write(self, kind: Kind, body: Body) -> None:
        """Take the answer of our own write; it makes nothing due, who wrote knows."""
        key = key_of(body)
        if kind == DEPLOYMENT:
            if self.governs(*key) and newer(body, self._deployments.get(key)):
                self._deployments[key] = slim(body)
        elif newer(body, self._own[kind].get(key)):
            self._own[kind][key] = slim(body)

    def observe_list(self, kind: Kind, namespace: str, listing: Listing) -> None:
        """Take a complete list of one of our kinds: it also tells what is gone."""
        found = {key_of(body): body for body in listing.items}
        for key, body in found.items():
            self._put(kind, key, body)
        for key, body in list(self._own[kind].items()):
            if namespace not in ("", key[0]) or key in found:
                continue
            if not _after(version_of(body), listing.resource_version):
                self._remove(kind, key, body)

    def put_target(self, namespace: str, name: str, body: Body | None) -> None:
        """Answer `on_target`: the Deployment as read, or None when it is not there."""
        key = (namespace, name)
        if not self.governs(*key):
            return
        known, old = key in self._deployments, self._deployments.get(key)
        if body is None:
            self._deployments[key] = None
        elif self._deleted.get(key) == uid_of(body):
            return
        elif newer(body, old):
            self._deployments[key] = slim(body)
        # Reading again what is known already, after a gap in the watch, is no news.
        if not known or self._deployments[key] is not old:
            self._due(self._targets[key])

    def target_unread(self, namespace: str, name: str) -> None:
        """Answer `on_target` when the Deployment cannot be read now: wait for it no longer."""
        self._due(self._targets.get((namespace, name), set()))

    def _observe_deployment(self, key: Key, body: Body, *, deleted: bool) -> None:
        users = self._targets.get(key)
        if users is None:
            return
        old = self._deployments.get(key)
        if deleted:
            if old is not None and uid_of(old) != uid_of(body):
                return
            self._deployments[key] = None
            self._deleted[key] = uid_of(body)
        elif newer(body, old):
            self._deployments[key] = slim(body)
        else:
            return
        self._due(users)

    def _put(self, kind: Kind, key: Key, body: Body) -> None:
        old = self._own[kind].get(key)
        if not newer(body, old):
            return
        self._own[kind][key] = slim(body)
        if old is not None and same_but_status(old, body):
            return
        awaiting = kind == ROLLOUT and self._govern(key, old, body)
        self._concern(kind, key, body, old, awaiting=awaiting)

    def _remove(self, kind: Kind, key: Key, body: Body) -> None:
        old = self._own[kind].get(key)
        if old is None or uid_of(old) != uid_of(body):
            return
        del self._own[kind][key]
        if kind == ROLLOUT:
            self._govern(key, old, None)
        self._concern(kind, key, old, None)

    def _govern(self, key: Key, old: Body | None, new: Body | None) -> bool:
        """Keep the table of targets right; returns whether a target was asked for.

        The Rollout is then due when its target is known: a pass before would find nothing.
        """
        before, after = target_of(old), target_of(new)
        if before == after:
            return False
        if before:
            users = self._targets.get((key[0], before), set())
            users.discard(key)
            if not users:
                self._targets.pop((key[0], before), None)
                self._deployments.pop((key[0], before), None)
                self._deleted.pop((key[0], before), None)
        if after:
            self._targets.setdefault((key[0], after), set()).add(key)
            if (key[0], after) not in self._deployments and self.on_target is not None:
                self.on_target(key[0], after)
                return True
        return False

    def _concern(
        self, kind: Kind, key: Key, body: Body, old: Body | None, *, awaiting: bool = False
    ) -> None:
        """Make due what this object is part of."""
        if kind == METRICSSOURCE and self.on_source is not None:
            self.on_source(key[1])
        if kind == ROLLOUT:
            peers = self._peers(key, body) | (self._peers(key, old) if old else set())
            self._due(peers if awaiting else {key} | peers)
        else:
            self._due(set(self._users(kind, key)))

    def _peers(self, key: Key, body: Body) -> set[Key]:
        """Other Rollouts with the same target or route: one may stand in another's way."""
        target, routes = target_of(body), routes_of(body)
        return {
            other
            for other, peer in self._own[ROLLOUT].items()
            if other != key
            and other[0] == key[0]
            and (target_of(peer) == target or routes & routes_of(peer))
        }

    def _users(self, kind: Kind, key: Key) -> Iterator[Key]:
        for rollout, body in self._own[ROLLOUT].items():
            if kind != METRICSSOURCE and rollout[0] != key[0]:
                continue
            if (kind, key[1]) in self._references(rollout[0], body):
                yield rollout

    def _references(self, namespace: str, rollout: Body) -> set[tuple[Kind, str]]:
        """Everything that a Rollout depends on, through its contracts and their guards."""
        spec = _map(rollout.get("spec"))
        found: set[tuple[Kind, str]] = {(ROLLOUTPLAN, _name(spec.get("planRef")))}
        contracts = [_map(spec.get("contract"))]
        for reference in _maps(spec.get("contractRefs")):
            name = _name(reference)
            found.add((RELEASECONTRACT, name))
            contracts.append(_map((self.contract(namespace, name) or {}).get("spec")))
        for contract in contracts:
            for entry in _maps(contract.get("guards")):
                inline, name = _map(entry.get("guard")), _name(entry.get("guardRef"))
                found.add((GUARD, name))
                spec = inline or _map((self.guard(namespace, name) or {}).get("spec"))
                found.add((METRICSSOURCE, _name(spec.get("sourceRef")) or "default"))
        return found

    def _due(self, keys: set[Key]) -> None:
        if self.on_due is not None:
            for key in sorted(keys):
                self.on_due(key)


def key_of(body: Body) -> Key:
    """Namespace ("" for cluster-scoped) and name."""
    about = body["metadata"]
    return about.get("namespace") or "", about["name"]


def uid_of(body: Body) -> str:
    """The uid, or ""."""
    return str(body["metadata"].get("uid") or "")


def version_of(body: Body) -> str:
    """The resourceVersion, or ""."""
    return str(body["metadata"].get("resourceVersion") or "")


def target_of(rollout: Body | None) -> str:
    """The name of the Deployment that a Rollout governs, or ""."""
    return _name(_map((rollout or {}).get("spec")).get("targetRef"))


def routes_of(rollout: Body) -> set[str]:
    """The names of the routes that a Rollout moves."""
    traffic = _map(_map(rollout.get("spec")).get("traffic"))
    return {
        _name(reference) for reference in _maps(_map(traffic.get("gatewayAPI")).get("routeRefs"))
    }


def slim(body: Body) -> Body:
    """The body without what nobody here reads; the given one stays as it is."""
    about = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    return {**body, "metadata": about}


def newer(body: Body, old: Body | None) -> bool:
    """Whether `body` is to be taken over `old`; versions that are not numbers always are."""
    if old is None:
        return True
    one, other = version_of(body), version_of(old)
    if one == other:
        return False
    return not (one.isdecimal() and other.isdecimal()) or int(one) > int(other)


def same_but_status(old: Body, new: Body) -> bool:
    """Whether nothing changed but the status and the versions."""
    return _essence(old) == _essence(new)


def _essence(body: Body) -> dict[str, Any]:
    about = body["metadata"]
    kept = ("uid", "generation", "deletionTimestamp", "labels", "annotations", "finalizers")
    essence = {name: about.get(name) for name in kept}
    # Kinds without a generation of their own are compared whole.
    essence["spec"] = None if about.get("generation") else body.get("spec")
    return essence


def _after(one: str, other: str) -> bool:
    return one.isdecimal() and other.isdecimal() and int(one) > int(other)


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _maps(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _name(reference: object) -> str:
    return str(_map(reference).get("name") or "")
