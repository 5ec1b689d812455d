"""A good release: opened stage by stage, promoted with the very pods that were tried."""

from __future__ import annotations

from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.objects import HOLD, contract, guard, plan


def test_a_good_release_is_promoted_without_a_lost_request_or_a_restarted_pod(app: App):
    app.install()
    app.govern(plan=plan(5, 25, 50, 100))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(0)
        app.at_weight(5)
        app.at_weight(25)
        app.at_weight(50)
        app.at_weight(100)
        entry = app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    assert traffic.routed.served("v2") > 0
    assert entry["maxWeight"] == 100
    oracles.never_above_the_plan(app, (5, 25, 50, 100), HOLD)
    oracles.weights_add_up(app)
    oracles.capacity_before_traffic(app, "v2")
    oracles.pods_kept(app, "v2")
    oracles.callers_inside_saw_only_stable(app, traffic, "v2")
    assert app.ready()["status"] == "True"
    assert app.ready()["reason"] == "Promoted"
    reasons = app.event_reasons()
    assert reasons.count("AttemptStarted") == 1
    assert reasons.count("StageStarted") == 4
    assert reasons.count("Promoted") == 1


def test_no_routed_request_meets_the_canary_before_its_first_weight(app: App):
    app.install()
    app.govern(plan=plan(25, 100))
    with app.users() as traffic:
        app.release("v2")
        first = app.at_weight(25)
        app.finished("Promoted")
    assert traffic.routed.reached_before("v2", first) == 0
    oracles.nobody_lost(traffic)


def test_a_return_to_an_older_version_takes_its_replica_set_over(app: App):
    app.install()
    app.govern(plan=plan(50, 100, hold="3s"))
    first = app.history.all("ReplicaSet")[0]["metadata"]["uid"]
    with app.users() as traffic:
        app.release("v2")
        app.finished("Promoted")
        app.rest()
        app.release("v1")
        app.wait("the old set is taken over", lambda: _owner(app, first) == "Rollout")
        app.finished("Promoted", number=2)
        app.rest()
    oracles.nobody_lost(traffic)
    assert _owner(app, first) == "Deployment"
    assert len(app.history.all("ReplicaSet")) == 2
    ready = [pod["metadata"]["ownerReferences"][0]["uid"] for pod in app.pods("v1")]
    assert ready == [first] * 4
    oracles.never_above_the_plan(app, (50, 100), 3.0)


def test_a_release_that_is_unguarded_is_promoted_by_time_alone(app: App):
    app.install(replicas=2)
    app.govern(plan=plan(50, 100, hold="2s"), contract={})
    app.release("v2")
    app.finished("Promoted")
    app.rest()
    oracles.pods_kept(app, "v2")


def test_a_guard_that_only_warns_does_not_stop_a_release(app: App):
    app.install()
    warns = guard("warns", on_fail="Warn", limit="1%")
    app.govern(plan=plan(50, 100), contract=contract(warns, guard("lost", limit="60%")))
    with app.users(inside=0) as traffic:
        app.release("v2", ERROR_RATE="0.2")
        app.wait(
            "the warning is told",
            lambda: app.condition("GuardsPassing").get("status") == "False",
        )
        app.finished("Promoted")
    oracles.failed_only_by(traffic, "v2")
    app.rest()


def _owner(app: App, uid: str) -> str:
    for body in app.history.all("ReplicaSet"):
        if body["metadata"]["uid"] == uid:
            owners = body["metadata"].get("ownerReferences", [])
            return str(owners[0]["kind"]) if owners else ""
    return ""
