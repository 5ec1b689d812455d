"""The reconciler: resolve, observe, decide, act, remember; one step a pass until nothing is to do.

A decided status that is not yet in the API is kept in memory as the next pass' status, so that
values for people cost one write a minute at most. Memory may vanish at any time: then the API's
status counts, and the core's policies make good what it does not know. Effects come before the
status that claims them, unless the decision says that its intent must be known first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from leadsman.core.actions import Emit
from leadsman.core.changed import changed
from leadsman.core.decide import decide
from leadsman.core.decision import Decision, Persist, Urgency
from leadsman.core.spec import Problem
from leadsman.core.status import Heading, Status
from leadsman.errors import ApiError, ConflictError, NotFoundError
from leadsman.ports import ROLLOUT, Body, Clock, Kube, Notice, Notifier
from leadsman.runtime.backoff import delay
from leadsman.runtime.codec import decode_status, encode_status
from leadsman.runtime.executor import Executor, Outcome, refusal
from leadsman.runtime.observer import Observer, Sampling
from leadsman.runtime.reader import Reader
from leadsman.runtime.recorder import NoRecorder, Recorder
from leadsman.runtime.resolve import Resolver
from leadsman.runtime.scheduler import Key, Wake
from leadsman.runtime.sight import Sight
from leadsman.runtime.store import OwnStore
from leadsman.runtime.writing import Writer

STEPS = 24
"""Steps in one pass; a Rollout that wants more lets the others go first."""
SOON_SECONDS = 5.0
LAZY_SECONDS = 60.0
CONFLICTS = 4
"""Conflicts in a row that are answered at once; then the pass backs off like any failure."""
BACKOFF_BASE = 0.1
HOPELESS_BASE = 2.0
BACKOFF_CEILING = 60.0
URGENT_CEILING = 1.0
"""Seconds: a write that takes traffic off a bad version is tried at least this often."""
TARGET_PATIENCE = 5.0
"""Seconds that a new Rollout waits for its Deployment to be read before it says so."""
TOLD_AFTER = 3
"""Refusals in a row after which the condition says so."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Memory:
    """What is kept of one Rollout between passes, and may be lost.

    `status` is the newest decided status; `saved` the tree that the API has for it, None while the
    API has an older one; `save_at` is when it must be there (Unix seconds).
    """

    uid: str
    status: Status | None = None
    saved: Any = None
    save_at: float | None = None
    failures: int = 0
    conflicts: int = 0
    retry_at: float = 0.0
    first_at: float | None = None
    damaged: tuple[str, ...] = field(default=())


