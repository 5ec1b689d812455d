"""A query of the user's own, bound to one arm.

What tells the arm is a variable, and a variable is the whole of a quoted matcher's value:

    sum(rate(jobs_failed_total{namespace="{{namespace}}",pod=~"{{arm.pods}}"}[1m]))

`{{arm.pods}}`, `{{arm.services}}` and `{{arm.revision}}` are regular expressions of the arm's
names, `{{namespace}}` is the Rollout's. Bound like this a value can only ever be a value: it is
written as a string literal, where it stands no other text can, and outside of strings nothing is
replaced. The query is sent within brackets, so its own must match, and a comment, which could hide
the closing one, is refused. One query gives one value for one arm: a share, or whatever else the
judge compares.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from leadsman.adapters.presets.arms import ArmNames, Arms, names_pattern
from leadsman.adapters.presets.shape import (
    QueryInvalidError,
    Role,
    Shape,
    exactly,
    label_value,
    quoted,
)

LABEL = "__expression__"
EVENTS, VALUE = "expression_events", "expression_value"
"""The counters that a query's values become: how many there were, and their sum."""
_LONGEST = 2048
_VARIABLE = re.compile(r"\{\{\s*([a-z.]+)\s*\}\}")
_MATCHER = re.compile(r"[{,]\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(=~|=)\s*\Z")
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_BY = {"arm.pods": "Pod", "arm.services": "Service", "arm.revision": "Label"}


class _Piece(NamedTuple):
    """A string literal (`quote` is how it is quoted), or what stands between two."""

    text: str
    quote: str = ""


def expression(arms: Arms, query: str) -> Shape:
    """Return the shape of a query of the user's own. Raises QueryInvalidError."""
    pieces = _checked(query)
    canary, stable = _bound(pieces, arms, arms.canary), _bound(pieces, arms, arms.stable)
    expressions = tuple(one for one in (canary, stable) if one)
    return Shape(
        roles=(Role(EVENTS, 1, 0), Role(VALUE, 0, 1)),
        arm_label=LABEL,
        asked=expressions,
        canary=mark(canary) if canary else exactly([]),
        stable=mark(stable) if stable else exactly([]),
        is_expression=True,
    )


def mark(text: str) -> str:
    """Return what a bound query's series are known by: short, whatever the query's length."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _checked(query: str) -> tuple[_Piece, ...]:
    """Return the query's pieces. Raises QueryInvalidError if it must not be asked."""
    if len(query) > _LONGEST:
        raise QueryInvalidError(f"promQL.query is longer than {_LONGEST} characters")
    if any(ord(char) < 32 and char not in "\n\t" for char in query):
        raise QueryInvalidError("promQL.query has a control character")
    pieces = tuple(_pieces(query))
    _balanced("".join(piece.text for piece in pieces if not piece.quote))
    names: set[str] = set()
    before = ""
    for piece in pieces:
        if piece.quote:
            names.add(_variable(piece, before))
        elif "{{" in piece.text:
            raise QueryInvalidError("promQL.query: a variable stands in double quotes, alone")
        before = piece.text
    if names.isdisjoint(_BY):
        raise QueryInvalidError(
            'promQL.query must tell the arm: pod=~"{{arm.pods}}",'
            " or {{arm.services}}, or {{arm.revision}}"
        )
    return pieces


def _pieces(query: str) -> Iterator[_Piece]:
    place, begin = 0, 0
    while place < len(query):
        char = query[place]
        if char == "#":
            raise QueryInvalidError("promQL.query must not have comments")
        if char not in "\"'`":
            place += 1
            continue
        yield _Piece(query[begin:place])
        end = _end_of_string(query, place)
        yield _Piece(query[place + 1 : end], char)
        place = begin = end + 1
    yield _Piece(query[begin:])


def _end_of_string(query: str, begin: int) -> int:
    quote, place = query[begin], begin + 1
    while place < len(query):
        if query[place] == "\\" and quote != "`":
            place += 1
        elif query[place] == "\n" and quote != "`":
            break
        elif query[place] == quote:
            return place
        place += 1
    raise QueryInvalidError("promQL.query: a string has no end")


def _balanced(text: str) -> None:
    waiting: list[str] = []
    for char in text:
        if char in _CLOSES:
            waiting.append(_CLOSES[char])
        elif char in ")]}" and (not waiting or waiting.pop() != char):
            raise QueryInvalidError("promQL.query: brackets do not match")
    if waiting:
        raise QueryInvalidError("promQL.query: brackets do not match")


def _variable(piece: _Piece, before: str) -> str:
    """The name of the variable that a string is, "" if it is none."""
    if "{{" not in piece.text:
        return ""
    match = _VARIABLE.fullmatch(piece.text)
    matcher = _MATCHER.search(before)
    if match is None or piece.quote != '"' or matcher is None:
        raise QueryInvalidError(
            "promQL.query: a variable is the whole value of a label's matcher, in double quotes"
        )
    name, operator = match.group(1), matcher.group(1)
    if name == "namespace":
        return name
    if name not in _BY:
        raise QueryInvalidError(
            f"promQL.query: no variable {name[:40]!r}; there are namespace, {', '.join(_BY)}"
        )
    if operator != "=~":
        raise QueryInvalidError(f"promQL.query: {name} is a regular expression: use =~")
    return name


def _bound(pieces: tuple[_Piece, ...], arms: Arms, arm: ArmNames) -> str:
    """The query for one arm, "" while the names that it needs are not known yet."""
    found = []
    for piece in pieces:
        if not piece.quote:
            found.append(piece.text)
            continue
        match = _VARIABLE.fullmatch(piece.text)
        if match is None:
            found.append(f"{piece.quote}{piece.text}{piece.quote}")
        elif match.group(1) == "namespace":
            found.append(quoted(label_value(arms.namespace)))
        else:
            pattern = _pattern(arm, match.group(1))
            if not pattern:
                return ""
            found.append(quoted(pattern))
    return "".join(found)


def _pattern(arm: ArmNames, variable: str) -> str:
    match variable:
        case "arm.pods":
            pattern = names_pattern(arm, "Pod")
        case "arm.services":
            pattern = names_pattern(arm, "Service")
        case _:
            pattern = names_pattern(arm, "Label")
    return "" if pattern == exactly([]) else pattern
