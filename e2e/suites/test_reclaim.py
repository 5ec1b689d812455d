"""The Deployment controller was faster, or took a release only in part: what it did is undone.

Whoever may unpause a held Deployment lets its controller shrink stable and start pods of the new
version behind everybody's back. The suites act as the operator's own account, the only one that the
holding policy lets through, so that this happens for certain and only in their own namespace; and
they take away, from one release, what tells the Deployment controller that the set is whole. Each
asks the history that the harm was there, and then that it was made good before anything else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from e2e.harness import oracles
from e2e.harness.api import Api, Body
from e2e.harness.app import App, Place
from e2e.harness.objects import HOLD, NAME, plan
from e2e.harness.reading import ready_pods
from e2e.harness.strength import (
    asked,
    available,
    fewest_asked,
    fewest_ready,
    owner_of,
    raised,
    stable_set,
)

STAGES = (50, 100)
REPLICAS = 4
PATIENCE = 5.0
"""Seconds within which the Deployment controller is once quicker than the operator's pause."""

DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"


@pytest.fixture
def unheld(place: Place, tmp_path: Path) -> Iterator[Api]:
    """The API as the operator's account: the one whose unpausing the policy lets through."""
    _, _, namespace, name = place.operator.user.split(":")
    url = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = place.api.request("POST", url, body=body)["status"]["token"]
    config = yaml.safe_load(place.cluster.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    api = Api(file)
    yield api
    api.close()


def grown(app: App, stable: str, since: float) -> set[str]:
    """Other ReplicaSets of which the Deployment had started pods since then."""
    return {
        change.name
        for change in app.history.of("ReplicaSet")
        if change.at >= since
        and change.name != stable
        and owner_of(change.body) == "Deployment"
        and change.body["spec"]["replicas"] > 0
    }


def let_loose(app: App, unheld: Api, stable: str) -> tuple[float, set[str]]:
    """Unpauses until stable has shrunk for it; since when, and the sets that were made of it."""
    since = time.time()
    until = time.monotonic() + PATIENCE
    while fewest_asked(app, stable, since) == REPLICAS:
        assert time.monotonic() < until, f"never quicker than the operator\n{app.history.told()}"
        unheld.patch("Deployment", NAME, app.namespace, {"spec": {"paused": False}})
        time.sleep(0.05)
    return since, grown(app, stable, since)


def strong_again(app: App, stable: str) -> None:
    """Stable is whole, the Deployment is held and has started no other set."""

    def met() -> bool:
        deployment = app.history.get("Deployment", NAME) or {"spec": {}}
        others = [
            body
            for body in app.history.all("ReplicaSet")
            if owner_of(body) == "Deployment" and body["metadata"]["name"] != stable
        ]
        idle = not any(body["spec"]["replicas"] for body in others)
        return (
            idle
            and bool(deployment["spec"].get("paused"))
            and asked(app, stable) == available(app, stable) == REPLICAS
        )

    app.wait("stable is whole again and the Deployment is held", met, 20)


def test_what_the_deployment_made_of_a_running_release_is_reclaimed_before_it_goes_on(
    app: App, unheld: Api
):
    app.install(replicas=REPLICAS)
    app.govern(plan=plan(*STAGES))
    stable = stable_set(app)
    hits: list[tuple[float, set[str]]] = []
    with app.users() as traffic:
        # Its pods are ready late, so that none of those made behind our back ever serves.
        app.change(VERSION="v2", READY_AFTER_MS=2500)
        begun = time.time()
        hits.append(let_loose(app, unheld, stable))
        strong_again(app, stable)
        app.at_weight(50)
        hits.append(let_loose(app, unheld, stable))
        strong_again(app, stable)
        full = app.at_weight(100)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    oracles.never_above_the_plan(app, STAGES, HOLD)
    oracles.callers_inside_saw_only_stable(app, traffic, "v2")
    for at, weight in raised(app, begun, full):
        whole = fewest_asked(app, stable, at, at) == REPLICAS
        assert whole, f"{weight} % before stable had its strength\n{app.history.told()}"
    canary = stable_set(app)
    made = set().union(*(sets for _, sets in hits))
    assert made, "the Deployment controller made no set of the new template"
    left = {body["metadata"]["name"] for body in app.history.all("ReplicaSet")}
    assert left == {stable, canary}
    assert fewest_ready(app, "v2", full) == REPLICAS


def test_a_refused_release_that_somebody_lets_loose_is_reclaimed_and_stays_refused(
    app: App, unheld: Api
):
    app.install(replicas=REPLICAS)
    app.govern(plan=plan(25, 100))
    stable = stable_set(app)
    with app.users() as traffic:
        app.change(VERSION="v2", ERROR_RATE="0.5", READY_AFTER_MS=2500)
        app.finished("RolledBack")
        app.rest(held=True)
        refused = app.status()["refused"]
        since, made = let_loose(app, unheld, stable)
        strong_again(app, stable)
        app.wait(
            "nothing is left of what the Deployment made",
            lambda: len(app.history.all("ReplicaSet")) == 1 and not app.pods("v2"),
            20,
        )
        app.rest(held=True)
    assert made
    assert traffic.inside is not None
    assert traffic.inside.reached("v2") == 0
    assert traffic.inside.failed == 0, traffic.told()
    assert traffic.routed.reached_after("v2", since) == 0
    assert app.status()["refused"] == refused
    assert len(app.past()) == 1
    assert not raised(app, since)


def not_whole(app: App) -> list[Body]:
    """A policy for this namespace: a released set is not the size that the Deployment expects.

    To the Deployment controller this is what a scale call in the last moment looks like: it scales
    both sets in proportion to what their annotations say, and the one that carries all traffic
    shrinks.
    """
    name = f"not-whole-{app.namespace}"
    released = (
        "has(oldObject.metadata.ownerReferences)"
        " && oldObject.metadata.ownerReferences.exists(one, one.kind == 'Rollout')"
        " && !(has(object.metadata.ownerReferences)"
        " && object.metadata.ownerReferences.exists(one, one.kind == 'Rollout'))"
        f" && object.spec.replicas > 0 && '{DESIRED}' in object.metadata.annotations"
    )
    told = ", ".join(
        f'JSONPatch{{op: "add", path: "/metadata/annotations/{name.replace("/", "~1")}",'
        f' value: "{value}"}}'
        for name, value in ((DESIRED, 1), (MOST, 5 * REPLICAS))
    )
    rule = {
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "resources": ["replicasets"],
        "operations": ["UPDATE"],
    }
    api = "admissionregistration.k8s.io/v1"
    policy: Body = {
        "apiVersion": api,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": app.namespace}
                },
                "resourceRules": [rule],
            },
            "matchConditions": [{"name": "released", "expression": released}],
            "failurePolicy": "Ignore",
            "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": f"[{told}]"}}],
        },
    }
    binding: Body = {
        "apiVersion": api,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name},
    }
    return [policy, binding]


