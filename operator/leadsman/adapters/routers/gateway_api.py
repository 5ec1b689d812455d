"""Gateway API routes, read: which rules name the Service, in what form, and whether accepted.

HTTPRoute and GRPCRoute have the same rules and backends as far as weights go, so one code reads
both. The lists in a route are atomic, so a rule is known by its name, or by its place where it has
none. What is wrong with a route is a `Problem`, never an exception: another rollout must not care.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from leadsman.adapters.routers.backends import backend_service, backends_of, rules_of, weight_of
from leadsman.adapters.routers.places import places_of
from leadsman.adapters.workloads.managed_fields import last_writer
from leadsman.core.observation import Form, Rule
from leadsman.core.spec import Problem
from leadsman.core.status import Original
from leadsman.ports import FIELD_MANAGER, ArmNames, Body, RouteRules

GATEWAY_GROUP = "gateway.networking.k8s.io"
MAX_BACKENDS = 8192
"""Characters of a rule's backends that the status can hold."""


Arms = Mapping[str, ArmNames]
"""By the name of the user's Service."""


def label(kind: str, route: str) -> str:
    """Return how people name a route."""
    return f"{kind} {route}"


def services_named(route: Body, rule_name: str) -> tuple[str, ...]:
    """Return the Services that the chosen rules name (all rules when `rule_name` is "")."""
    namespace = route["metadata"].get("namespace", "")
    found: dict[str, None] = {}
    for rule in rules_of(route):
        if not rule_name or rule.get("name") == rule_name:
            for backend in backends_of(rule):
                found.setdefault(backend_service(backend, namespace))
    return tuple(name for name in found if name)


def canonical(backends: Sequence[Mapping[str, Any]]) -> str:
    """Return backends as JSON, keys in the order in which they are stored."""
    return json.dumps(list(backends), separators=(",", ":"), ensure_ascii=False)


def form_of(
    rule: Mapping[str, Any], service: str, arms: ArmNames, namespace: str
) -> tuple[Form, int, int] | None:
    """Return the rule's form for a Service with the arms' weights, None when it names neither."""
    backends = backends_of(rule)
    names = [backend_service(one, namespace) for one in backends]
    if not {service, arms.stable, arms.canary} & set(names):
        return None
    if names == [service]:
        return Form.REST, 0, 0
    if sorted(names) == sorted((arms.stable, arms.canary)):
        by_name = dict(zip(names, backends, strict=True))
        return (
            Form.ARMS,
            weight_of(by_name[arms.stable]),
            weight_of(by_name[arms.canary]),
        )
    return Form.OTHER, 0, 0


def permanent(original: Original, arms: ArmNames, namespace: str) -> bool:
    """Whether the user's own rule names the arms: it has no other form at rest."""
    try:
        backends = json.loads(original.backends)
    except ValueError:
        return False
    found = form_of({"backendRefs": backends}, original.service, arms, namespace)
    return found is not None and found[0] is Form.ARMS


def read_rules(
    route: Body,
    kind: str,
    arms: Arms,
    rule_name: str = "",
    originals: Sequence[Original] | None = None,
) -> RouteRules:
    """Read the rules of a route that name a Service of `arms` or its arms.

    `originals` are the route's rules as an attempt remembers them: then exactly these are read,
    whatever they have become. None means that no attempt is under way.
    """
    if originals is not None:
        return _remembered(route, kind, arms, originals)
    name = route["metadata"]["name"]
    rules = rules_of(route)
    problem = _ambiguity(rules, kind, name, rule_name)
    if problem is not None:
        return RouteRules(problems=(problem,))
    found: list[Rule] = []
    problems: list[Problem] = []
    for index, rule in enumerate(rules):
        if rule_name and rule.get("name") != rule_name:
            continue
        read, wrong = _unattempted(route, kind, index, arms)
        found += read
        problems += wrong
    if not found and not problems:
        wanted = f"rule {rule_name} of " if rule_name else ""
        problems.append(
            Problem(
                "RuleMissing",
                f"{wanted}{label(kind, name)} names none of the Deployment's Services"
                f" ({', '.join(sorted(arms)) or 'there is none'})",
            )
        )
    return RouteRules(tuple(found), tuple(problems))


def _ambiguity(
    rules: Sequence[Mapping[str, Any]], kind: str, route: str, rule_name: str
) -> Problem | None:
    names = Counter(str(rule["name"]) for rule in rules if rule.get("name"))
    double = sorted(name for name, count in names.items() if count > 1)
    if double and (not rule_name or rule_name in double):
        return Problem(
            "AmbiguousRule",
            f"{label(kind, route)} has more than one rule named {', '.join(double)}:"
            " give each rule a name of its own",
        )
    if rule_name and rule_name not in names:
        there = ", ".join(sorted(names)) or "none has a name"
        return Problem(
            "RuleMissing",
            f"{label(kind, route)} has no rule named {rule_name} (rules: {there})",
        )
    return None


def _unattempted(
    route: Body, kind: str, index: int, arms: Arms
) -> tuple[list[Rule], list[Problem]]:
    namespace = route["metadata"].get("namespace", "")
    raw = rules_of(route)[index]
    found: list[Rule] = []
    for service in sorted(arms):
        form = form_of(raw, service, arms[service], namespace)
        if form is None:
            continue
        where = f"rule {raw.get('name') or index} of {label(kind, route['metadata']['name'])}"
        if form[0] is Form.OTHER:
            return [], [
                Problem(
                    "RuleShared",
                    f"{where} has other backends beside Service {service}: a rule that is shifted"
                    " must name that Service alone, or its two arms and nothing else (then"
                    " spec.serviceRefs must name the Service)",
                )
            ]
        backends = canonical(backends_of(raw))
        if len(backends) > MAX_BACKENDS:
            return [], [
                Problem(
                    "RuleShared",
                    f"{where}: its backends take more than {MAX_BACKENDS} characters and could"
                    " not be remembered",
                )
            ]
        is_permanent = form[0] is Form.ARMS
        found.append(
            _rule(route, kind, index, service, arms[service], form, permanent=is_permanent)
        )
    return found, []


