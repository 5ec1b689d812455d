"""The contracts of Router and Workload, kept on a real API server with its controllers and gateway.

The same classes run on FakeKube in `make test`; here a real gateway accepts the routes and the real
Deployment controller claims the sets that are released to it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from e2e.cluster.backend import Backend
from e2e.conftest import namespace_of
from leadsman.adapters.kube import KubeApi
from leadsman.ports import NAMESPACE, ROLLOUT, Body, Kind, Kube, Ref
from tests.contract import test_router_contract as routers
from tests.contract import test_workload_contract as workloads
from tests.contract.ground import Check

SECONDS = 120
KINDS: Mapping[str, Kind] = {"Rollout": ROLLOUT}


class RealGround:
    """A namespace of a real cluster; kubectl is the somebody who writes there too."""

    def __init__(self, cluster: Backend, kube: KubeApi, namespace: str) -> None:
        self.kube: Kube = kube
        self.namespace = namespace
        self._cluster = cluster

    async def apply(self, manifest: Mapping[str, Any]) -> None:
        """`kubectl apply`."""
        await self._kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    async def create(self, manifest: Mapping[str, Any]) -> Body:
        """Create an object and return it."""
        return await self.kube.create(KINDS[manifest["kind"]], self.namespace, dict(manifest))

    async def scale(self, name: str, replicas: int) -> None:
        """`kubectl scale`."""
        await self._kubectl("scale", f"deployment/{name}", f"--replicas={replicas}")

    async def settle(self, done: Check) -> None:
        """Ask until it is so, for two minutes at the most."""
        for _ in range(SECONDS * 10):
            if await done():
                return
            await asyncio.sleep(0.1)
        assert await done()

    async def _kubectl(self, *argv: str, stdin: str | None = None) -> None:
        command = ["kubectl", "-n", self.namespace, *argv]
        answer = await asyncio.to_thread(self._cluster.run, command, stdin=stdin)
        assert answer.returncode == 0, answer.stderr


@pytest.fixture
async def real(cluster: Backend, request: pytest.FixtureRequest) -> AsyncIterator[RealGround]:
    """A namespace of its own for each test."""
    kube = await KubeApi.connect(str(cluster.kubeconfig))
    name = namespace_of(request)
    await kube.create(NAMESPACE, "", {"metadata": {"name": name}})
    yield RealGround(cluster, kube, name)
    await kube.delete(Ref(NAMESPACE, "", name))
    await kube.close()


class OnRealGround:
    """Takes the place of a contract's own ground."""

    @pytest.fixture
    def ground(self, real: RealGround) -> RealGround:
        return real


class TestHTTPRoute(OnRealGround, routers.TestHTTPRoute):
    """HTTPRoutes keep the Router's contract on a real gateway."""


class TestGRPCRoute(OnRealGround, routers.TestGRPCRoute):
    """GRPCRoutes too."""


class TestDeployment(OnRealGround, workloads.TestDeployment):
    """Deployments keep the Workload's contract with the real controllers."""
