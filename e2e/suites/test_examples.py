"""The examples, applied unchanged: they do what their comments say."""

from __future__ import annotations

import pytest
import yaml

from e2e.harness import objects, oracles
from e2e.harness.api import Body
from e2e.harness.app import App
from e2e.harness.objects import NAME, ROOT

ALONE = pytest.mark.disruptive
"""Not that they disturb: they promote by a judgement of latency, so nothing must disturb them."""

HOST = "shop.example.com"


def example(name: str) -> list[Body]:
    return list(yaml.safe_load_all((ROOT / "examples" / name).read_text()))


def new_version(app: App, version: str, **env: str) -> None:
    """The Deployment of examples/app.yaml with another VERSION, as a team would edit it."""
    body = next(one for one in example("app.yaml") if one["kind"] == "Deployment")
    container = body["spec"]["template"]["spec"]["containers"][0]
    variables = {"VERSION": version, **env}
    container["env"] = [{"name": key, "value": value} for key, value in variables.items()]
    app.apply(body)


def start(app: App, rollout: str) -> None:
    app.apply(*example("app.yaml"))
    app.wait("the first version is available", lambda: app.complete(4))
    app.remember()
    app.apply(*example(rollout))
    app.wait("Ready", lambda: app.ready().get("status") == "True" and app.status().get("stable"))


def on_a_host_of_its_own(app: App) -> None:
    """Another host, because these may run at the same time."""
    route = objects.route(app.host)
    assert route["spec"]["rules"] == example("app.yaml")[2]["spec"]["rules"]
    app.apply(route)
    app.remember()
    app.wait("the gateway answers", app.served)


def bad_then_good(app: App, stages: tuple[int, ...], host: str = "") -> None:
    """More than 5 % errors are rolled back; a good release goes through all stages."""
    with app.users(host=host) as traffic:
        new_version(app, "v2", ERROR_RATE="0.3")
        entry = app.finished("RolledBack")
        app.rest(held=True)
        assert entry["reason"] == "GuardFailed"
        new_version(app, "v3")
        app.finished("Promoted", number=2, seconds=240)
        app.rest()
    bad = traffic.routed.reached("v2") - traffic.routed.served("v2")
    assert traffic.routed.failed == bad, traffic.told()
    oracles.callers_inside_saw_only_stable(app, traffic, "v2")
    good = oracles.attempts(oracles.weights(app))[-1]
    assert tuple(one.value for one in good if one.value) == stages
    oracles.pods_kept(app, "v3")


@ALONE
def test_rollout_yaml_with_its_plan_its_contract_and_its_guards(app: App):
    start(app, "rollout.yaml")
    bad_then_good(app, (5, 25, 50, 100), HOST)
    assert app.api.get("RolloutPlan", "canary", app.namespace)


def test_rollout_yaml_rolls_a_slow_release_back(app: App):
    start(app, "rollout.yaml")
    on_a_host_of_its_own(app)
    with app.users(inside=0) as traffic:
        new_version(app, "v2", LATENCY_MS="400")
        entry = app.finished("RolledBack")
    oracles.nobody_lost(traffic)
    assert entry["reason"] == "GuardFailed"
    assert entry["maxWeight"] == 5
    assert "guard slow: " in entry["message"], entry["message"]


@ALONE
def test_rollout_inline_yaml(app: App):
    start(app, "rollout-inline.yaml")
    on_a_host_of_its_own(app)
    bad_then_good(app, (20, 100))
    assert app.rollout()["metadata"]["name"] == NAME


@ALONE
def test_contract_sequential_yaml_rolls_a_bad_release_back(app: App):
    """The contract as it is, honoured by the example's Rollout in place of its own."""
    start(app, "rollout.yaml")
    on_a_host_of_its_own(app)
    app.apply(*example("contract-sequential.yaml"))
    body = next(one for one in example("rollout.yaml") if one["kind"] == "Rollout")
    body["spec"]["contractRefs"] = [{"name": "shop-slo-sequential"}]
    app.apply(body)
    app.wait(
        "Ready by the new contract",
        lambda: (
            app.ready().get("status") == "True"
            and app.ready()["observedGeneration"] == app.rollout()["metadata"]["generation"] > 1
        ),
    )
    with app.users(inside=0) as traffic:
        new_version(app, "v2", ERROR_RATE="0.3")
        entry = app.finished("RolledBack")
        app.rest(held=True)
    assert entry["reason"] == "GuardFailed"
    assert "HarmDetected" in entry["message"], entry["message"]
    oracles.only_answers_failed(traffic)
