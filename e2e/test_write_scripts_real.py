"""The cluster in memory, on which the laws are tried, ends each write script as this cluster does.

A hand-over, releases that are not saturated, take-overs, an undo, scaling while paused: the same
writes on both, and the same replica counts, owners and revisions in the end. `make test` compares
with endings that were recorded; here they are made anew.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.conftest import namespace_of
from tests.testing import field_owners
from tests.testing.places import FakePlace, kubectl_place
from tests.testing.write_scripts import SCRIPTS, ending

AT_ONCE = 6
"""Scripts mostly wait until the controllers have come to rest."""


def differing(name: str, namespace: str) -> str:
    """How the two ends differ, "" if they do not."""
    fake = FakePlace()
    SCRIPTS[name](fake)
    with kubectl_place(namespace) as real:
        SCRIPTS[name](real)
        found, expected = ending(real), ending(fake)
    return "" if found == expected else f"{name}: {found}\n  in memory: {expected}"


@pytest.mark.usefixtures("cluster")
def test_every_write_script_ends_the_same(request: pytest.FixtureRequest):
    spaces = [namespace_of(request, f"-{number}") for number in range(len(SCRIPTS))]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(differing, SCRIPTS, spaces))
    assert not any(found), "\n".join(filter(None, found))


@pytest.mark.usefixtures("cluster")
def test_each_write_leaves_the_same_owners(request: pytest.FixtureRequest):
    real = field_owners.real_row(namespace_of(request))
    assert real == field_owners.row(field_owners.InMemory())
