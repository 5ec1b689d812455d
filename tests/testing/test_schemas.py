"""Custom resources are stored as their CRD says: the checked-in CRDs, and small ones of our own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from leadsman.errors import InvalidError
from leadsman.ports import ROLLOUT, Ref
from leadsman.testing import FakeKube
from leadsman.testing.fake_kube.schemas import from_crd, shape

CRDS = Path(__file__).parents[2] / "crds"
OBJECT = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"},
        "weight": {"type": "integer", "minimum": 0, "maximum": 100, "default": 1},
        "kind": {"type": "string", "enum": ["A", "B"]},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "since": {"type": "string", "format": "date-time"},
        "items": {
            "type": "array",
            "maxItems": 2,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "on": {"type": "boolean"}},
            },
        },
    },
}


def test_defaults_are_filled_in_and_unknown_members_pruned() -> None:
    value = {"name": "a", "unknown": 1, "labels": {"x": "y"}, "free": {"kept": [1]}}
    shaped = {"name": "a", "weight": 1, "labels": {"x": "y"}, "free": {"kept": [1]}}
    assert shape(OBJECT, value, "spec") == shaped


def test_what_needs_no_change_is_shared() -> None:
    value = {"name": "a", "weight": 2, "items": [{"name": "x", "on": True}]}
    assert shape(OBJECT, value, "spec") is value


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "toolong"}, "spec.name: .*Too long"),
        ({"name": "UP"}, "spec.name: .*should match"),
        ({"weight": 101}, "spec.weight: .*less than or equal to 100"),
        ({"weight": True}, "spec.weight: .*type integer"),
        ({"kind": "C"}, "spec.kind: .*supported values"),
        ({"labels": {"x": 1}}, "spec.labels.x: .*type string"),
        ({"since": "yesterday"}, "spec.since: .*date-time"),
        ({"items": [{"name": "x"}] * 2}, "spec.items: .*Duplicate"),
        ({"items": [{"name": str(n)} for n in range(3)]}, "spec.items: .*at most 2"),
    ],
)
def test_what_breaks_a_limit_is_refused(change, told) -> None:
    with pytest.raises(Exception, match=told):
        shape(OBJECT, {"name": "a", **change}, "spec")


def test_a_missing_member_is_refused() -> None:
    with pytest.raises(Exception, match=r"spec.name: .*Required"):
        shape(OBJECT, {}, "spec")


async def test_a_rollout_is_stored_as_its_crd_says() -> None:
    kube = FakeKube()
    crd = yaml.safe_load((CRDS / "rollouts.leadsman.dev.yaml").read_text())
    kube.serve(ROLLOUT, from_crd(ROLLOUT, crd))
    body = {
        "metadata": {"name": "shop"},
        "spec": {
            "targetRef": {"kind": "Deployment", "name": "shop"},
            "traffic": {"gatewayAPI": {"routeRefs": [{"name": "shop"}]}},
            "planRef": {"name": "canary"},
            "contractRefs": [{"name": "slo"}],
            "nonsense": 1,
        },
    }
    made = await kube.create(ROLLOUT, "default", body)
    assert "nonsense" not in made["spec"]
    assert made["spec"]["traffic"]["gatewayAPI"]["routeRefs"][0]["kind"] == "HTTPRoute"
    ref = Ref(ROLLOUT, "default", "shop")
    status = [{"op": "add", "path": "/status", "value": {"observedGeneration": 1, "unheard": 2}}]
    told = await kube.patch(ref, status, subresource="status")
    assert told["status"] == {"observedGeneration": 1}
    wrong = [{"op": "add", "path": "/status", "value": {"observedGeneration": "one"}}]
    with pytest.raises(InvalidError, match=r"status.observedGeneration"):
        await kube.patch(ref, wrong, subresource="status")
    assert await kube.get(ref) == told
