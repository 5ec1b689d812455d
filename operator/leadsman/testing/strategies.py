"""Hypothesis strategies: what users, nodes and networks do to a release, as data.

Each event is a small frozen dataclass with `apply(scene)`, so that a failing example prints as a
story and shrinks to a short one. What the API server refuses a user is part of the story and is
not an error. Needs `hypothesis`, which is not a dependency of Leadsman itself: import this module
in tests only.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from hypothesis import strategies as st

from leadsman.errors import ApiError, ConflictError, UnavailableError
from leadsman.ports import DEPLOYMENT, GRPCROUTE, HTTPROUTE, ROLLOUT, SERVICE, Body, Kind, Ref
from leadsman.testing.fake_kube import FakeKube
from leadsman.testing.fake_kube.controllers import Chooser, Work
from leadsman.testing.fake_metrics import FakeMetrics


@dataclass(slots=True)
class Scene:
    """Where events happen: a cluster and the names of one release's objects.

    `manifests` are the user's own, by kind, as they were applied last; `release` writes a
    version into the Deployment's manifest.
    """

    kube: FakeKube
    namespace: str = "default"
    name: str = "shop"
    manifests: dict[Kind, Body] = field(default_factory=dict)
    metrics: FakeMetrics | None = None

    def ref(self, kind: Kind) -> Ref:
        """The release's object of a kind: all carry the same name."""
        return Ref(kind, self.namespace, self.name)

    def pods(self) -> list[str]:
        """Names of the living pods that the Service selects, in order."""
        service = self.kube.peek(self.ref(SERVICE))
        selector = (service or {}).get("spec", {}).get("selector") or {}
        labels = ",".join(
            f"{key}={value}" for key, value in selector.items() if key != "pod-template-hash"
        )
        return [
            pod["metadata"]["name"]
            for pod in self.kube.pods(self.namespace, labels)
            if "deletionTimestamp" not in pod["metadata"]
        ]


class Event(Protocol):
    """Something that happens to a scene."""

    def apply(self, scene: Scene) -> None:
        """Let it happen."""
        ...


@dataclass(frozen=True, slots=True)
class Release:
    """The user applies the Deployment with another version (VERSION of its first container)."""

    version: str
    server_side: bool = False

    def apply(self, scene: Scene) -> None:
        """Apply the manifest."""
        manifest = scene.manifests[DEPLOYMENT]
        spec = manifest["spec"]["template"]["spec"]
        (container, *rest) = spec["containers"]
        env = [item for item in container.get("env") or () if item["name"] != "VERSION"]
        env.append({"name": "VERSION", "value": self.version})
        template = {
            **manifest["spec"]["template"],
            "spec": {**spec, "containers": [{**container, "env": env}, *rest]},
        }
        changed = {**manifest, "spec": {**manifest["spec"], "template": template}}
        scene.manifests[DEPLOYMENT] = changed
        with suppress(ApiError):
            scene.kube.user_apply(changed, server_side=self.server_side, force=self.server_side)


@dataclass(frozen=True, slots=True)
class Scale:
    """Somebody scales the Deployment, as kubectl or an autoscaler does."""

    replicas: int
    subresource: bool = True

    def apply(self, scene: Scene) -> None:
        """Scale."""
        with suppress(ApiError):
            scene.kube.user_scale(
                scene.namespace, scene.name, self.replicas, subresource=self.subresource
            )


@dataclass(frozen=True, slots=True)
class Resume:
    """`kubectl rollout resume`."""

    def apply(self, scene: Scene) -> None:
        """Unpause."""
        with suppress(ApiError):
            operations = [{"op": "add", "path": "/spec/paused", "value": False}]
            scene.kube.user_patch(scene.ref(DEPLOYMENT), operations, "kubectl-rollout")


@dataclass(frozen=True, slots=True)
class Undo:
    """`kubectl rollout undo`, or `restart`: both refused while paused."""

    restart: bool = False

    def apply(self, scene: Scene) -> None:
        """Undo or restart."""
        act = scene.kube.user_restart if self.restart else scene.kube.user_undo
        with suppress(ApiError):
            act(scene.namespace, scene.name)


@dataclass(frozen=True, slots=True)
class Reapply:
    """The user's own manifest again: a CI job or a GitOps tool."""

    kind: Kind
    server_side: bool = False
    force: bool = True

    def apply(self, scene: Scene) -> None:
        """Apply what was applied last."""
        manifest = scene.manifests.get(self.kind)
        if manifest is not None:
            with suppress(ApiError):
                scene.kube.user_apply(
                    manifest, server_side=self.server_side, force=self.server_side and self.force
                )


@dataclass(frozen=True, slots=True)
class Delete:
    """Somebody deletes one of the release's objects."""

    kind: Kind

    def apply(self, scene: Scene) -> None:
        """Delete it."""
        with suppress(ApiError):
            scene.kube.user_delete(scene.ref(self.kind))


