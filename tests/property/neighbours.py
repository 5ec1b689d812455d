"""The neighbour's objects, whole, and the ways in which they can be wrong.

`whole()` is everything that a good Rollout named `next` needs, each part an object of its own. A
`Wrong` breaks one part and says by which reasons the operator must then tell it. Only what the
operator alone can see is here: what the API server refuses never gets so far.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from leadsman.ports import (
    DEPLOYMENT,
    GUARD,
    HTTPROUTE,
    METRICSSOURCE,
    RELEASECONTRACT,
    ROLLOUT,
    ROLLOUTPLAN,
    SERVICE,
    Body,
    Ref,
)

from .manifests import ROUTE_MANIFEST, SERVICE_MANIFEST, SOURCE, deployment, rollout
from .street import NEXT, NEXT_LRO, House

Parts = dict[str, Body | None]
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
Break = Callable[[Parts], None]
"""Parts by a name of the part; None for one that is not there."""

LEADSMAN = "leadsman.dev/v1alpha1"
NAME = NEXT[1]
JUDGE = {"threshold": {"max": "5%", "window": "5s", "minEvents": 20}}


def own(kind: str, spec: Any, **more: Any) -> Body:
    """One of our kinds, named as the neighbour is."""
    about: Body = {"name": NAME}
    if kind != "MetricsSource":
        about["namespace"] = NEXT[0]
    return {"apiVersion": LEADSMAN, "kind": kind, "metadata": about, "spec": spec, **more}


def named(body: Body, name: str) -> Body:
    """A manifest under another name."""
    return {**body, "metadata": {**body["metadata"], "name": name}}


def workload(version: str, name: str = NAME) -> Body:
    """A Deployment beside the good one."""
    labels = {"app": name, "tier": "next"}
    body = named(deployment(version, 2), name)
    template = body["spec"]["template"]
    spec = {
        **body["spec"],
        "selector": {"matchLabels": labels},
        "template": {**template, "metadata": {"labels": labels}},
    }
    return {**body, "spec": spec}


def route(*rules: Body, name: str = NAME) -> Body:
    """A route with these rules."""
    parents = ROUTE_MANIFEST["spec"]["parentRefs"]
    return {**named(ROUTE_MANIFEST, name), "spec": {"parentRefs": parents, "rules": list(rules)}}


def rule(*services: str, name: str = "main") -> Body:
    """A rule that shares traffic out among Services."""
    return {"name": name, "backendRefs": [{"name": one, "port": 80} for one in services]}


def service(name: str = NAME, **selector: str) -> Body:
    """A Service that selects by these labels."""
    body = named(SERVICE_MANIFEST, name)
    return {**body, "spec": {**body["spec"], "selector": selector or {"app": NAME}}}


def whole(version: str) -> Parts:
    """Everything that the neighbour needs, as it should be."""
    body = rollout()
    plan = {**body["spec"]["plan"], "progressDeadline": "20s"}
    spec = {
        "targetRef": {"kind": "Deployment", "name": NAME},
        "traffic": {"gatewayAPI": {"routeRefs": [{"name": NAME, "ruleName": "main"}]}},
        "planRef": {"name": NAME},
        "contractRefs": [{"name": NAME}],
    }
    errors: Body = {"sourceRef": {"name": NAME}, "errors": {"preset": "Traefik"}, "judge": JUDGE}
    entry = {"name": "errors", "onFail": "Rollback", "guardRef": {"name": NAME}}
    return {
        "deployment": workload(version),
        "another deployment": None,
        "service": service(),
        "route": route(rule(NAME)),
        "somebody's service": None,
        "source": own("MetricsSource", SOURCE["spec"]),
        "guard": own("Guard", errors),
        "contract": own("ReleaseContract", {"guards": [entry]}),
        "plan": own("RolloutPlan", plan),
        "rollout": own("Rollout", spec),
    }


KINDS = {
    "deployment": DEPLOYMENT,
    "another deployment": DEPLOYMENT,
    "service": SERVICE,
    "route": HTTPROUTE,
    "somebody's service": SERVICE,
    "source": METRICSSOURCE,
    "guard": GUARD,
    "contract": RELEASECONTRACT,
    "plan": ROLLOUTPLAN,
    "rollout": ROLLOUT,
}
ARM = "next-canary"
NAMES = {"another deployment": "next-other", "somebody's service": ARM}


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong: what breaks it, and the reasons that tell it."""

    name: str
    breaks: Break
    reasons: tuple[str, ...]
    at_rest: bool = True
    """Whether it is noticed at rest; foreign pods of a Service are looked at before an attempt."""

    def __repr__(self) -> str:
        return self.name


def gone(*parts: str) -> Break:
    """These parts are not there."""

    def breaks(all_parts: Parts) -> None:
        for part in parts:
            all_parts[part] = None

    return breaks


