"""Records read back to the very values, and say which field is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from leadsman.core import actions, spec
from leadsman.core.observation import Observation, Role
from leadsman.core.record import MalformedError, decode, difference, encode
from leadsman.guards.judges import Threshold, Unsupported
from leadsman.guards.windows import Reading, Window

TERMS = spec.Terms(
    spec.Plan((spec.Stage("a", 5, 30.0), spec.Stage("b", 100, 0.1 + 0.2, max_hold=3))),
    spec.Contract(
        (
            spec.GuardSpec("errors", Threshold(0.05, 30, 50), query='{"errors":1}'),
            spec.GuardSpec("other", Unsupported("sequential"), spec.OnFail.WARN),
        )
    ),
)


def there_and_back(value: Any, kind: Any) -> Any:
    return decode(kind, json.loads(json.dumps(encode(value, kind))))


def test_terms_come_back_exactly() -> None:
    assert there_and_back(TERMS, spec.Terms) == TERMS


ACTIONS = [
    actions.AddFinalizer(),
    actions.SetWeights(20, lowering=True),
    actions.SetArm("shop", Role.CANARY, "h"),
    actions.Emit("R", "m", warning=True),
    actions.KeepRoute(),
]


@pytest.mark.parametrize("action", ACTIONS)
def test_a_member_of_a_union_carries_its_class(action: Any) -> None:
    assert encode(action, actions.Action)["type"] == type(action).__name__
    assert there_and_back(action, actions.Action) == action


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-300, 5e-324, 1767614400.123, 3])
def test_floats_keep_their_bits(value: float) -> None:
    window = Window(value, value, 0.0)
    assert there_and_back(window, Window) == window


def test_what_is_no_number_comes_back_as_it_is() -> None:
    reading = Reading("g", (Window(1.0, float("inf"), float("-inf")),), (), "", None)
    assert there_and_back(reading, Reading) == reading
    assert str(there_and_back(Window(1.0, float("nan"), 0.0), Window).total) == "nan"


WRONG = [
    ({"plan": 1}, "contract", "missing"),
    ({"plan": 1, "contract": {}}, "plan", "object"),
    ({"plan": {"stages": [{"name": "a"}]}, "contract": {}}, "plan.stages[0].weight", "missing"),
    (
        {"plan": {"stages": [{"name": "a", "weight": True}]}, "contract": {}},
        "plan.stages[0].weight",
        "integer",
    ),
    ({"plan": {"stages": []}, "contract": {"x": 1}}, "contract.x", "unknown"),
    ({"plan": {"stages": {}}, "contract": {}}, "plan.stages", "list"),
    ({"plan": {"stages": [], "strategy": "Blue"}, "contract": {}}, "plan.strategy", "Strategy"),
    ({"plan": {"stages": [], "settle": "5s"}, "contract": {}}, "plan.settle", "number"),
    (
        {"plan": {"stages": []}, "contract": {"guards": [{"name": "a", "judge": {"type": "Z"}}]}},
        "contract.guards[0].judge",
        "unknown type",
    ),
]


@pytest.mark.parametrize(("tree", "path", "says"), WRONG)
def test_a_wrong_record_names_the_field(tree: Any, path: str, says: str) -> None:
    with pytest.raises(MalformedError) as caught:
        decode(spec.Terms, tree)
    assert caught.value.path == path
    assert says in caught.value.problem


def test_an_older_record_without_newer_fields_is_read_with_their_defaults() -> None:
    assert decode(Observation, {}) == Observation()


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        ({"a": 1}, {"a": 1.0}, ""),
        ({"a": 1}, {"a": True}, "a"),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "a[1].b"),
        ({"a": [1]}, {"a": [1, 2]}, "a[1]"),
        ({"a": 1}, {}, "a"),
        ({}, {"b": 1}, "b"),
        (1, 2, "record"),
    ],
)
def test_the_first_difference(one: Any, other: Any, path: str) -> None:
    assert difference(one, other) == path
