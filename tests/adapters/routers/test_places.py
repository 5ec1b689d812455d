"""Where the rules that an attempt remembers are now, after people have worked on the route."""

from __future__ import annotations

import json
from typing import Any

import pytest

from leadsman.adapters.routers.gateway_patches import restore_patch
from leadsman.adapters.routers.places import places_of
from leadsman.core.status import Original

SHOP = [{"name": "shop", "port": 80}]
ARMS = [{"name": "shop-stable", "port": 80, "weight": 75}, {"name": "shop-canary", "port": 80}]
ELSEWHERE = [{"name": "elsewhere", "port": 80}]


def original(index: int, rule: str = "", backends: object = SHOP) -> Original:
    return Original("HTTPRoute", "shop", index, rule, "shop", json.dumps(backends))


def route(*rules: list[dict[str, Any]] | tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    made = [
        {"name": one[0], "backendRefs": one[1]} if isinstance(one, tuple) else {"backendRefs": one}
        for one in rules
    ]
    return {
        "metadata": {"name": "shop", "namespace": "ns", "resourceVersion": "1"},
        "spec": {"rules": made},
    }


def at(port: int) -> list[dict[str, Any]]:
    return [{**one, "port": port} for one in ARMS]


def shop(port: int) -> list[dict[str, Any]]:
    return [{"name": "shop", "port": port}]


ROWS: dict[str, tuple[list[Original], dict[str, Any], tuple[int | None, ...]]] = {
    "nobody touched it": ([original(0)], route(ARMS, ELSEWHERE), (0,)),
    "a rule was put before it": ([original(0)], route(ELSEWHERE, ARMS), (1,)),
    "the manifest with a rule more was applied": ([original(0)], route(ELSEWHERE, SHOP), (1,)),
    "the rule before it went": ([original(1)], route(ARMS), (0,)),
    "two moved, in their order": (
        [original(0, backends=shop(80)), original(1, backends=shop(81))],
        route(ELSEWHERE, at(80), at(81)),
        (1, 2),
    ),
    "of two the first went": (
        [original(0, backends=shop(80)), original(1, backends=shop(81))],
        route(at(81), ELSEWHERE),
        (None, 0),
    ),
    "of two one was put back by hand": (
        [original(0), original(1)],
        route(SHOP, ARMS),
        (0, 1),
    ),
    "a rule that names the Service came beside it": ([original(0)], route(SHOP, ARMS), (1,)),
    "a name is a name, wherever it stands": (
        [original(0, "main")],
        route(("other", ARMS), ("main", SHOP)),
        (1,),
    ),
    "a name that changed leaves the arms to be known by": (
        [original(0, "main")],
        route(ELSEWHERE, ("renamed", ARMS)),
        (1,),
    ),
    "a name that changed at rest is another rule": (
        [original(0, "main")],
        route(("renamed", SHOP)),
        (None,),
    ),
    "what stands in its place now is told of": ([original(0)], route(ELSEWHERE), (0,)),
    "what has a name of its own is not it": ([original(0)], route(("e", ELSEWHERE)), (None,)),
    "the route has no rules any more": ([original(0), original(1)], route(), (None, None)),
    "no rule is two rules": ([original(0), original(1, "main")], route(("main", ARMS)), (None, 0)),
}


@pytest.mark.parametrize(("originals", "now", "places"), ROWS.values(), ids=ROWS.keys())
def test_places(
    originals: list[Original], now: dict[str, Any], places: tuple[int | None, ...]
) -> None:
    assert places_of(now, originals) == places


def test_a_restore_writes_no_rule_that_names_no_arm() -> None:
    assert restore_patch(route(ELSEWHERE), [original(0)]) == []
    assert restore_patch(route(("main", ELSEWHERE)), [original(0, "main")]) == []
    assert restore_patch(route(shop(81)), [original(0)]) == []


def test_a_restore_finds_the_rule_that_moved() -> None:
    patch = restore_patch(route(ELSEWHERE, ARMS), [original(0)])
    writes = [(one["path"], one["value"]) for one in patch if one["op"] != "test"]
    assert writes == [("/spec/rules/1/backendRefs", SHOP)]
