"""The same writes on the cluster in memory and on a real one must end in the same sizes and owners.

A script is a function on a `Place`: it applies, patches, scales, waits. What it ends in is told
without names that only one cluster knows: sizes and owners by version, and whether pods were kept.
Nothing in a script depends on how fast the controllers are. Run all of them on a real cluster with

    python -m tests.testing.write_scripts [script ...]

where `kubectl` and KUBECONFIG are set (inside a test cluster); it prints both ends of each script
and exits with 1 if one differs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

DESIRED = "deployment.kubernetes.io/desired-replicas"
IMAGE = "leadsman.dev/demo:1"

Body = dict[str, Any]


class Place(Protocol):
    """A cluster, in a namespace of its own."""

    def create(self, manifest: Body) -> Body: ...

    def patch(self, kind: str, name: str, operations: Sequence[Mapping[str, Any]]) -> None: ...

    def scale(self, name: str, replicas: int) -> None: ...

    def undo(self, name: str) -> None: ...

    def get(self, kind: str, name: str) -> Body: ...

    def all(self, kind: str) -> list[Body]: ...

    def settle(self) -> None:
        """Wait until nothing changes any more."""


def version_of(body: Body) -> str:
    """VERSION of a pod template's first container."""
    (container, *_) = body["spec"]["template"]["spec"]["containers"]
    return next(str(item["value"]) for item in container["env"] if item["name"] == "VERSION")


def template(version: str, **env: str) -> Body:
    pairs = {"VERSION": version, **env}
    return {
        "metadata": {"labels": {"app": "shop"}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "shop",
                    "image": IMAGE,
                    "ports": [{"name": "web", "containerPort": 8080}],
                    "env": [{"name": key, "value": value} for key, value in pairs.items()],
                    "readinessProbe": {
                        "httpGet": {"path": "/healthz", "port": 8080},
                        "periodSeconds": 1,
                    },
                }
            ],
        },
    }


def deployed(place: Place, replicas: int, **spec: Any) -> None:
    """A complete Deployment at v1."""
    place.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "shop"}},
                "template": template("v1"),
                **spec,
            },
        }
    )
    place.settle()


def rolled(place: Place, version: str, **env: str) -> None:
    """Another template, rolled out by the Deployment itself."""
    operations = [{"op": "replace", "path": "/spec/template", "value": template(version, **env)}]
    place.patch("deployment", "shop", operations)
    place.settle()


def held(place: Place, version: str, **env: str) -> None:
    """Another template while paused."""
    operations: list[Body] = [
        {"op": "add", "path": "/spec/paused", "value": True},
        {"op": "replace", "path": "/spec/template", "value": template(version, **env)},
    ]
    place.patch("deployment", "shop", operations)
    place.settle()


def holder(place: Place) -> Body:
    """The owner that keeps a canary set from the Deployment."""
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "holder"},
        "spec": {"ports": [{"port": 80}]},
    }
    made = place.create(body)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "name": "holder",
        "uid": made["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def canary(place: Place, replicas: int) -> Body:
    """A set with the Deployment's template, of another owner, running. Returns the owner."""
    owner = holder(place)
    own = place.get("deployment", "shop")["spec"]["template"]
    labels = {"app": "shop", "pod-template-hash": "canary"}
    place.create(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "shop-canary", "labels": labels, "ownerReferences": [owner]},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {**own, "metadata": {"labels": labels}},
            },
        }
    )
    place.settle()
    return owner


def release(place: Place, name: str, replicas: int, *, mark: bool = True) -> None:
    """Give a set to the Deployment, saturated or without the annotation that says so."""
    operations: list[Mapping[str, Any]] = [{"op": "remove", "path": "/metadata/ownerReferences"}]
    if mark:
        marks = dict(place.get("replicaset", name)["metadata"].get("annotations") or {})
        marks[DESIRED] = str(replicas)
        operations.append({"op": "add", "path": "/metadata/annotations", "value": marks})
    place.patch("replicaset", name, operations)
    place.settle()


def resume(place: Place) -> None:
    place.patch("deployment", "shop", [{"op": "remove", "path": "/spec/paused"}])
    place.settle()


def made_set(place: Place, version: str) -> str:
    """The name of the set that the Deployment made for a version."""
    for body in place.all("replicaset"):
        if version_of(body) == version and body["metadata"]["name"] != "shop-canary":
            name: str = body["metadata"]["name"]
            return name
    raise AssertionError(f"no set of {version}")


# -- scripts --------------------------------------------------------------------------------------


def hand_over(place: Place) -> None:
    """The usual promotion: a full canary set is released and the Deployment goes on with it."""
    deployed(place, 4)
    held(place, "v2")
    canary(place, 4)
    release(place, "shop-canary", 4)
    resume(place)


def release_while_paused(place: Place) -> None:
    """The old set is emptied although the Deployment is paused."""
    deployed(place, 3)
    held(place, "v2")
    canary(place, 3)
    release(place, "shop-canary", 3)


def release_without_mark(place: Place) -> None:
    """Without the annotation the set is never saturated; the sizes go another way."""
    deployed(place, 4)
    held(place, "v2")
    canary(place, 4)
    release(place, "shop-canary", 4, mark=False)


def release_after_scale_down(place: Place) -> None:
    """Seven to six before the release: the canary is no longer the Deployment's size."""
    deployed(place, 7)
    held(place, "v2")
    canary(place, 7)
    place.scale("shop", 6)
    place.settle()
    release(place, "shop-canary", 7)


def release_after_scale_up(place: Place) -> None:
    """Four to six before the release of four."""
    deployed(place, 4)
    held(place, "v2")
    canary(place, 4)
    place.scale("shop", 6)
    place.settle()
    release(place, "shop-canary", 4)