def spec(part: str, **changes: Any) -> Break:
    """Members of a part's spec are others; None takes one away."""

    def breaks(parts: Parts) -> None:
        body = parts[part]
        if body is None:
            return
        merged = {**body["spec"], **changes}
        parts[part] = {**body, "spec": {k: v for k, v in merged.items() if v is not None}}

    return breaks


def put(part: str, body: Body) -> Break:
    """A part is this one."""

    def breaks(parts: Parts) -> None:
        parts[part] = body

    return breaks


def both(*several: Break) -> Break:
    """All of them."""

    def breaks(parts: Parts) -> None:
        for one in several:
            one(parts)

    return breaks


def refs(name: str, **rule_name: str) -> Body:
    """spec.traffic with one route."""
    return {"gatewayAPI": {"routeRefs": [{"name": name, **rule_name}]}}


NAMED = spec("rollout", serviceRefs=[{"name": NAME}])
INLINE = rollout()["spec"]["plan"]
WRONG = (
    Wrong("no deployment", gone("deployment"), ("TargetMissing",)),
    Wrong(
        "other target",
        spec("rollout", targetRef={"kind": "Deployment", "name": "nobody"}),
        ("TargetMissing",),
    ),
    Wrong("no route", gone("route"), ("RouteMissing",)),
    Wrong("other route", spec("rollout", traffic=refs("nowhere")), ("RouteMissing",)),
    Wrong("other rule", spec("rollout", traffic=refs(NAME, ruleName="no")), ("RuleMissing",)),
    Wrong("rule of others", put("route", route(rule("elsewhere"))), ("RuleMissing",)),
    Wrong("rule shared", put("route", route(rule(NAME, "elsewhere"))), ("RuleShared",)),
    Wrong("no service", both(NAMED, gone("service")), ("ServiceMissing",)),
    Wrong("no selector", both(NAMED, spec("service", selector=None)), ("ServiceUnsuitable",)),
    Wrong("arm's name taken", put("somebody's service", service(ARM, app="x")), ("ArmNameTaken",)),
    Wrong(
        "service shared",
        both(
            put("another deployment", workload("w1", "next-other")),
            put("service", service(tier="next")),
        ),
        ("ServiceShared",),
        at_rest=False,
    ),
    Wrong(
        "the good one's service",
        spec("rollout", serviceRefs=[{"name": "shop"}]),
        ("ServiceShared", "RuleMissing"),
    ),
    Wrong(
        "the good one's target",
        spec("rollout", targetRef={"kind": "Deployment", "name": "shop"}),
        ("Conflicted",),
    ),
    Wrong(
        "the good one's rule",
        spec("rollout", traffic=refs("shop", ruleName="main")),
        ("Conflicted",),
    ),
    Wrong("the good one's route", spec("rollout", traffic=refs("shop")), ("Conflicted",)),
    Wrong("no plan", gone("plan"), ("ReferenceMissing",)),
    Wrong("no contract", gone("contract"), ("ReferenceMissing",)),
    Wrong("no guard", gone("guard"), ("ReferenceMissing",)),
    Wrong("no source", gone("source"), ("SourceMissing",)),
    Wrong(
        "source of others",
        spec("source", namespaces={"from": "Selector", "matchLabels": {"team": "x"}}),
        ("SourceForbidden",),
    ),
    Wrong(
        "a query of one's own",
        spec("guard", errors=None, promQL={"query": "vector(0)"}),
        ("SourceForbidden", "ContractInvalid"),
    ),
    Wrong("strategy of the future", spec("plan", strategy="ABTest"), ("StrategyUnsupported",)),
    Wrong(
        "slices of a threshold",
        spec("guard", slices={"label": "method", "values": ["GET"]}),
        ("MeasureUnsupported",),
    ),
    Wrong("no stages", spec("plan", stages=None), ("PlanInvalid",)),
    Wrong("stages that fall", spec("plan", stages=INLINE["stages"][::-1]), ("PlanInvalid",)),
    Wrong("two plans", spec("rollout", plan=INLINE), ("PlanInvalid",)),
    Wrong("no judge", spec("guard", judge={}), ("ContractInvalid",)),
    Wrong("guards of text", spec("contract", guards="errors"), ("ContractInvalid",)),
)


def settle(lab: House, parts: Parts) -> None:
    """Make the neighbour's objects as they are here, by apply and by delete."""
    for part, body in parts.items():
        kind, name = KINDS[part], NAMES.get(part, NAME)
        ref = Ref(kind, NEXT[0] if kind.namespaced else "", name)
        live = lab.kube.peek(ref)
        # An arm that the operator made is not what a person applied, and stays.
        ours = live is not None and LAST_APPLIED not in live["metadata"].get("annotations", {})
        if ours:
            continue
        if body is not None:
            lab.kube.user_apply(body)
        elif live is not None:
            lab.kube.user_delete(ref)


def condition(lab: House, kind: str) -> Body:
    """A condition of the neighbour's."""
    status = (lab.kube.peek(NEXT_LRO) or {}).get("status") or {}
    found = [one for one in status.get("conditions", ()) if one["type"] == kind]
    return found[0] if found else {}
