"""Label and field selectors in the API's own syntax, and LabelSelector objects.

Only what Kubernetes itself accepts: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`,
`!a` for labels; `metadata.name` and `metadata.namespace` (and a few more paths) for fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from leadsman.errors import InvalidError

Labels = Mapping[str, str]
Match = Callable[[Labels], bool]

_SET = re.compile(r"^\s*([^\s=!(),]+)\s+(in|notin)\s*\(([^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*([^\s=!(),]+)\s*(==|=|!=)\s*([^\s=!(),]*)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([^\s=!(),]+)\s*$")
_FIELDS = ("metadata.name", "metadata.namespace", "spec.nodeName", "status.phase", "type")


def _bad(text: str) -> InvalidError:
    return InvalidError(400, "BadRequest", f"unable to parse requirement: {text!r}")


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return parts


def _requirement(text: str) -> Match:
    if found := _SET.match(text):
        key, operator = found[1], found[2]
        values = frozenset(value.strip() for value in found[3].split(","))
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: key not in labels or labels[key] not in values
    if found := _EQUAL.match(text):
        key, value = found[1], found[3]
        if found[2] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.match(text):
        key = found[2]
        if found[1]:
            return lambda labels: key not in labels
        return lambda labels: key in labels
    raise _bad(text)


@lru_cache(maxsize=512)
def label_selector(text: str) -> Match:
    """A predicate on labels. Raises InvalidError when the text is not a selector."""
    if not text.strip():
        return lambda _labels: True
    checks = [_requirement(part) for part in _split(text)]
    if len(checks) == 1:
        return checks[0]
    return lambda labels: all(check(labels) for check in checks)


@lru_cache(maxsize=512)
def field_selector(text: str) -> Callable[[Mapping[str, Any]], bool]:
    """A predicate on objects. Raises InvalidError for fields that are not selectable."""
    wanted: list[tuple[tuple[str, ...], bool, str]] = []
    for part in text.split(","):
        if not part.strip():
            continue
        found = _EQUAL.match(part)
        if not found or found[1] not in _FIELDS:
            raise InvalidError(400, "BadRequest", f"field label not supported: {part}")
        wanted.append((tuple(found[1].split(".")), found[2] != "!=", found[3]))

    def match(obj: Mapping[str, Any]) -> bool:
        for path, equal, value in wanted:
            at: Any = obj
            for step in path:
                at = at.get(step, "") if isinstance(at, Mapping) else ""
            if (at == value) is not equal:
                return False
        return True

    return match


def matches(selector: Mapping[str, Any] | None, labels: Labels) -> bool:
    """Whether a LabelSelector object (matchLabels, matchExpressions) selects these labels.

    An absent or empty selector selects nothing here, as the workload controllers treat it.
    """
    if not selector:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions") or ():
        key, operator, values = term["key"], term["operator"], term.get("values") or ()
        inside = key in labels and labels[key] in values
        here = {
            "In": inside,
            "NotIn": not inside,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not here[operator]:
            return False
    return True


def selects(selector: Labels | None, labels: Labels) -> bool:
    """Whether a Service's selector selects these labels; an empty one selects nothing."""
    if not selector:
        return False
    return all(labels.get(key) == value for key, value in selector.items())
