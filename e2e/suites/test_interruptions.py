"""What people do in the middle of a release, and to one that was refused."""

from __future__ import annotations

import time

from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.objects import HOLD, NAME, contract, deployment, plan


def always_paused(app: App, since: float) -> None:
    """Nothing has unpaused the Deployment since a moment (Unix seconds)."""
    states = [
        bool(change.body["spec"].get("paused"))
        for change in app.history.of("Deployment")
        if change.at >= since
    ]
    assert all(states), "the Deployment was unpaused"


def test_a_newer_template_supersedes_the_attempt_and_stable_stays_the_base(app: App):
    app.install()
    app.govern(plan=plan(25, 50, 100))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        app.release("v3")
        app.finished("Superseded")
        app.finished("Promoted", number=2)
        app.rest()
    oracles.nobody_lost(traffic)
    oracles.pods_kept(app, "v3")
    oracles.never_above_the_plan(app, (25, 50, 100), HOLD)
    assert traffic.inside is not None
    assert traffic.inside.reached("v2") == 0
    assert "refused" not in app.status()
    assert "Superseded" in app.event_reasons()


def test_a_revert_during_an_attempt_goes_back_without_a_rollout(app: App):
    app.install()
    app.govern(plan=plan(25, 50, 100))
    kept = {pod["metadata"]["uid"] for pod in app.pods("v1")}
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(50)
        app.release("v1")
        app.wait("the attempt ends", lambda: app.past() and not app.status().get("attempt"))
        app.rest()
    oracles.nobody_lost(traffic)
    assert app.past()[0]["reason"] == "Reverted"
    assert {pod["metadata"]["uid"] for pod in app.pods("v1")} == kept
    assert app.ready()["status"] == "True"
    assert "refused" not in app.status()


def test_a_revert_after_a_rollback_lifts_the_hold_without_a_rollout(app: App):
    app.install()
    app.govern(plan=plan(25, 100))
    with app.users() as traffic:
        app.release("v2", ERROR_RATE="0.5")
        app.finished("RolledBack")
        app.rest(held=True)
        kept = {pod["metadata"]["uid"] for pod in app.pods("v1")}
        app.release("v1")
        app.wait("Ready", lambda: app.ready().get("status") == "True")
        app.rest()
    oracles.failed_only_by(traffic, "v2")
    assert "refused" not in app.status()
    assert {pod["metadata"]["uid"] for pod in app.pods("v1")} == kept
    assert [one["number"] for one in app.past()] == [1]


def test_rollout_undo_at_rest_is_a_release_of_the_older_version(app: App):
    app.install()
    app.govern(plan=plan(50, 100, hold="2s"))
    with app.users() as traffic:
        app.release("v2")
        app.finished("Promoted")
        app.rest()
        answer = app.kubectl("rollout", "undo", f"deployment/{NAME}")
        assert answer.returncode == 0, answer.stderr
        app.finished("Promoted", number=2)
        app.rest()
    oracles.nobody_lost(traffic)
    assert len(app.pods("v1")) == 4


def test_rollout_restart_at_rest_is_a_release_of_the_same_version(app: App):
    app.install()
    app.govern(plan=plan(50, 100, hold="2s"))
    before = {pod["metadata"]["uid"] for pod in app.pods("v1")}
    with app.users() as traffic:
        answer = app.kubectl("rollout", "restart", f"deployment/{NAME}")
        assert answer.returncode == 0, answer.stderr
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    after = {pod["metadata"]["uid"] for pod in app.pods("v1")}
    assert not before & after


def test_kubectl_refuses_undo_and_restart_while_held_and_the_message_says_what_to_do(app: App):
    app.install()
    app.govern(plan=plan(50, 100, hold="3s"))
    with app.users() as traffic:
        app.release("v2")
        app.finished("Promoted")
        app.release("v3", ERROR_RATE="0.5")
        app.finished("RolledBack", number=2)
        app.rest(held=True)
    oracles.failed_only_by(traffic, "v3")
    for verb in ("undo", "restart"):
        answer = app.kubectl("rollout", verb, f"deployment/{NAME}")
        assert answer.returncode != 0
        assert "paused" in answer.stderr
    assert "Apply the former manifest" in app.ready()["message"]


def test_rollout_resume_during_an_attempt_changes_nothing(app: App):
    app.install()
    app.govern(plan=plan(25, 50, 100))
    with app.users() as traffic:
        app.release("v2")
        moment = app.at_weight(25)
        app.kubectl("rollout", "resume", f"deployment/{NAME}")
        app.at_weight(50)
        always_paused(app, moment)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    oracles.pods_kept(app, "v2")


def test_rollout_resume_after_a_refusal_stays_held(app: App):
    app.install()
    app.govern(plan=plan(25, 100))
    with app.users() as traffic:
        app.release("v2", ERROR_RATE="0.5")
        app.finished("RolledBack")
        app.rest(held=True)
        moment = time.time()
        app.kubectl("rollout", "resume", f"deployment/{NAME}")
        time.sleep(4)  # long enough for a wrong unpause to make pods
        always_paused(app, moment)
        app.rest(held=True)
    oracles.failed_only_by(traffic, "v2")
    assert traffic.inside is not None
    assert traffic.inside.reached("v2") == 0
    assert len(app.pods("v1")) == 4


def test_a_manifest_with_paused_false_during_an_attempt_changes_nothing(app: App):
    app.install()
    app.govern(plan=plan(25, 50, 100))
    with app.users() as traffic:
        body = app.release("v2")
        moment = app.at_weight(25)
        body["spec"]["paused"] = False
        app.apply(body)
        app.at_weight(50)
        always_paused(app, moment)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)


def test_plan_and_contract_edited_during_an_attempt_count_from_the_next_one(app: App):
    app.install()
    app.govern(plan=plan(25, 50, 100))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        app.govern(plan=plan(100, hold="1s"), contract=contract(), adopted=False)
        app.at_weight(50)
        app.finished("Promoted")
        app.rest()
        app.release("v3")
        app.finished("Promoted", number=2)
        app.rest()
    oracles.nobody_lost(traffic)
    first, second = oracles.attempts(oracles.weights(app))
    assert [one.value for one in first if one.value] == [25, 50, 100]
    assert [one.value for one in second if one.value] == [100]


def test_a_label_of_the_deployment_starts_no_attempt(app: App):
    app.install(replicas=1)
    app.govern()
    body = deployment("v1", 1)
    body["metadata"]["labels"] = {"team": "shop"}
    app.apply(body)
    app.wait(
        "the label is there",
        lambda: (app.history.get("Deployment", NAME) or {})["metadata"].get("labels"),
    )
    time.sleep(2)
    assert not app.status().get("attempt")
    assert not app.past()
    app.rest()
