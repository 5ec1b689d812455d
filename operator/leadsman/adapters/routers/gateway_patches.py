"""Gateway API routes, written: JSON Patches that touch two weights and nothing else.

A patch that raises the canary tests the route's resourceVersion, so that it is never made on what
somebody else has changed meanwhile. One that lowers it tests names only: a gateway writes its own
status into the route all the time, and that must not cost a rollback a round trip (traffic.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from leadsman.adapters.routers.backends import (
    backend_service,
    backends_of,
    names_arms,
    rules_of,
    weight_of,
)
from leadsman.adapters.routers.gateway_api import Arms, form_of
from leadsman.adapters.routers.places import places_of
from leadsman.adapters.workloads.managed_fields import forget_patch
from leadsman.core.observation import Form, Rule
from leadsman.core.status import Original
from leadsman.ports import FIELD_MANAGER, Body

Operations = list[dict[str, Any]]


def _test(path: str, value: Any) -> dict[str, Any]:
    return {"op": "test", "path": path, "value": value}


def _same_version(route: Body) -> dict[str, Any]:
    return _test("/metadata/resourceVersion", route["metadata"]["resourceVersion"])


def _same_names(index: int, rule: Mapping[str, Any]) -> Operations:
    where = f"/spec/rules/{index}"
    tests = [_test(f"{where}/name", rule["name"])] if rule.get("name") else []
    return tests + [
        _test(f"{where}/backendRefs/{place}/name", backend.get("name"))
        for place, backend in enumerate(backends_of(rule))
    ]


def weights_patch(
    route: Body, rules: Iterable[Rule], canary: int, arms: Arms, *, lowering: bool
) -> Operations:
    """Return the patch that gives the canary `canary` percent on `rules` of this route.

    A rule at rest gets the two arms in place of the Service, with all other fields of its backend
    on both. Rules in another form that name both arms get their weights, the rest are left alone.
    Empty when the route says so already.
    """
    changes: Operations = []
    tests: Operations = []
    for rule in rules:
        change = _weigh(route, rule, canary, arms)
        if change:
            tests += _same_names(rule.index, rules_of(route)[rule.index])
            changes += change
    if not changes:
        return []
    return ([] if lowering else [_same_version(route)]) + tests + changes


def _weigh(route: Body, rule: Rule, canary: int, arms: Arms) -> Operations:
    rules = rules_of(route)
    names = arms.get(rule.service)
    if names is None or rule.index >= len(rules):
        return []
    namespace = route["metadata"].get("namespace", "")
    backends = backends_of(rules[rule.index])
    wanted = {names.stable: 100 - canary, names.canary: canary}
    form = form_of(rules[rule.index], rule.service, names, namespace)
    where = f"/spec/rules/{rule.index}/backendRefs"
    if form is not None and form[0] is Form.REST:
        split = [backends[0] | {"name": name, "weight": share} for name, share in wanted.items()]
        return [{"op": "replace", "path": where, "value": split}]
    services = [backend_service(one, namespace) for one in backends]
    if not wanted.keys() <= set(services):
        return []
    return [
        {"op": "add", "path": f"{where}/{place}/weight", "value": wanted[service]}
        for place, service in enumerate(services)
        if service in wanted
        and (weight_of(backends[place]) != wanted[service] or "weight" not in backends[place])
    ]


def restore_patch(route: Body, originals: Sequence[Original]) -> Operations:
    """Return the patch that puts the remembered backends back; empty when they are there.

    Only rules that name an arm are touched: what names none is not what an attempt made of it.
    Raises ValueError when a remembered fragment is no JSON.
    """
    changes: Operations = []
    tests: Operations = []
    namespace = route["metadata"].get("namespace", "")
    for original, index in zip(originals, places_of(route, originals), strict=True):
        if index is None:
            continue
        rule = rules_of(route)[index]
        if not names_arms(rule, original.service, namespace):
            continue
        stored = json.loads(original.backends)
        if rule.get("backendRefs") == stored:
            continue
        tests += _same_names(index, rule)
        changes.append(
            {"op": "replace", "path": f"/spec/rules/{index}/backendRefs", "value": stored}
        )
    return [_same_version(route), *tests, *changes] if changes else []


def disown_patch(route: Body) -> Operations:
    """Return the patch that drops our ownership of the rules after a restore."""
    return forget_patch(route, FIELD_MANAGER, "spec", "rules")
