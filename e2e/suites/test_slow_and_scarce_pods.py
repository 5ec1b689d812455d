"""Pods that may not be made, that count only after a while, or that start again and again.

Weight waits for them; none of it is the version's fault by itself.
"""

from __future__ import annotations

import json

from e2e.harness import oracles
from e2e.harness.api import Body
from e2e.harness.app import App
from e2e.harness.objects import NAME, contract, guard, plan
from e2e.harness.reading import condition, pod_ready
from e2e.harness.strength import available, canary_set, follows

STAGES = (50, 100)
STEADY = 3
"""minReadySeconds of the Deployment. Kubernetes counts whole seconds from a moment that it keeps in
whole seconds, so that up to one of them may be missing."""


def quota(app: App, pods: int) -> None:
    """A ResourceQuota on the namespace's pods; returns when the API server goes by it."""
    body: Body = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "pods"},
        "spec": {"hard": {"pods": str(pods)}},
    }
    app.apply(body)

    def in_force() -> bool:
        found = json.loads(app.kubectl("get", "resourcequota", "pods", "-o", "json").stdout)
        return bool(found.get("status", {}).get("hard", {}).get("pods") == str(pods))

    app.wait("the quota is in force", in_force, 20)


def test_a_quota_that_forbids_the_canarys_pods_holds_the_release_and_touches_nobody(app: App):
    app.install()
    app.govern(plan=plan(*STAGES, hold="2s", deadline="120s"))
    kept = {pod["metadata"]["uid"] for pod in app.pods("v1")}
    with app.users() as traffic:
        quota(app, len(app.api.list("Pod", app.namespace)))
        app.release("v2")
        app.wait(
            "the canary's pods are forbidden",
            lambda: condition(app.history.get("ReplicaSet", canary_set(app)), "ReplicaFailure").get(
                "reason"
            ),
        )
        app.wait(
            "it is told what is missing",
            lambda: "0 of 2 canary pods available" in app.ready().get("message", ""),
            20,
        )
        app.wait(
            "it is told why", lambda: "exceeded quota: pods" in app.ready().get("message", ""), 70
        )
        assert app.ready()["status"] == "False"
        assert not app.pods("v2")
        assert app.weight() in (None, 0)
        assert {pod["metadata"]["uid"] for pod in app.pods("v1")} == kept
        quota(app, 40)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    oracles.never_above_the_plan(app, STAGES, 2.0)
    oracles.callers_inside_saw_only_stable(app, traffic, "v2")


def test_a_quota_that_stays_until_the_deadline_rolls_back_and_is_named(app: App):
    app.install()
    app.govern(plan=plan(*STAGES, hold="2s", deadline="15s"))
    kept = {pod["metadata"]["uid"] for pod in app.pods("v1")}
    with app.users() as traffic:
        quota(app, len(app.api.list("Pod", app.namespace)))
        app.release("v2")
        entry = app.finished("RolledBack")
        app.rest(held=True)
    oracles.nobody_lost(traffic)
    assert entry["reason"] == "DeadlineExceeded"
    assert "exceeded quota: pods" in app.status()["refused"]["message"]
    assert traffic.routed.reached("v2") == 0
    assert {pod["metadata"]["uid"] for pod in app.pods("v1")} == kept


def test_min_ready_seconds_of_the_deployment_count_for_the_canary(app: App):
    app.install()
    body = {"spec": {"minReadySeconds": STEADY}}
    app.api.patch("Deployment", NAME, app.namespace, body)
    app.wait("it is complete again", app.complete)
    app.govern(plan=plan(25, 100, hold="1s"))
    with app.users() as traffic:
        app.release("v2")
        first = app.at_weight(25)
        name = canary_set(app)
        # Routes and sets are followed by two watches: one may be some milliseconds behind.
        app.wait("its pod is available", lambda: available(app, name) >= 1, 1)
        full = app.at_weight(100)
        app.wait("all are", lambda: follows(app, name, 4), 1)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    oracles.pods_kept(app, "v2")
    readied = sorted(_ready_since(app, "v2").values())
    assert first - readied[0] >= STEADY - 1 - oracles.SLACK
    assert full - readied[-1] >= STEADY - 1 - oracles.SLACK


def _ready_since(app: App, version: str) -> dict[str, float]:
    """When each pod of a version was first seen ready (Unix seconds)."""
    found: dict[str, float] = {}
    names = {pod["metadata"]["name"] for pod in app.pods(version)}
    for change in app.history.of("Pod"):
        if change.name in names and pod_ready(change.body):
            found.setdefault(change.name, change.at)
    return found


def test_canary_containers_that_end_well_and_start_again_are_told_and_refuse_nothing(app: App):
    app.install()
    # What a container that ends leaves unanswered is no point here.
    app.govern(plan=plan(*STAGES, hold="10s"), contract=contract(guard(limit="90%")))
    with app.users(inside=0):
        app.release("v2")
        app.at_weight(50)
        app.behave("v2", exit=0)
        app.wait("it is told", lambda: "CandidateRestarting" in app.event_reasons(), 30)
        app.wait("it is shown", lambda: app.condition("CanarySteady").get("status") == "False", 10)
        app.finished("Promoted")
        app.rest()
    assert app.event_reasons().count("CandidateRestarting") == 1
