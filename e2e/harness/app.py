"""One team's application in a namespace of its own: what people do with it, and how it is.

An App knows what the user stored (route and Service), because "everything as it was" is what most
suites end with. Every wait is bounded and, when it fails, tells the namespace's history.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from e2e.cluster.backend import Backend
from e2e.cluster.errors import BedError
from e2e.cluster.load import GATEWAY, Load
from e2e.harness import objects
from e2e.harness.api import Api, ApiError, Body
from e2e.harness.history import History, T
from e2e.harness.installation import Installation
from e2e.harness.pods import pod_proxy
from e2e.harness.reading import ROUTES, canary_weight, condition, version_of
from e2e.harness.rest import unrest
from e2e.harness.users import LONGEST, Report, Users


class NotMetError(AssertionError):
    """Raised when a state that must come does not come in time; the text holds the history."""


@dataclass(frozen=True, slots=True)
class Place:
    """What all suites of a session share."""

    cluster: Backend
    api: Api
    operator: Installation


@dataclass(slots=True)
class Traffic:
    """The users of one test: through the gateway, and inside the cluster past it."""

    routed: Report
    inside: Report | None = None

    def failed(self) -> int:
        """Requests that failed on either way."""
        return self.routed.failed + (self.inside.failed if self.inside else 0)

    def told(self) -> str:
        """Both reports."""
        inside = f"\n  inside: {self.inside.told()}" if self.inside else ""
        return f"routed: {self.routed.told()}{inside}"


class App:
    """The application `shop`: its objects, its Rollout, its users."""

    def __init__(self, place: Place, namespace: str) -> None:
        self.place = place
        self.api = place.api
        self.operator = place.operator
        self.namespace = namespace
        self.host = f"{namespace}.example.com"
        self.manifest: Body = {}
        self.stored: dict[tuple[str, str], str] = {}
        self.arms_stay = False
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self.history = History(self.api, namespace)
        self._loads = 0
        self._proxy = pod_proxy(place.cluster.kubeconfig)

    def close(self) -> None:
        """Removes the namespace; the operator gives everything back meanwhile."""
        self.history.close()
        self.api.delete("Namespace", self.namespace)

    # --- what people do ---------------------------------------------------------------------

    def kubectl(self, *argv: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """kubectl in this namespace; never raises by itself."""
        return self.place.cluster.run(["kubectl", "-n", self.namespace, *argv], stdin=stdin)

    def apply(self, *bodies: Body) -> None:
        """`kubectl apply -f`: client-side, as most people do."""
        document = {"apiVersion": "v1", "kind": "List", "items": list(bodies)}
        answer = self.kubectl("apply", "-f", "-", stdin=json.dumps(document))
        assert answer.returncode == 0, answer.stderr

    def install(
        self,
        *more: Body,
        version: str = "v1",
        replicas: int = 4,
        routes: Sequence[Body] | None = None,
        services: Sequence[Body] | None = None,
        serving: bool = True,
        **template: Any,
    ) -> None:
        """The application as it is before Leadsman; returns when users are served."""
        self.manifest = objects.deployment(version, replicas, **template)
        routes = [objects.route(self.host)] if routes is None else routes
        services = [objects.service()] if services is None else services
        self.apply(self.manifest, *services, *routes, *more)
        self.wait("the first version is available", lambda: self.complete(replicas))
        if serving:
            self.wait("the gateway answers", self.served)
        self.remember()

    def govern(
        self,
        plan: Body | None = None,
        contract: Body | None = None,
        *,
        adopted: bool = True,
        **spec: Any,
    ) -> None:
        """`kubectl apply -f rollout.yaml`; returns when the present version is known as stable."""
        body = objects.rollout(
            plan=plan or objects.plan(),
            contract=objects.contract() if contract is None else contract or None,
            **spec,
        )
        self.apply(body)
        if adopted:
            self.wait(
                "the Rollout is Ready and has adopted the Deployment",
                lambda: self.status().get("stable") and self.ready().get("status") == "True",
            )

    def release(self, version: str, **env: Any) -> Body:
        """Apply the Deployment's manifest with another version; `env` sets how it behaves."""
        image = env.pop("image", "")
        live = self.deployment()["spec"].get("replicas")
        self.manifest = objects.deployment(version, live, env=env, image=image)
        self.apply(self.manifest)
        return self.manifest

    def release_again(self) -> None:
        """Apply the Deployment's last manifest once more, after it was deleted."""
        self.apply(self.manifest)

    def change(self, **env: Any) -> Body:
        """Release by a patch of the template's environment, without touching anything else."""
        container = {
            "name": "app",
            "env": [{"name": key, "value": str(value)} for key, value in env.items()],
        }
        body: Body = {"spec": {"template": {"spec": {"containers": [container]}}}}
        return self.api.request(
            "PATCH",
            f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{objects.NAME}",
            body=body,
            content_type="application/strategic-merge-patch+json",
        )

    def scale(self, replicas: int) -> None:
        """`kubectl scale deployment`."""
        answer = self.kubectl("scale", f"deployment/{objects.NAME}", f"--replicas={replicas}")
        assert answer.returncode == 0, answer.stderr

    def behave(self, pods: str | Sequence[Body], **settings: Any) -> int:
        """POST /admin to every pod of a version, or to these pods; how many took it."""
        told = self.pods(pods) if isinstance(pods, str) else pods
        return self._proxy.post(told, "admin", settings)

    def remember(self) -> None:
        """What is stored now is what must be there again at rest."""
        self.stored = {}
        for kind in ROUTES:
            for body in self.api.list(kind, self.namespace):
                self.stored[kind, body["metadata"]["name"]] = json.dumps(body["spec"])
        for body in self.api.list("Service", self.namespace):
            if not body["metadata"].get("ownerReferences"):
                self.stored["Service", body["metadata"]["name"]] = json.dumps(body["spec"])

    @contextmanager
    def users(
        self, rps: float = 200, inside: float = 50, *, grpc: bool = False, host: str = ""
    ) -> Iterator[Traffic]:
        """Steady load during the block; the Traffic is complete when the block has ended.

        It begins when no more than so many other test processes send (`Installation.sending`).
        """
        with self.operator.sending():
            yield from self._users(rps, inside, grpc, host)

    def _users(self, rps: float, inside: float, grpc: bool, host: str) -> Iterator[Traffic]:
        self._loads += 1
        loads = [
            Load(
                f"routed-{self._loads}",
                self.namespace,
                host or self.host,
                GATEWAY,
                rps,
                LONGEST,
                grpc=grpc,
            )
        ]
        if inside:
            url = f"http://{objects.NAME}.{self.namespace}.svc:{9090 if grpc else 80}/"
            name = f"inside-{self._loads}"
            # New connections, so that each request meets whichever pods the Service has now.
            loads.append(
                Load(name, self.namespace, "", url, inside, LONGEST, grpc=grpc, keepalive=False)
            )
        running: list[Users] = []
        traffic = Traffic(Report({"planned": 0, "failed": 0, "versions": {}, "seconds": []}))
        try:
            for load in loads:
                running.append(Users(self.api, load))
                running[-1].begin()
            for one in running:
                one.sending()
            yield traffic
        except BaseException as error:
            # Each of them is ended: a load that nobody reads takes from the tests that follow.
            for one in running:
                with suppress(ApiError, BedError, OSError, httpx.HTTPError):
                    error.add_note(one.stop().told())
            raise
        reports = [one.stop() for one in running]
        traffic.routed = reports[0]
        traffic.inside = reports[1] if inside else None

    # --- how it is --------------------------------------------------------------------------

    def deployment(self) -> Body:
        """The Deployment, from the API."""
        return self.api.get("Deployment", objects.NAME, self.namespace) or {}

    def rollout(self, name: str = objects.NAME) -> Body:
        """The Rollout as last seen; {} when there is none."""
        return self.history.get("Rollout", name) or {}

    def status(self, name: str = objects.NAME) -> dict[str, Any]:
        """The Rollout's status as last seen."""
        found: dict[str, Any] = self.rollout(name).get("status") or {}
        return found

    def ready(self, name: str = objects.NAME) -> dict[str, Any]:
        """Condition Ready."""
        return condition(self.rollout(name), "Ready")

    def condition(self, kind: str, name: str = objects.NAME) -> dict[str, Any]:
        """Any condition of the Rollout."""
        return condition(self.rollout(name), kind)

    def past(self, name: str = objects.NAME) -> list[dict[str, Any]]:
        """The attempts that have ended, the oldest first."""
        entries = self.status(name).get("history") or []
        return sorted(entries, key=lambda one: one["number"])

    def pods(self, version: str = "") -> list[Body]:
        """Pods of the application as last seen, all or of a version."""
        return [
            pod
            for pod in self.history.all("Pod")
            if pod["metadata"].get("labels", {}).get("pod-template-hash")
            and (not version or version_of(pod) == version)
        ]

    def complete(self, replicas: int | None = None) -> bool:
        """The Deployment has rolled out, with so many replicas."""
        body = self.history.get("Deployment", objects.NAME)
        if body is None:
            return False
        spec, status = body["spec"], body.get("status", {})
        wanted = spec["replicas"]
        return (
            status.get("observedGeneration") == body["metadata"]["generation"]
            and status.get("updatedReplicas") == wanted
            and status.get("replicas") == wanted
            and status.get("availableReplicas") == wanted
            and (replicas is None or wanted == replicas)
        )

    def served(self) -> bool:
        """The gateway answers three times in a row."""
        headers = {"Host": self.host}
        for _ in range(3):
            try:
                answer = httpx.get(self.place.cluster.gateway_url, headers=headers, trust_env=False)
            except httpx.HTTPError:
                return False
            if answer.status_code != 200:
                return False
        return True

    def served_grpc(self) -> bool:
        """The gateway passes gRPC calls on: it neither knows no route nor no endpoint."""
        url = f"{self.place.cluster.gateway_url}/grpc.health.v1.Health/Check"
        headers = {"Host": self.host, "Content-Type": "application/grpc", "TE": "trailers"}
        try:
            answer = httpx.post(url, headers=headers, content=b"\0" * 5, trust_env=False)
        except httpx.RemoteProtocolError:
            return True  # the pod's gRPC server answered in a way that HTTP/1 cannot tell
        except httpx.HTTPError:
            return False
        return answer.status_code not in (404, 503)

    def events(self, name: str = objects.NAME) -> list[Body]:
        """Events that regard the Rollout, the oldest first."""
        found = [
            one
            for one in self.api.list("Event", self.namespace)
            if one.get("regarding", {}).get("kind") == "Rollout"
            and one["regarding"].get("name") == name
        ]
        return sorted(found, key=lambda one: str(one["metadata"]["creationTimestamp"]))

    def event_reasons(self) -> list[str]:
        """The reasons of those events."""
        return [str(one["reason"]) for one in self.events()]

    # --- waiting ----------------------------------------------------------------------------

    def wait(self, what: str, met: Callable[[], T | None], seconds: float = 60.0) -> T:
        """Waits for a state; raises NotMetError with the history."""
        value = self.history.wait(met, seconds)
        if not value:
            raise NotMetError(f"not within {seconds:g} s: {what}\n{self.history.told()}")
        return value

    def at_weight(self, weight: int, seconds: float = 90.0, name: str = objects.NAME) -> float:
        """Waits until a route gives the canary that weight; the moment at which it was seen."""
        since = len(self.history.changes)
        self.wait(f"canary weight {weight}", lambda: self.weight(name) == weight, seconds)
        with self.history.changed:
            changes = self.history.changes[max(0, since - 1) :]
        routes = [c.at for c in changes if c.kind in ROUTES]
        return routes[-1] if routes else time.time()

    def weight(self, service: str = objects.NAME) -> int | None:
        """The canary's highest weight on any rule; None when no rule names the arms."""
        found = [
            canary_weight(rule, service)
            for kind in ROUTES
            for body in self.history.all(kind)
            for rule in body["spec"].get("rules", [])
        ]
        weights = [one for one in found if one is not None]
        return max(weights) if weights else None

    def finished(
        self, outcome: str, number: int = 1, seconds: float = 150.0, name: str = objects.NAME
    ) -> dict[str, Any]:
        """Waits until the attempt of that number has ended, with that outcome; its record."""

        def ended() -> dict[str, Any] | None:
            if self.status(name).get("attempt"):
                return None
            return next((one for one in self.past(name) if one["number"] == number), None)

        entry = self.wait(f"attempt {number} ends: {outcome}", ended, seconds)
        if entry["outcome"] != outcome:
            raise NotMetError(
                f"attempt {number} ended as {entry['outcome']} ({entry.get('reason')}:"
                f" {entry.get('message')}), not {outcome}\n{self.history.told()}"
            )
        return entry

    def rest(self, *, held: bool = False, seconds: float = 60.0) -> None:
        """Waits until everything is as the user stored it and nothing of ours is left.

        `held`: a refused template is kept back, so the Deployment is paused.
        """
        last: list[str] = []

        def settled() -> bool:
            last[:] = unrest(self, held=held)
            return not last

        if not self.history.wait(settled, seconds):
            raise NotMetError(
                f"not at rest after {seconds:g} s: {'; '.join(last)}\n{self.history.told()}"
            )

    # --- telling ----------------------------------------------------------------------------

    def diagnosis(self) -> Iterator[tuple[str, str]]:
        """What somebody needs who reads a failure: title and text."""
        yield "history", self.history.told(300)
        for body in self.history.all("Rollout"):
            yield f"rollout {body['metadata']['name']}", json.dumps(body.get("status"), indent=1)
        with suppress(ApiError, httpx.HTTPError):
            lines = [
                f"{one['metadata']['creationTimestamp']} {one['reason']}: {one.get('note')}"
                for one in self.events()
            ]
            yield "events", "\n".join(lines)
        with suppress(ApiError, httpx.HTTPError):
            yield "operator log", self.operator.log(120, self.namespace)