def _remembered(route: Body, kind: str, arms: Arms, originals: Sequence[Original]) -> RouteRules:
    namespace = route["metadata"].get("namespace", "")
    found: list[Rule] = []
    problems: list[Problem] = []
    for original, index in zip(originals, places_of(route, originals), strict=True):
        if index is None:
            there = label(kind, original.route)
            gone = original.rule or str(original.index)
            problems.append(Problem("RuleMissing", f"rule {gone} of {there} is gone"))
            continue
        names = arms.get(original.service)
        if names is None:
            continue
        form = form_of(rules_of(route)[index], original.service, names, namespace)
        found.append(
            _rule(
                route,
                kind,
                index,
                original.service,
                names,
                form or (Form.OTHER, 0, 0),
                permanent=permanent(original, names, namespace),
            )
        )
    return RouteRules(tuple(found), tuple(problems))


def _rule(
    route: Body,
    kind: str,
    index: int,
    service: str,
    arms: ArmNames,
    form: tuple[Form, int, int],
    *,
    permanent: bool,
) -> Rule:
    metadata = route["metadata"]
    raw = rules_of(route)[index]
    backends = backends_of(raw)
    if permanent and form[0] is Form.ARMS:
        backends = _at_rest(backends, arms)
    writer = last_writer(route, "spec", "rules")
    why_not = not_accepted(route)
    return Rule(
        kind=kind,
        route=metadata["name"],
        index=index,
        name=str(raw.get("name") or ""),
        service=service,
        form=form[0],
        stable=form[1],
        canary=form[2],
        ours=writer == FIELD_MANAGER,
        writer=writer,
        accepted=not why_not,
        why_not=why_not,
        backends=canonical(backends),
        resource_version=str(metadata.get("resourceVersion", "")),
        permanent=permanent,
        generation=int(metadata.get("generation") or 0),
    )


def _at_rest(backends: Sequence[dict[str, Any]], arms: ArmNames) -> list[dict[str, Any]]:
    """The backends of a rule that names the arms for good: at rest nothing is on the canary's.

    A rule that was written with something on it, or without weights (then both are 1), gets these.
    """
    share = {arms.stable: 100, arms.canary: 0}
    if any(one.get("name") == arms.canary and weight_of(one) == 0 for one in backends):
        return list(backends)
    return [{**one, "weight": share[str(one.get("name"))]} for one in backends]


def not_accepted(route: Mapping[str, Any]) -> str:
    """Return why the route's present generation is not accepted by all its parents, "" if it is.

    Each parent needs Accepted and ResolvedRefs True with the present `observedGeneration`.
    """
    generation = int(route["metadata"].get("generation") or 0)
    answers = (route.get("status") or {}).get("parents") or []
    heard = {_parent(one.get("parentRef") or {}, route) for one in answers}
    for wanted in (route.get("spec") or {}).get("parentRefs") or []:
        if _parent(wanted, route) not in heard:
            return f"{_parent(wanted, route)} has not answered"
    if not answers:
        return "no gateway has answered"
    for answer in answers:
        why = _parent_refuses(answer, generation)
        if why:
            return f"{_parent(answer.get('parentRef') or {}, route)}: {why}"
    return ""


def _parent_refuses(answer: Mapping[str, Any], generation: int) -> str:
    by_type = {one.get("type"): one for one in answer.get("conditions") or []}
    for wanted in ("Accepted", "ResolvedRefs"):
        condition = by_type.get(wanted)
        if condition is None:
            return f"says nothing about {wanted}"
        if int(condition.get("observedGeneration") or 0) < generation:
            return f"has not seen generation {generation}"
        if condition.get("status") != "True":
            reason = condition.get("reason") or condition.get("status")
            return f"{wanted}={condition.get('status')} ({reason})"
    return ""


def _parent(reference: Mapping[str, Any], route: Mapping[str, Any]) -> str:
    kind = reference.get("kind") or "Gateway"
    namespace = reference.get("namespace") or route["metadata"].get("namespace", "")
    return f"{kind} {namespace}/{reference.get('name', '')}"


def leaks(
    route: Body, kind: str, services: Sequence[str], listed: Sequence[tuple[str, str, str]]
) -> tuple[Problem, ...]:
    """Return an UnlistedRule problem for each rule that names a Service and is not listed.

    `listed` holds (kind, route, rule name), with "" for all rules of the route.
    """
    metadata = route["metadata"]
    found: list[Problem] = []
    for index, rule in enumerate(rules_of(route)):
        name = str(rule.get("name") or "")
        if (kind, metadata["name"], "") in listed or (kind, metadata["name"], name) in listed:
            continue
        named = {
            backend_service(one, metadata.get("namespace", "")) for one in backends_of(rule)
        } & set(services)
        if named:
            found.append(
                Problem(
                    "UnlistedRule",
                    f"rule {name or index} of {label(kind, metadata['name'])} names Service"
                    f" {', '.join(sorted(named))} and is not in spec.traffic: it would meet the"
                    " canary past the weights; list it, or let the Service be pinned",
                )
            )
    return tuple(found)
