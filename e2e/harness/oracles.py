"""What must be true of every release, whatever happened: the promises, as checks on the history.

Each returns or raises with what was seen instead, so that a failure reads as a broken promise.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from e2e.harness.api import Body
from e2e.harness.app import App, Traffic
from e2e.harness.objects import NAME
from e2e.harness.reading import ROUTES, canary_weight, ready_pods, rules_owner, version_of
from e2e.harness.rest import MANAGER
from leadsman.guards.memory import decode_memory

SLACK = 0.25
"""Seconds by which two watches may see the same moment differently."""

LATE = 5.0
"""Seconds by which a watch may be behind on a busy machine."""

LAST = 2.0
"""Seconds that the last requests of a load may take on a busy machine."""


@dataclass(frozen=True, slots=True)
class Weight:
    """What a rule gave the canary from `at` on; None: the rule did not name the arms."""

    at: float
    value: int | None
    writer: str


def weights(app: App, route: str = NAME, service: str = NAME, rule: int = 0) -> list[Weight]:
    """The canary's weight on one rule of a route over time, each value once."""
    found: list[Weight] = []
    for kind in ROUTES:
        for change in app.history.of(kind, route):
            rules = change.body["spec"].get("rules", [])
            gone = change.type == "DELETED" or rule >= len(rules)
            value = None if gone else canary_weight(rules[rule], service)
            if not found or found[-1].value != value:
                found.append(Weight(change.at, value, rules_owner(change.body)))
    return found


def attempts(found: Sequence[Weight]) -> list[list[Weight]]:
    """The weights of each attempt: the stretches between two rests."""
    stretches: list[list[Weight]] = [[]]
    for one in found:
        if one.value is None:
            stretches.append([])
        else:
            stretches[-1].append(one)
    return [stretch for stretch in stretches if stretch]


def never_above_the_plan(
    app: App, plan: Sequence[int], hold: float, *, route: str = NAME, service: str = NAME
) -> None:
    """Weight rises by the plan's stages only, none is skipped, none is shorter than its hold (I1).

    `hold` is in seconds. Lowering is always allowed.
    """
    for stretch in attempts(weights(app, route, service)):
        reached = -1
        raised_at = 0.0
        before = 0
        for one in stretch:
            value = one.value or 0
            if value > before:
                index = list(plan).index(value) if value in plan else len(plan)
                told = [(round(w.at - stretch[0].at, 2), w.value) for w in stretch]
                assert index <= reached + 1, f"{value} % was not the next stage: {told}"
                if index == reached + 1:
                    early = reached >= 0 and one.at - raised_at < hold - SLACK
                    assert not early, f"{value} % came before the hold was over: {told}"
                    reached = index
                raised_at = one.at
            before = value


def weights_add_up(app: App) -> None:
    """In every state of every route the weights of a rule add up to 100 or are the user's (I4)."""
    for kind in ROUTES:
        for change in app.history.of(kind):
            for rule in change.body["spec"].get("rules", []):
                refs = rule.get("backendRefs", [])
                if any(ref["name"].endswith(("-stable", "-canary")) for ref in refs):
                    total = sum(ref.get("weight", 1) for ref in refs)
                    assert total == 100, f"{change.kind} {change.name}: {refs}"


