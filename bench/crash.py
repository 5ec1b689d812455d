"""Canary processes made to exit, again and again, at 20 % of 200 requests a second.

Three figures: from the exit to weight 0, from the pod's status in the API to weight 0 (which is the
operator's own part of it), and the user requests that failed.

Nobody can know of an exit before the kubelet or the metrics tell it. The kubelet looks at processes
once a second and at readiness once a second, so the application says that it is not ready at its
first failed probe (`failureThreshold: 1`); exits are spread evenly over the second. The second look
is hardly a help: the kubelet sets the probe's clock anew when it has seen a container run, so both
looks come at the same moments, and an exit is known after half a second on average, after 0.95 s
in one case of twenty.

Traefik takes at most one change of its providers in `providersThrottleDuration`, 2 s if nobody says
otherwise: the endpoints that vanish are such a change, and the weight 0 that follows at once waits
behind it. The bed's gateway has that throttle at 100 ms; the last boot counts the failed requests
with Traefik's default, reported beside them.
"""

from __future__ import annotations

import threading
import time

from bench.bed import application, audit_log, measured, moment, open_place, weight_seen
from bench.rollback import Samples
from e2e.harness import objects
from e2e.harness.app import App, Place
from e2e.harness.audit import Audit
from e2e.harness.reading import version_of
from e2e.harness.users import Report

ROUNDS = 10
QUIET = 3.0
KUBELET = "system:node:bare"
THROTTLE = "providersThrottleDuration"


def run(boot: int, boots: int) -> Samples:
    """The rounds of one boot."""
    place = open_place()
    throttled = boot == boots - 1
    if throttled:
        _default_throttle(place)
    found: Samples = {}
    spans: list[tuple[float, float]] = []
    with (
        application(place, f"crash-{boot}", prepare=_quick_probe) as app,
        app.users(200, 0) as traffic,
    ):
        for number in range(1, ROUNDS + 1):
            phase = ((number - 1) * (boots - 1) + boot) / (ROUNDS * (boots - 1)) % 1.0
            took, reaction, span = _round(app, f"v{number + 1}", number, phase)
            found.setdefault("crash_rollback_seconds", []).append(took)
            found.setdefault("crash_reaction_seconds", []).append(reaction)
            spans.append(span)
    failed = [_failed(traffic.routed, *span) for span in spans]
    if throttled:
        return {"crash_failed_requests_throttled": failed}
    return {**found, "crash_failed_requests": failed}


def _quick_probe(app: App) -> None:
    """The application is not ready at the first failed probe."""
    probe = {"readinessProbe": {"failureThreshold": 1}}
    patched = app.api.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{app.namespace}/deployments/{objects.NAME}",
        body={"spec": {"template": {"spec": {"containers": [{"name": "app", **probe}]}}}},
        content_type="application/strategic-merge-patch+json",
    )
    generation = patched["metadata"]["generation"]

    def there() -> bool:
        seen = app.history.get("Deployment", objects.NAME) or {"metadata": {"generation": 0}}
        return bool(seen["metadata"]["generation"] >= generation and app.complete(4))

    app.wait("the probe is changed", there, 60)


def _default_throttle(place: Place) -> None:
    """The gateway takes its changes at its own default pace; returns when it runs so."""
    gateway = place.api.get("Deployment", "traefik", "gateway")
    if gateway is None:
        raise LookupError("there is no Deployment traefik in namespace gateway")
    arguments = gateway["spec"]["template"]["spec"]["containers"][0]["args"]
    place.api.patch(
        "Deployment",
        "traefik",
        "gateway",
        [
            {
                "op": "replace",
                "path": "/spec/template/spec/containers/0/args",
                "value": [one for one in arguments if THROTTLE not in one],
            }
        ],
    )
    until = time.monotonic() + 60
    while time.monotonic() < until:
        now = place.api.get("Deployment", "traefik", "gateway") or {}
        status = now.get("status") or {}
        seen = status.get("observedGeneration") == now["metadata"]["generation"]
        if seen and status.get("updatedReplicas") == 1 == status.get("availableReplicas"):
            return
        time.sleep(0.5)
    raise TimeoutError("the gateway did not come back within a minute")


def _round(
    app: App, version: str, number: int, phase: float
) -> tuple[float, float, tuple[float, float]]:
    measured(app, version, number)
    time.sleep(QUIET)
    audit = Audit(audit_log(app.place))  # takes a while: before the moment is chosen
    time.sleep(-(time.time() - phase) % 1.0)
    ended = threading.Event()
    exited = time.time()
    # A crash loop has pauses that grow; to end each new process at once is the harder case.
    killer = threading.Thread(target=_kill, args=(app, version, ended), daemon=True)
    killer.start()
    try:
        app.wait("the canary is taken off", lambda: app.weight() in (0, None), 60)
    finally:
        ended.set()
        killer.join(10)
    off = weight_seen(app, 0, exited)
    app.finished("RolledBack", number)
    app.rest(held=True)
    reaction = _reaction(app, audit, version, exited)
    print(
        f"{version}: exit to weight 0 {off - exited:.3f} s,"
        f" the pod's status to the route's patch {reaction:.3f} s",
        flush=True,
    )
    return off - exited, reaction, (exited, time.time())


def _kill(app: App, version: str, ended: threading.Event) -> None:
    while not ended.is_set():
        app.behave(version, exit=1)
        ended.wait(0.2)


def _reaction(app: App, audit: Audit, version: str, exited: float) -> float:
    """From the first status that told of the exit to the route's patch, as the server saw both.

    The audit log is exact to the microsecond and knows no watch that lags.
    """
    time.sleep(1)  # the log is written in batches
    pods = {pod["metadata"]["name"] for pod in app.pods(version)}
    pods |= {c.name for c in app.history.of("Pod") if version_of(c.body) == version}
    told = [
        moment(one)
        for one in audit.requests(KUBELET, app.namespace)
        if (one.resource, one.subresource) == ("pods", "status")
        and one.name in pods
        and moment(one) >= exited
    ]
    patched = [
        moment(one)
        for one in audit.requests(app.operator.user, app.namespace)
        if one.resource == "httproutes" and moment(one) >= exited
    ]
    return min(patched) - min(told)


def _failed(report: Report, first: float, last: float) -> float:
    return float(
        sum(one["failed"] for one in report.raw["seconds"] if int(first) <= one["t"] <= last)
    )
