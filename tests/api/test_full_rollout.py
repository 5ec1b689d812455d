"""The largest Rollout: every field of the status is known, and all of it stays small."""

from __future__ import annotations

import json
from typing import Any

from leadsman.api import crd
from leadsman.api.kinds import BY_NAME, parse
from leadsman.runtime.resolve_terms import MOST_SLICES
from tests.manifests.full import crowded_status, full_rollout


def test_a_full_rollout_stays_below_256_kib():
    assert len(json.dumps(full_rollout())) < 256 * 1024


def test_as_many_guards_and_slices_as_a_rollout_may_have_stay_well_below_1_mib():
    status = crowded_status(80, MOST_SLICES // 80)
    assert len(json.dumps(status)) < 640 * 1024
    body = {**full_rollout(), "status": status}
    assert parse(body).as_dict()["status"] == status


def test_the_models_know_every_field_of_it():
    body = full_rollout()
    assert parse(body).as_dict()["status"] == body["status"]


def paths(schema: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for name, child in schema.get("properties", {}).items():
        inner = child.get("items", child)
        found |= {f"{prefix}.{name}"} | paths(inner, f"{prefix}.{name}")
    return found


def used(value: Any, prefix: str = "") -> set[str]:
    found = set()
    for name, child in value.items():
        found.add(f"{prefix}.{name}")
        for inner in child if isinstance(child, list) else [child]:
            if isinstance(inner, dict):
                found |= used(inner, f"{prefix}.{name}")
    return found


def test_it_uses_every_field_of_the_status_so_that_none_is_left_untried():
    version = crd.definition(BY_NAME["Rollout"])["spec"]["versions"][0]
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    assert used(full_rollout()["status"]) == paths(status)
