"""The gateway: says what it accepts, and sends traffic by what it has programmed.

The two differ in time, as on a real one: a route's status may be ahead of the data plane, behind
it, or frozen. `traffic` is the oracle for what users meet: which pods get which share now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from leadsman.ports import ENDPOINTSLICE, GRPCROUTE, HTTPROUTE, SERVICE, Body, Ref
from leadsman.testing.fake_kube.controllers import Cluster
from leadsman.testing.fake_kube.endpoints import slice_name
from leadsman.testing.fake_kube.store import Change
from leadsman.testing.fake_kube.trees import stamp

ROUTES = (HTTPROUTE, GRPCROUTE)
CONTROLLER = "traefik.io/gateway-controller"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Where one rule's requests go now. All shares are of the rule's requests and add up to 1.

    `pods` by pod name, `services` by Service name (answered or not), `lost` is what no pod gets:
    a backend without ready endpoints, a missing Service, or all weights 0.
    """

    pods: Mapping[str, float] = field(default_factory=dict)
    services: Mapping[str, float] = field(default_factory=dict)
    lost: float = 0.0


class Gateway:
    """Accepts and programs routes."""

    name = "gateway"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._due: dict[Ref, tuple[float, float]] = {}
        self._programmed: dict[Ref, Body] = {}
        self.accept_after = 0.02
        """Seconds from a route's change to its conditions."""
        self.program_after = 0.05
        """Seconds from a route's change to the data plane."""
        self.status_frozen = False
        """Conditions are not written any more; the data plane goes on."""
        self.dataplane_frozen = False
        """Nothing new is programmed; conditions go on."""
        self.refuses: Callable[[Body], str] = lambda _route: ""
        """The reason for which a route is not accepted, or ""."""
        self.on_programmed: list[Callable[[], None]] = []

    def heard(self, change: Change) -> None:
        """Routes, and Services that come and go."""
        if change.kind in ROUTES:
            ref = Ref(change.kind, change.namespace, change.name)
            if change.new is None:
                self._due.pop(ref, None)
                self._programmed.pop(ref, None)
                self._tell()
            elif change.old is None or change.old["spec"] != change.new["spec"]:
                self._changed(ref)
        elif change.kind == SERVICE and (change.old is None or change.new is None):
            for kind in ROUTES:
                for route in self._cluster.store.each(kind, change.namespace):
                    self._changed(Ref(kind, change.namespace, route["metadata"]["name"]))

    def _changed(self, ref: Ref) -> None:
        now = self._cluster.clock.monotonic()
        old = self._due.get(ref)
        program = min(old[1], now + self.program_after) if old else now + self.program_after
        self._due[ref] = (now + self.accept_after, program)
        for delay in (self.accept_after, self.program_after):
            if delay > 0:
                self._cluster.later(delay, self.name, ref)
            else:
                self._cluster.enqueue(self.name, ref)

    def thaw(self) -> None:
        """End both freezes and catch up."""
        self.status_frozen = self.dataplane_frozen = False
        for kind in ROUTES:
            for route in self._cluster.store.each(kind):
                meta = route["metadata"]
                self._changed(Ref(kind, meta["namespace"], meta["name"]))

    def sync(self, ref: Ref) -> None:
        """Program a route or write its conditions, whichever is due."""
        route = self._cluster.store.get(ref)
        if route is None:
            return
        now = self._cluster.clock.monotonic() + 1e-6
        accept, program = self._due.get(ref, (0.0, 0.0))
        if now >= program and not self.dataplane_frozen:
            if self._programmed.get(ref) is not route["spec"]:
                self._programmed[ref] = route["spec"]
                self._tell()
            if now >= accept:
                self._due.pop(ref, None)
        if now >= accept and not self.status_frozen:
            self._write_conditions(ref, route)

    def _tell(self) -> None:
        for callback in self.on_programmed:
            callback()

    def _write_conditions(self, ref: Ref, route: Body) -> None:
        refusal = self.refuses(route)
        absent = [
            backend["name"]
            for rule in route["spec"].get("rules") or ()
            for backend in rule.get("backendRefs") or ()
            if self._cluster.store.find(SERVICE, ref.namespace, backend["name"]) is None
        ]
        accepted = ("False", refusal) if refusal else ("True", "Accepted")
        resolved = ("False", "BackendNotFound") if absent else ("True", "ResolvedRefs")
        generation = route["metadata"]["generation"]
        parents = []
        known = {
            str(parent["parentRef"]): parent
            for parent in (route.get("status") or {}).get("parents") or ()
        }
        for parent in route["spec"].get("parentRefs") or ():
            before = {
                item["type"]: item for item in known.get(str(parent), {}).get("conditions") or ()
            }
            conditions = [
                self._condition(before.get(kind), kind, *told, generation)
                for kind, told in (("Accepted", accepted), ("ResolvedRefs", resolved))
            ]
            parents.append(
                {"parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions}
            )
        self._cluster.server.set_status(ref, route, {"parents": parents})

    def _condition(
        self, before: Body | None, kind: str, value: str, reason: str, generation: int
    ) -> Body:
        same = before is not None and before["status"] == value
        since = before["lastTransitionTime"] if same and before else None
        return {
            "type": kind,
            "status": value,
            "reason": reason,
            "message": "",
            "observedGeneration": generation,
            "lastTransitionTime": since or stamp(self._cluster.clock.now()),
        }

    # -- the oracle ---------------------------------------------------------------------------

    def programmed(self, ref: Ref) -> Body | None:
        """The route's spec as the data plane has it (do not change it)."""
        return self._programmed.get(ref)

    def traffic(self, ref: Ref, rule: int = 0) -> Traffic:
        """Where the requests of one rule go now."""
        pods: dict[str, float] = {}
        services: dict[str, float] = {}
        lost = 0.0
        backends = self.backends(ref, rule)
        if not any(share for _, share, _ in backends):
            return Traffic(lost=1.0)
        for service, share, ready in backends:
            if share == 0:
                continue
            services[service] = services.get(service, 0.0) + share
            if not ready:
                lost += share
            for pod in ready:
                pods[pod] = pods.get(pod, 0.0) + share / len(ready)
        return Traffic(pods, services, lost)

    def backends(self, ref: Ref, rule: int = 0) -> list[tuple[str, float, list[str]]]:
        """Each programmed backend of a rule: its Service, its share, and its ready pods."""
        rules = (self._programmed.get(ref) or {}).get("rules") or ()
        backends = (rules[rule].get("backendRefs") or ()) if rule < len(rules) else ()
        total = sum(backend["weight"] for backend in backends)
        return [
            (
                backend["name"],
                backend["weight"] / total if total else 0.0,
                ready_pods(self._cluster, ref.namespace, backend["name"]),
            )
            for backend in backends
        ]

    def service_traffic(self, namespace: str, service: str) -> Traffic:
        """Where requests to a Service's cluster IP go now.

        As kube-proxy does it: ready endpoints, or serving ones that terminate if there are none.
        """
        ready = ready_pods(self._cluster, namespace, service)
        ready = ready or ready_pods(self._cluster, namespace, service, terminating=True)
        if not ready:
            return Traffic(services={service: 1.0}, lost=1.0)
        return Traffic({pod: 1.0 / len(ready) for pod in ready}, {service: 1.0})


def ready_pods(
    cluster: Cluster, namespace: str, service: str, *, terminating: bool = False
) -> list[str]:
    """Names of the pods behind a Service that are ready (or that serve while they terminate)."""
    if cluster.store.find(SERVICE, namespace, service) is None:
        return []
    found = cluster.store.find(ENDPOINTSLICE, namespace, slice_name(service))
    if found is None:
        return []
    names = []
    for endpoint in found["endpoints"]:
        conditions = endpoint["conditions"]
        serves = conditions["serving"] and conditions["terminating"]
        if conditions["ready"] or (terminating and serves):
            names.append(endpoint["targetRef"]["name"])
    return names
