"""Where the contracts of Router and Workload are tried: a namespace of some API server.

A contract says what must come true, not how long it takes: `Ground.settle` waits in whatever way
the server needs. Conflicts with the server's own controllers are part of life there, so `write`
reads again and decides again, as the operator does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from leadsman.errors import ConflictError
from leadsman.ports import Body, JsonPatch, Kube, Ref
from leadsman.testing import FakeKube

Check = Callable[[], Awaitable[bool]]


class Ground(Protocol):
    """A namespace on an API server, with somebody who writes there beside the operator."""

    kube: Kube
    namespace: str

    async def apply(self, manifest: Mapping[str, Any]) -> None:
        """`kubectl apply`, client-side, into the namespace."""
        ...

    async def create(self, manifest: Mapping[str, Any]) -> Body:
        """Create an object and return it."""
        ...

    async def scale(self, name: str, replicas: int) -> None:
        """`kubectl scale deployment`."""
        ...

    async def settle(self, done: Check) -> None:
        """Return when `done` is true; fail when it does not become so."""
        ...


class FakeGround:
    """A namespace of FakeKube; waiting is advancing its clock."""

    namespace = "ns"

    def __init__(self) -> None:
        self._fake = FakeKube(policies="")
        self.kube: Kube = self._fake

    async def apply(self, manifest: Mapping[str, Any]) -> None:
        """Apply as a user."""
        about = {**manifest["metadata"], "namespace": self.namespace}
        self._fake.user_apply({**manifest, "metadata": about})

    async def create(self, manifest: Mapping[str, Any]) -> Body:
        """Create as a user."""
        about = {**manifest["metadata"], "namespace": self.namespace}
        return self._fake.user_create({**manifest, "metadata": about})

    async def scale(self, name: str, replicas: int) -> None:
        """Scale as a user."""
        self._fake.user_scale(self.namespace, name, replicas)

    async def settle(self, done: Check) -> None:
        """Let the controllers run for a while at the most."""
        for _ in range(40):
            if await done():
                return
            self._fake.advance(0.5)
        assert await done()


async def write(
    kube: Kube, ref: Ref, move: Callable[[Body], JsonPatch], *, attempts: int = 5
) -> Body:
    """Patch an object with what `move` makes of it, anew after each conflict; the stored object.

    A move without operations is a failure: there was something to write.
    """
    for left in reversed(range(attempts)):
        operations = list(move(await kube.get(ref)))
        assert operations, f"nothing to write to {ref}"
        try:
            return await kube.patch(ref, operations)
        except ConflictError:
            if not left:
                raise
    raise AssertionError("no attempt was allowed")
