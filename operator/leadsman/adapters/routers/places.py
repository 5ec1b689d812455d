"""Where the rules that an attempt remembers are now.

The list of rules is atomic and its rules need no names, so what was remembered as "rule 0" may be
another one after somebody has put a rule before it. To take that one for ours would be to shift,
and at the end to overwrite, what is not ours, and to leave what is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from leadsman.adapters.routers.backends import backend_service, backends_of, rules_of
from leadsman.adapters.workloads.arms import arm_name
from leadsman.core.observation import Role
from leadsman.core.status import Original


def places_of(route: Mapping[str, Any], originals: Sequence[Original]) -> tuple[int | None, ...]:
    """Return where the rule of each original is now, None where it is gone; no rule twice.

    A rule with a name is found by it, and one whose name is gone by the arms in it. People insert
    rules and put them in another order, so one without a name is found by what it names: the arms,
    or the Service. Only where nothing does, it is what stands in its place now, to be told of and
    not to be written.
    """
    rules, namespace = rules_of(route), route["metadata"].get("namespace", "")
    named = [{backend_service(one, namespace) for one in backends_of(rule)} for rule in rules]
    by_name = {str(rule["name"]): index for index, rule in enumerate(rules) if rule.get("name")}
    found = {
        at: by_name[original.rule]
        for at, original in enumerate(originals)
        if original.rule in by_name
    }
    for service in dict.fromkeys(original.service for original in originals):
        arms = {arm_name(service, role) for role in Role}
        lost = [
            at
            for at, original in enumerate(originals)
            if original.service == service and at not in found
        ]
        nameless = [at for at in lost if not originals[at].rule]
        there = _naming(arms, named, found)
        if len(there) < len(nameless):
            lost, there = nameless, _naming({*arms, service}, named, found)
        found |= _matched({at: originals[at] for at in lost}, there, rules)
    free = {index for index, rule in enumerate(rules) if not rule.get("name")}
    for at, original in enumerate(originals):
        if at not in found and not original.rule and original.index in free - {*found.values()}:
            found[at] = original.index
    return tuple(found.get(at) for at in range(len(originals)))


def _naming(wanted: set[str], named: Sequence[set[str]], found: Mapping[int, int]) -> list[int]:
    """The places of rules that name one of the Services and are nobody's yet."""
    taken = set(found.values())
    return [at for at, names in enumerate(named) if names & wanted and at not in taken]


def _matched(
    lost: Mapping[int, Original], there: Sequence[int], rules: Sequence[Mapping[str, Any]]
) -> dict[int, int]:
    """Which of the rules that are there are the lost ones: in their order, if as many are there.

    Otherwise the most alike first.
    """
    if len(lost) == len(there):
        in_order = sorted(lost, key=lambda at: lost[at].index)
        return dict(zip(in_order, there, strict=True))
    pairs = sorted(
        ((at, index) for at in lost for index in there),
        key=lambda pair: _distance(lost[pair[0]], pair[1], rules[pair[1]]),
    )
    found: dict[int, int] = {}
    for at, index in pairs:
        if at not in found and index not in found.values():
            found[at] = index
    return found


def _distance(original: Original, index: int, rule: Mapping[str, Any]) -> tuple[bool, int]:
    """How unlike its original a rule is: first by what else its backends say, then by its place."""
    try:
        stored = json.loads(original.backends)
    except ValueError:
        stored = []
    return _details(stored) != _details(backends_of(rule)), abs(index - original.index)


def _details(backends: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a rule's backends say beside name and weight, each different answer once."""
    told: list[dict[str, Any]] = []
    for one in backends:
        rest = {key: value for key, value in one.items() if key not in ("name", "weight")}
        if rest not in told:
            told.append(rest)
    return told
