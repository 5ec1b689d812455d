"""The observer: everything that the outside says about a Rollout, as one immutable value.

At rest it looks at nothing but the Deployment that the watch has brought anyway: no request, no
cache. During an attempt, and before one, it looks at everything. What cannot be read is named in
`unread`; it never raises.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from leadsman.adapters.presets.arms import ArmNames as MetricArm
from leadsman.adapters.presets.arms import Arms as MetricArms
from leadsman.adapters.routers import managed
from leadsman.adapters.workloads.deployment import target
from leadsman.core.observation import Observation, Owner, Role, Share, Target
from leadsman.core.spec import GuardSpec, Problem, RolloutSpec
from leadsman.core.status import Attempt, Heading, Status
from leadsman.guards.windows import Reading
from leadsman.ports import Body, Clock, Kube
from leadsman.runtime.autoscalers import Autoscalers
from leadsman.runtime.finalizer import has_finalizer
from leadsman.runtime.looking import Looker
from leadsman.runtime.policies import Policies
from leadsman.runtime.reader import Reader
from leadsman.runtime.resting import Resting
from leadsman.runtime.scheduler import Key
from leadsman.runtime.sight import Sight
from leadsman.runtime.store import OwnStore
from leadsman.runtime.termsbook import TermsBook

CALM = 60.0
"""Seconds after an attempt in which nobody asks for the policies again: an end costs no request."""


class Sampling(Protocol):
    """What the observer needs of the sampler."""

    def subscribe(
        self,
        key: Key,
        guards: tuple[GuardSpec, ...],
        arms: MetricArms,
        since: float,
        false_rollback: float = 0.0,
    ) -> None:
        """Measure a Rollout; the same subscription again changes nothing."""
        ...

    def unsubscribe(self, key: Key) -> None:
        """Measure it no longer."""
        ...

    def readings(self, key: Key) -> tuple[Reading, ...]:
        """A reading for each guard, from memory."""
        ...

    def shares(self, key: Key) -> tuple[int, int] | None:
        """The router's requests since then: (canary, stable), None if it shows none."""
        ...


