"""What the API server fills in and refuses, as far as releases can tell the difference.

Defaults matter because what is stored differs from what the user wrote (a route's weight, a
Deployment's strategy), and a restore must be equal to what was stored. Validation covers the
rules that an operator's bug would break: immutable selectors, template labels, two controllers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leadsman.errors import InvalidError
from leadsman.ports import (
    DEPLOYMENT,
    GRPCROUTE,
    HTTPROUTE,
    POD,
    REPLICASET,
    SERVICE,
    Body,
    Kind,
)
from leadsman.testing.fake_kube.selectors import matches
from leadsman.testing.fake_kube.trees import dig, put


def invalid(kind: Kind, name: str, problem: str) -> InvalidError:
    """The error of a body that the API server refuses as invalid."""
    return InvalidError(422, "Invalid", f'{kind.kind} "{name}" is invalid: {problem}')


def _fill(tree: Body, **defaults: Any) -> Body:
    missing = {key: value for key, value in defaults.items() if key not in tree}
    return {**tree, **missing} if missing else tree


def _each(tree: Body, key: str, change: Any) -> Body:
    items = tree.get(key)
    if not isinstance(items, list):
        return tree
    new = [change(item) if isinstance(item, dict) else item for item in items]
    if all(a is b for a, b in zip(new, items, strict=True)):
        return tree
    return {**tree, key: new}


def _container(item: Body) -> Body:
    item = _fill(
        item,
        resources={},
        imagePullPolicy="IfNotPresent",
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
    )
    return _each(item, "ports", lambda port: _fill(port, protocol="TCP"))


def _pod_spec(spec: Body) -> Body:
    spec = _fill(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    return _each(_each(spec, "containers", _container), "initContainers", _container)


def _template(body: Body) -> Body:
    spec = dig(body, "spec", "template", "spec")
    if not isinstance(spec, dict):
        return body
    filled = _pod_spec(spec)
    return body if filled is spec else put(body, ("spec", "template", "spec"), filled)


def _deployment(body: Body) -> Body:
    body = _template(body)
    spec = _fill(
        body["spec"], replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={}
    )
    strategy = _fill(spec["strategy"], type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = _fill(strategy.get("rollingUpdate") or {}, maxSurge="25%", maxUnavailable="25%")
        if rolling is not strategy.get("rollingUpdate"):
            strategy = {**strategy, "rollingUpdate": rolling}
    if strategy is not spec["strategy"]:
        spec = {**spec, "strategy": strategy}
    return body if spec is body["spec"] else {**body, "spec": spec}


def _replicaset(body: Body) -> Body:
    body = _template(body)
    spec = _fill(body["spec"], replicas=1)
    return body if spec is body["spec"] else {**body, "spec": spec}


def _pod(body: Body) -> Body:
    spec = _pod_spec(body.get("spec") or {})
    return body if spec is body.get("spec") else {**body, "spec": spec}


def _service(body: Body) -> Body:
    spec = _fill(
        body["spec"], type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster"
    )
    if spec["type"] != "ExternalName":
        spec = _fill(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
        spec = _each(
            spec, "ports", lambda port: _fill(port, protocol="TCP", targetPort=port.get("port"))
        )
    return body if spec is body["spec"] else {**body, "spec": spec}


def _backend(item: Body) -> Body:
    return _fill(item, group="", kind="Service", weight=1)


def _http_match(item: Body) -> Body:
    item = _fill(item, path={"type": "PathPrefix", "value": "/"})
    path = _fill(item["path"], type="PathPrefix", value="/")
    if path is not item["path"]:
        item = {**item, "path": path}
    return _each(item, "headers", lambda header: _fill(header, type="Exact"))


def _http_rule(rule: Body) -> Body:
    rule = _fill(rule, matches=[{"path": {"type": "PathPrefix", "value": "/"}}])
    return _each(_each(rule, "matches", _http_match), "backendRefs", _backend)


def _grpc_rule(rule: Body) -> Body:
    return _each(rule, "backendRefs", _backend)


def _route(body: Body, rule: Any) -> Body:
    spec = _each(
        body["spec"],
        "parentRefs",
        lambda ref: _fill(ref, group="gateway.networking.k8s.io", kind="Gateway"),
    )
    spec = _each(spec, "rules", rule)
    return body if spec is body["spec"] else {**body, "spec": spec}


_DEFAULTS: Mapping[Kind, Any] = {
    DEPLOYMENT: _deployment,
    REPLICASET: _replicaset,
    POD: _pod,
    SERVICE: _service,
    HTTPROUTE: lambda body: _route(body, _http_rule),
    GRPCROUTE: lambda body: _route(body, _grpc_rule),
}


def defaulted(kind: Kind, body: Body) -> Body:
    """The body with the server's defaults; the same object where nothing was missing."""
    fill = _DEFAULTS.get(kind)
    if fill is None:
        return body
    if not isinstance(body.get("spec"), dict):
        raise invalid(kind, body["metadata"]["name"], "spec: Required value")
    filled: Body = fill(body)
    return filled


