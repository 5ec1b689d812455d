"""The rollback under conditions that make others wait.

Half of the rounds have one of three stable pods ready, the others a gateway that may no longer
write its routes' status, so that no acceptance is ever seen. Weight 0 must wait for neither.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.bed import application, measured, open_place, question, weight_seen
from bench.rollback import Samples
from e2e.harness.api import Body
from e2e.harness.app import App, Place
from e2e.harness.evidence import Probe
from e2e.harness.reading import ready_pods, version_of

ROUNDS = 10


def run(boot: int, boots: int) -> Samples:
    """The rounds of one boot."""
    place = open_place()
    seconds: list[float] = []
    with application(place, f"blocked-{boot}", replicas=3) as app, app.users(200, 0):
        for number in range(1, ROUNDS + 1):
            phase = ((number - 1) * boots + boot) / (ROUNDS * boots)
            seconds.append(_round(app, f"v{number + 1}", number, phase))
    return {"rollback_blocked_seconds": seconds}


def _round(app: App, version: str, number: int, phase: float) -> float:
    raised = measured(app, version, number)
    time.sleep(6)
    if number % 2:
        return _weak(app, version, number, phase, raised)
    with frozen_gateway(app.place):
        took = _break(app, version, phase, raised)
        print(f"{version}: gateway's status frozen: {took:.3f} s", flush=True)
    _rest(app, number)
    return took


def _weak(app: App, version: str, number: int, phase: float, raised: float) -> float:
    stable = [pod for pod in ready_pods(app.pods()) if version_of(pod) != version]
    app.behave(stable[:2], ready="false")

    def one_ready() -> bool:
        ready = [pod for pod in ready_pods(app.pods()) if version_of(pod) != version]
        return len(ready) == 1

    try:
        app.wait("one of three stable pods is ready", one_ready, 30)
        time.sleep(1)
        took = _break(app, version, phase, raised)
        print(f"{version}: one of three stable pods ready: {took:.3f} s", flush=True)
    finally:
        app.behave(stable[:2], ready="true")
    _rest(app, number)
    return took


def _break(app: App, version: str, phase: float, raised: float) -> float:
    probe = Probe(app.place.cluster.prometheus_url, question(app), raised).start()
    time.sleep(-(time.time() - phase) % 1.0)
    broken = time.time()
    app.behave(version, errorRate=0.3)
    try:
        app.wait("the canary is taken off", lambda: app.weight() in (0, None), 120)
        off = weight_seen(app, 0, broken)
        evidence = probe.wait(3)
    finally:
        probe.stop()
    if evidence is None:
        raise LookupError(f"the bench found no evidence ({probe.problem})")
    return off - evidence


def _rest(app: App, number: int) -> None:
    app.finished("RolledBack", number)
    app.rest(held=True)


@contextmanager
def frozen_gateway(place: Place) -> Iterator[None]:
    """Inside the block the gateway may not write the status of HTTPRoutes."""
    api = place.api
    url = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    roles: list[Body] = api.request("GET", url)["items"]
    changed: list[Body] = []
    for role in roles:
        rules = role.get("rules") or []
        # Only a gateway's own controller may write the status of gateway classes.
        if not any("gatewayclasses/status" in (rule.get("resources") or ()) for rule in rules):
            continue
        less = copy.deepcopy(role)
        for rule in less["rules"]:
            if "httproutes/status" in (rule.get("resources") or ()):
                rule["resources"] = [one for one in rule["resources"] if one != "httproutes/status"]
        less["rules"] = [rule for rule in less["rules"] if rule.get("resources") != []]
        _put_rules(place, role["metadata"]["name"], less["rules"])
        changed.append(role)
    if not changed:
        raise LookupError("no role of a gateway may write httproutes/status")
    time.sleep(0.5)  # authorization follows by a watch
    try:
        yield
    finally:
        for role in changed:
            _put_rules(place, role["metadata"]["name"], role["rules"])


def _put_rules(place: Place, name: str, rules: list[Body]) -> None:
    place.api.request(
        "PATCH",
        f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}",
        body={"rules": rules},
        content_type="application/merge-patch+json",
    )
