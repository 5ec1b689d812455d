"""The objects that the suites apply: the team's application as in examples/app.yaml, and Rollouts.

Plans are short (seconds instead of minutes) and contracts judge short windows; everything else is
as a user would write it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from e2e.harness.api import Body

ROOT = Path(__file__).parents[2]
NAME = "shop"
HOLD = 3.0
"""Seconds for which the plans of the suites watch a stage, unless they say otherwise."""


@cache
def _example() -> dict[str, Body]:
    text = (ROOT / "examples" / "app.yaml").read_text()
    return {body["kind"]: body for body in yaml.safe_load_all(text)}


def deployment(
    version: str = "v1",
    replicas: int | None = 4,
    *,
    env: Mapping[str, Any] | None = None,
    image: str = "",
    name: str = NAME,
    labels: Mapping[str, str] | None = None,
) -> Body:
    """The example's Deployment as one version; `env` sets how the demo app behaves."""
    body = copy.deepcopy(_example()["Deployment"])
    body["metadata"]["name"] = name
    spec = body["spec"]
    if replicas is None:
        del spec["replicas"]
    else:
        spec["replicas"] = replicas
    pod_labels = {"app": name, **(labels or {})}
    spec["selector"]["matchLabels"] = {"app": name}
    spec["template"]["metadata"]["labels"] = pod_labels
    container = spec["template"]["spec"]["containers"][0]
    container["ports"].append({"name": "grpc", "containerPort": 9090})
    if image:
        container["image"] = image
    given = {"VERSION": version, **(env or {})}
    container["env"] = [{"name": key, "value": str(value)} for key, value in given.items()]
    return body


def service(name: str = NAME, app: str = NAME) -> Body:
    """The example's Service, with a second port for gRPC."""
    body = copy.deepcopy(_example()["Service"])
    body["metadata"]["name"] = name
    body["spec"]["selector"] = {"app": app}
    body["spec"]["ports"].append(
        {"name": "grpc", "port": 9090, "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"}
    )
    return body


def backend(name: str = NAME, port: int = 80, weight: int | None = None) -> Body:
    """A backendRef."""
    return {"name": name, "port": port, **({} if weight is None else {"weight": weight})}


def rule(
    *backends: Body, name: str = "main", prefix: str = "", filters: Sequence[Body] = ()
) -> Body:
    """A rule of an HTTPRoute."""
    body: Body = {"name": name} if name else {}
    if prefix:
        body["matches"] = [{"path": {"type": "PathPrefix", "value": prefix}}]
    if filters:
        body["filters"] = list(filters)
    body["backendRefs"] = list(backends) or [backend()]
    return body


def route(host: str, *rules: Body, name: str = NAME, kind: str = "HTTPRoute") -> Body:
    """A route for `host` to the Service, or with the rules given."""
    body = copy.deepcopy(_example()["HTTPRoute"])
    body["kind"] = kind
    body["metadata"]["name"] = name
    body["spec"]["hostnames"] = [host]
    body["spec"]["rules"] = list(rules) or [rule()]
    return body


def stages(*weights: int, hold: str = f"{HOLD:g}s") -> list[Body]:
    """Stages named after their weights."""
    return [{"name": f"w{weight}", "weight": weight, "hold": hold} for weight in weights]


def plan(
    *weights: int,
    hold: str = f"{HOLD:g}s",
    settle: str = "1s",
    deadline: str = "90s",
    delay: str = "2s",
    **more: Any,
) -> Body:
    """A RolloutPlan's spec: by default 25-50-100 with short holds."""
    body: Body = {
        "settle": settle,
        "progressDeadline": deadline,
        "scaleDownDelay": delay,
        **more,
    }
    if more.get("strategy") != "Immediate":
        body["stages"] = stages(*(weights or (25, 50, 100)), hold=hold)
    return body


def guard(
    name: str = "errors",
    *,
    on_fail: str = "Rollback",
    measure: Body | None = None,
    limit: str = "5%",
    window: str = "5s",
    events: int = 20,
    trigger: Body | None = None,
) -> Body:
    """A guard inline: by default the share of errors that the gateway counts."""
    body: Body = {
        "name": name,
        "onFail": on_fail,
        "guard": {
            **(measure or {"errors": {"preset": "Traefik"}}),
            "judge": {"threshold": {"max": limit, "window": window, "minEvents": events}},
        },
    }
    if trigger:
        body["trigger"] = trigger
    return body


def slow(limit: str = "10%") -> Body:
    """A guard on latency, as in the examples."""
    measure = {"latency": {"preset": "Traefik", "above": "250ms"}}
    return guard("slow", measure=measure, limit=limit, trigger={"consecutive": 3})


def sequential(
    name: str = "errors",
    *,
    tolerance: str = "0%",
    on_fail: str = "Rollback",
    measure: Body | None = None,
) -> Body:
    """A guard inline that gathers evidence against stable: by default about errors."""
    return {
        "name": name,
        "onFail": on_fail,
        "guard": {
            **(measure or {"errors": {"preset": "Traefik"}}),
            "judge": {"sequential": {"tolerance": tolerance}},
        },
    }


def own_metrics(name: str = "errors") -> Body:
    """A guard on the pods' own counters, as in examples/rollout-inline.yaml."""
    measure = {
        "ratio": {
            "bad": {"metric": "demo_requests_total", "matchRegex": {"code": "5.."}},
            "total": {"metric": "demo_requests_total"},
            "arm": {"by": "Pod", "label": "pod"},
        }
    }
    return guard(name, measure=measure)


def contract(*guards: Body, **more: Any) -> Body:
    """A ReleaseContract's spec: the errors that the gateway counts, unless others are given.

    Latency is judged only where a suite is about it: on a busy machine it is the machine's.
    """
    return {
        "guards": list(guards) or [guard()],
        "noData": {"after": "60s", "action": "Hold"},
        "noTraffic": {"after": "60s", "action": "Hold"},
        **more,
    }


def rollout(
    *,
    name: str = NAME,
    target: str = NAME,
    plan: Body,
    contract: Body | None,
    routes: Sequence[Body] = ({"name": NAME},),
    template: Body | None = None,
    services: Sequence[str] = (),
    **more: Any,
) -> Body:
    """A Rollout with everything inline; without a contract it is unguarded."""
    gateway: Body = {"template": template} if template else {"routeRefs": list(routes)}
    spec: Body = {
        "targetRef": {"kind": "Deployment", "name": target},
        "traffic": {"gatewayAPI": gateway},
        "plan": plan,
        **({"contract": contract} if contract else {"unguarded": "judged by time in this suite"}),
        **({"serviceRefs": [{"name": one} for one in services]} if services else {}),
        **more,
    }
    return {
        "apiVersion": "leadsman.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": spec,
    }


def metrics_source() -> Body:
    """The example's MetricsSource."""
    text = (ROOT / "examples" / "metrics-source.yaml").read_text()
    body: Body = yaml.safe_load(text)
    return body


def managed_route(host: str, kind: str = "HTTPRoute") -> Body:
    """The template of a route that the operator owns."""
    body = route(host)
    return {"kind": kind, "metadata": {"name": NAME}, "spec": body["spec"]}
