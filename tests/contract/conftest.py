"""A cluster in memory with load on its route, for the contracts of the metrics ports."""

from __future__ import annotations

import pytest

from leadsman.testing import FakeKube, FakeMetrics
from tests.testing.manifests import deployment, route, service


@pytest.fixture
def metrics() -> FakeMetrics:
    kube = FakeKube()
    for manifest in (deployment(replicas=2), service(), route()):
        kube.user_apply(manifest)
    kube.advance(2)
    made = FakeMetrics(kube)
    made.route_load("default", "shop", 100)
    kube.advance(30.5)
    return made


@pytest.fixture
def known() -> str:
    return "traefik_service_requests_total"
