"""Plain JSON trees: copying, comparing, and changing one path without touching the rest.

Stored objects are never changed in place. A write makes a new tree that shares every unchanged
branch with the old one, so that comparing two versions costs as much as what differs.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from leadsman.ports import Body


def clone(tree: Body) -> Body:
    """A deep copy that shares nothing with `tree`."""
    copied: Body = marshal.loads(marshal.dumps(tree))  # noqa: S302 (our own bytes)
    return copied


_BYTES: dict[int, tuple[Body, bytes]] = {}


def copy_stored(tree: Body) -> Body:
    """As `clone`, for stored trees: they never change, so most are copied from known bytes."""
    known = _BYTES.get(id(tree))
    if known is None or known[0] is not tree:
        if len(_BYTES) > 2048:
            _BYTES.clear()
        known = (tree, marshal.dumps(tree))
        _BYTES[id(tree)] = known
    copied: Body = marshal.loads(known[1])  # noqa: S302 (our own bytes)
    return copied


def dig(tree: Any, *path: str) -> Any:
    """The value at `path`, None where anything on the way is missing."""
    for step in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(step)
    return tree


def put(tree: Body, path: Sequence[str], value: Any) -> Body:
    """A new tree with `value` at `path` (None removes the key), sharing the rest."""
    head, *rest = path
    out = dict(tree)
    if rest:
        below = tree.get(head)
        out[head] = put(below if isinstance(below, dict) else {}, rest, value)
    elif value is None:
        out.pop(head, None)
    else:
        out[head] = value
    return out


def without_nulls(tree: Any) -> Any:
    """The tree without null members, as the API server stores it; shares what has none."""
    if isinstance(tree, dict):
        out = {key: without_nulls(value) for key, value in tree.items() if value is not None}
        if len(out) == len(tree) and all(out[key] is tree[key] for key in out):
            return tree
        return out
    if isinstance(tree, list):
        items = [without_nulls(value) for value in tree]
        return tree if all(a is b for a, b in zip(items, tree, strict=True)) else items
    return tree


def _without_empties(tree: Any) -> Any:
    if isinstance(tree, dict):
        out = {}
        for key, value in tree.items():
            kept = _without_empties(value)
            if kept is not None and kept != {} and kept != []:
                out[key] = kept
        return out
    if isinstance(tree, list):
        return [_without_empties(value) for value in tree]
    return tree


def same_template(one: Body, other: Body) -> bool:
    """Whether two pod templates are equal as Kubernetes compares them.

    The `pod-template-hash` label is ignored, and an empty map or list equals an absent one.
    """
    if one is other:
        return True
    return template_text(one) == template_text(other)


_TEMPLATE_TEXTS: dict[int, tuple[Body, str]] = {}


def template_text(template: Body) -> str:
    """The canonical text of a pod template without its `pod-template-hash` label."""
    # Templates are shared between versions of an object, so most are looked at many times.
    known = _TEMPLATE_TEXTS.get(id(template))
    if known is not None and known[0] is template:
        return known[1]
    labels = dict(dig(template, "metadata", "labels") or {})
    labels.pop("pod-template-hash", None)
    bare = put(template, ("metadata", "labels"), labels)
    text = json.dumps(_without_empties(bare), sort_keys=True, separators=(",", ":"))
    if len(_TEMPLATE_TEXTS) > 4096:
        _TEMPLATE_TEXTS.clear()
    _TEMPLATE_TEXTS[id(template)] = (template, text)
    return text


_SAFE = "bcdfghjklmnpqrstvwxz2456789"


def safe_name(number: int, length: int) -> str:
    """`length` characters of the alphabet that Kubernetes uses for generated names."""
    out = []
    for _ in range(length):
        number, digit = divmod(number, len(_SAFE))
        out.append(_SAFE[digit])
    return "".join(out)


@lru_cache(maxsize=1024)
def _stamp(second: int) -> str:
    days, rest = divmod(second, 86_400)
    # Civil date from days since 1970-01-01 (Howard Hinnant's algorithm): no time zones involved.
    days += 719_468
    era, doe = divmod(days, 146_097)
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    day = doy - (153 * mp + 2) // 5 + 1
    month = mp + 3 if mp < 10 else mp - 9
    year = yoe + era * 400 + (month <= 2)
    hour, rest = divmod(rest, 3600)
    minute, sec = divmod(rest, 60)
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{sec:02d}Z"


def stamp(seconds: float) -> str:
    """Unix time as the API server writes it: RFC 3339 in whole seconds, UTC."""
    return _stamp(int(seconds))


def unstamp(text: str) -> float:
    """Unix time of a timestamp that `stamp` wrote."""
    year, month, day = int(text[0:4]), int(text[5:7]), int(text[8:10])
    year -= month <= 2
    era, yoe = divmod(year, 400)
    doy = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    doe = yoe * 365 + yoe // 4 - yoe // 100 + doy
    days = era * 146_097 + doe - 719_468
    clock = int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])
    return float(days * 86_400 + clock)


def controller_of(obj: Mapping[str, Any]) -> Body | None:
    """The owner reference with `controller: true`, if there is one."""
    for ref in obj["metadata"].get("ownerReferences") or ():
        if ref.get("controller"):
            found: Body = ref
            return found
    return None
