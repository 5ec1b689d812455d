"""One look at the release: what the columns of `kubectl get lro` say, pods and guards beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from e2e.harness.history import History
from e2e.harness.objects import ROOT
from e2e.harness.reading import canary_weight, condition, pod_ready, version_of

NAME = "shop"


@dataclass(frozen=True, slots=True)
class Guard:
    """A guard as status tells it; `value` and `limit` are texts such as "0.4%"."""

    name: str
    verdict: str
    value: str
    limit: str
    events: int


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of one version."""

    version: str
    ready: int
    starting: int
    ending: int


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the plan, and whether the attempt is past it, in it, or before it."""

    name: str
    weight: int
    hold: str
    state: str  # done | now | ahead


@dataclass(frozen=True, slots=True)
class Frame:
    """What there is to show at one moment.

    `weight` is the route's own, None while the route is the user's; `column_weight` is the column,
    which follows when the weight has arrived.
    """

    ready: str
    state: str
    stage: str
    weight: int | None
    guards: str
    next: str
    version: str
    reason: str
    message: str
    column_weight: str = ""
    stages: tuple[Stage, ...] = ()
    pods: tuple[Pods, ...] = ()
    verdicts: tuple[Guard, ...] = ()


Plan = tuple[tuple[str, int, str], ...]
"""Name, weight and hold of each stage."""


def example_plan() -> Plan:
    """The stages of examples/rollout.yaml."""
    for body in yaml.safe_load_all((ROOT / "examples" / "rollout.yaml").read_text()):
        if body["kind"] == "RolloutPlan":
            stages = body["spec"]["stages"]
            return tuple((one["name"], one["weight"], one["hold"]) for one in stages)
    return ()


def look(history: History, plan: Plan) -> Frame:
    """The present frame, from watches."""
    rollout = history.get("Rollout", NAME) or {}
    route = history.get("HTTPRoute", NAME) or {}
    return frame(rollout, route, history.all("Pod"), plan if rollout else ())


def frame(
    rollout: Mapping[str, Any],
    route: Mapping[str, Any],
    pods: list[dict[str, Any]],
    plan: Plan,
) -> Frame:
    """The frame that these objects make."""
    status = rollout.get("status") or {}
    display = status.get("display") or {}
    attempt = status.get("attempt") or {}
    told = condition(dict(rollout), "Ready")
    heading = attempt.get("direction", {}).get("name", "")
    return Frame(
        ready=str(told.get("status", "Unknown")),
        state=str(display.get("state", "")),
        stage=str(display.get("stage", "")),
        weight=weight_of(route),
        guards=str(display.get("guards", "")),
        next=str(display.get("next", "")),
        version=str(display.get("version", "")),
        reason=str(told.get("reason", "")),
        message=str(told.get("message", "")),
        column_weight=str(display.get("weight", "")),
        stages=_stages(plan, attempt, heading),
        pods=_pods(pods),
        verdicts=tuple(
            Guard(
                one["name"],
                one.get("verdict", ""),
                one.get("value", ""),
                one.get("limit", ""),
                int(one.get("events", 0)),
            )
            for one in attempt.get("guards") or ()
        ),
    )


def weight_of(route: Mapping[str, Any]) -> int | None:
    """The canary's share on the route's first rule, percent; None when it names no arm."""
    rules = (route.get("spec") or {}).get("rules") or []
    return canary_weight(rules[0], NAME) if rules else None


def _stages(plan: Plan, attempt: Mapping[str, Any], heading: str) -> tuple[Stage, ...]:
    index = int(attempt.get("stage", {}).get("index", 0)) if attempt else -1
    if heading == "HandingOver":
        index = len(plan)

    def state(position: int) -> str:
        if heading == "RollingBack" or position > index:
            return "ahead"
        return "now" if position == index else "done"

    return tuple(Stage(*one, state(position)) for position, one in enumerate(plan))


def _pods(pods: list[dict[str, Any]]) -> tuple[Pods, ...]:
    ready: Counter[str] = Counter()
    starting: Counter[str] = Counter()
    ending: Counter[str] = Counter()
    for pod in pods:
        if not pod["metadata"].get("labels", {}).get("pod-template-hash"):
            continue
        version = version_of(pod)
        if pod["metadata"].get("deletionTimestamp"):
            ending[version] += 1
        elif pod_ready(pod):
            ready[version] += 1
        else:
            starting[version] += 1
    names = sorted({*ready, *starting, *ending})
    return tuple(Pods(name, ready[name], starting[name], ending[name]) for name in names)
