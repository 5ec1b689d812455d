"""The models: examples, defaults, round trips, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from leadsman.api import crd
from leadsman.api.kinds import BY_NAME, KINDS, parse
from leadsman.api.resource import InvalidObjectError
from leadsman.api.rolloutstatus import RolloutStatus
from tests.manifests.refused import BASES, cases, changed

EXAMPLES = Path(__file__).parents[2] / "examples"
OURS = [
    pytest.param(body, id=f"{path.name}-{body['kind']}-{body['metadata']['name']}")
    for path in sorted(EXAMPLES.glob("*.yaml"))
    for body in yaml.safe_load_all(path.read_text())
    if body["apiVersion"].startswith("leadsman.dev/")
]


def unframed(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key in {"spec", "status"}}


@pytest.mark.parametrize("body", OURS)
def test_every_example_is_valid(body):
    assert parse(body).name == body["metadata"]["name"]


@pytest.mark.parametrize("body", OURS)
def test_what_was_read_is_written_back_and_read_as_the_same(body):
    first = parse(body)
    assert parse(first.as_dict()) == first


@pytest.mark.parametrize("body", OURS)
def test_reading_adds_defaults_and_changes_nothing_that_the_user_wrote(body):
    def contains(out: Any, given: Any) -> bool:
        if isinstance(given, dict):
            return all(key in out and contains(out[key], given[key]) for key in given)
        if isinstance(given, list):
            return len(out) == len(given) and all(map(contains, out, given))
        return bool(out == given)

    assert contains(parse(body).as_dict()["spec"], body["spec"])


def defaulted(schema: dict[str, Any], value: Any) -> Any:
    """Apply a schema's defaults as the API server does: set, then descend."""
    if isinstance(value, dict):
        out = dict(value)
        for name, child in schema.get("properties", {}).items():
            if name not in out and "default" in child:
                out[name] = child["default"]
            if name in out:
                out[name] = defaulted(child, out[name])
        return out
    if isinstance(value, list):
        return [defaulted(schema["items"], item) for item in value]
    return value


@pytest.mark.parametrize("body", OURS)
def test_defaults_of_the_schema_are_defaults_of_the_models(body):
    versions = crd.definition(BY_NAME[body["kind"]])["spec"]["versions"]
    schema = versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert defaulted(schema, body["spec"]) == parse(body).as_dict()["spec"]


def models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """Return a model and all models inside it."""
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = [model]
    while waiting:
        one = waiting.pop()
        if isinstance(one, type) and issubclass(one, BaseModel):
            if one not in found:
                found.add(one)
                waiting += [info.annotation for info in one.model_fields.values()]
        else:
            waiting += getattr(one, "__args__", ())
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_models_are_frozen_and_only_status_passes_over_unknown_fields(kind):
    for model in models(kind.model) - {kind.model}:
        assert model.model_config["frozen"], model
    for model in models(kind.model.model_fields["spec"].annotation):
        assert model.model_config["extra"] == "forbid", model
    for model in models(RolloutStatus):
        assert model.model_config["extra"] == "ignore", model


@pytest.mark.parametrize("kind", BASES)
def test_the_manifests_that_the_wrong_ones_come_from_are_right(kind):
    assert parse(BASES[kind]).kind == kind


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_what_the_api_server_refuses_the_models_refuse(case):
    with pytest.raises(InvalidObjectError) as caught:
        parse(case.manifest)
    assert caught.value.problems


def test_there_are_at_least_60_wrong_manifests_no_two_against_one_rule_of_one_field():
    assert len({(case.kind, case.field, case.rule) for case in cases()}) == len(cases())
    assert len({json.dumps(case.manifest, sort_keys=True) for case in cases()}) == len(cases())
    refused = set()
    for case in cases():
        with pytest.raises(InvalidObjectError) as caught:
            parse(case.manifest)
        refused.add((case.kind, *caught.value.problems))
    # What is said names field and rule: so many are told apart by that alone.
    assert len(refused) >= 60 + 60


def test_a_problem_names_the_field_as_kubernetes_would():
    stages = [{"name": "a", "weight": 5}, {"name": "b", "weight": 500}]
    with pytest.raises(InvalidObjectError) as caught:
        parse(changed(BASES["RolloutPlan"], {"spec.stages": stages}))
    (problem,) = caught.value.problems
    assert problem.startswith("spec.stages[1].weight: ")


def test_a_rule_across_fields_says_what_is_allowed():
    stages = [{"name": "a", "weight": 50}]
    with pytest.raises(InvalidObjectError, match="spec: stages must end with weight 100"):
        parse(changed(BASES["RolloutPlan"], {"spec.stages": stages}))


def test_a_rolling_update_may_end_below_100():
    stages = [{"name": "a", "weight": 50}]
    parse(changed(BASES["RolloutPlan"], {"spec.stages": stages, "spec.promotion": "RollingUpdate"}))


def test_immediate_needs_no_stages():
    parse({**BASES["RolloutPlan"], "spec": {"strategy": "Immediate"}})


def test_two_rules_of_one_route_may_be_listed_each_for_itself():
    refs = [{"name": "shop", "ruleName": "main"}, {"name": "shop", "ruleName": "api"}]
    parse(changed(BASES["Rollout"], {"spec.traffic.gatewayAPI.routeRefs": refs}))


def test_a_rollout_without_contracts_says_why():
    base = dict(BASES["Rollout"]["spec"])
    del base["contractRefs"]
    with pytest.raises(InvalidObjectError, match="contract, or says why not"):
        parse({**BASES["Rollout"], "spec": base})
    parse({**BASES["Rollout"], "spec": {**base, "unguarded": "a batch job, no traffic"}})


def test_an_unknown_kind_is_refused_with_the_kinds_there_are():
    with pytest.raises(InvalidObjectError, match="must be one of Rollout, RolloutPlan"):
        parse({"kind": "Canary", "metadata": {"name": "x"}})


@pytest.mark.parametrize("body", [{}, {"kind": "Rollout"}, {"kind": "Rollout", "metadata": []}])
def test_an_object_without_its_envelope_is_a_problem_and_no_traceback(body):
    with pytest.raises(InvalidObjectError):
        parse(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)  # a busy machine is no error
@given(kind=st.sampled_from(sorted(BY_NAME)), spec=JSON, metadata=JSON)
def test_any_json_is_read_or_refused_and_nothing_else_is_raised(kind, spec, metadata):
    try:
        parse({"kind": kind, "metadata": metadata, "spec": spec})
    except InvalidObjectError as error:
        assert error.problems  # noqa: PT017  (either outcome is right; this is about the second)


def test_a_status_of_a_newer_operator_is_read_without_what_is_unknown():
    status = RolloutStatus.model_validate(
        {"observedGeneration": 3, "moon": "full", "attempt": {"id": "a-1", "tide": 4}}
    )
    assert status.attempt is not None
    assert status.attempt.id == "a-1"


def test_objects_are_immutable():
    plan = parse(BASES["RolloutPlan"])
    with pytest.raises(ValidationError):
        plan.kind = "Guard"
