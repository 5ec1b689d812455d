"""Rollouts at rest that something is wrong with, or that own what serves: looked at no more.

A full look keeps caches open. A Rollout that only waits for an object which it names needs none of
them: what was seen is kept as facts, and lookouts tell when one of those objects has changed. The
same lookouts notice that somebody edited a managed route, which nobody watches otherwise, and that
an arm which serves at rest was deleted or edited, or its Service changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leadsman.adapters.routers import managed
from leadsman.adapters.routers.factory import ROUTES
from leadsman.core.observation import Form, Observation, Owner, Role
from leadsman.core.spec import RolloutSpec
from leadsman.core.status import Status
from leadsman.ports import SERVICE, Body, Kind, Ref
from leadsman.runtime.lookouts import Lookouts
from leadsman.runtime.scheduler import Key
from leadsman.runtime.sight import Sight

NAMED = frozenset(
    {
        "RouteMissing",
        "RuleMissing",
        "RuleShared",
        "AmbiguousRule",
        "ServiceMissing",
        "ServiceUnsuitable",
        "ArmNameTaken",
        "Conflicted",
    }
)
"""Problems that only a change of the Rollout, its Deployment, or a named route or Service ends."""
_ROUTE_KINDS = frozenset(one.kind for one in ROUTES.values())


@dataclass(frozen=True, slots=True)
class _Parked:
    """What was seen, and of what: the Rollout's uid and generation, the Deployment's template."""

    about: tuple[Any, ...]
    seen: Observation


class Resting:
    """What is kept of Rollouts at rest. Without lookouts it keeps nothing that was seen."""

    def __init__(self, lookouts: Lookouts | None) -> None:
        """`lookouts` are None where everything is read anew at each pass."""
        self._lookouts = lookouts
        self._parked: dict[Key, _Parked] = {}
        self._on_arms: set[Key] = set()

    def forget(self, key: Key) -> None:
        """The Rollout is gone, or an attempt begins: nothing is attended to any more."""
        self._parked.pop(key, None)
        self._on_arms.discard(key)
        if self._lookouts is not None and self._lookouts.attends(key):
            self._lookouts.attend(key, {})

    def settled(self, key: Key, rollout: Body) -> bool:
        """Whether a Rollout that was well is still so: its managed route, its permanent arms."""
        if self._lookouts is None:
            # Nobody tells of the arms that serve at rest: they are looked at in each pass.
            return key not in self._on_arms
        if key not in self._on_arms and managed.manifest(rollout) is None:
            return True
        return self._lookouts.attends(key) and not self._lookouts.news(key)

    def parked(
        self, key: Key, spec: RolloutSpec, status: Status, base: Observation
    ) -> Observation | None:
        """What was seen of a Rollout that waits, None when it has to be looked at."""
        known = self._parked.get(key)
        if known is None or self._lookouts is None:
            return None
        if known.about != _about(spec, status, base) or self._lookouts.news(key):
            del self._parked[key]
            return None
        return known.seen

    def looked(
        self, key: Key, spec: RolloutSpec, status: Status, sight: Sight, *, clear: bool
    ) -> bool:
        """Take a full look; returns whether it may be relied on at rest.

        It may not when an object was not attended to before it was read: it is looked at again.
        """
        self._parked.pop(key, None)
        on_arms = clear and any(rule.permanent for rule in sight.seen.rules)
        (self._on_arms.add if on_arms else self._on_arms.discard)(key)
        if self._lookouts is None:
            return True
        waits = not clear and _waits(spec, status, sight)
        wanted: dict[Ref, Body | None] = {}
        if waits:
            wanted = dict(sight.read)
        elif clear:
            kinds: set[Kind] = set()
            if managed.manifest(sight.rollout) is not None:
                kinds |= _ROUTE_KINDS
            if on_arms:
                kinds |= _ROUTE_KINDS | {SERVICE}
            wanted = {ref: body for ref, body in sight.read.items() if ref.kind in kinds}
        sure = self._lookouts.attend(key, wanted)
        if waits and sure:
            self._parked[key] = _Parked(_about(spec, status, sight.seen), sight.seen)
        return sure


def _about(spec: RolloutSpec, status: Status, seen: Observation) -> tuple[Any, ...]:
    about = seen.target
    return (
        spec.uid,
        spec.generation,
        spec.deleting,
        status.attempt is None,
        None if status.stable is None else (status.stable.uid, status.stable.template),
        None if about is None else (about.uid, about.template),
    )


def _waits(spec: RolloutSpec, status: Status, sight: Sight) -> bool:
    """Whether nothing of ours is anywhere, and all that is wrong is with objects that are named."""
    seen, about, stable = sight.seen, sight.seen.target, status.stable
    if spec.deleting or about is None or stable is None or status.attempt is not None:
        return False
    at_stable = stable.uid == about.uid and stable.template == about.template
    wrong = {one.reason for one in seen.problems}
    if not at_stable or not wrong or not wrong <= NAMED or seen.unread or seen.route_drift:
        return False
    permanent = {(rule.service, role) for rule in seen.rules if rule.permanent for role in Role}
    ours = (
        any(one.owner is Owner.ROLLOUT for one in seen.sets)
        or any(one.matches and one.revision != stable.revision for one in seen.sets)
        or any(one.pinned_to for one in seen.services)
        or any((arm.service, arm.role) not in permanent or arm.revision for arm in seen.arms)
        or any(rule.form is Form.ARMS and not rule.permanent for rule in seen.rules)
    )
    return not ours
