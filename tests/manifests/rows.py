"""What the tables of wrong manifests are made of: rows, and the words that several share."""

from __future__ import annotations

from typing import Any

ABSENT = object()
"""As a value: the field is left out."""

Change = dict[str, Any]
"""Dotted field paths and their wrong values, in a manifest that is otherwise right."""

Row = tuple[str, str, Change, tuple[str, ...]]
"""Field, rule, change, and the words that the refusal must contain."""

NAME = "must be the name of a Kubernetes object"
SHORT = "must be a short name"
DURATION = 'must be a duration such as "30s"'
PERCENT = 'must be a percentage from "0%" to "100%"'

GUARD: dict[str, Any] = {
    "errors": {"preset": "Traefik"},
    "judge": {"threshold": {"max": "5%", "window": "30s", "minEvents": 100}},
}
"""A right guard."""


def stage(name: str, weight: Any, **more: Any) -> dict[str, Any]:
    """Return a stage."""
    return {"name": name, "weight": weight, **more}
