"""The cluster in memory, on which the laws are tried, ends each write script as this cluster does.

A hand-over, releases that are not saturated, take-overs, an undo, scaling while paused: the same
writes on both, and the same replica counts, owners and revisions in the end. `make test` compares
with endings that were recorded; here they are made anew.
"""

from __future__ import annotations

import pytest

from e2e.conftest import namespace_of
from tests.testing import field_owners
from tests.testing.places import FakePlace, kubectl_place
from tests.testing.write_scripts import SCRIPTS, ending


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.usefixtures("cluster")
def test_a_write_script_ends_the_same(request: pytest.FixtureRequest, name: str):
    fake = FakePlace()
    SCRIPTS[name](fake)
    with kubectl_place(namespace_of(request)) as real:
        SCRIPTS[name](real)
        assert ending(real) == ending(fake)


@pytest.mark.usefixtures("cluster")
def test_each_write_leaves_the_same_owners(request: pytest.FixtureRequest):
    real = field_owners.real_row(namespace_of(request))
    assert real == field_owners.row(field_owners.InMemory())
