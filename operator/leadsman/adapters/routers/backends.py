"""A route's rules and their backends: what each names, and with what weight.

What is not as the API says is nothing, never an exception: the API server has checked what matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leadsman.adapters.workloads.arms import arm_name
from leadsman.core.observation import Role


def rules_of(route: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the route's rules; what is not an object is an empty rule, so that places stay."""
    found = (route.get("spec") or {}).get("rules") or []
    return [rule if isinstance(rule, dict) else {} for rule in found]


def backends_of(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rule's backends."""
    return [one for one in rule.get("backendRefs") or [] if isinstance(one, dict)]


def backend_service(backend: Mapping[str, Any], namespace: str) -> str:
    """Return the name of the Service in `namespace` that a backend names, "" for anything else."""
    if (backend.get("group") or "") != "" or (backend.get("kind") or "Service") != "Service":
        return ""
    if (backend.get("namespace") or namespace) != namespace:
        return ""
    return str(backend.get("name") or "")


def weight_of(backend: Mapping[str, Any]) -> int:
    """Return a backend's weight; the API's default is 1."""
    weight = backend.get("weight", 1)
    return weight if isinstance(weight, int) else 1


def names_arms(rule: Mapping[str, Any], service: str, namespace: str) -> bool:
    """Whether a rule names an arm of a Service."""
    arms = {arm_name(service, role) for role in Role}
    return any(backend_service(one, namespace) in arms for one in backends_of(rule))
