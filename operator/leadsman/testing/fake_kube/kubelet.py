"""The node: starts pods, makes them ready, lets them crash, ends them.

How a pod behaves is a `Behaviour`, taken from the test's callback or else from the environment of
its first container, in the words of the demo application (STARTUP_DELAY_MS, READY_AFTER_MS,
CRASH_AFTER_MS, EXIT_CODE), or from an image named `missing`. Tests can also act on one
pod: `set_ready`, `crash`, `evict`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from leadsman.ports import POD, Body, Ref
from leadsman.testing.fake_kube.controllers import Cluster
from leadsman.testing.fake_kube.server import condition, missing, pod_terminal
from leadsman.testing.fake_kube.store import Change
from leadsman.testing.fake_kube.trees import dig, stamp

NODE = "node-1"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a pod does; times in seconds of virtual time.

    `ready_after` counts from the start of the container, None is never. `crash_after` ends the
    container with `exit_code`, each time it is started. `image_error` never starts it. `end_after`
    is how long a deleted pod takes to go.
    """

    start_after: float = 0.0
    ready_after: float | None = 1.0
    crash_after: float | None = None
    exit_code: int = 1
    image_error: bool = False
    end_after: float = 0.5


@dataclass(slots=True)
class _Record:
    """What the node remembers of a pod."""

    behaviour: Behaviour
    seen: float
    started: float | None = None
    restarts: int = 0
    ended: float | None = None
    exit_code: int = 0
    reason: str = "Error"
    deleting: float | None = None
    ready: bool | None = None
    address: str = ""
    timers: set[float] = field(default_factory=set)


def _due(at: float, now: float) -> bool:
    """Whether an instant has come; sums of floats miss it by less than the clock's step."""
    return at <= now + 1e-6


def behaviour_of_environment(pod: Body, normal: Behaviour) -> Behaviour:
    """What the pod's own template asks for, `normal` for the rest."""
    container = (dig(pod, "spec", "containers") or [{}])[0]
    env = {item["name"]: item.get("value", "") for item in container.get("env") or ()}
    out = normal
    if "missing" in container.get("image", ""):
        out = replace(out, image_error=True)
    if int(env.get("STARTUP_DELAY_MS") or 0) > 0:
        out = replace(out, start_after=int(env["STARTUP_DELAY_MS"]) / 1000)
    if env.get("READY_AFTER_MS"):
        after = int(env["READY_AFTER_MS"])
        out = replace(out, ready_after=None if after < 0 else after / 1000)
    if int(env.get("CRASH_AFTER_MS") or 0) > 0:
        out = replace(out, crash_after=int(env["CRASH_AFTER_MS"]) / 1000)
    if env.get("EXIT_CODE"):
        out = replace(out, exit_code=int(env["EXIT_CODE"]))
    return out


