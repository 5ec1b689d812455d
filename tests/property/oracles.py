"""The promises as oracles over every stored change of the cluster in memory.

`watch(lab)` listens to each change and keeps what was violated; a test asserts that the list is
empty. I-numbers are those of docs/guarantees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Any

from leadsman.ports import FIELD_MANAGER, HTTPROUTE, POD

from .cluster import TARGET, Lab

STAGES = (25, 100)


@dataclass
class Oracle:
    """What was seen, and what was wrong with it."""

    lab: Lab
    violations: list[str] = field(default_factory=list)
    commanded: list[int] = field(default_factory=list)

    def note(self, law: str, message: str) -> None:
        """Keep a violation."""
        self.violations.append(f"{law} at {self.lab.clock.now():.3f}: {message}")

    def heard(self, change: Any) -> None:
        """Look at one stored change."""
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
        status = self.lab.status()
        attempt = status.get("attempt") or {}
        direction = (attempt.get("direction") or {}).get("name")
        if direction == "RollingBack":
            self.note("I1", f"raised to {weight} while rolling back")
        index = (attempt.get("stage") or {}).get("index", 0)
        approved = STAGES[min(index + 1, len(STAGES) - 1)]
        if weight > approved:
            self.note("I1", f"{weight} % above the stage ({approved} %)")
        revision = attempt.get("revision", "")
        ready = 0
        for pod in self.lab.kube.peek_all(POD, "default"):
            conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
            mine = pod["metadata"]["labels"].get("pod-template-hash") == revision
            ready += mine and conditions.get("Ready") == "True"
        replicas = (self.lab.kube.peek(TARGET) or {"spec": {"replicas": 0}})["spec"]["replicas"]
        if ready < max(
            1, min(ceil(weight * replicas / 100), ceil(weight * self.lab.smallest / 100))
        ):
            self.note("I2", f"raised to {weight} % with {ready} ready pods of {replicas} replicas")

    def check(self) -> None:
        """Fail with everything that was violated."""
        assert not self.violations, "\n".join(self.violations)


def watch(lab: Lab) -> Oracle:
    """Start listening."""
    oracle = Oracle(lab)
    lab.kube.on_change(oracle.heard)
    return oracle


def _canary(spec: Any) -> int:
    backends = spec["rules"][0]["backendRefs"]
    found = [b.get("weight", 1) for b in backends if b["name"].endswith("-canary")]
    return int(found[0]) if found else 0


def _less(rule: Any) -> Any:
    return {k: v for k, v in rule.items() if k != "backendRefs"}


def _ours(body: Any) -> bool:
    owners = [
        one
        for one in body["metadata"].get("managedFields", ())
        if "f:spec" in one.get("fieldsV1", {}) and "f:rules" in one["fieldsV1"]["f:spec"]
    ]
    return bool(owners) and owners[-1]["manager"] == FIELD_MANAGER
