"""Who owns which field after each of a row of writes, in memory and on a real API server.

    python -m tests.testing.field_owners

runs the row on both, where `kubectl` and KUBECONFIG are set, and exits with 1 at a difference.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from leadsman.errors import ApiError
from leadsman.ports import DEPLOYMENT, HTTPROUTE, SERVICE, Ref
from leadsman.testing import FakeKube
from tests.testing.manifests import deployment, route, service
from tests.testing.places import own_namespace

FIELDS = ("f:parentRefs", "f:paused", "f:replicas", "f:rules", "f:selector", "f:template")
KINDS = {"httproute": HTTPROUTE, "service": SERVICE, "deployment": DEPLOYMENT}
Body = dict[str, Any]
Step = tuple[str, bool, list[str]]


class Place(Protocol):
    """Where the row is written; both writes say whether they were accepted."""

    def apply(self, manifest: Body, *flags: str) -> bool: ...

    def patch(
        self, kind: str, operations: Sequence[Mapping[str, Any]], manager: str, subresource: str
    ) -> bool: ...

    def get(self, kind: str) -> Body: ...


class InMemory:
    def __init__(self) -> None:
        self.kube = FakeKube(policies="")

    def apply(self, manifest: Body, *flags: str) -> bool:
        try:
            self.kube.user_apply(
                manifest,
                server_side="--server-side" in flags,
                force="--force-conflicts" in flags,
            )
        except ApiError:
            return False
        return True

    def patch(
        self, kind: str, operations: Sequence[Mapping[str, Any]], manager: str, subresource: str
    ) -> bool:
        ref = Ref(KINDS[kind], "default", "shop")
        try:
            self.kube.user_patch(ref, operations, manager, subresource=subresource)
        except ApiError:
            return False
        return True

    def get(self, kind: str) -> Body:
        found = self.kube.peek(Ref(KINDS[kind], "default", "shop"))
        assert found is not None
        return found


class ByKubectl:
    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def _run(self, *arguments: str, body: Body | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["kubectl", "-n", self._namespace, *arguments],
            input=None if body is None else json.dumps(body),
            capture_output=True,
            text=True,
            check=False,
        )

    def apply(self, manifest: Body, *flags: str) -> bool:
        meta = {**manifest["metadata"], "namespace": self._namespace}
        done = self._run("apply", "-f", "-", *flags, body={**manifest, "metadata": meta})
        return done.returncode == 0

    def patch(
        self, kind: str, operations: Sequence[Mapping[str, Any]], manager: str, subresource: str
    ) -> bool:
        told = ["--type=json", "-p", json.dumps(list(operations)), f"--field-manager={manager}"]
        if subresource:
            told.append(f"--subresource={subresource}")
        return self._run("patch", kind, "shop", *told).returncode == 0

    def get(self, kind: str) -> Body:
        shown = self._run("get", kind, "shop", "-o", "json", "--show-managed-fields")
        found: Body = json.loads(shown.stdout)
        return found


def owners(body: Body) -> list[str]:
    """`manager/operation/subresource: fields`, in order, but for entries of the status."""
    out = []
    for entry in body["metadata"].get("managedFields") or ():
        spec = entry["fieldsV1"].get("f:spec", {})
        own = [field for field in FIELDS if field in spec]
        if own and entry.get("subresource") != "status":
            who = f"{entry['manager']}/{entry['operation']}/{entry.get('subresource', '')}"
            out.append(f"{who}: {' '.join(own)}")
    return sorted(out)


def weight(value: int) -> list[Body]:
    return [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": value}]


def row(place: Place) -> list[Step]:
    """The writes, and after each what was said and who owns what."""
    out: list[Step] = []

    def apply(label: str, kind: str, manifest: Body, *flags: str) -> None:
        accepted = place.apply(manifest, *flags)
        out.append((label, accepted, owners(place.get(kind))))

    def patch(
        label: str, kind: str, operations: list[Body], who: str = "leadsman", sub: str = ""
    ) -> None:
        accepted = place.patch(kind, operations, who, sub)
        out.append((label, accepted, owners(place.get(kind))))

    ssa, force = "--server-side", "--force-conflicts"
    apply("route applied client-side", "httproute", route())
    patch("we change a weight", "httproute", weight(5))
    patch("we change nothing", "httproute", weight(5))
    apply("the manifest again", "httproute", route())
    patch("we change a weight again", "httproute", weight(6))
    apply("server-side without force", "httproute", route(), ssa)
    apply("server-side with force", "httproute", route(), ssa, force)
    patch("we change a weight after that", "httproute", weight(7))
    patch("we restore it", "httproute", weight(1))
    apply("the same route server-side", "httproute", route(), ssa)
    apply("a changed route server-side", "httproute", route(("other", 1)), ssa)
    entries = place.get("httproute")["metadata"]["managedFields"]
    at = next(i for i, entry in enumerate(entries) if entry["manager"] == "leadsman")
    forget = [{"op": "remove", "path": f"/metadata/managedFields/{at}"}]
    patch("we drop our entry", "httproute", forget)
    apply("the changed route once more", "httproute", route(("other", 1)), ssa)

    pin = "/spec/selector/pod-template-hash"
    apply("service server-side", "service", service(), ssa)
    patch("we pin", "service", [{"op": "add", "path": pin, "value": "x"}])
    apply("server-side conflicts with the pin", "service", service(), ssa)
    patch("we unpin", "service", [{"op": "remove", "path": pin}])
    apply("server-side after the unpin", "service", service(), ssa)

    paused = "/spec/paused"
    apply("deployment client-side", "deployment", deployment(replicas=0))
    patch("we pause", "deployment", [{"op": "add", "path": paused, "value": True}])
    more = [{"op": "replace", "path": "/spec/replicas", "value": 1}]
    patch("an autoscaler scales", "deployment", more, "hpa", "scale")
    apply("a new template client-side", "deployment", deployment("shop:2", replicas=0))
    patch("we unpause", "deployment", [{"op": "remove", "path": paused}])
    apply("server-side by force", "deployment", deployment("shop:2", replicas=0), ssa, force)
    apply("a new template server-side", "deployment", deployment("shop:3", replicas=0), ssa)
    return out


def real_row(name: str) -> list[Step]:
    """The steps on the cluster that kubectl knows, in a namespace made for them."""
    with own_namespace(name) as namespace:
        return row(ByKubectl(namespace))


def main() -> int:
    """Compare both places, step by step."""
    differing = 0
    for found, expected in zip(real_row("field-owners"), row(InMemory()), strict=True):
        same = found == expected
        differing += not same
        sys.stdout.write(f"{'same     ' if same else 'DIFFERENT'} {json.dumps(found)}\n")
        if not same:
            sys.stdout.write(f"  in memory: {json.dumps(expected)}\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
