"""The executor: a decision's actions, one by one, as version-checked writes.

It runs them in order and stops at the first refusal; the next observation decides again. What is
done already in the world that was seen makes no write. Each answer goes back to where the next pass
reads, so that a decision never meets a world from before the last one. After a conflict the object
is read anew, since that is what the next decision must be made from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from leadsman.adapters.routers import managed
from leadsman.adapters.routers.factory import ROUTES
from leadsman.adapters.workloads import deployment_moves as moves
from leadsman.adapters.workloads.factory import DEPLOYMENTS
from leadsman.core import actions as act
from leadsman.core.observation import Role, Rule
from leadsman.core.spec import Problem, RolloutSpec
from leadsman.errors import ApiError, ConflictError, InvalidError, NotFoundError
from leadsman.ports import (
    DEPLOYMENT,
    REPLICASET,
    ROLLOUT,
    Body,
    JsonPatch,
    Kind,
    Kube,
    Notice,
    Notifier,
    Ref,
)
from leadsman.runtime import finalizer
from leadsman.runtime.reader import Reader
from leadsman.runtime.scheduler import Key
from leadsman.runtime.services import Services
from leadsman.runtime.sight import Sight, arm_names
from leadsman.runtime.store import OwnStore
from leadsman.runtime.termsbook import TermsBook
from leadsman.runtime.writing import Writer

log = structlog.get_logger(__name__)
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a decision was carried out: all of it when `error` is None."""

    done: int
    error: ApiError | None = None

    @property
    def conflict(self) -> bool:
        """Whether the world was another one: look and decide again at once."""
        return isinstance(self.error, ConflictError | NotFoundError)


