"""The promises as oracles over every stored change of the cluster in memory.

`watch(lab)` listens to each change and keeps what was violated; a test asserts that the list is
empty. I-numbers are those of docs/guarantees.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from leadsman.api.types import parse_duration
from leadsman.core.status import Attempt, Heading, Status
from leadsman.ports import FIELD_MANAGER, HTTPROUTE, POD, REPLICASET, ROLLOUT, SERVICE, Ref

from .cluster import Lab
from .manifests import KEY, LRO, TARGET

CANARY_ARM = Ref(SERVICE, "default", "shop-canary")
HASH = "pod-template-hash"


@dataclass
class Oracle:
    """What was seen, and what was wrong with it."""

    lab: Lab
    violations: list[str] = field(default_factory=list)
    commanded: list[int] = field(default_factory=list)
    opened: dict[tuple[str, int], float] = field(default_factory=dict)
    """When each weight was first given to the canary, by attempt."""

    asking: bool = False
    """Whether the operator's own request is being served; controllers and users ask nothing."""

    def asked(self, request: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The request of the operator, with `asking` set meanwhile."""

        async def asking(*args: Any, **options: Any) -> Any:
            self.asking = True
            try:
                return await request(*args, **options)
            finally:
                self.asking = False

        return asking

    def note(self, law: str, message: str) -> None:
        """Keep a violation."""
        self.violations.append(f"{law} at {self.lab.clock.now():.3f}: {message}")

    def heard(self, change: Any) -> None:
        """Look at one stored change."""
        if change.kind == ROLLOUT and change.new is not None:
            self._turned((change.old or {}).get("status") or {}, change.new)
        if change.kind == REPLICASET and change.old is not None:
            self._lowered(change.old, change.new)
        if change.kind != HTTPROUTE or change.new is None or change.old is None:
            return
        before, after = change.old["spec"], change.new["spec"]
        if before == after or not _ours(change.new):
            return
        self._i4(before, after)
        old, new = _canary(before), _canary(after)
        if new > old:
            self._raised(new)
        self.commanded.append(new)

    def _i4(self, before: Any, after: Any) -> None:
        for index, (old, new) in enumerate(zip(before["rules"], after["rules"], strict=False)):
            if _less(old) != _less(new) or (index > 0 and old != new):
                self.note("I4", f"rule {index} changed beyond its backends")
        if {k: v for k, v in before.items() if k != "rules"} != {
            k: v for k, v in after.items() if k != "rules"
        }:
            self.note("I4", "a field outside the rules changed")
        weights = [b.get("weight", 1) for b in after["rules"][0]["backendRefs"]]
        arms = len(weights) == 2
        if any(w < 0 for w in weights) or not any(weights) or (arms and sum(weights) != 100):
            self.note("I4", f"weights {weights}")

    def _raised(self, weight: int) -> None:
        """I1 and I2: never above the approved stage, and the pods are there first."""
        attempt = self._remembered().attempt
        if attempt is None:
            self.note("I1", f"raised to {weight} without an attempt")
            return
        self._i1(weight, attempt)
        self.opened.setdefault((attempt.id, weight), self.lab.clock.now())
        ready = self._ready(attempt.revision)
        if ready < self._needed(weight):
            self.note("I2", f"raised to {weight} % with {ready} ready pods")

    def _needed(self, weight: int) -> int:
        """The fewest pods that may carry a weight, whatever the replicas were meanwhile."""
        live = self.lab.kube.peek(TARGET)
        replicas = live["spec"]["replicas"] if live else 0
        return max(1, ceil(weight * min(replicas, self.lab.smallest) / 100))

    def _lowered(self, before: Any, after: Any) -> None:
        """I2: a set that carries weight is not deleted, nor lowered below its share, by us.

        It is the canary arm's set by what the Service selects, whatever the operator remembers.
        """
        had, left = _asked_for(before), _asked_for(after)
        if left >= had or not self.asking:
            return
        weight, meta = self.lab.weight(), before["metadata"]
        arm = self.lab.kube.peek(CANARY_ARM)
        hashed = meta["labels"].get(HASH)
        if weight == 0 or arm is None or arm["spec"]["selector"].get(HASH) != hashed:
            return
        if left < min(had, self._needed(weight)):
            self.note("I2", f"{meta['name']} lowered to {left} with {weight} % on it")

    def _ready(self, revision: str) -> int:
        """Ready pods of a revision."""
        ready = 0
        for pod in self.lab.kube.peek_all(POD, "default"):
            conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
            mine = pod["metadata"]["labels"].get("pod-template-hash") == revision
            ready += mine and conditions.get("Ready") == "True"
        return ready

    def _i1(self, weight: int, attempt: Attempt) -> None:
        """The stage that the operator remembers allows it, and the one before had its time."""
        if attempt.direction.name is Heading.ROLLING_BACK:
            self.note("I1", f"raised to {weight} while rolling back")
        plan = self.lab.kube.peek(LRO)["spec"]["plan"]
        index = attempt.stage.index
        approved = plan["stages"][index]["weight"]
        if weight > approved:
            self.note("I1", f"{weight} % above stage {index} ({approved} %)")
        if index == 0:
            return
        before = plan["stages"][index - 1]
        if weight > before["weight"]:
            self._held(f"raised to {weight}", attempt.id, plan, before)

    def _turned(self, before: Any, rollout: Any) -> None:
        """I1 and I7 of the last stage: nothing is handed over before its time and evidence."""
        attempt = (rollout.get("status") or {}).get("attempt")
        if attempt is None or attempt["direction"]["name"] != Heading.HANDING_OVER:
            return
        former = before.get("attempt")
        again = former is not None and former["id"] == attempt["id"]
        if not again or former["direction"]["name"] != Heading.HANDING_OVER:
            plan = rollout["spec"]["plan"]
            self._held("handed over", attempt["id"], plan, plan["stages"][-1])

    def _held(self, what: str, attempt: str, plan: Any, stage: Any) -> None:
        """A stage's weight was given to the canary, and its time is over with evidence to its end.

        Durations are the plan's, in words as users write them.
        """
        weight = stage["weight"]
        since = self.opened.get((attempt, weight))
        least = parse_duration(plan["settle"]) + parse_duration(stage["hold"])
        if since is None or self.lab.clock.now() < since + least - 0.01:
            self.note("I1", f"{what} though {weight} % is open since {since}")
        elif self.lab.metrics.last_good() < since + least - 0.01:
            self.note("I7", f"{what} though the guards were blind at the hold's end")

    def passed(self) -> None:
        """I9: after a pass that nothing disturbed, a reason to lower the weight has lowered it."""
        lab, memory = self.lab, self.lab.operator.reconciler._memory.get(KEY)
        status = self._remembered()
        attempt = status.attempt
        if memory is None or attempt is None or status.stable is None or lab.weight() == 0:
            return
        if memory.failures or memory.conflicts or attempt.released_at is not None:
            return
        if attempt.direction.name is Heading.ROLLING_BACK:
            if self._ready(status.stable.revision):
                self.note("I9", f"rolling back with {lab.weight()} % on the canary")
            return
        for reading in lab.metrics.readings(KEY):
            newest = reading.canary[-1] if reading.canary else None
            if newest is not None and newest.total >= 20 and newest.bad > 0.05 * newest.total:
                self.note("I9", f"{newest.bad} of {newest.total} fail, and it goes on")

    def observed(self) -> None:
        """I1: after a pass that nothing disturbed, what somebody else raised is lowered again.

        The weight is at or below the stage's, or the attempt is ending.
        """
        lab, memory = self.lab, self.lab.operator.reconciler._memory.get(KEY)
        attempt = self._remembered().attempt
        if memory is None or memory.failures or memory.conflicts or attempt is None:
            return
        if attempt.direction.name is Heading.ROLLING_BACK or attempt.released_at is not None:
            return
        live = lab.kube.peek(LRO)
        approved = live["spec"]["plan"]["stages"][attempt.stage.index]["weight"] if live else 0
        if lab.weight() > approved:
            self.note(
                "I1", f"{lab.weight()} % on the route, stage {attempt.stage.index} allows less"
            )

    def _remembered(self) -> Status:
        """What the operator has decided last, written or not."""
        memory = self.lab.operator.reconciler._memory.get(KEY)
        return memory.status if memory is not None and memory.status is not None else Status()

    def check(self) -> None:
        """Fail with everything that was violated."""
        assert not self.violations, "\n".join(self.violations)


def watch(lab: Lab) -> Oracle:
    """Start listening."""
    oracle = Oracle(lab)
    lab.kube.on_change(oracle.heard)
    for verb in ("patch", "delete"):
        setattr(lab.kube, verb, oracle.asked(getattr(lab.kube, verb)))
    return oracle


def _canary(spec: Any) -> int:
    backends = spec["rules"][0]["backendRefs"]
    found = [b.get("weight", 1) for b in backends if b["name"].endswith("-canary")]
    return int(found[0]) if found else 0


def _asked_for(body: Any) -> int:
    """The replicas of a set; none of one that is gone or goes."""
    if body is None or "deletionTimestamp" in body["metadata"]:
        return 0
    return int(body["spec"]["replicas"])


def _less(rule: Any) -> Any:
    return {k: v for k, v in rule.items() if k != "backendRefs"}


def _ours(body: Any) -> bool:
    owners = [
        one
        for one in body["metadata"].get("managedFields", ())
        if "f:spec" in one.get("fieldsV1", {}) and "f:rules" in one["fieldsV1"]["f:spec"]
    ]
    return bool(owners) and owners[-1]["manager"] == FIELD_MANAGER