def capacity_before_traffic(app: App, canary: str) -> None:
    """Whenever weight was raised, enough pods of the canary were ready (I2)."""
    replicas = 0
    last = 0
    for change in list(app.history.changes):
        if change.kind == "Deployment" and change.name == NAME:
            replicas = int(change.body["spec"].get("replicas", 1))
        elif change.kind in ROUTES and change.type != "DELETED":
            rules = change.body["spec"].get("rules", [])
            value = max((canary_weight(rule, NAME) or 0 for rule in rules), default=0)
            if value > last:
                ready, needed = (
                    ready_at(app, canary, change.at + SLACK),
                    -(-value * replicas // 100),
                )
                assert ready >= needed, f"{value} % with {ready} of {needed} pods ready"
            last = value


def ready_at(app: App, version: str, moment: float) -> int:
    """How many pods of a version were ready at a moment (Unix seconds)."""
    pods: dict[str, Body] = {}
    for change in app.history.of("Pod"):
        if change.at > moment:
            break
        if version_of(change.body) == version:
            pods[change.name] = change.body
            if change.type == "DELETED":
                del pods[change.name]
    return len(ready_pods(list(pods.values())))


def pods_kept(app: App, version: str) -> None:
    """Every pod that the version ever had is running now: promotion restarted none."""
    ever = {
        change.body["metadata"]["uid"]
        for change in app.history.of("Pod")
        if version_of(change.body) == version
    }
    now = {pod["metadata"]["uid"] for pod in ready_pods(app.pods(version))}
    assert ever == now, f"of {len(ever)} pods of {version}, {len(ever & now)} were kept"
    restarts = [
        one["restartCount"]
        for pod in app.pods(version)
        for one in pod["status"].get("containerStatuses", [])
    ]
    assert not any(restarts), f"containers of {version} were restarted: {restarts}"


def all_planned(traffic: Traffic) -> None:
    """About as many requests were due as rate and time say: the sender has kept up.

    A fifth may be missing, and what would be due while the last ones are waited for.
    """
    for report in filter(None, (traffic.routed, traffic.inside)):
        seconds = report.raw["ended_at"] - report.raw["started_at"] - LAST
        least = 0.8 * report.raw["rps"] * seconds
        assert report.planned >= max(1.0, least), f"due: {least:.0f}; {report.told()}"


def nobody_lost(traffic: Traffic) -> None:
    """No request failed, on either way (I3)."""
    assert traffic.failed() == 0, traffic.told()
    all_planned(traffic)


def failed_only_by(traffic: Traffic, version: str) -> None:
    """Every failed request was answered (badly) by that version; inside nobody failed."""
    bad = traffic.routed.reached(version) - traffic.routed.served(version)
    assert traffic.routed.failed == bad, traffic.told()
    assert traffic.inside is None or traffic.inside.failed == 0, traffic.told()
    all_planned(traffic)


def only_answers_failed(traffic: Traffic) -> None:
    """Every request was answered by some version; those that failed, failed by its answer (I3)."""
    all_planned(traffic)
    for report in filter(None, (traffic.routed, traffic.inside)):
        badly = sum(report.reached(name) - report.served(name) for name in report.raw["versions"])
        assert report.failed == badly, traffic.told()


class Counted(NamedTuple):
    """What a guard had gathered in some state of the Rollout, whose canary had that weight."""

    weight: int
    at: float
    blocks: int
    requests: float
    bad: float


def counted(app: App, guard: str = "errors") -> list[Counted]:
    """The evidence of a guard in each state of the Rollout that has some, as it is remembered.

    The columns for people say what is known now, so they are empty while nothing new is.
    """
    found: list[Counted] = []
    for change in app.history.of("Rollout"):
        attempt = change.body.get("status", {}).get("attempt") or {}
        for told in attempt.get("guards") or []:
            memory = decode_memory(told.get("state") or "") if told["name"] == guard else None
            if memory is not None:
                sums = (memory.at, memory.blocks, memory.canary, memory.canary_bad)
                found.append(Counted(attempt["weight"], *sums))
    return found


def never_less(told: Sequence[Counted]) -> None:
    """What was counted stays counted."""
    for before, after in pairwise(told):
        lost = any(new < old for old, new in zip(before, after, strict=True))
        assert not lost, f"{before} was told before {after}"


def unpinned_at(app: App, service: str = NAME, after: float = 0.0) -> float | None:
    """When the Service's pin was taken away (Unix seconds); None when it never was pinned.

    On a busy machine a test hears of it a second late, so it is the moment that the attempt's turn
    is said to have been at, where the test heard of that before.
    """
    pinned = False
    for change in app.history.of("Service", service):
        if change.at < after:
            continue
        has = "pod-template-hash" in (change.body["spec"].get("selector") or {})
        if pinned and not has:
            turned = [at for at in _turns(app) if change.at - LATE <= at <= change.at]
            return max(turned, default=change.at)
        pinned = has
    return None


def _turns(app: App) -> set[float]:
    """When attempts went over to handing over or rolling back (Unix seconds), as status says."""
    found: set[float] = set()
    for change in app.history.of("Rollout"):
        turn = (change.body.get("status", {}).get("attempt") or {}).get("direction") or {}
        if turn.get("name") in ("HandingOver", "RollingBack"):
            found.add(datetime.fromisoformat(turn["since"]).timestamp())
    return found


def callers_inside_saw_only_stable(app: App, traffic: Traffic, canary: str) -> None:
    """Until the hand-over no in-cluster request reached a canary; the Service was pinned."""
    assert traffic.inside is not None
    moment = unpinned_at(app)
    assert moment is not None, "the Service was never pinned"
    reached = traffic.inside.reached_before(canary, moment)
    assert reached == 0, f"{reached} in-cluster requests on {canary} before the hand-over"


def never_reached(traffic: Traffic, version: str) -> None:
    """No request of any user reached that version."""
    assert traffic.routed.reached(version) == 0, traffic.told()
    assert traffic.inside is None or traffic.inside.reached(version) == 0, traffic.told()


def route_writes(app: App, route: str = NAME, since: float = 0.0) -> int:
    """How often the operator has changed a route's rules."""
    count, before = 0, ""
    for kind in ROUTES:
        for change in app.history.of(kind, route):
            rules = json.dumps(change.body["spec"].get("rules"))
            ours = rules_owner(change.body) in (MANAGER, "")
            if before and rules != before and ours and change.at >= since:
                count += 1
            before = rules
    return count