class Observer:
    """Observes Rollouts. One for the whole process."""

    def __init__(
        self,
        kube: Kube,
        clock: Clock,
        store: OwnStore,
        reader: Reader,
        sampler: Sampling,
    ) -> None:
        """`store` is fed by the watches of our own kinds and of the governed Deployments."""
        self.terms = TermsBook(kube)
        self._store = store
        self._reader = reader
        self._sampler = sampler
        self._clock = clock
        self._policies = Policies(kube, clock)
        self._autoscalers = Autoscalers(kube, clock, reader.lookouts)
        self._looker = Looker(kube, clock, reader)
        self._resting = Resting(reader.lookouts)
        self._looked: dict[Key, tuple[str, int, bool]] = {}

    async def observe(self, key: Key, spec: RolloutSpec, status: Status, rollout: Body) -> Sight:
        """Return what is seen of one Rollout now."""
        deployment = self._store.deployment(key[0], spec.target)
        about = None if deployment is None else target(deployment)
        base = Observation(target=about, finalizer=has_finalizer(rollout))
        if deployment is None:
            base = self._without_target(key, spec, base)
        if base.unread and status.attempt is None:
            return Sight(base, rollout, deployment)
        if self._at_rest(key, spec, status, about, base, rollout) or _rolls_out(
            spec, status, base, rollout
        ):
            self.rest(key)
            return Sight(await self._with_policies(base, fresh=False), rollout, deployment)
        if (seen := self._resting.parked(key, spec, status, base)) is not None:
            self.rest(key)
            seen = replace(seen, target=base.target, finalizer=base.finalizer)
            return Sight(await self._with_policies(seen, fresh=False), rollout, deployment)
        sight = await self._looker.look(key, spec, status, rollout, deployment, base)
        self._note(key, spec, status, sight)
        if (
            self._at_rest(key, spec, status, about, base, rollout)
            or self._resting.parked(key, spec, status, base) is not None
        ):
            # Nothing may come for hours that would make another pass: the caches end now.
            self.rest(key)
        return await self._attempt(key, status, sight)

    def rest(self, key: Key) -> None:
        """Look at nothing of this Rollout any more."""
        self._reader.close(key)
        self._sampler.unsubscribe(key)
        self._looker.forget(key)
        self._autoscalers.forget(key)

    def forget(self, key: Key) -> None:
        """The Rollout is gone."""
        self.rest(key)
        self._resting.forget(key)
        self._looked.pop(key, None)
        self._policies.forget(key)

    def _without_target(self, key: Key, spec: RolloutSpec, base: Observation) -> Observation:
        if spec.target and not self._store.deployment_known(key[0], spec.target):
            return replace(base, unread=(Problem("Deployment", f"{spec.target} is not read yet"),))
        missing = f"spec.targetRef: Deployment {spec.target} does not exist in {key[0]}"
        return replace(base, problems=(Problem("TargetMissing", missing),))

    def _at_rest(
        self,
        key: Key,
        spec: RolloutSpec,
        status: Status,
        about: Target | None,
        base: Observation,
        rollout: Body,
    ) -> bool:
        """Whether the Deployment alone says that there is nothing to do or to watch."""
        if status.attempt is not None:
            return False
        if spec.deleting:
            return not base.finalizer
        if about is None or any(one.reason == "Conflicted" for one in spec.problems):
            # Nothing was taken, and the store says when another Rollout makes room.
            return True
        stable, refused = status.stable, status.refused
        if stable is None or stable.uid != about.uid:
            return False
        known = self._looked.get(key)
        clear = known[2] if known is not None and known[:2] == _spot(about, spec) else None
        if about.template == stable.template:
            well = _was_well(status, spec, rollout) if clear is None else clear
            return well and self._resting.settled(key, rollout)
        return (
            refused is not None
            and refused.template == about.template
            and about.paused
            and clear is True
            and self._resting.settled(key, rollout)
        )

    def _note(self, key: Key, spec: RolloutSpec, status: Status, sight: Sight) -> None:
        """Remember whether a full look found all as it is to be at rest.

        What is wrong at rest (a missing route, an arm to widen, a set that was caught) is looked at
        until it is not; the look is made anew for each edit of the Rollout.
        """
        about, seen = sight.seen.target, sight.seen
        if about is None or status.attempt is not None:
            # The first rest after an attempt is looked at once more: arms may have to be widened.
            self._looked[key] = ("", 0, False) if about is None else (*_spot(about, spec), False)
            self._resting.forget(key)
            return
        arms = {(arm.service, arm.role) for arm in seen.arms if not (arm.revision or arm.stale)}
        wanted = {(rule.service, role) for rule in seen.rules if rule.permanent for role in Role}
        caught = any(
            one.matches and (one.owner is Owner.ROLLOUT or one.replicas > 0)
            for one in seen.sets
            if status.stable is None or one.revision != status.stable.revision
        )
        wrong = seen.unread or seen.problems or seen.route_drift or caught
        clear = not wrong and wanted <= arms
        sure = self._resting.looked(key, spec, status, sight, clear=clear)
        self._looked[key] = (*_spot(about, spec), clear and sure)

    async def _attempt(self, key: Key, status: Status, sight: Sight) -> Sight:
        """Add what is seen during an attempt only: terms, evidence, whether it is frozen."""
        attempt = status.attempt
        # Not during a hold, nor after a rollback; before an attempt and at its hand-over.
        if attempt is None:
            ended = status.history[-1].ended_at if status.history else 0.0
            fresh = self._clock.now() - ended >= CALM
        else:
            fresh = attempt.direction.name is Heading.HANDING_OVER
        seen = await self._with_policies(sight.seen, fresh=fresh)
        if attempt is None:
            self._sampler.unsubscribe(key)
            return replace(sight, seen=seen)
        terms, problem = await self.terms.read(key[0], attempt.frozen, sight.rollout)
        unread = seen.unread if problem is None else (*seen.unread, problem)
        seen = replace(seen, terms=terms, unread=unread)
        if attempt.direction.name is not Heading.ROLLING_BACK and seen.target is not None:
            counted = await self._autoscalers.multiplying(key, attempt.id, seen.target)
            seen = replace(seen, autoscaler=counted)
        self._sample(key, status, attempt, replace(sight, seen=seen))
        share = self._sampler.shares(key)
        seen = replace(
            seen,
            readings=self._sampler.readings(key),
            share=None if share is None else Share(share[0], share[0] + share[1]),
            share_measurable=share is not None,
        )
        if (
            attempt.direction.name is Heading.HANDING_OVER
            and attempt.released_at is None
            and seen.freeze_policy
            and sight.deployment is not None
        ):
            since = attempt.direction.since
            frozen = await self._policies.frozen(key, attempt.id, since, sight.deployment)
            seen = replace(seen, frozen_replicas=frozen)
        return replace(sight, seen=seen)

    async def _with_policies(self, seen: Observation, *, fresh: bool) -> Observation:
        hold, freeze = await self._policies.installed(refresh=fresh)
        return replace(seen, hold_policy=hold, freeze_policy=freeze)

    def _sample(self, key: Key, status: Status, attempt: Attempt, sight: Sight) -> None:
        """Subscribe from the moment of the present weight; nothing counts before there is one.

        While the next stage waits for its pods the subscription stays as it is: the weight of the
        stage before is still in force.
        """
        terms, stable = sight.seen.terms, status.stable
        if attempt.weight == 0 or attempt.direction.name is Heading.ROLLING_BACK:
            self._sampler.unsubscribe(key)
            return
        since = attempt.weight_since
        if terms is None or stable is None or since is None:
            return
        arms = MetricArms(
            namespace=key[0],
            canary=_metric_arm(sight, attempt.revision, Role.CANARY),
            stable=_metric_arm(sight, stable.revision, Role.STABLE),
            routes=tuple(sorted({(rule.kind, rule.route) for rule in sight.seen.rules})),
        )
        contract = terms.contract
        self._sampler.subscribe(key, contract.guards, arms, since, contract.false_rollback)