def release_of_unready(place: Place) -> None:
    """Pods that are not available: not saturated."""
    deployed(place, 4)
    held(place, "v2", READY_AFTER_MS="-1")
    canary(place, 4)
    release(place, "shop-canary", 4)


def reclaim(place: Place) -> None:
    """A release that went wrong is taken back, brought to size, and released again."""
    deployed(place, 7)
    held(place, "v2")
    owner = canary(place, 7)
    place.scale("shop", 6)
    place.settle()
    release(place, "shop-canary", 7)
    operations: list[Body] = [
        {"op": "replace", "path": "/metadata/ownerReferences", "value": [owner]},
        {"op": "replace", "path": "/spec/replicas", "value": 6},
    ]
    place.patch("replicaset", "shop-canary", operations)
    place.settle()
    release(place, "shop-canary", 6)
    resume(place)


def take_over(place: Place) -> None:
    """Back to the first version by its old set, taken from the Deployment and given back full."""
    deployed(place, 3)
    rolled(place, "v2")
    held(place, "v1")
    owner = holder(place)
    name = made_set(place, "v1")
    operations: list[Body] = [
        {"op": "replace", "path": "/metadata/ownerReferences", "value": [owner]},
        {"op": "replace", "path": "/spec/replicas", "value": 3},
    ]
    place.patch("replicaset", name, operations)
    place.settle()
    release(place, name, 3)
    resume(place)


def second_set_of_an_old_version(place: Place) -> None:
    """A new set beside an older one with the same template is not the Deployment's new set."""
    deployed(place, 3)
    rolled(place, "v2")
    held(place, "v1")
    canary(place, 3)
    release(place, "shop-canary", 3)
    resume(place)


def release_of_a_small_set(place: Place) -> None:
    """A release before the canary is full, then the Deployment rolls on by itself."""
    deployed(place, 4)
    held(place, "v2")
    canary(place, 2)
    release(place, "shop-canary", 4)
    resume(place)


def undo(place: Place) -> None:
    deployed(place, 4)
    rolled(place, "v2")
    place.undo("shop")
    place.settle()


def scale_while_paused(place: Place) -> None:
    deployed(place, 4)
    held(place, "v2")
    place.scale("shop", 7)
    place.settle()


def scale_while_paused_in_the_middle(place: Place) -> None:
    """Two sets of the Deployment's own, paused between them, scaled in proportion."""
    deployed(place, 6)
    rolled(place, "v2", READY_AFTER_MS="-1")
    place.patch("deployment", "shop", [{"op": "add", "path": "/spec/paused", "value": True}])
    place.scale("shop", 12)
    place.settle()


def scale_down_in_the_middle(place: Place) -> None:
    deployed(place, 8)
    rolled(place, "v2", READY_AFTER_MS="-1")
    place.scale("shop", 3)
    place.settle()


def scale_a_canary_beside_the_deployment(place: Place) -> None:
    """While the set is not its own, the Deployment scales its own set only."""
    deployed(place, 4)
    held(place, "v2")
    canary(place, 2)
    place.scale("shop", 5)
    place.settle()


def resume_with_a_canary_of_another_owner(place: Place) -> None:
    """Someone unpauses during an attempt: the Deployment makes a second set of its own."""
    deployed(place, 3)
    held(place, "v2")
    canary(place, 2)
    resume(place)


SCRIPTS: Mapping[str, Callable[[Place], None]] = {
    script.__name__: script
    for script in (
        hand_over,
        release_while_paused,
        release_without_mark,
        release_after_scale_down,
        release_after_scale_up,
        release_of_unready,
        reclaim,
        take_over,
        second_set_of_an_old_version,
        release_of_a_small_set,
        undo,
        scale_while_paused,
        scale_while_paused_in_the_middle,
        scale_down_in_the_middle,
        scale_a_canary_beside_the_deployment,
        resume_with_a_canary_of_another_owner,
    )
}


@dataclass(frozen=True, slots=True)
class Ending:
    """What a script ended in.

    `sets` has, for each ReplicaSet: its version (or "canary v2"), spec.replicas, available
    replicas and the kind of its controller. `status` are the Deployment's counts and revision.
    """

    sets: tuple[tuple[str, int, int, str], ...]
    status: tuple[tuple[str, int], ...]
    revision: str
    reasons: tuple[str, ...]


def ending(place: Place) -> Ending:
    """Read how a place looks now."""
    sets = []
    for body in place.all("replicaset"):
        owners = body["metadata"].get("ownerReferences") or ()
        owner = next((each["kind"] for each in owners if each.get("controller")), "")
        word = "canary " if body["metadata"]["name"] == "shop-canary" else ""
        available = (body.get("status") or {}).get("availableReplicas", 0)
        sets.append((word + version_of(body), body["spec"]["replicas"], available, owner))
    body = place.get("deployment", "shop")
    status = body.get("status") or {}
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    reasons = tuple(sorted(item["reason"] for item in status.get("conditions") or ()))
    return Ending(
        tuple(sorted(sets)),
        tuple((key, status.get(key, 0)) for key in counts),
        (body["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", ""),
        reasons,
    )


def main(names: Sequence[str]) -> int:
    """Run scripts on both and compare."""
    from tests.testing.places import FakePlace, kubectl_place

    differing = 0
    for name in names or list(SCRIPTS):
        fake = FakePlace()
        SCRIPTS[name](fake)
        expected = ending(fake)
        with kubectl_place(name.replace("_", "-")[:40]) as real:
            SCRIPTS[name](real)
            found = ending(real)
        same = expected == found
        differing += not same
        sys.stdout.write(f"{'same     ' if same else 'DIFFERENT'} {name}\n  {found}\n")
        if not same:
            sys.stdout.write(f"  in memory: {expected}\n")
        sys.stdout.flush()
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
