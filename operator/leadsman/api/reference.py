"""Generates the API reference in `docs/reference/` from the same schemas as the CRDs.

A reference that is written by hand is wrong after the second change. Every field's type, default,
allowed values and description come from the models; the reasons come from `reasons.py`. A part that
is another kind's spec (an inline plan) becomes a link instead of a copy.

    python -m leadsman.api.reference --out docs/reference/            writes the files
    python -m leadsman.api.reference --out docs/reference/ --check    exits 1 if they differ
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leadsman.api.conditions import ConditionType
from leadsman.api.crd import definition, write_or_check
from leadsman.api.kinds import KINDS, ApiKind
from leadsman.api.reasons import EventReason, Reason, VerdictReason
from leadsman.api.resource import API_VERSION
from leadsman.api.schema import PRESERVE, VALIDATIONS

Schema = dict[str, Any]

_NOTE = "<!-- Generated from operator/leadsman/api. Do not edit. -->\n"


def pages() -> dict[str, str]:
    """Return the files of the reference: name to Markdown text."""
    schemas = {kind.kind: _properties(kind) for kind in KINDS}
    specs = {name: schema["spec"] for name, schema in schemas.items()}
    out = {"README.md": _index(), "reasons.md": _reasons()}
    for kind in KINDS:
        out[_file(kind.kind)] = _page(kind, schemas[kind.kind], specs)
    return out


def _properties(kind: ApiKind) -> Schema:
    version = definition(kind)["spec"]["versions"][0]
    properties: Schema = version["schema"]["openAPIV3Schema"]["properties"]
    return properties


def _file(kind: str) -> str:
    return f"{kind.lower()}.md"


def _index() -> str:
    rows = [
        f"| [{kind.kind}]({_file(kind.kind)}) | `{kind.short}` | "
        f"{'namespace' if kind.namespaced else 'cluster'} | {_description(kind)} |"
        for kind in KINDS
    ]
    return "\n".join(
        [
            _NOTE,
            "# API reference",
            "",
            f"All kinds are in `{API_VERSION}`. Shares are strings such as `5%`, durations",
            "`30s` or `1h30m`, latencies `250ms`. References are to objects of the same namespace.",
            "",
            "| kind | short name | scope | what it is |",
            "|---|---|---|---|",
            *rows,
            "",
            "What conditions, events and verdicts say is in [reasons](reasons.md).",
            "",
        ]
    )


def _description(kind: ApiKind) -> str:
    version = definition(kind)["spec"]["versions"][0]
    return str(version["schema"]["openAPIV3Schema"]["description"])


def _page(kind: ApiKind, properties: Schema, specs: Schema) -> str:
    lines = [_NOTE, f"# {kind.kind}", "", _description(kind), ""]
    lines += [
        f"`kubectl get {kind.short}` shows "
        + ", ".join(column.name.upper() for column in kind.columns if not column.wide)
        + (
            "; `-o wide` also "
            + ", ".join(column.name.upper() for column in kind.columns if column.wide)
            if any(column.wide for column in kind.columns)
            else ""
        )
        + ".",
        "",
    ]
    for part in ("spec", "status"):
        for path, schema in _objects(part, properties[part], specs, kind.kind):
            lines += _section(path, schema, specs, kind.kind)
    return "\n".join(lines)


def _objects(path: str, schema: Schema, specs: Schema, own: str) -> Iterator[tuple[str, Schema]]:
    """Yield each object with fields of its own, outer ones first."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        many = child.get("type") == "array"
        inner = child["items"] if many else child
        if inner.get("properties") and not _link(inner, specs, own):
            yield from _objects(f"{path}.{name}" + "[]" * many, inner, specs, own)


def _link(schema: Schema, specs: Schema, own: str) -> str:
    """Return the kind whose spec this schema is, if it is another kind's."""
    for kind, spec in specs.items():
        if kind != own and schema.get("properties") == spec.get("properties"):
            return kind
    return ""


def _section(path: str, schema: Schema, specs: Schema, own: str) -> list[str]:
    lines = [f"## {path}", "", schema.get("description", ""), ""]
    rules = [rule["message"] for rule in schema.get(VALIDATIONS, ())]
    if rules:
        lines += [*(f"- {message}" for message in rules), ""]
    required = schema.get("required", ())
    lines += ["| field | type | default | allowed | what it says |", "|---|---|---|---|---|"]
    for name, child in schema.get("properties", {}).items():
        kind = _link(child, specs, own)
        cells = (
            f"`{name}`" + (" (required)" if name in required else ""),
            f"[{kind} spec]({_file(kind)}#spec)" if kind else _type(child),
            _default(child),
            _allowed(child),
            child.get("description", ""),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*lines, ""]


def _type(schema: Schema) -> str:
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get(PRESERVE):
        return "object, as it is"
    if "additionalProperties" in schema:
        return f"map to {_type(schema['additionalProperties'])}"
    return str(schema["type"])


def _default(schema: Schema) -> str:
    if "default" not in schema:
        return ""
    value = schema["default"]
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _allowed(schema: Schema) -> str:
    parts: list[str] = []
    if "enum" in schema:
        parts.append(", ".join(f"`{value}`" for value in schema["enum"]))
    if schema["type"] == "integer":
        parts.append(f"{schema['minimum']} to {schema['maximum']}")
    if schema["type"] == "array":
        parts.append(f"{schema.get('minItems', 0)} to {schema['maxItems']} items")
        if "maxLength" in schema["items"] or "enum" in schema["items"]:
            parts.append(f"each: {_allowed(schema['items'])}")
    if "maxProperties" in schema:
        parts.append(f"at most {schema['maxProperties']} keys")
    if schema["type"] != "object" or "additionalProperties" in schema:
        parts += [rule["message"] for rule in schema.get(VALIDATIONS, ())]
    if "maxLength" in schema:
        parts.append(f"at most {schema['maxLength']} characters")
    return "; ".join(parts)


def _reasons() -> str:
    lines = [
        _NOTE,
        "# Conditions, reasons, events",
        "",
        "Condition types: " + ", ".join(f"`{member.value}`" for member in ConditionType) + ".",
        "",
    ]
    for title, members in (
        ("Reasons of conditions", Reason),
        ("Reasons of events", EventReason),
        ("Reasons of verdicts", VerdictReason),
    ):
        lines += [f"## {title}", "", "| reason | what it means |", "|---|---|"]
        lines += [f"| `{member.value}` | {member.doc} |" for member in members]
        lines.append("")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Write or check the files; return the exit status."""
    parser = argparse.ArgumentParser(description="Generate the API reference.")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the files")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 on drift")
    options = parser.parse_args(arguments)
    files = {options.out / name: text for name, text in pages().items()}
    return write_or_check(files, check=options.check)


if __name__ == "__main__":
    sys.exit(main())
