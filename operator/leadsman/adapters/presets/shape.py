"""What a guard asks of a metrics source: which series, which arm, and what counts as bad.

A `Shape` is data. Its server part (names, matchers) is merged with those of other guards into one
query; its client part decides series by series what an increment means. The client part is the
stricter one, so a merged query that returns too much does no harm. Everything that came from a user
is validated here and quoted, because a label value such as `a"} or vector(0) or x{b="` would
otherwise turn one selector into another question.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from leadsman.guards.counters import ArmName

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,127}")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,127}")
_VALUE_LENGTH = 1024
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


class QueryInvalidError(ValueError):
    """Raised when a guard's question cannot be asked; the message says which part and why."""


def quoted(text: str) -> str:
    """Return a PromQL string literal. JSON's escapes are a subset of PromQL's."""
    return json.dumps(text, ensure_ascii=False)


def literal(text: str) -> str:
    """Return a regular expression that matches exactly this text, in RE2 and in Python."""
    return _META.sub(lambda match: "\\" + match.group(), text)


def metric_name(text: str) -> str:
    """Return the text if it is a metric's name. Raises QueryInvalidError."""
    if not _METRIC.fullmatch(text):
        raise QueryInvalidError(f"not a metric's name: {text[:40]!r}")
    return text


def label_name(text: str) -> str:
    """Return the text if it is a label's name. Raises QueryInvalidError."""
    if not _LABEL.fullmatch(text):
        raise QueryInvalidError(f"not a label's name: {text[:40]!r}")
    return text


def label_value(text: str) -> str:
    """Return the text if it can be a label's value. Raises QueryInvalidError."""
    if len(text) > 256 or any(ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 for char in text):
        raise QueryInvalidError(f"not a label's value: {text[:40]!r}")
    return text


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL | re.ASCII)


@dataclass(frozen=True, slots=True)
class Condition:
    """A label's whole value matches a regular expression, or (`negated`) does not.

    An absent label has the value "". A value too long to be matched fails either way.
    """

    label: str
    pattern: str
    negated: bool = False

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Return whether the condition holds for these labels."""
        value = labels.get(self.label, "")
        if len(value) > _VALUE_LENGTH:
            return False
        return (_compiled(self.pattern).fullmatch(value) is None) is self.negated


def all_hold(conditions: Iterable[Condition], labels: Mapping[str, str]) -> bool:
    """Return whether all conditions hold for these labels."""
    return all(condition.holds(labels) for condition in conditions)


@dataclass(frozen=True, slots=True)
class Role:
    """Series of `metric` for which all conditions hold count `total` and `bad` times."""

    metric: str
    total: int
    bad: int
    conditions: tuple[Condition, ...] = ()

    def plays(self, labels: Mapping[str, str]) -> bool:
        """Return whether a series plays this role."""
        return labels.get("__name__") == self.metric and all_hold(self.conditions, labels)


NATIVE = "__native__"
"""The label of the two counters that a native histogram is taken apart into (`native.py`)."""
NATIVE_ALL, NATIVE_FAST = "all", "fast"


def slow_roles(
    metric: str, bounds: tuple[str, ...], conditions: tuple[Condition, ...] = ()
) -> tuple[Role, ...]:
    """Return the roles of a histogram whose events above a bound are bad: count less bucket.

    The first two are a classic histogram's, the others a native one's.
    """
    fast = (*conditions, Condition("le", exactly(bounds)))
    return (
        Role(f"{metric}_count", 1, 1, conditions),
        Role(f"{metric}_bucket", 0, -1, fast),
        Role(metric, 1, 1, (*fast, Condition(NATIVE, NATIVE_ALL))),
        Role(metric, 0, -1, (*fast, Condition(NATIVE, NATIVE_FAST))),
    )


@dataclass(frozen=True, slots=True)
class Shape:
    """The series that answer one guard.

    `roles` are tried in order and the first that a series plays counts. `asked` are the
    alternatives of the arm label's regular expression in the query, `matchers` the query's further
    ones as (label, operator, value); `namespace` is compared on both sides unless it is "".
    `canary` and `stable` are the exact regular expressions of the arm label's value, `bounds` the
    spellings of the bucket bound, for a histogram. Where only the canary's series have the label,
    `stable_if_absent` says which of the others are stable's. `is_expression`: `asked` are whole
    queries, the canary's and stable's.
    """

    roles: tuple[Role, ...]
    arm_label: str
    asked: tuple[str, ...]
    canary: str
    stable: str
    namespace: str = ""
    matchers: tuple[tuple[str, str, str], ...] = ()
    bounds: tuple[str, ...] = ()
    stable_if_absent: tuple[Condition, ...] = ()
    is_expression: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics that are needed, each once."""
        return tuple(dict.fromkeys(role.metric for role in self.roles))

    def arm_of(self, labels: Mapping[str, str]) -> ArmName | None:
        """Return the arm that a series belongs to, if it belongs to this shape's arms."""
        if self.namespace and labels.get("namespace") != self.namespace:
            return None
        value = labels.get(self.arm_label, "")
        if not value:
            here = bool(self.stable_if_absent)
            return "stable" if here and all_hold(self.stable_if_absent, labels) else None
        if len(value) > _VALUE_LENGTH:
            return None
        if _compiled(self.canary).fullmatch(value):
            return "canary"
        return "stable" if _compiled(self.stable).fullmatch(value) else None

    def role_of(self, labels: Mapping[str, str]) -> Role | None:
        """Return the role that a series plays, if any."""
        for role in self.roles:
            if role.plays(labels):
                return role
        return None


_NOTHING = r"(?!)"


def exactly(texts: Iterable[str]) -> str:
    """Return a Python regular expression that matches any of these texts, for `Shape.canary`."""
    unique = sorted(set(texts))
    return "|".join(literal(text) for text in unique) if unique else _NOTHING


@lru_cache(maxsize=16384)
def heads(pattern: str) -> tuple[str, ...]:
    """Return the literal text that each alternative of a regular expression begins with.

    The expressions are the operator's own: names in `literal` spelling, then whatever follows.
    """
    found, text, depth, reading, place = [], "", 0, True, 0
    while place < len(pattern):
        char = pattern[place]
        if char == "\\":
            place += 1
            text += pattern[place] if reading else ""
        elif char == "|" and depth == 0:
            found.append(text)
            text, reading = "", True
        elif char in "([":
            depth, reading = depth + 1, False
        elif char in ")]":
            depth -= 1
        elif char in "*+?{.}^$":
            # A repeated character may be absent.
            text = text[:-1] if reading and char in "*?{" else text
            reading = False
        elif reading:
            text += char
        place += 1
    return (*found, text)