@pytest.fixture
def misled(app: App) -> Iterator[Callable[[], None]]:
    """Until it is called, the Deployment controller takes no release of this namespace whole."""
    bodies = not_whole(app)
    for body in bodies:
        app.api.create(body)

    def mend() -> None:
        for body in reversed(bodies):
            app.api.delete(body["kind"], body["metadata"]["name"])

    yield mend
    mend()


def test_a_release_that_the_deployment_did_not_take_whole_is_taken_back_and_made_again(
    app: App, misled: Callable[[], None]
):
    app.install(replicas=REPLICAS)
    app.govern(plan=plan(100, hold="1s"), contract={})
    with app.users() as traffic:
        app.release("v2")
        app.wait("it is taken back", lambda: "HandOverRepeated" in app.event_reasons(), 60)
        misled()
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    canary = stable_set(app)
    told: list[tuple[str, int]] = []
    for change in app.history.of("ReplicaSet", canary):
        now = owner_of(change.body), int(change.body["spec"]["replicas"])
        if now[0] and now not in told[-1:]:
            told.append(now)
    assert told[-1] == ("Deployment", REPLICAS)
    owners = [owner for owner, _ in told]
    first = owners.index("Deployment")
    assert "Rollout" in owners[first:], f"never taken back: {told}"
    shrunk = min(replicas for _, replicas in told[first:])
    assert shrunk < REPLICAS, f"the Deployment took it whole: {told}"
    back = first + owners[first:].index("Rollout")
    assert ("Rollout", REPLICAS) in told[back:], f"not made whole before it was released: {told}"
    assert len(ready_pods(app.pods("v2"))) == REPLICAS
