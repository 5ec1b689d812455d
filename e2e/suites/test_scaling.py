"""Somebody else scales while a release is under way: a person, or an autoscaler."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.objects import HOLD, NAME, plan
from e2e.harness.reading import ready_pods
from e2e.harness.strength import (
    asked,
    available,
    canary_set,
    fewest_ready,
    follows,
    lowered,
    stable_set,
)

STAGES = (25, 50, 100)
FOUR = (5, 25, 50, 100)
UP, DOWN = 6, 3

Scale = Callable[[App, int], None]


def by_kubectl(app: App, replicas: int) -> None:
    app.scale(replicas)


def by_the_scale_sub_resource(app: App, replicas: int) -> None:
    """As a HorizontalPodAutoscaler does it."""
    body = {"spec": {"replicas": replicas}}
    app.api.patch("Deployment", NAME, app.namespace, body, sub="scale", manager="autoscaler")


def test_replicas_doubled_at_25_percent_are_not_taken_for_a_loss(app: App):
    app.install()
    app.govern(plan=plan(*STAGES))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(25)
        app.scale(8)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    assert app.complete(8)
    assert not lowered(app), "the weight was lowered although nothing was lost"
    oracles.never_above_the_plan(app, STAGES, HOLD)
    oracles.pods_kept(app, "v2")


TURNS: tuple[tuple[Scale, int], ...] = (
    (by_kubectl, UP),
    (by_the_scale_sub_resource, DOWN),
    (by_the_scale_sub_resource, UP),
    (by_kubectl, DOWN),
)
"""Both directions, by a person and by an autoscaler."""


def side_by_side(scenario: Callable[[App, int], None], teams: dict[int, App]) -> None:
    """One scenario for several teams at once, each with the number that is its own."""
    with ThreadPoolExecutor(len(teams)) as threads:
        runs = [threads.submit(scenario, app, number) for number, app in teams.items()]
        for one in runs:
            one.result()


def followed(app: App, weight: int, replicas: int) -> None:
    """Both versions have the pods that a stage needs of so many replicas.

    Those that the canary has beyond them may stay for the next stage, which needs them all.
    """
    needed = -(-weight * replicas // 100)

    def met() -> bool:
        stable, canary = stable_set(app), canary_set(app)
        return (
            follows(app, stable, replicas)
            and needed <= (asked(app, canary) or 0) <= replicas
            and available(app, canary) >= needed
        )

    app.wait(f"both versions follow to {replicas} replicas at {weight} %", met, 30)


def scaled_at(app: App, weight: int) -> None:
    """The stage is open for longer than all of it takes: a busy machine changes nothing."""
    app.install()
    # Four teams end at the same moment, and the gateway hears of all of it in turn.
    app.govern(plan=plan(*sorted({weight, 100}), hold="300s", settle="3s"))
    with app.users(50, inside=12) as traffic:
        app.release("v2")
        app.at_weight(weight)
        for scale, replicas in TURNS:
            scale(app, replicas)
            followed(app, weight, replicas)
            assert app.weight() == weight
        app.release("v1")
        app.wait("the attempt ends", lambda: app.past() and not app.status().get("attempt"))
        app.rest()
    oracles.nobody_lost(traffic)
    assert app.past()[0]["reason"] == "Reverted"
    assert app.complete(DOWN)
    values = [one.value for one in oracles.weights(app) if one.value is not None]
    assert values == [0, weight, 0], "the weight was lowered although nothing was lost"
    assert traffic.inside is not None
    assert traffic.inside.reached("v2") == 0


def test_scaled_up_and_down_at_every_stage(apps: Callable[[str], App]):
    side_by_side(scaled_at, {weight: apps(str(weight)) for weight in FOUR})


def heading(app: App) -> str:
    """Where the attempt goes; "" at rest."""
    attempt = app.status().get("attempt") or {}
    return str(attempt.get("direction", {}).get("name", ""))


def until_it_holds(app: App, scale: Scale, replicas: int) -> None:
    """Scales again and again, as an autoscaler does: a frozen Deployment keeps its replicas."""
    until = time.monotonic() + 20
    while app.deployment()["spec"]["replicas"] != replicas:
        assert time.monotonic() < until, f"never scaled to {replicas}\n{app.history.told()}"
        scale(app, replicas)
        time.sleep(0.1)


def all_seen_ready(app: App, version: str, replicas: int) -> float:
    """When the test has heard of all pods (Unix seconds): one watch may be behind another."""
    app.wait("the pods are seen ready", lambda: len(ready_pods(app.pods(version))) == replicas)
    return time.time()


def scaled_at_the_hand_over(app: App, first: int) -> None:
    app.install()
    app.govern(plan=plan(100, hold="3s"), contract={})
    before = 4
    with app.users(100, inside=25) as traffic:
        for number, (scale, replicas) in enumerate(TURNS[first : first + 2], start=1):
            version = f"v{number + 1}"
            app.release(version)
            app.at_weight(100)
            full = all_seen_ready(app, version, before)
            app.wait("the hand-over", lambda: heading(app) == "HandingOver")
            until_it_holds(app, scale, replicas)
            app.finished("Promoted", number=number)
            app.rest()
            assert app.complete(replicas)
            assert fewest_ready(app, version, full) >= min(before, replicas)
            before = replicas
    oracles.nobody_lost(traffic)


def test_scaled_during_the_hand_over_no_moment_is_without_its_pods(apps: Callable[[str], App]):
    side_by_side(scaled_at_the_hand_over, {turn: apps(str(turn)) for turn in (0, 2)})


def test_scaled_up_and_down_during_a_rollback(app: App):
    app.install()
    app.govern(plan=plan(50, 100, delay="300s"))
    with app.users() as traffic:
        app.release("v2", ERROR_RATE="0.5")
        app.wait("it is rolled back", lambda: heading(app) == "RollingBack")
        app.at_weight(0)
        stable = stable_set(app)
        for scale, replicas in TURNS:
            scale(app, replicas)
            app.wait(
                f"stable follows to {replicas} replicas",
                partial(follows, app, stable, replicas),
                20,
            )
            assert heading(app) == "RollingBack"
        app.release("v1")  # ends the five minutes' delay at once
        app.finished("RolledBack")
        app.rest()
    oracles.only_answers_failed(traffic)
    assert traffic.inside is not None
    assert traffic.inside.failed == 0, traffic.told()
    assert [one.value for one in oracles.weights(app) if one.value is not None] == [0, 50, 0]
    assert app.complete(DOWN)


def test_an_autoscaler_that_counts_the_canary_is_told_and_a_release_goes_on(app: App):
    metric = {
        "type": "External",
        "external": {"metric": {"name": "depth"}, "target": {"type": "Value", "value": "10"}},
    }
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
        "minReplicas": 4,
        "maxReplicas": 12,
        "metrics": [metric],
    }
    app.install(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": NAME},
            "spec": spec,
        }
    )
    app.govern(plan=plan(50, 100, hold="5s"))
    with app.users() as traffic:
        app.release("v2")
        app.at_weight(50)
        app.scale(8)
        moment = app.at_weight(100)
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    assert app.complete(8)
    assert oracles.ready_at(app, "v2", moment) == 4
    told = [
        one["message"]
        for change in app.history.of("Rollout")
        for one in change.body.get("status", {}).get("conditions", [])
        if one["type"] == "AutoscalingSafe" and one["reason"] == "CanaryCounted"
    ]
    assert told
    assert "metric depth of type Value" in told[0]


def test_scaled_to_nothing_holds_a_new_template_until_it_is_scaled_up(app: App):
    app.install()
    app.govern(plan=plan(50, 100))
    app.scale(0)
    app.wait("it is scaled to nothing", lambda: not app.pods())
    app.release("v2")
    app.wait("it is held", lambda: app.ready().get("reason") == "Holding")
    assert "scaled to 0" in app.ready()["message"]
    with app.users(inside=0):
        app.scale(4)
        app.finished("Promoted")
    app.rest()
