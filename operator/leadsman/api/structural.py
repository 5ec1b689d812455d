"""Rewrites pydantic's JSON Schema into the structural schema that Kubernetes wants.

The two are close and not the same: a structural schema has no references, no unions with null, no
titles, and says either `properties` or `additionalProperties`. What cannot be expressed, and what
has no bound, is refused here with its place, so that a forgotten bound fails in the generator and
not in a cluster.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from leadsman.api.schema import LIST_KEYS, LIST_TYPE, PRESERVE, VALIDATIONS

Schema = dict[str, Any]

_DROPPED = frozenset({"title", "$defs", "propertyNames", "uniqueItems"})
_ORDER = (
    "description",
    "type",
    "format",
    "enum",
    "default",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    LIST_TYPE,
    LIST_KEYS,
    PRESERVE,
    VALIDATIONS,
    "required",
    "items",
    "properties",
    "additionalProperties",
)


class SchemaError(Exception):
    """Raised when a model cannot be expressed as a structural schema; names the place."""


def structural(model: type[BaseModel]) -> Schema:
    """Return the structural OpenAPI v3 schema of a model, with everything inlined."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _rewrite(raw, raw.get("$defs", {}), model.__name__)


def _rewrite(node: Schema, defs: Schema, place: str) -> Schema:
    node = _resolved(node, defs, place)
    out: Schema = {}
    for key, value in node.items():
        if key in _DROPPED or (key == "default" and value is None):
            continue
        if key == "const":
            out["enum"] = [value]
        elif key == "properties":
            out[key] = {
                name: _rewrite(child, defs, f"{place}.{name}") for name, child in value.items()
            }
        elif key == "items":
            out[key] = _rewrite(value, defs, f"{place}[]")
        elif key == "additionalProperties":
            if isinstance(value, dict):
                out[key] = _rewrite(value, defs, f"{place}{{}}")
        elif key in _ORDER:
            out[key] = _present(value) if key == "default" else value
        else:
            raise SchemaError(f"{place}: {key} has no place in a structural schema")
    _finish(out, place)
    return {key: out[key] for key in _ORDER if key in out}


def _present(value: Any) -> Any:
    """Return a default without the members that are absent."""
    if isinstance(value, dict):
        return {key: _present(child) for key, child in value.items() if child is not None}
    return value


def _resolved(node: Schema, defs: Schema, place: str) -> Schema:
    """Return the node without `$ref` and without the null of an optional field."""
    while "$ref" in node or "anyOf" in node:
        node = dict(node)
        if "$ref" in node:
            target = defs[node.pop("$ref").rsplit("/", 1)[1]]
        else:
            real = [choice for choice in node.pop("anyOf") if choice.get("type") != "null"]
            if len(real) != 1:
                raise SchemaError(f"{place}: a union of several types")
            target = real[0]
        node = {**target, **node}
    return node


def _finish(out: Schema, place: str) -> None:
    """Add what Kubernetes wants and JSON Schema leaves open; refuse what has no bound."""
    kind = out.get("type")
    if kind == "integer":
        if "minimum" not in out or "maximum" not in out:
            raise SchemaError(f"{place}: an integer without bounds")
        out.setdefault("format", "int32" if out["maximum"] < 2**31 else "int64")
    elif kind == "array":
        if "maxItems" not in out or LIST_TYPE not in out:
            raise SchemaError(f"{place}: a list without maxItems or list type")
    elif kind == "string":
        if "maxLength" not in out and "enum" not in out:
            raise SchemaError(f"{place}: a string without maxLength")
    elif kind == "object":
        free = out.get(PRESERVE) or "additionalProperties" in out
        if free and "maxProperties" not in out:
            raise SchemaError(f"{place}: a map without maxProperties")
    elif kind != "boolean":
        raise SchemaError(f"{place}: type {kind} is not for this API")
