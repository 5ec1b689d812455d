"""Records: every value of the core as JSON and back, exactly.

One reflective codec serves the terms that an attempt freezes and the decisions that are replayed.
It follows the declared types and nothing else: dataclasses and named tuples become objects, enums
their values, tuples lists; a member of a union of such classes carries its class as `type`. Floats
are written as Python prints them, which reads back to the same bits. Reading is strict, because a
record that is nearly right would replay to a nearly right decision: `MalformedError` names the
field.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from leadsman.core.decision import Decision
from leadsman.core.observation import Observation
from leadsman.core.spec import RolloutSpec
from leadsman.core.status import Status

T = TypeVar("T")
TAG = "type"


class MalformedError(ValueError):
    """Raised when a tree is not what its type says; `path` names the field."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path or 'record'}: {problem}")


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision with all that it was made from; `now` is Unix seconds.

    `number` counts the decisions of one process from 1, those that could not be written included,
    so that a reader sees what is missing; 0 where nobody counted.
    """

    spec: RolloutSpec
    status: Status
    observation: Observation
    now: float
    decision: Decision
    number: int = 0


def encode(value: object, declared: Any = None) -> Any:
    """Return the JSON tree of a value; `declared` is its type, by default its own class.

    Raises TypeError for a type that is none of the core's.
    """
    kind: Any = type(value) if declared is None else declared
    members = _members(kind)
    if members is not None:
        if value is None:
            return None
        chosen = _chosen(members, type(value))
        tree = encode(value, chosen)
        return {TAG: type(value).__name__, **tree} if _tagged(members) else tree
    if get_origin(kind) is tuple:
        return [encode(item, get_args(kind)[0]) for item in _items(value)]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if _is_object(type(value)):
        actual: Any = type(value)
        hints = _hints(actual)
        return {name: encode(getattr(value, name), hint) for name, hint in hints.items()}
    raise TypeError(f"not a value of the core: {kind!r}")


def decode(declared: type[T], tree: object, path: str = "") -> T:
    """Return the value of a JSON tree; raises MalformedError with the field's path."""
    return _decode(declared, tree, path)  # type: ignore[no-any-return]


def difference(one: Any, other: Any, path: str = "") -> str:
    """Return the path of the first place where two JSON trees differ, "" when they are equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            if key not in one or key not in other:
                return f"{path}.{key}".lstrip(".")
            found = difference(one[key], other[key], f"{path}.{key}")
            if found:
                return found.lstrip(".")
        return ""
    if isinstance(one, list) and isinstance(other, list):
        for index, (left, right) in enumerate(zip(one, other, strict=False)):
            found = difference(left, right, f"{path}[{index}]")
            if found:
                return found.lstrip(".")
        return "" if len(one) == len(other) else f"{path}[{min(len(one), len(other))}]".lstrip(".")
    same = one == other and isinstance(one, bool) == isinstance(other, bool)
    return "" if same else (path.lstrip(".") or "record")


def _items(value: object) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        raise TypeError(f"not a tuple: {value!r}")
    return value


@cache
def _members(kind: Any) -> tuple[Any, ...] | None:
    """Return the members of a union, None for any other type."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else None


@cache
def _tagged(members: tuple[Any, ...]) -> bool:
    return sum(1 for member in members if _is_object(member)) > 1


def _is_object(kind: Any) -> bool:
    return is_dataclass(kind) or _is_named_tuple(kind)


def _is_named_tuple(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


def _chosen(members: tuple[Any, ...], kind: type) -> Any:
    for member in members:
        if member is kind or (member is float and kind is int):
            return member
        if get_origin(member) is tuple and kind is tuple:
            return member
    raise TypeError(f"{kind!r} is none of {members!r}")


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    if _is_named_tuple(kind):
        return {name: hints[name] for name in kind._fields}  # type: ignore[attr-defined]
    return {field.name: hints[field.name] for field in fields(kind)}


@cache
def _required(kind: type) -> frozenset[str]:
    if _is_named_tuple(kind):
        names: Any = kind
        return frozenset(str(name) for name in names._fields if name not in names._field_defaults)
    return frozenset(
        field.name
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    )


def _decode(declared: Any, tree: object, path: str) -> Any:
    members = _members(declared)
    if members is not None:
        return _decode_union(members, tree, path)
    if get_origin(declared) is tuple:
        if not isinstance(tree, list):
            raise MalformedError(path, "must be a list")
        item = get_args(declared)[0]
        return tuple(_decode(item, one, f"{path}[{index}]") for index, one in enumerate(tree))
    if _is_object(declared):
        return _decode_object(declared, tree, path)
    return _decode_scalar(declared, tree, path)


def _decode_union(members: tuple[Any, ...], tree: object, path: str) -> Any:
    if tree is None and NoneType in members:
        return None
    if _tagged(members):
        if not isinstance(tree, dict) or not isinstance(tree.get(TAG), str):
            raise MalformedError(path, f"must be an object with {TAG}")
        for member in members:
            if getattr(member, "__name__", "") == tree[TAG]:
                rest = {key: value for key, value in tree.items() if key != TAG}
                return _decode(member, rest, path)
        raise MalformedError(path, f"unknown {TAG} {tree[TAG]!r}")
    chosen = [member for member in members if member is not NoneType]
    return _decode(chosen[0], tree, path)


def _decode_object(declared: type, tree: object, path: str) -> Any:
    if not isinstance(tree, dict):
        raise MalformedError(path, "must be an object")
    hints = _hints(declared)
    dot = f"{path}." if path else ""
    for name in tree:
        if name not in hints:
            raise MalformedError(f"{dot}{name}", "is unknown")
    for name in sorted(_required(declared) - tree.keys()):
        raise MalformedError(f"{dot}{name}", "is missing")
    found = {name: _decode(hints[name], value, f"{dot}{name}") for name, value in tree.items()}
    return declared(**found)


def _decode_scalar(declared: Any, tree: object, path: str) -> Any:
    if isinstance(declared, type) and issubclass(declared, Enum):
        try:
            return declared(tree)
        except ValueError:
            raise MalformedError(path, f"{tree!r} is no {declared.__name__}") from None
    if declared is float:
        return _decode_float(tree, path)
    if declared is int and (isinstance(tree, bool) or not isinstance(tree, int)):
        raise MalformedError(path, "must be an integer")
    if declared is bool and not isinstance(tree, bool):
        raise MalformedError(path, "must be true or false")
    if declared is str and not isinstance(tree, str):
        raise MalformedError(path, "must be a string")
    if declared not in (int, bool, str):
        raise MalformedError(path, f"has a type that no record holds: {declared!r}")
    return tree


def _decode_float(tree: object, path: str) -> float:
    if tree in ("nan", "inf", "-inf"):
        return float(str(tree))
    if isinstance(tree, bool) or not isinstance(tree, int | float):
        raise MalformedError(path, "must be a number")
    # A whole number stays whole: seconds that were given as 30 are written as 30 again.
    return tree