def _rolls_out(spec: RolloutSpec, status: Status, base: Observation, rollout: Body) -> bool:
    """Whether the Deployment's first version still rolls out by itself.

    Nothing but the Deployment says when it is complete, and it is followed anyway: hundreds of
    Rollouts that are created with their Deployments wait for a busy controller without caches.
    """
    about, stable = base.target, status.stable
    if about is None or status.attempt is not None or spec.deleting or not base.finalizer:
        return False
    if stable is not None and stable.uid == about.uid:
        return False
    waits = not about.complete and not about.paused and not about.deleting
    return waits and managed.manifest(rollout) is None


def _spot(about: Target, spec: RolloutSpec) -> tuple[str, int]:
    return about.template, spec.generation


def _was_well(status: Status, spec: RolloutSpec, rollout: Body) -> bool:
    """Whether an earlier process looked at this generation and found nothing wrong.

    Where spec.serviceRefs is set, the user's rule may name the arms, and that process may have
    ended before it widened them: that is looked at again.
    """
    if (rollout.get("spec") or {}).get("serviceRefs"):
        return False
    ready = any(one.type == "Ready" and one.status == "True" for one in status.conditions)
    return ready and status.observed_generation == spec.generation


def _metric_arm(sight: Sight, revision: str, role: Role) -> MetricArm:
    return MetricArm(
        services=tuple(sorted(arm.name for arm in sight.seen.arms if arm.role is role)),
        replica_sets=tuple(one.name for one in sight.seen.sets if one.revision == revision),
        revision=revision,
    )