class Executor:
    """Carries decisions out. One for the whole process."""

    def __init__(
        self,
        kube: Kube,
        store: OwnStore,
        reader: Reader,
        notifier: Notifier,
        terms: TermsBook,
    ) -> None:
        """All writes go through `kube`."""
        self._store = store
        self._notifier = notifier
        self._terms = terms
        self._kube = kube
        self._writer = Writer(kube, store, reader)
        self._services = Services(self._writer)
        self._table: dict[type, Callable[[Any, RolloutSpec, Sight], Awaitable[None]]] = {
            act.AddFinalizer: self._add_finalizer,
            act.DropFinalizer: self._drop_finalizer,
            act.Pause: self._pause,
            act.Unpause: self._unpause,
            act.RecordTerms: self._record_terms,
            act.DropTerms: self._drop_terms,
            act.SetArm: self._set_arm,
            act.DropArms: self._drop_arms,
            act.KeepArms: self._keep_arms,
            act.SetWeights: self._set_weights,
            act.RestoreRules: self._restore_rules,
            act.KeepRoute: self._keep_route,
            act.Pin: self._pin,
            act.Unpin: self._unpin,
            act.CreateCanary: self._create_canary,
            act.TakeOver: self._take_over,
            act.ScaleCanary: self._scale_canary,
            act.DeleteCanary: self._delete_canary,
            act.GiveBack: self._give_back,
            act.Release: self._release,
            act.Emit: self._emit,
        }

    async def execute(
        self, key: Key, spec: RolloutSpec, sight: Sight, actions: tuple[act.Action, ...]
    ) -> Outcome:
        """Carry actions out in order, up to the first that is refused. Never raises ApiError."""
        for done, action in enumerate(actions):
            try:
                await self._table[type(action)](action, spec, sight)
            except ApiError as error:
                log.info(
                    "refused",
                    namespace=key[0],
                    name=key[1],
                    action=type(action).__name__,
                    status=error.status,
                    reason=error.reason,
                    message=error.message,
                )
                return Outcome(done, error)
        return Outcome(len(actions))

    # --- the Rollout itself -------------------------------------------------------------------

    async def _add_finalizer(self, _: act.AddFinalizer, __: RolloutSpec, sight: Sight) -> None:
        rollout = self._rollout(sight)
        await self._writer.patch(ROLLOUT, rollout, finalizer.add_patch(rollout))

    async def _drop_finalizer(self, _: act.DropFinalizer, __: RolloutSpec, sight: Sight) -> None:
        rollout = self._rollout(sight)
        answer = await self._writer.patch(ROLLOUT, rollout, finalizer.drop_patch(rollout))
        about = answer["metadata"]
        if "deletionTimestamp" in about and not about.get("finalizers"):
            self._store.observe(ROLLOUT, answer, deleted=True)

    def _rollout(self, sight: Sight) -> Body:
        """The Rollout as our own last write left it."""
        about = sight.rollout["metadata"]
        return self._store.rollout((about["namespace"], about["name"])) or sight.rollout

    async def _record_terms(self, action: act.RecordTerms, spec: RolloutSpec, sight: Sight) -> None:
        if spec.terms is None:
            raise InvalidError(422, "Invalid", "there are no terms to record")
        await self._terms.write(action.name, spec.terms, sight.rollout)

    async def _drop_terms(self, action: act.DropTerms, spec: RolloutSpec, _: Sight) -> None:
        await self._terms.drop(spec.namespace, action.name)

    async def _emit(self, action: act.Emit, _: RolloutSpec, sight: Sight) -> None:
        self._notifier.notify(sight.rollout, Notice(action.reason, action.message, action.warning))

    # --- the Deployment and its sets ----------------------------------------------------------

    async def _pause(self, action: act.Pause, _: RolloutSpec, sight: Sight) -> None:
        body = _there(sight.deployment, "Deployment")
        patch = DEPLOYMENTS.pause(body, action.uid, action.resource_version, paused=True)
        await self._writer.patch(DEPLOYMENT, body, patch)

    async def _unpause(self, action: act.Unpause, _: RolloutSpec, sight: Sight) -> None:
        body = _there(sight.deployment, "Deployment")
        patch = DEPLOYMENTS.pause(body, action.uid, action.resource_version, paused=False)
        await self._writer.patch(DEPLOYMENT, body, patch)

    async def _create_canary(self, action: act.CreateCanary, _: RolloutSpec, sight: Sight) -> None:
        deployment = _there(sight.deployment, "Deployment")
        body = DEPLOYMENTS.canary(deployment, sight.rollout, action.revision, action.replicas)
        await self._writer.create(REPLICASET, body, sight.rollout)

    async def _take_over(self, action: act.TakeOver, _: RolloutSpec, sight: Sight) -> None:
        body = _there(sight.sets.get(action.name), f"ReplicaSet {action.name}")
        patch = DEPLOYMENTS.take_over(body, sight.rollout, action.uid, action.resource_version)
        await self._writer.patch(REPLICASET, body, patch)

    async def _scale_canary(self, action: act.ScaleCanary, _: RolloutSpec, sight: Sight) -> None:
        body = _there(sight.sets.get(action.name), f"ReplicaSet {action.name}")
        patch = moves.scale_patch(body, action.replicas, action.resource_version)
        await self._writer.patch(REPLICASET, body, patch)

    async def _delete_canary(self, action: act.DeleteCanary, spec: RolloutSpec, _: Sight) -> None:
        ref = Ref(REPLICASET, spec.namespace, action.name)
        await self._writer.delete(ref, uid=action.uid)

    async def _give_back(self, action: act.GiveBack, _: RolloutSpec, sight: Sight) -> None:
        body = _there(sight.sets.get(action.name), f"ReplicaSet {action.name}")
        patch = moves.give_back_patch(body, sight.rollout, action.uid, action.resource_version)
        await self._writer.patch(REPLICASET, body, patch)

    async def _release(self, action: act.Release, _: RolloutSpec, sight: Sight) -> None:
        body = _there(sight.sets.get(action.name), f"ReplicaSet {action.name}")
        patch = DEPLOYMENTS.release(
            body, sight.rollout, action.uid, action.resource_version, action.replicas
        )
        await self._writer.patch(REPLICASET, body, patch)

    # --- Services -----------------------------------------------------------------------------

    async def _set_arm(self, action: act.SetArm, spec: RolloutSpec, sight: Sight) -> None:
        service = _there(sight.services.get(action.service), f"Service {action.service}")
        await self._services.set_arm(
            service, action.role, action.revision, sight, in_cluster=spec.in_cluster
        )

    async def _drop_arms(self, action: act.DropArms, _: RolloutSpec, sight: Sight) -> None:
        await self._services.drop_arms(action.services, sight)

    async def _keep_arms(self, _: act.KeepArms, __: RolloutSpec, sight: Sight) -> None:
        await self._services.keep_arms(sight)

    async def _pin(self, action: act.Pin, _: RolloutSpec, sight: Sight) -> None:
        service = _there(sight.services.get(action.service), f"Service {action.service}")
        await self._services.pin(service, action.revision, action.resource_version)

    async def _unpin(self, action: act.Unpin, _: RolloutSpec, sight: Sight) -> None:
        service = _there(sight.services.get(action.service), f"Service {action.service}")
        arm = sight.arms.get((action.service, Role.CANARY))
        await self._services.unpin(service, arm, action.resource_version)

    # --- routes -------------------------------------------------------------------------------

    async def _set_weights(self, action: act.SetWeights, _: RolloutSpec, sight: Sight) -> None:
        """One patch a route; when lowering all at once, and one refusal does not stop the rest."""
        names = arm_names(tuple(dict.fromkeys(rule.service for rule in sight.seen.rules)))
        by_route: dict[tuple[str, str], list[Rule]] = {}
        for rule in sight.seen.rules:
            by_route.setdefault((rule.kind, rule.route), []).append(rule)
        writes = [
            self._weigh(
                sight.routes[at],
                at[0],
                ROUTES[at[0]].router.weights(
                    sight.routes[at], rules, action.canary, names, lowering=action.lowering
                ),
            )
            for at, rules in sorted(by_route.items())
            if at in sight.routes
        ]
        if not action.lowering:
            for position, write in enumerate(writes):
                try:
                    await write
                except BaseException:
                    for rest in writes[position + 1 :]:
                        rest.close()
                    raise
            return
        results = await asyncio.gather(*writes, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _weigh(self, route: Body, kind: str, patch: JsonPatch) -> None:
        await self._writer.patch(ROUTES[kind].kind, route, patch)

    async def _keep_route(self, _: act.KeepRoute, __: RolloutSpec, sight: Sight) -> None:
        wanted = managed.manifest(sight.rollout)
        if wanted is None or wanted["kind"] not in ROUTES:
            return
        kind = ROUTES[wanted["kind"]].kind
        route = sight.routes.get((wanted["kind"], wanted["metadata"]["name"]))
        if route is None:
            await self._writer.make(kind, wanted)
        else:
            await self._writer.patch(kind, route, managed.keep_patch(route, wanted))

    async def _restore_rules(self, action: act.RestoreRules, _: RolloutSpec, sight: Sight) -> None:
        by_route: dict[tuple[str, str], list[Any]] = {}
        for original in action.original:
            by_route.setdefault((original.kind, original.route), []).append(original)
        for at, originals in sorted(by_route.items()):
            route = sight.routes.get(at)
            if route is None:
                continue
            try:
                patch = ROUTES[at[0]].router.restore(route, originals)
            except ValueError as error:
                raise InvalidError(422, "Invalid", f"{at[1]}: {error}") from None
            kind: Kind = ROUTES[at[0]].kind
            answer = await self._writer.patch(kind, route, patch)
            await self._writer.disown(kind, answer, "spec", "rules")


def _there(body: Body | None, what: str) -> Body:
    if body is None:
        raise NotFoundError(404, "NotFound", f"{what} is gone")
    return body


def refusal(error: ApiError) -> Problem:
    """Return what a refused write means for the Rollout's condition."""
    if error.status in (401, 403):
        return Problem("Forbidden", f"a right is missing: {error.message}")
    return Problem("ApiUnavailable", f"{error.status} {error.reason}: {error.message}")
