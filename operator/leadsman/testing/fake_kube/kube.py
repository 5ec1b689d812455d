"""FakeKube: the `Kube` port in memory, with everything around it that a release meets.

One object is the API server, the controllers, the node, the gateway, the users and the faults of
a small cluster. Nothing happens by itself: controllers run by `step`, `settle` or `advance`, or
after every write with `autorun=True`. Two runs with the same calls are equal byte by byte.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from leadsman import ports
from leadsman.errors import ApiError, NotFoundError
from leadsman.ports import (
    DEPLOYMENT,
    FIELD_MANAGER,
    POD,
    REPLICASET,
    Body,
    JsonPatch,
    Kind,
    Listing,
    Ref,
    WatchEvent,
)
from leadsman.testing.clock import FakeClock
from leadsman.testing.fake_kube.controllers import Chooser, Cluster, Work
from leadsman.testing.fake_kube.deployments import Deployments
from leadsman.testing.fake_kube.endpoints import Endpoints
from leadsman.testing.fake_kube.faults import Faults, Request, Write
from leadsman.testing.fake_kube.garbage import Garbage
from leadsman.testing.fake_kube.gateway import Gateway, Traffic
from leadsman.testing.fake_kube.kubelet import Kubelet
from leadsman.testing.fake_kube.patches import json_patch_request
from leadsman.testing.fake_kube.policies import FREEZE, HOLD, Policies
from leadsman.testing.fake_kube.replicasets import ReplicaSets
from leadsman.testing.fake_kube.store import Change
from leadsman.testing.fake_kube.trees import clone, controller_of, copy_stored, dig
from leadsman.testing.fake_kube.users import Users
from leadsman.testing.fake_kube.watches import Watches, key_of, matcher

BUILT_IN = tuple(value for value in vars(ports).values() if isinstance(value, Kind))
"""Every Kind that the ports name; more are served after `FakeKube.serve`."""


class NotSettledError(AssertionError):
    """Raised when the controllers are still busy after the steps that `settle` was given."""


class FakeKube(Users):
    """A cluster in memory. See the package's documentation for what it does and does not do."""

    def __init__(
        self,
        clock: FakeClock | None = None,
        *,
        policies: str | None = "hold+freeze",
        autorun: bool = False,
    ) -> None:
        """Start an empty cluster.

        `policies` names what is installed: "hold+freeze", "hold", "freeze", "" (none), or None
        for an older server that does not even know the kinds.
        """
        self.clock = clock or FakeClock()
        self.autorun = autorun
        self.faults = Faults()
        self.writes: list[Write] = []
        self.requests: list[Request] = []
        self.kinds = {(kind.api_version, kind.kind): kind for kind in BUILT_IN}
        self.cluster = Cluster(self.clock)
        self.cluster.on_timer = self._autorun
        self.deployments = Deployments(self.cluster)
        self.replicasets = ReplicaSets(self.cluster)
        self.kubelet = Kubelet(self.cluster)
        self.endpoints = Endpoints(self.cluster)
        self.gateway = Gateway(self.cluster)
        for controller in (
            self.deployments,
            self.replicasets,
            self.kubelet,
            self.endpoints,
            self.gateway,
            Garbage(self.cluster),
        ):
            self.cluster.add(controller)
        self.policies = Policies(self.cluster)
        self._watches = Watches(self.cluster.store)
        self._operator_writes = 0
        if policies is None:
            self.unserve(ports.MUTATINGPOLICY)
            self.unserve(ports.MUTATINGPOLICYBINDING)
        else:
            for name, word in ((HOLD, "hold"), (FREEZE, "freeze")):
                if word in policies:
                    self.policies.install(name)

    # -- kinds --------------------------------------------------------------------------------

    def serve(self, kind: Kind, schema: Callable[[Body], Body] | None = None) -> None:
        """Serve one more kind; `schema` fills in defaults, prunes, and refuses."""
        self.kinds[(kind.api_version, kind.kind)] = kind
        if schema is not None:
            self.cluster.server.schemas[kind] = schema

    def unserve(self, kind: Kind) -> None:
        """Answer every request for a kind with 404, as a server without it does."""
        self.kinds.pop((kind.api_version, kind.kind), None)

    def _known(self, kind: Kind) -> None:
        if (kind.api_version, kind.kind) not in self.kinds:
            raise NotFoundError(404, "NotFound", "the server could not find the requested resource")

    # -- the port -----------------------------------------------------------------------------

    def _enter(
        self, verb: str, ref: Ref, subresource: str = "", *, write: bool = False
    ) -> ApiError | None:
        time = self.clock.now()
        self.requests.append(Request(time, verb, ref.kind, ref.namespace, ref.name, subresource))
        late = self.faults.meet(verb, ref.kind, write=write)
        self._known(ref.kind)
        return late

    async def get(self, ref: Ref) -> Body:
        """Read one object. Raises NotFoundError."""
        self._enter("get", ref)
        return copy_stored(self.cluster.server.must(ref))

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> Listing:
        """List a kind; namespace "" is the whole cluster."""
        self._enter("list", Ref(kind, namespace, ""))
        stale = self.faults.take_stale(kind)
        if stale is not None:
            return stale
        match = matcher(namespace, labels, fields)
        found = self.cluster.store.all(kind, namespace)
        items = tuple(copy_stored(obj) for obj in found if match(obj))
        return Listing(items, str(self.cluster.store.revision))

    async def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        since: str,
        wanted: Callable[[str, str], bool] | None = None,
    ) -> AsyncIterator[WatchEvent]:
        """Stream changes after `since`, of wanted objects (namespace, name) where that is said.

        Raises GoneError when they are no longer kept.
        """
        self._enter("watch", Ref(kind, namespace, ""))
        async for event in self._watches.watch(kind, namespace, labels, fields, since):
            if wanted is None or event.type == "BOOKMARK" or wanted(*key_of(event.body)):
                yield event

    async def latest(self, kind: Kind, namespace: str = "") -> str:
        """The resourceVersion to watch from; neither counted as a request nor failed."""
        del kind, namespace
        return str(self.cluster.store.revision)

    async def versions(self, kind: Kind, namespace: str = "") -> Mapping[tuple[str, str], str]:
        """The resourceVersion of every object; neither counted as a request nor failed."""
        return {
            key_of(one): one["metadata"]["resourceVersion"]
            for one in self.peek_all(kind, namespace)
        }

    async def patch(
        self, ref: Ref, operations: JsonPatch, *, subresource: str = "", dry_run: bool = False
    ) -> Body:
        """Apply a JSON Patch as field manager `leadsman`."""
        plain = json.loads(json.dumps([dict(each) for each in operations]))

        def apply() -> Body:
            return self.cluster.server.update(
                ref,
                lambda obj: json_patch_request(obj, plain),
                manager=FIELD_MANAGER,
                subresource=subresource,
                dry_run=dry_run,
            )

        return self._write("patch", ref, plain, apply, subresource=subresource, dry_run=dry_run)

    async def create(self, kind: Kind, namespace: str, body: Body) -> Body:
        """Create an object as field manager `leadsman`."""
        plain = json.loads(json.dumps(body))
        ref = Ref(kind, namespace, plain.get("metadata", {}).get("name", ""))
        return self._write(
            "create",
            ref,
            plain,
            lambda: self.cluster.server.create(kind, namespace, plain, FIELD_MANAGER),
        )

    async def delete(
        self, ref: Ref, *, uid: str = "", resource_version: str = "", orphan: bool = False
    ) -> None:
        """Delete an object if the preconditions hold."""

        def apply() -> Body:
            self.cluster.server.delete(
                ref, uid=uid, resource_version=resource_version, orphan=orphan
            )
            return {}

        asked = {"uid": uid, "resourceVersion": resource_version, "orphan": orphan}
        self._write("delete", ref, asked, apply)

    def _write(
        self,
        verb: str,
        ref: Ref,
        body: Any,
        apply: Callable[[], Body],
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Body:
        late = self._enter(verb, ref, subresource, write=not dry_run)
        number = 0
        if not dry_run:
            self._operator_writes += 1
            number = self._operator_writes
        time = self.clock.now()
        asked = Write(number, time, verb, ref, subresource, FIELD_MANAGER, body, dry_run=dry_run)
        if self.faults.before_write is not None and not dry_run:
            self.faults.before_write(asked)
        before = self.cluster.store.revision
        try:
            out = apply()
        except ApiError as error:
            self._done(asked, changed=False, error=error.reason)
            raise
        answer = clone(out)
        self._done(asked, changed=self.cluster.store.revision != before)
        if late is not None:
            raise late
        return answer

    def _done(self, asked: Write, *, changed: bool, error: str = "") -> None:
        done = Write(
            asked.number,
            asked.time,
            asked.verb,
            asked.ref,
            asked.subresource,
            asked.manager,
            asked.body,
            changed,
            error,
            asked.dry_run,
        )
        self.writes.append(done)
        if asked.dry_run:
            return
        if self.faults.after_write is not None:
            self.faults.after_write(done)
        self._autorun()

    # -- running ------------------------------------------------------------------------------

    def after_users(self) -> None:
        """Run controllers after a user's write if asked to."""
        self._autorun()

    def _autorun(self) -> None:
        if self.autorun:
            self.settle()

    @property
    def pending(self) -> tuple[Work, ...]:
        """What controllers would look at now."""
        return tuple(self.cluster.queue)

    def step(self, chooser: Chooser | None = None) -> Work | None:
        """Let one controller look at one object: the oldest due, or the one chosen."""
        return self.cluster.step(chooser)

    def settle(self, max_steps: int = 20_000, chooser: Chooser | None = None) -> int:
        """Run controllers until none has anything to do now, and say in how many steps."""
        for steps in range(max_steps):
            if self.cluster.step(chooser) is None:
                return steps
        raise NotSettledError(f"still busy after {max_steps} steps: {self.pending[:5]}")

    def advance(self, seconds: float, chooser: Chooser | None = None) -> None:
        """Move virtual time, settling at each instant at which something is due."""
        target = self.clock.tick_after(seconds)
        self.settle(chooser=chooser)
        while (tick := self.clock.next_tick()) is not None and tick <= target:
            self.clock.advance_to(tick)
            self.settle(chooser=chooser)
        self.clock.advance_to(target)

    async def run(self, seconds: float, chooser: Chooser | None = None) -> None:
        """As `advance`, and let the event loop's other tasks run at each instant."""
        target = self.clock.tick_after(seconds)
        await self._turns(chooser)
        while (tick := self.clock.next_tick()) is not None and tick <= target:
            self.clock.advance_to(tick)
            await self._turns(chooser)
        self.clock.advance_to(target)
        await self._turns(chooser)

    async def _turns(self, chooser: Chooser | None) -> None:
        self.settle(chooser=chooser)
        await self.clock.turns()
        self.settle(chooser=chooser)

    # -- faults and history -------------------------------------------------------------------

    def fail_next(
        self,
        verb: str,
        kind: Kind | None = None,
        error: ApiError | None = None,
        times: int = 1,
        *,
        after_applying: bool = False,
    ) -> None:
        """See `Faults.fail_next`."""
        self.faults.fail_next(verb, kind, error, times, after_applying=after_applying)

    def cut(self, kind: Kind | None = None, error: ApiError | None = None) -> None:
        """End open watches, of one kind or all, cleanly or with an error."""
        self._watches.end(kind, error)

    def bookmark(self) -> None:
        """Send a bookmark to every open watch."""
        self._watches.bookmark()

    def compact(self) -> None:
        """Forget the history: watches from before are Gone."""
        self.cluster.store.compact()

    @property
    def watches_open(self) -> int:
        """How many watches are open now."""
        return self._watches.open

    @property
    def operator_writes(self) -> builtins.list[Write]:
        """The operator's writes so far, refused ones included, dry runs left out."""
        return [write for write in self.writes if write.number]

    def on_change(self, callback: Callable[[Change], None]) -> None:
        """Tell `callback` of every stored change: for invariants. Do not alter the bodies."""
        self.cluster.store.listeners.append(callback)

    # -- looking without asking ---------------------------------------------------------------

    def peek(self, ref: Ref) -> Body | None:
        """An object as stored, past faults and logs; a copy."""
        found = self.cluster.store.get(ref)
        return None if found is None else copy_stored(found)

    def peek_all(self, kind: Kind, namespace: str = "", labels: str = "") -> builtins.list[Body]:
        """All objects of a kind as stored, past faults and logs; copies."""
        match = matcher(namespace, labels, "")
        return [copy_stored(obj) for obj in self.cluster.store.all(kind, namespace) if match(obj)]

    def sizes(self, namespace: str) -> Mapping[str, tuple[int, int, str]]:
        """For each ReplicaSet: spec.replicas, available replicas, and `kind/name` of its owner."""
        out = {}
        for obj in self.cluster.store.all(REPLICASET, namespace):
            owner = controller_of(obj)
            told = f"{owner['kind']}/{owner['name']}" if owner else ""
            available = dig(obj, "status", "availableReplicas") or 0
            out[obj["metadata"]["name"]] = (obj["spec"]["replicas"], available, told)
        return out

    def pods(self, namespace: str, labels: str = "") -> builtins.list[Body]:
        """The pods that exist, terminating ones included."""
        return self.peek_all(POD, namespace, labels)

    def traffic(
        self, namespace: str, route: str, rule: int = 0, kind: Kind = ports.HTTPROUTE
    ) -> Traffic:
        """Which pods get which share of a rule's requests now (see `Gateway.traffic`)."""
        return self.gateway.traffic(Ref(kind, namespace, route), rule)

    def service_traffic(self, namespace: str, service: str) -> Traffic:
        """Which pods get which share of the requests to a Service's cluster IP now."""
        return self.gateway.service_traffic(namespace, service)

    def deployment(self, namespace: str, name: str) -> Body:
        """A Deployment as stored. Raises NotFoundError."""
        return copy_stored(self.cluster.server.must(Ref(DEPLOYMENT, namespace, name)))
