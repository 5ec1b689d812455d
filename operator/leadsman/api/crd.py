"""Generates the CustomResourceDefinitions in `crds/` from the models.

Pydantic's JSON Schema is close to what Kubernetes wants and not the same: a structural schema has
no references, no unions with null, no titles, and says either `properties` or
`additionalProperties`. This module rewrites the one into the other and refuses what it cannot
express, so that a bound that was forgotten fails here and not in a cluster.

    python -m leadsman.api.crd --out crds/            writes the files
    python -m leadsman.api.crd --out crds/ --check    exits 1 if they differ
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from leadsman.api.kinds import KINDS, ApiKind
from leadsman.api.resource import GROUP, VERSION
from leadsman.api.schema import LIST_TYPE, PRESERVE, VALIDATIONS

Schema = dict[str, Any]

HEADER = "# Generated from operator/leadsman/api by `make crds`. Do not edit.\n"
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
    "x-kubernetes-list-map-keys",
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


def definition(kind: ApiKind) -> Schema:
    """Return the CustomResourceDefinition of a kind, as a plain dictionary."""
    schema = structural(kind.model)
    properties = schema["properties"]
    top: Schema = {
        "description": schema["description"],
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {
                "description": "The group and version of this form of the object.",
                "type": "string",
            },
            "kind": {"description": "The object's kind.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": properties["spec"],
            "status": properties["status"],
        },
    }
    if VALIDATIONS in schema:
        top[VALIDATIONS] = schema[VALIDATIONS]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd_name, "labels": {"app.kubernetes.io/name": "leadsman"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short],
                "categories": ["leadsman"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": top},
                }
            ],
        },
    }


def _column(column: Any) -> Schema:
    out: Schema = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        out["description"] = column.description
    if column.wide:
        out["priority"] = 1
    return out


class _Dumper(yaml.SafeDumper):
    """Writes no anchors: the same rule in two places is written twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  (the signature is PyYAML's)
        """Return True: never refer to an earlier node."""
        return True


def rendered(kind: ApiKind) -> str:
    """Return the YAML text of a kind's CustomResourceDefinition."""
    return HEADER + yaml.dump(
        definition(kind), Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True
    )


def main(arguments: list[str] | None = None) -> int:
    """Write or check the files; return the exit status."""
    parser = argparse.ArgumentParser(description="Generate the CustomResourceDefinitions.")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the files")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 on drift")
    options = parser.parse_args(arguments)
    files = {options.out / f"{kind.crd_name}.yaml": rendered(kind) for kind in KINDS}
    return write_or_check(files, check=options.check)


def write_or_check(files: dict[Path, str], *, check: bool) -> int:
    """Write generated files, or say which of them differ; return the exit status.

    Files of the same suffix in the same folders that are not among `files` count as drift and
    are removed by writing.
    """
    stale = {
        other
        for path in files
        for other in path.parent.glob(f"*{path.suffix}")
        if other not in files
    }
    drift = sorted(stale | {path for path, text in files.items() if _read(path) != text})
    if check:
        for path in drift:
            sys.stderr.write(f"{path} differs from the models: run `make crds`\n")
        return 1 if drift else 0
    for path in stale:
        path.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
