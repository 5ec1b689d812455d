"""A clock and a cluster for the tests of the fakes."""

from __future__ import annotations

import pytest

from leadsman.testing import FakeClock, FakeKube


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def kube(clock: FakeClock) -> FakeKube:
    return FakeKube(clock)
