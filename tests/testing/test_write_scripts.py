"""The cluster in memory ends each write script as a real Kubernetes 1.36.3 did.

`write_scripts_real.json` holds the endings of the real cluster (bare test bed), where
`python -m tests.testing.write_scripts` found each of them equal; `e2e/test_write_scripts_real.py`
compares with the cluster at hand.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leadsman.ports import POD
from leadsman.testing import FakeKube
from tests.testing.places import FakePlace
from tests.testing.write_scripts import SCRIPTS, Ending, canary, deployed, ending, held, release

REAL = json.loads((Path(__file__).parent / "write_scripts_real.json").read_text())


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_ends_as_on_a_real_cluster(name: str) -> None:
    place = FakePlace()
    SCRIPTS[name](place)
    told = REAL[name]
    real = Ending(
        tuple((version, size, ready, owner) for version, size, ready, owner in told["sets"]),
        tuple(told["status"].items()),
        told["revision"],
        tuple(told["reasons"]),
    )
    assert ending(place) == real


def test_every_real_ending_has_its_script() -> None:
    assert set(REAL) == set(SCRIPTS)


@pytest.mark.parametrize("seed", range(8))
def test_a_hand_over_ends_the_same_in_any_order_of_controllers(seed: int) -> None:
    kube = FakeKube(policies="")
    place = FakePlace(kube)

    def chooser(pending):
        nonlocal seed
        seed = seed * 1_103_515_245 + 12_345
        return (seed >> 8) % len(pending)

    place.settle = lambda: kube.advance(30, chooser)  # type: ignore[method-assign]
    deployed(place, 4)
    held(place, "v2")
    canary(place, 4)
    before = {
        pod["metadata"]["uid"] for pod in kube.peek_all(POD, "default", "pod-template-hash=canary")
    }
    release(place, "shop-canary", 4)
    assert {pod["metadata"]["uid"] for pod in kube.peek_all(POD, "default")} == before
    assert ending(place).sets == (("canary v2", 4, 4, "Deployment"), ("v1", 0, 0, "Deployment"))
