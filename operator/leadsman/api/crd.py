"""Generates the CustomResourceDefinitions in `crds/` from the models.

The files are committed, so that a change of the API is seen in review and a cluster can be served
without Python; `--check` keeps them equal to the models.

    python -m leadsman.api.crd --out crds/            writes the files
    python -m leadsman.api.crd --out crds/ --check    exits 1 if they differ
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from leadsman.api.kinds import KINDS, ApiKind
from leadsman.api.resource import GROUP, VERSION
from leadsman.api.schema import VALIDATIONS
from leadsman.api.structural import structural

Schema = dict[str, Any]

HEADER = "# Generated from operator/leadsman/api by `make crds`. Do not edit.\n"


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