class Kubelet:
    """Runs every pod of the cluster on one node."""

    name = "kubelet"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._records: dict[str, _Record] = {}
        self._addresses = 0
        self.normal = Behaviour()
        self.behaviour: Callable[[Body], Behaviour | None] = lambda _pod: None

    def heard(self, change: Change) -> None:
        """New pods and pods that are to go."""
        if change.kind != POD:
            return
        if change.new is None:
            self._records.pop(change.last["metadata"]["uid"], None)
        elif change.old is None or change.old["metadata"].get("deletionTimestamp") != change.new[
            "metadata"
        ].get("deletionTimestamp"):
            self._cluster.enqueue(self.name, Ref(POD, change.namespace, change.name))

    # -- what tests do to one pod --------------------------------------------------------------

    def set_ready(self, namespace: str, name: str, ready: bool | None) -> None:
        """Fail or pass the readiness probe from now on; None returns to the behaviour."""
        self._record(namespace, name).ready = ready
        self._cluster.enqueue(self.name, Ref(POD, namespace, name))

    def crash(self, namespace: str, name: str, exit_code: int = 1, reason: str = "Error") -> None:
        """End the container now; it is restarted with a growing back-off."""
        record = self._record(namespace, name)
        if record.started is not None and record.ended is None:
            self._end(record, exit_code, reason)
            self._cluster.enqueue(self.name, Ref(POD, namespace, name))

    def evict(self, namespace: str, name: str, *, pressure: bool = False) -> None:
        """Drain the pod away (deleted by the eviction API), or fail it for node pressure."""
        ref = Ref(POD, namespace, name)
        pod = self._cluster.server.must(ref)
        reason = "TerminationByKubelet" if pressure else "EvictionByEvictionAPI"
        target = self._condition(pod, "DisruptionTarget", True, reason)
        conditions = [*(dig(pod, "status", "conditions") or ()), target]
        status = {**pod["status"], "conditions": conditions}
        if not pressure:
            self._cluster.server.set_status(ref, pod, status)
            self._cluster.server.delete(ref)
            return
        ready = {"Ready", "ContainersReady"}
        status["conditions"] = [
            self._condition(pod, item["type"], False, "PodFailed")
            if item["type"] in ready
            else item
            for item in conditions
        ]
        status |= {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}
        self._cluster.server.set_status(ref, pod, status)

    # -- one look at one pod -------------------------------------------------------------------

    def sync(self, ref: Ref) -> None:
        """Bring one pod's status up to what time and its behaviour ask for."""
        pod = self._cluster.store.get(ref)
        if pod is None:
            return
        now = self._cluster.clock.monotonic()
        record = self._record(ref.namespace, ref.name)
        if "deletionTimestamp" in pod["metadata"]:
            self._terminate(ref, pod, record, now)
            return
        if pod_terminal(pod):
            return
        if not dig(pod, "spec", "nodeName"):
            bound = {**pod, "spec": {**pod["spec"], "nodeName": NODE}}
            pod = self._cluster.server.put(ref, pod, bound)
        self._run(record, now)
        self._cluster.server.set_status(ref, pod, self._status(pod, record, now))
        self._wake(ref, record, now)

    def _record(self, namespace: str, name: str) -> _Record:
        ref = Ref(POD, namespace, name)
        pod = self._cluster.store.get(ref)
        if pod is None:
            raise missing(ref)
        uid = pod["metadata"]["uid"]
        record = self._records.get(uid)
        if record is None:
            self._addresses += 1
            high, low = divmod(self._addresses, 250)
            behaviour = self.behaviour(pod) or behaviour_of_environment(pod, self.normal)
            record = _Record(behaviour, self._cluster.clock.monotonic())
            record.address = f"10.244.{high}.{low + 1}"
            self._records[uid] = record
        return record

    def _terminate(self, ref: Ref, pod: Body, record: _Record, now: float) -> None:
        if record.deleting is None:
            record.deleting = now
        ends = record.deleting + record.behaviour.end_after
        if not _due(ends, now) and not pod_terminal(pod):
            self._later(ref, record, now, ends - now)
        elif not pod["metadata"].get("finalizers"):
            self._cluster.store.remove(POD, pod)

    def _end(self, record: _Record, exit_code: int, reason: str) -> None:
        record.ended = self._cluster.clock.monotonic()
        record.exit_code, record.reason = exit_code, reason

    def _restart_at(self, record: _Record) -> float:
        """When a container that ended runs again: soon at first, then after 10 s, doubling."""
        wait = 1.0 if record.restarts == 0 else min(300.0, 10.0 * 2 ** (record.restarts - 1))
        return (record.ended or 0.0) + wait

    def _run(self, record: _Record, now: float) -> None:
        behaviour = record.behaviour
        if behaviour.image_error:
            return
        if record.started is None and _due(record.seen + behaviour.start_after, now):
            record.started = now
        if record.ended is not None and _due(self._restart_at(record), now):
            record.started, record.ended = now, None
            record.restarts += 1
        if record.started is not None and record.ended is None:
            crash = behaviour.crash_after
            if crash is not None and _due(record.started + crash, now):
                self._end(record, behaviour.exit_code, "Error")

    def _is_ready(self, record: _Record, now: float) -> bool:
        if record.started is None or record.ended is not None:
            return False
        if record.ready is not None:
            return record.ready
        after = record.behaviour.ready_after
        return after is not None and _due(record.started + after, now)

    def _wake(self, ref: Ref, record: _Record, now: float) -> None:
        behaviour = record.behaviour
        times = []
        if record.started is None and not behaviour.image_error:
            times.append(record.seen + behaviour.start_after)
        elif record.ended is not None:
            times.append(self._restart_at(record))
        elif record.started is not None:
            if behaviour.crash_after is not None:
                times.append(record.started + behaviour.crash_after)
            if behaviour.ready_after is not None:
                times.append(record.started + behaviour.ready_after)
        for at in times:
            if not _due(at, now):
                self._later(ref, record, now, at - now)

    def _later(self, ref: Ref, record: _Record, now: float, seconds: float) -> None:
        due = round(now + seconds, 6)
        if due not in record.timers:
            record.timers.add(due)
            self._cluster.later(seconds, self.name, ref)

    def _condition(self, pod: Body, kind: str, value: bool, reason: str = "") -> Body:
        wanted = "True" if value else "False"
        known = condition(pod, kind)
        if known is not None and known["status"] == wanted:
            return known
        made = {
            "type": kind,
            "status": wanted,
            "lastTransitionTime": stamp(self._cluster.clock.now()),
        }
        return {**made, "reason": reason} if reason else made

    def _status(self, pod: Body, record: _Record, now: float) -> Body:
        ready = self._is_ready(record, now)
        why = "" if ready else "ContainersNotReady"
        container = (dig(pod, "spec", "containers") or [{}])[0]
        status: Body = {
            **pod["status"],
            "phase": "Pending" if record.started is None else "Running",
            "conditions": [
                self._condition(pod, "PodScheduled", True),
                self._condition(pod, "Initialized", True),
                self._condition(pod, "ContainersReady", ready, why),
                self._condition(pod, "Ready", ready, why),
            ],
            "containerStatuses": [self._container(pod, container, record, ready)],
            "podIP": record.address,
            "podIPs": [{"ip": record.address}],
            "hostIP": "10.78.0.1",
        }
        kept = condition(pod, "DisruptionTarget")
        if kept is not None:
            status["conditions"].append(kept)
        if record.started is not None and "startTime" not in status:
            status["startTime"] = stamp(self._cluster.clock.now())
        return status

    def _container(self, pod: Body, container: Body, record: _Record, ready: bool) -> Body:
        before = (dig(pod, "status", "containerStatuses") or [{}])[0]
        ended = {
            "terminated": {
                "exitCode": record.exit_code,
                "reason": record.reason,
                "finishedAt": stamp(self._cluster.clock.now()),
            }
        }
        known = before.get("state") or {}
        if record.behaviour.image_error:
            state: Body = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
        elif record.started is None:
            state = {"waiting": {"reason": "ContainerCreating"}}
        elif record.ended is None:
            state = (
                known
                if "running" in known and before.get("restartCount") == record.restarts
                else {}
            )
            state = state or {"running": {"startedAt": stamp(self._cluster.clock.now())}}
        elif record.restarts == 0:
            state = known if "terminated" in known else ended
        else:
            state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting"}}
        last = before.get("lastState") or {}
        if "terminated" in known and "terminated" not in state:
            last = known
        elif record.ended is not None and record.restarts > 0 and "running" in known:
            last = ended
        return {
            "name": container.get("name", ""),
            "image": container.get("image", ""),
            "ready": ready,
            "started": record.started is not None and record.ended is None,
            "restartCount": record.restarts,
            "state": state,
            "lastState": last,
        }
