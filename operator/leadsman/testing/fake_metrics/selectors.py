"""Prometheus series selectors: `name{label="x",other=~"a|b"}`, nothing beyond them.

Regular expressions are anchored as Prometheus anchors them. A selector that does not parse is a
ValueError, which the source reports as a bad request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

_NAME = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(\{)?")
_MATCHER = re.compile(
    r"""\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)\s*"""
)
_ESCAPE = re.compile(r"\\(.)")
_PLAIN = {"n": "\n", "t": "\t", "r": "\r"}


def _text(quoted: str) -> str:
    if quoted[0] == "`":
        return quoted[1:-1]
    return _ESCAPE.sub(lambda found: _PLAIN.get(found[1], found[1]), quoted[1:-1])


def _check(label: str, operator: str, value: str) -> Callable[[Mapping[str, str]], bool]:
    if operator in ("=", "!="):
        wanted = operator == "="
        return lambda labels: (labels.get(label, "") == value) is wanted
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise ValueError(f"bad regular expression: {value!r}") from error
    wanted = operator == "=~"
    return lambda labels: (pattern.fullmatch(labels.get(label, "")) is not None) is wanted


@lru_cache(maxsize=256)
def selector(text: str) -> Callable[[Mapping[str, str]], bool]:
    """A predicate on labels (with `__name__`). Raises ValueError."""
    head = _NAME.match(text)
    checks = []
    at = 0
    if head is not None:
        at = head.end()
        if head[1]:
            checks.append(_check("__name__", "=", head[1]))
    if head is None or (not head[1] and not head[2]):
        raise ValueError("not a selector")
    if head[2]:
        while not text.startswith("}", at):
            found = _MATCHER.match(text, at)
            if found is None:
                raise ValueError(f"expected a matcher at {at}: {text[at : at + 20]!r}")
            checks.append(_check(found[1], found[2], _text(found[3])))
            at = found.end()
            if text.startswith(",", at):
                at = re.compile(r",\s*").match(text, at).end()  # type: ignore[union-attr]
        at += 1
    if text[at:].strip():
        raise ValueError(f"unexpected {text[at : at + 20]!r} after the selector")
    return lambda labels: all(check(labels) for check in checks)