class Reconciler:
    """Makes passes. One for the whole process; one pass a Rollout at a time."""

    def __init__(
        self,
        kube: Kube,
        clock: Clock,
        store: OwnStore,
        reader: Reader,
        sampler: Sampling,
        notifier: Notifier,
        *,
        recorder: Recorder | None = None,
        on_decision: Callable[[str], None] | None = None,
    ) -> None:
        """`on_decision` is told the name of the policy that decided."""
        self._clock = clock
        self._store = store
        self._notifier = notifier
        self._recorder = recorder or NoRecorder()
        self._on_decision = on_decision
        self._resolver = Resolver(store, kube, clock)
        self._observer = Observer(kube, clock, store, reader, sampler)
        self._executor = Executor(kube, store, reader, notifier, self._observer.terms)
        self._writer = Writer(kube, store, reader)
        self._memory: dict[Key, Memory] = {}

    async def reconcile(self, key: Key) -> Wake:
        """Make one pass over a Rollout and say when it wants the next."""
        urgency: int = Urgency.ADVANCE
        for _ in range(STEPS):
            body = self._store.rollout(key)
            if body is None:
                self.forget(key)
                return Wake()
            wake = await self._step(key, self._remembered(key, body), body)
            if wake.at is None or wake.at > self._now():
                return wake
            urgency = wake.urgency
        return Wake(self._now() + 0.05, urgency)

    def forget(self, key: Key) -> None:
        """The Rollout is gone: close and drop everything of it."""
        self._memory.pop(key, None)
        self._observer.forget(key)
        self._resolver.forget(*key)

    def remembered(self, key: Key) -> Status | None:
        """The newest decided status of a Rollout, whether the API has it yet or not."""
        memory = self._memory.get(key)
        return None if memory is None else memory.status

    async def flush(self) -> None:
        """Write every decided status that the API does not have yet (at the end of the process)."""
        for key, memory in list(self._memory.items()):
            if memory.save_at is not None and self._store.rollout(key) is not None:
                try:
                    await self._save(key, memory)
                except ApiError as error:
                    log.info("status not saved", namespace=key[0], name=key[1], why=error.reason)

    def _now(self) -> float:
        return round(self._clock.now(), 3)

    def _remembered(self, key: Key, body: Body) -> Memory:
        uid = str(body["metadata"].get("uid", ""))
        memory = self._memory.get(key)
        if memory is not None and memory.uid != uid:
            self.forget(key)
            memory = None
        if memory is None:
            memory = self._memory[key] = Memory(uid)
        return memory

    def _status(self, key: Key, memory: Memory, body: Body) -> Status:
        """The newest decided status; the API's, where somebody changed it or memory is new."""
        stored = body.get("status")
        if memory.status is not None and (memory.save_at is not None or memory.saved == stored):
            return memory.status
        found = decode_status(stored)
        if found.damaged and found.damaged != memory.damaged:
            log.warning("status damaged", namespace=key[0], name=key[1], fields=found.damaged)
        memory.damaged = found.damaged
        memory.status, memory.saved = found.status, stored
        return found.status

    async def _step(self, key: Key, memory: Memory, body: Body) -> Wake:
        """Observe and decide once, and carry it out."""
        status = self._status(key, memory, body)
        if not self._target_known(key, body) and status.attempt is None:
            # It is being asked for, and its answer makes this Rollout due.
            memory.first_at = self._now() if memory.first_at is None else memory.first_at
            if self._now() < memory.first_at + TARGET_PATIENCE:
                return Wake(memory.first_at + TARGET_PATIENCE, Urgency.IDLE)
        spec = await self._resolver.resolve(body)
        sight = await self._observer.observe(key, spec, status, body)
        now = self._now()
        decision = decide(spec, status, sight.seen, now)
        self._recorder.record(spec, status, sight.seen, now, decision)
        if self._on_decision is not None:
            self._on_decision(decision.why.policy)
        if decision.actions and now < memory.retry_at and decision.urgency > Urgency.ROLL_BACK:
            # An event came before the backoff's end: what was refused is not tried at each event.
            return Wake(memory.retry_at, decision.urgency)
        try:
            if decision.persist is Persist.FIRST:
                await self._save_first(key, memory, decision.status)
            outcome = await self._executor.execute(key, spec, sight, decision.actions)
            if outcome.error is not None:
                return await self._refused(key, memory, status, sight, decision, outcome)
            self._adopt(memory, decision.status, decision.persist, now)
            if memory.save_at is not None and memory.save_at <= now:
                await self._save(key, memory)
        except ApiError as error:
            # Only a save raises here: what was decided and done waits in memory.
            return self._again(key, memory, error, decision.urgency)
        memory.failures = memory.conflicts = 0
        memory.retry_at = 0.0
        if decision.actions or (decision.wake_at is not None and decision.wake_at <= now):
            return Wake(now, decision.urgency)
        wakes = [at for at in (decision.wake_at, memory.save_at) if at is not None]
        return Wake(min(wakes, default=None), decision.urgency)

    def _target_known(self, key: Key, body: Body) -> bool:
        name = str(((body.get("spec") or {}).get("targetRef") or {}).get("name") or "")
        return not name or self._store.deployment_known(key[0], name)

    def _adopt(self, memory: Memory, status: Status, persist: Persist, now: float) -> None:
        """Take a decided status as the present one, and note by when the API must have it."""
        memory.status = status
        patience = {
            Persist.NEVER: None,
            Persist.LAZY: LAZY_SECONDS,
            Persist.SOON: SOON_SECONDS,
            Persist.NOW: 0.0,
            Persist.FIRST: 0.0,
        }[persist]
        if patience is not None:
            due = now + patience
            memory.save_at = due if memory.save_at is None else min(memory.save_at, due)

    async def _save_first(self, key: Key, memory: Memory, intent: Status) -> None:
        """Write an intent before its effects; one that was not written was never decided."""
        before = memory.status, memory.save_at
        memory.status = intent
        try:
            await self._save(key, memory)
        except ApiError:
            memory.status, memory.save_at = before
            raise

    async def _save(self, key: Key, memory: Memory) -> None:
        """Write the decided status if the API has another one. Raises ApiError."""
        body = self._store.rollout(key)
        if body is None or memory.status is None:
            memory.save_at = None
            return
        tree = encode_status(memory.status)
        if tree != body.get("status"):
            version = body["metadata"]["resourceVersion"]
            operations = [
                {"op": "test", "path": "/metadata/resourceVersion", "value": version},
                {"op": "add", "path": "/status", "value": tree},
            ]
            try:
                body = await self._writer.patch(ROLLOUT, body, operations, subresource="status")
            except NotFoundError:
                memory.save_at = None
                raise
        memory.saved = body.get("status")
        memory.save_at = None

    async def _refused(
        self,
        key: Key,
        memory: Memory,
        before: Status,
        sight: Sight,
        decision: Decision,
        outcome: Outcome,
    ) -> Wake:
        """A write was refused: the status that would claim it is not taken, but for one part.

        A turn to rolling back is kept whatever became of its first write: a direction never turns
        back, and its policy writes weight 0 until it is seen.
        """
        error = outcome.error
        if error is None:
            raise AssertionError("called for refusals only")
        if _turned_back(before, decision.status):
            self._adopt(memory, decision.status, Persist.SOON, self._now())
            self._tell_rest(sight, decision, outcome)
        wake = self._again(key, memory, error, decision.urgency)
        if memory.failures >= TOLD_AFTER and memory.status is not None:
            told = _told(memory.status, refusal(error))
            self._adopt(memory, told, Persist.SOON, self._now())
        if memory.save_at is not None and memory.save_at <= self._now():
            await self._save(key, memory)
        return wake

    def _tell_rest(self, sight: Sight, decision: Decision, outcome: Outcome) -> None:
        """The decision stands, so its events are told even where a write before them failed."""
        for action in decision.actions[outcome.done :]:
            if isinstance(action, Emit):
                self._notifier.notify(
                    sight.rollout, Notice(action.reason, action.message, action.warning)
                )

    def _again(self, key: Key, memory: Memory, error: ApiError, urgency: Urgency) -> Wake:
        """When to try again: after a conflict at once, a few times; otherwise later and later."""
        now = self._now()
        if isinstance(error, ConflictError | NotFoundError) and memory.conflicts < CONFLICTS:
            memory.conflicts += 1
            return Wake(now, urgency)
        memory.failures += 1
        base = HOPELESS_BASE if error.status in (400, 401, 403, 422) else BACKOFF_BASE
        ceiling = URGENT_CEILING if urgency is Urgency.ROLL_BACK else BACKOFF_CEILING
        wait = delay(f"{key[0]}/{key[1]}", memory.failures, base=base, ceiling=ceiling)
        wait = max(wait, min(error.retry_after, ceiling))
        log.warning(
            "write refused",
            namespace=key[0],
            name=key[1],
            status=error.status,
            reason=error.reason,
            failures=memory.failures,
            retry_in=round(wait, 3),
        )
        # Whole milliseconds, as the times that it is compared with: else it is early for itself.
        memory.retry_at = round(now + wait, 3)
        return Wake(memory.retry_at, urgency)


def _turned_back(before: Status, after: Status) -> bool:
    if before.attempt is None or after.attempt is None:
        return False
    return (
        after.attempt.direction.name is Heading.ROLLING_BACK
        and before.attempt.direction.name is not Heading.ROLLING_BACK
    )


def _told(status: Status, problem: Problem) -> Status:
    """The status whose condition Ready says that writes are refused."""
    conditions = tuple(
        changed(one, reason=problem.reason, message=problem.message) if one.type == "Ready" else one
        for one in status.conditions
    )
    return replace(status, conditions=conditions)