def _check_workload(kind: Kind, body: Body, old: Body | None) -> None:
    name, spec = body["metadata"]["name"], body["spec"]
    replicas = spec["replicas"]
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        raise invalid(kind, name, f"spec.replicas: Invalid value: {replicas}: must be >= 0")
    labels = dig(spec, "template", "metadata", "labels") or {}
    if not spec.get("selector"):
        raise invalid(kind, name, "spec.selector: Required value")
    if not matches(spec["selector"], labels):
        raise invalid(
            kind, name, "spec.template.metadata.labels: `selector` does not match template `labels`"
        )
    if not dig(spec, "template", "spec", "containers"):
        raise invalid(kind, name, "spec.template.spec.containers: Required value")
    if old is not None and old["spec"]["selector"] != spec["selector"]:
        raise invalid(kind, name, "spec.selector: Invalid value: field is immutable")


def _check_service(body: Body, old: Body | None) -> None:
    name, spec = body["metadata"]["name"], body["spec"]
    if not spec.get("ports") and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        raise invalid(SERVICE, name, "spec.ports: Required value")
    before = dig(old, "spec", "clusterIP")
    if before and spec.get("clusterIP") != before and spec["type"] != "ExternalName":
        raise invalid(SERVICE, name, "spec.clusterIPs[0]: Invalid value: may not change once set")


def _check_route(kind: Kind, body: Body) -> None:
    name = body["metadata"]["name"]
    names = []
    for at, rule in enumerate(body["spec"].get("rules") or ()):
        if rule.get("name"):
            names.append(rule["name"])
        for number, backend in enumerate(rule.get("backendRefs") or ()):
            weight = backend["weight"]
            if not isinstance(weight, int) or not 0 <= weight <= 1_000_000:
                where = f"spec.rules[{at}].backendRefs[{number}].weight"
                raise invalid(kind, name, f"{where}: Invalid value: {weight}: 0 to 1000000")
            if backend["kind"] == "Service" and not backend["group"] and "port" not in backend:
                where = f"spec.rules[{at}].backendRefs[{number}]"
                raise invalid(kind, name, f"{where}: Must have port for Service reference")
    if len(names) != len(set(names)):
        raise invalid(kind, name, "spec.rules: Rule name must be unique within the route")


def check(kind: Kind, body: Body, old: Body | None) -> None:
    """Raise InvalidError for what the API server would refuse."""
    meta = body["metadata"]
    owners = meta.get("ownerReferences") or ()
    if sum(1 for owner in owners if owner.get("controller")) > 1:
        raise invalid(
            kind,
            meta["name"],
            "metadata.ownerReferences: Only one reference can have Controller set to true",
        )
    for owner in owners:
        if not all(owner.get(key) for key in ("apiVersion", "kind", "name", "uid")):
            raise invalid(kind, meta["name"], "metadata.ownerReferences: fields are required")
    if kind in (DEPLOYMENT, REPLICASET):
        _check_workload(kind, body, old)
    elif kind == SERVICE:
        _check_service(body, old)
    elif kind in (HTTPROUTE, GRPCROUTE):
        _check_route(kind, body)