@dataclass(frozen=True, slots=True)
class PodFalls:
    """A pod crashes, is evicted, is deleted, or fails or passes its probe.

    `which` counts modulo the living pods.
    """

    how: str
    which: int

    def apply(self, scene: Scene) -> None:
        """Let one pod fall."""
        names = scene.pods()
        if not names:
            return
        kube, place = scene.kube, (scene.namespace, names[self.which % len(names)])
        if self.how == "crash":
            kube.kubelet.crash(*place)
        elif self.how == "unready":
            kube.kubelet.set_ready(*place, False)
        elif self.how == "ready":
            kube.kubelet.set_ready(*place, None)
        else:
            kube.kubelet.evict(*place, pressure=self.how == "pressure")


@dataclass(frozen=True, slots=True)
class ApiFails:
    """The operator's next requests fail, before or after they were carried out."""

    verb: str
    times: int
    after_applying: bool
    conflict: bool

    def apply(self, scene: Scene) -> None:
        """Arm the fault."""
        error: ApiError = UnavailableError(503, "ServiceUnavailable", "injected fault")
        if self.conflict and not self.after_applying:
            error = ConflictError(409, "Conflict", "injected conflict")
        scene.kube.fail_next(self.verb, None, error, self.times, after_applying=self.after_applying)


@dataclass(frozen=True, slots=True)
class ApiDown:
    """The API server does not answer the operator, or does again."""

    down: bool

    def apply(self, scene: Scene) -> None:
        """Throw the switch."""
        scene.kube.faults.down = self.down


@dataclass(frozen=True, slots=True)
class GatewayFreezes:
    """The gateway's conditions or its data plane stand still, or both go on."""

    what: str

    def apply(self, scene: Scene) -> None:
        """Freeze or thaw."""
        gateway = scene.kube.gateway
        if self.what == "thaw":
            gateway.thaw()
        elif self.what == "status":
            gateway.status_frozen = True
        else:
            gateway.dataplane_frozen = True


@dataclass(frozen=True, slots=True)
class MetricsFail:
    """The metrics source fails in one way, or works again ("")."""

    how: str

    def apply(self, scene: Scene) -> None:
        """Set the switches of the scene's FakeMetrics, if it has one."""
        if scene.metrics is None:
            return
        faults = scene.metrics.faults
        faults.empty = self.how == "empty"
        faults.nan = self.how == "nan"
        faults.frozen_at = scene.kube.clock.now() if self.how == "stale" else None
        faults.error = "" if self.how in ("", "empty", "nan", "stale", "reset") else self.how
        if self.how == "reset":
            scene.metrics.reset_counters()


def heal(scene: Scene) -> None:
    """End every fault; what users did stays done."""
    scene.kube.faults.clear()
    scene.kube.gateway.thaw()
    MetricsFail("").apply(scene)
    for name in scene.pods():
        scene.kube.kubelet.set_ready(scene.namespace, name, None)


def edits(versions: Sequence[str] = ("v1", "v2", "v3")) -> st.SearchStrategy[Event]:
    """What users and tools do, but for deletions."""
    return st.one_of(
        st.builds(Release, st.sampled_from(versions), st.booleans()),
        st.builds(Scale, st.integers(1, 8), st.booleans()),
        st.builds(Resume),
        st.builds(Undo, st.booleans()),
        st.builds(
            Reapply, st.sampled_from([HTTPROUTE, SERVICE, DEPLOYMENT]), st.booleans(), st.booleans()
        ),
    )


def deletions() -> st.SearchStrategy[Event]:
    """Objects that go away in the middle of it."""
    return st.builds(Delete, st.sampled_from([ROLLOUT, HTTPROUTE, GRPCROUTE, SERVICE, DEPLOYMENT]))


def pod_events() -> st.SearchStrategy[Event]:
    """What happens to single pods."""
    how = st.sampled_from(["crash", "evict", "pressure", "unready", "ready"])
    return st.builds(PodFalls, how, st.integers(0, 7))


def faults() -> st.SearchStrategy[Event]:
    """What goes wrong between the operator and what it talks to."""
    metrics = ["", "Timeout", "Unreachable", "BadJSON", "ServerError", "empty", "nan", "stale"]
    return st.one_of(
        st.builds(
            ApiFails,
            st.sampled_from(["get", "list", "patch", "create", "delete", "*"]),
            st.integers(1, 4),
            st.booleans(),
            st.booleans(),
        ),
        st.builds(ApiDown, st.booleans()),
        st.builds(GatewayFreezes, st.sampled_from(["status", "dataplane", "thaw"])),
        st.builds(MetricsFail, st.sampled_from([*metrics, "reset"])),
    )


def seconds() -> st.SearchStrategy[float]:
    """Waits that matter: within a controller's look, within a stage, beyond one."""
    return st.sampled_from([0.0, 0.02, 0.06, 0.3, 1.0, 2.5, 6.0, 15.0])


def orders() -> st.SearchStrategy[Chooser]:
    """Orders in which controllers look: the oldest first for 0, else by a fixed sequence."""

    def order(seed: int) -> Chooser:
        state = seed

        def choose(pending: Sequence[Work]) -> int:
            nonlocal state
            if seed == 0:
                return 0
            state = (state * 1_103_515_245 + 12_345) % 2**31
            return (state >> 8) % len(pending)

        return choose

    return st.integers(0, 1000).map(order)
