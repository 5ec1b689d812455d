"""The conventions of the API, each as a test on the generated CustomResourceDefinitions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CRDS = Path(__file__).parents[2] / "crds"
FILES = sorted(CRDS.glob("*.yaml"))
DEFINITIONS = {path.name: yaml.safe_load(path.read_text()) for path in FILES}
KINDS = {
    "Rollout": "lro",
    "RolloutPlan": "lplan",
    "ReleaseContract": "lrc",
    "Guard": "lguard",
    "MetricsSource": "lms",
}
FREE_FORM = "spec.traffic.gatewayAPI.template.spec"

Schema = dict[str, Any]


def version(definition: Schema) -> Schema:
    (only,) = definition["spec"]["versions"]
    return only


def schema(definition: Schema) -> Schema:
    return version(definition)["schema"]["openAPIV3Schema"]


def nodes(node: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}".lstrip("."))
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from nodes(node["additionalProperties"], f"{path}{{}}")


def fields(definition: Schema) -> Iterator[tuple[str, Schema]]:
    """Spec and status, without the envelope that every Kubernetes object has."""
    for part in ("spec", "status"):
        yield from nodes(schema(definition)["properties"][part], part)


every_crd = pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=list(DEFINITIONS))


def test_there_is_one_crd_for_each_kind_with_its_short_name():
    names = {
        one["spec"]["names"]["kind"]: one["spec"]["names"]["shortNames"]
        for one in DEFINITIONS.values()
    }
    assert names == {kind: [short] for kind, short in KINDS.items()}


def test_only_the_kind_that_holds_an_address_is_cluster_scoped():
    scopes = {one["spec"]["names"]["kind"]: one["spec"]["scope"] for one in DEFINITIONS.values()}
    assert {kind for kind, scope in scopes.items() if scope == "Cluster"} == {"MetricsSource"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_crd_is_below_200_kb_so_that_a_plain_apply_works(path):
    assert path.stat().st_size < 200_000


def unbounded(definition: Schema) -> list[str]:
    out = []
    for path, node in fields(definition):
        kind = node["type"]
        if kind == "string" and "maxLength" not in node and "enum" not in node:
            out.append(path)
        if kind == "array" and "maxItems" not in node:
            out.append(path)
        a_map = "additionalProperties" in node or "x-kubernetes-preserve-unknown-fields" in node
        if a_map and "maxProperties" not in node:
            out.append(path)
        if kind == "integer" and not {"minimum", "maximum", "format"} <= node.keys():
            out.append(path)
    return out


def test_unbounded_strings_lists_and_maps_are_0():
    assert sum(len(unbounded(definition)) for definition in DEFINITIONS.values()) == 0


@every_crd
def test_bounds_of_integers_are_exact_as_json_numbers(definition):
    # The API server reads a bound as a float and refuses every value if the bound is not exact.
    bounds = [node["maximum"] for _, node in fields(definition) if node["type"] == "integer"]
    assert max(bounds) <= 2**53


@every_crd
def test_no_string_may_be_above_8_kib(definition):
    longest = max(node.get("maxLength", 0) for _, node in fields(definition))
    assert longest <= 8192


@every_crd
def test_types_are_those_that_survive_every_client(definition):
    kinds = {node["type"] for _, node in fields(definition)}
    assert kinds <= {"string", "integer", "boolean", "array", "object"}


@every_crd
def test_schemas_are_structural(definition):
    for path, node in nodes(schema(definition)):
        assert not node.keys() & {"$ref", "nullable", "anyOf", "oneOf", "allOf", "not", "title"}, (
            path
        )
        assert not {"properties", "additionalProperties"} <= node.keys(), path


@every_crd
def test_free_form_objects_are_only_the_route_template(definition):
    free = {
        path for path, node in fields(definition) if "x-kubernetes-preserve-unknown-fields" in node
    }
    assert free <= {FREE_FORM}


@every_crd
def test_every_list_says_its_type_and_named_items_are_told_apart_by_name(definition):
    for path, node in fields(definition):
        if node["type"] != "array":
            continue
        item = node["items"]
        kind = node["x-kubernetes-list-type"]
        if "name" in item.get("required", ()) and not path.endswith("routeRefs"):
            assert (kind, node["x-kubernetes-list-map-keys"]) == ("map", ["name"]), path
        elif path == "status.conditions":
            assert (kind, node["x-kubernetes-list-map-keys"]) == ("map", ["type"]), path
        else:
            assert kind in {"atomic", "set"}, path


@every_crd
def test_keys_of_a_list_are_required_in_its_items(definition):
    for path, node in fields(definition):
        for key in node.get("x-kubernetes-list-map-keys", ()):
            assert key in node["items"]["required"], path


@every_crd
def test_enums_are_camel_case(definition):
    for path, node in fields(definition):
        if path.endswith("apiVersion"):
            continue
        for value in node.get("enum", ()):
            assert re.fullmatch(r"[A-Z][A-Za-z]*", value), (path, value)


@every_crd
def test_fields_are_lower_camel_case(definition):
    for path, node in fields(definition):
        for name in node.get("properties", {}):
            assert re.fullmatch(r"[a-z][A-Za-z]*", name), f"{path}.{name}"


@every_crd
def test_every_field_is_described(definition):
    undescribed = [
        f"{path}.{name}"
        for path, node in fields(definition)
        for name, child in node.get("properties", {}).items()
        if len(child.get("description", "")) < 5
    ]
    assert undescribed == []


@every_crd
def test_references_are_named_ref_and_hold_a_name(definition):
    for path, node in fields(definition):
        if re.search(r"Refs?(\[\])?$", path) and node["type"] == "object":
            assert "name" in node["properties"], path
            assert "namespace" not in node["properties"], path


@every_crd
def test_no_url_in_a_namespaced_kind(definition):
    if definition["spec"]["scope"] == "Namespaced":
        for path, node in fields(definition):
            assert not re.search(r"(?i)(url|address|endpoint|host)$", path), path
            assert "://" not in node.get("pattern", ""), path


@every_crd
def test_strings_with_a_form_have_a_pattern_and_a_message_for_it(definition):
    for path, node in fields(definition):
        if "pattern" in node and path.startswith("spec"):
            assert node["x-kubernetes-validations"], path


@every_crd
def test_every_rule_has_a_message(definition):
    for path, node in nodes(schema(definition)):
        for rule in node.get("x-kubernetes-validations", ()):
            assert len(rule["message"]) > 10, path
            assert "\n" not in rule["message"], path


@every_crd
def test_status_is_a_subresource_with_conditions_and_integer_observed_generation(definition):
    assert version(definition)["subresources"] == {"status": {}}
    status = schema(definition)["properties"]["status"]["properties"]
    assert status["observedGeneration"]["type"] == "integer"
    condition = status["conditions"]["items"]
    assert condition["properties"]["observedGeneration"]["type"] == "integer"
    assert {"type", "status", "reason", "lastTransitionTime"} <= set(condition["required"])
    assert "phase" not in status


@every_crd
def test_the_api_holds_no_pod_spec(definition):
    names = {path.rsplit(".", 1)[-1] for path, _ in fields(definition)}
    assert not names & {"containers", "podSpec", "podTemplate", "initContainers"}


@every_crd
def test_all_kinds_are_found_by_their_category(definition):
    assert definition["spec"]["names"]["categories"] == ["leadsman"]


def test_the_columns_of_a_rollout_are_those_that_users_know():
    columns = version(DEFINITIONS["rollouts.leadsman.dev.yaml"])["additionalPrinterColumns"]
    usual = [column["name"].upper() for column in columns if not column.get("priority")]
    wide = [column["name"].upper() for column in columns if column.get("priority")]
    expected = "READY STATE STAGE WEIGHT GUARDS NEXT REVISION AGE"
    assert (" ".join(usual), wide) == (expected, ["MESSAGE"])
