"""Custom resources as their CRD has them: defaults filled in, unknown fields pruned, limits kept.

Made from a CustomResourceDefinition's own schema, so that a status which a real API server would
cut or refuse is cut or refused in memory too. CEL rules are not evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from leadsman.errors import InvalidError
from leadsman.ports import Body, Kind
from leadsman.testing.fake_kube.trees import clone

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_KEPT = 512


class _Refused(Exception):  # noqa: N818 (never leaves this module)
    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: Invalid value: {problem}")


class Schema:
    """A structural schema, applied to one body after the other."""

    def __init__(self, kind: Kind, crd: Mapping[str, Any]) -> None:
        """Take the schema of `kind`'s version. Raises KeyError when the CRD has no such version."""
        self._kind = kind
        versions = {each["name"]: each for each in crd["spec"]["versions"]}
        self._root: Mapping[str, Any] = versions[kind.version]["schema"]["openAPIV3Schema"]
        self._known: dict[int, tuple[Any, Any]] = {}

    def __call__(self, body: Body) -> Body:
        """The body as it is stored. Raises InvalidError."""
        out: Body = {key: body[key] for key in ("apiVersion", "kind", "metadata") if key in body}
        properties: Mapping[str, Any] = self._root.get("properties") or {}
        try:
            for key, schema in properties.items():
                if key in out:
                    continue
                if key in body:
                    out[key] = self._part(schema, body[key], key)
                elif "default" in schema:
                    out[key] = self._part(schema, clone(schema["default"]), key)
            for key in self._root.get("required") or ():
                if key not in out:
                    raise _Refused(key, "Required value")
        except _Refused as refused:
            name = body["metadata"].get("name", "")
            told = f'{self._kind.kind}.{self._kind.group} "{name}" is invalid: {refused}'
            raise InvalidError(422, "Invalid", told) from None
        if len(out) == len(body) and all(out[key] is body.get(key) for key in out):
            return body
        return out

    def _part(self, schema: Mapping[str, Any], value: Any, key: str) -> Any:
        # Most writes change one part and share the others with the stored object.
        known = self._known.get(id(value))
        if known is not None and known[0] is value:
            return known[1]
        shaped = shape(schema, value, key)
        if not isinstance(value, dict):
            return shaped
        if len(self._known) > _KEPT:
            self._known.clear()
        self._known[id(value)] = (value, shaped)
        self._known[id(shaped)] = (shaped, shaped)
        return shaped


def from_crd(kind: Kind, crd: Mapping[str, Any]) -> Callable[[Body], Body]:
    """What `FakeKube.serve` takes: defaults, pruning and limits of a CustomResourceDefinition."""
    return Schema(kind, crd)


def shape(schema: Mapping[str, Any], value: Any, path: str) -> Any:
    """The value with defaults and without unknown members; shares what needs no change."""
    if schema.get("x-kubernetes-int-or-string"):
        return value
    _check_type(schema, value, path)
    if isinstance(value, dict):
        return _shape_object(schema, value, path)
    if isinstance(value, list):
        return _shape_list(schema, value, path)
    if isinstance(value, str):
        _check_string(schema, value, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_number(schema, value, path)
    if "enum" in schema and value not in schema["enum"]:
        allowed = ", ".join(repr(each) for each in schema["enum"])
        raise _Refused(path, f"{value!r}: supported values: {allowed}")
    return value


def _check_type(schema: Mapping[str, Any], value: Any, path: str) -> None:
    wanted = schema.get("type")
    if wanted is None:
        return
    fits = isinstance(value, _TYPES[wanted])
    if isinstance(value, bool) and wanted in ("integer", "number"):
        fits = False
    if not fits:
        raise _Refused(path, f"{path} must be of type {wanted}: {type(value).__name__}")


def _shape_object(schema: Mapping[str, Any], value: Body, path: str) -> Body:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    free = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    out: Body = {}
    for key, member in value.items():
        if key in properties:
            out[key] = shape(properties[key], member, f"{path}.{key}")
        elif isinstance(others, Mapping):
            out[key] = shape(others, member, f"{path}.{key}")
        elif others or free:
            out[key] = member
    for key, below in properties.items():
        if key not in out and "default" in below:
            default = below["default"]
            out[key] = shape(below, clone({key: default})[key], f"{path}.{key}")
    for key in schema.get("required") or ():
        if key not in out:
            raise _Refused(f"{path}.{key}", "Required value")
    limit = schema.get("maxProperties")
    if limit is not None and len(out) > limit:
        raise _Refused(path, f"must have at most {limit} properties")
    same = len(out) == len(value) and all(out[key] is value.get(key) for key in out)
    return value if same else out


def _shape_list(schema: Mapping[str, Any], value: list[Any], path: str) -> list[Any]:
    items = schema.get("items") or {}
    out = [shape(items, each, f"{path}[{at}]") for at, each in enumerate(value)]
    limit, least = schema.get("maxItems"), schema.get("minItems", 0)
    if limit is not None and len(out) > limit:
        raise _Refused(path, f"{len(out)}: must have at most {limit} items")
    if len(out) < least:
        raise _Refused(path, f"{len(out)}: should have at least {least} items")
    kind = schema.get("x-kubernetes-list-type")
    if kind in ("map", "set"):
        keys = schema.get("x-kubernetes-list-map-keys") or ()
        names = [tuple(each.get(k) for k in keys) if kind == "map" else each for each in out]
        if len(names) != len(set(names)):
            raise _Refused(path, "Duplicate value")
    return value if all(a is b for a, b in zip(out, value, strict=True)) else out


def _check_string(schema: Mapping[str, Any], value: str, path: str) -> None:
    limit, least = schema.get("maxLength"), schema.get("minLength", 0)
    if limit is not None and len(value) > limit:
        raise _Refused(path, f"Too long: may not be more than {limit} characters")
    if len(value) < least:
        raise _Refused(path, f"should be at least {least} chars long")
    pattern = schema.get("pattern")
    if pattern is not None and re.search(pattern, value) is None:
        raise _Refused(path, f"{value!r}: should match {pattern!r}")
    if schema.get("format") == "date-time" and _DATE_TIME.fullmatch(value) is None:
        raise _Refused(path, f"{value!r}: must be of type date-time")


def _check_number(schema: Mapping[str, Any], value: float, path: str) -> None:
    if "minimum" in schema and value < schema["minimum"]:
        raise _Refused(path, f"{value}: should be greater than or equal to {schema['minimum']}")
    if "maximum" in schema and value > schema["maximum"]:
        raise _Refused(path, f"{value}: should be less than or equal to {schema['maximum']}")
