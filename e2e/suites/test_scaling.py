"""Somebody else scales while a release is under way: a person, or an autoscaler."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.objects import HOLD, NAME, plan
from e2e.harness.strength import asked, available, canary_set, fewest_ready, lowered, stable_set

STAGES = (25, 50, 100)
FOUR = (5, 25, 50, 100)
LONG = 8.0
"""Seconds of a stage in which the replicas change twice, and are waited for."""

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


def in_both_ways(apps: Callable[[str], App], scenario: Callable[[App, Scale, Scale], None]) -> None:
    """Two teams side by side: what a person does to the one, an autoscaler does to the other."""
    ways = {
        "by-kubectl": (by_kubectl, by_the_scale_sub_resource),
        "by-autoscaler": (by_the_scale_sub_resource, by_kubectl),
    }
    teams = [(apps(name), up, down) for name, (up, down) in ways.items()]
    with ThreadPoolExecutor(len(teams)) as threads:
        for running in [threads.submit(scenario, *team) for team in teams]:
            running.result()


def followed(app: App, weight: int, following: int, replicas: int) -> None:
    """Both versions have the pods that a stage needs of so many replicas.

    The canary may already have those of the following stage.
    """
    least, most = (-(-share * replicas // 100) for share in (weight, following))

    def met() -> bool:
        stable, canary = stable_set(app), canary_set(app)
        return (
            asked(app, stable) == available(app, stable) == replicas
            and least <= (asked(app, canary) or 0) <= most
            and available(app, canary) >= least
        )

    app.wait(f"both versions follow to {replicas} replicas at {weight} %", met, 30)


def at_every_stage(app: App, up: Scale, down: Scale) -> None:
    app.install()
    app.govern(plan=plan(*FOUR, hold=f"{LONG:g}s"))
    with app.users(100, inside=25) as traffic:
        app.release("v2")
        for weight, following in zip(FOUR, (*FOUR[1:], 100), strict=True):
            app.at_weight(weight)
            up(app, UP)
            followed(app, weight, following, UP)
            down(app, DOWN)
            followed(app, weight, following, DOWN)
            assert app.weight() == weight, "the stage was over before it was tried both ways"
        app.finished("Promoted")
        app.rest()
    oracles.nobody_lost(traffic)
    assert app.complete(DOWN)
    assert not lowered(app), "the weight was lowered although nothing was lost"
    oracles.never_above_the_plan(app, FOUR, LONG)
    oracles.capacity_before_traffic(app, "v2")
    oracles.callers_inside_saw_only_stable(app, traffic, "v2")


def test_scaled_up_and_down_within_every_stage(apps: Callable[[str], App]):
    in_both_ways(apps, at_every_stage)


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


def at_the_hand_over(app: App, up: Scale, down: Scale) -> None:
    app.install()
    app.govern(plan=plan(100, hold="1s"), contract={})
    before = 4
    with app.users(100, inside=25) as traffic:
        for number, (scale, replicas) in enumerate(((up, UP), (down, DOWN)), start=1):
            version = f"v{number + 1}"
            app.release(version)
            full = app.at_weight(100)
            app.wait("the hand-over", lambda: heading(app) == "HandingOver")
            until_it_holds(app, scale, replicas)
            app.finished("Promoted", number=number)
            app.rest()
            assert app.complete(replicas)
            assert fewest_ready(app, version, full) >= min(before, replicas)
            before = replicas
    oracles.nobody_lost(traffic)


def test_scaled_during_the_hand_over_no_moment_is_without_its_pods(apps: Callable[[str], App]):
    in_both_ways(apps, at_the_hand_over)


def while_it_rolls_back(app: App, up: Scale, down: Scale) -> None:
    app.install()
    app.govern(plan=plan(50, 100, delay="12s"))
    with app.users(100, inside=25) as traffic:
        app.release("v2", ERROR_RATE="0.5")
        app.wait("it is rolled back", lambda: heading(app) == "RollingBack")
        stable = stable_set(app)
        for scale, replicas in ((up, UP), (down, DOWN)):
            scale(app, replicas)
            app.wait(
                f"stable follows to {replicas} replicas",
                lambda replicas=replicas: asked(app, stable) == available(app, stable) == replicas,
                20,
            )
            assert heading(app) == "RollingBack", "it was over before it was tried both ways"
            assert app.weight() == 0
        app.finished("RolledBack")
        app.rest(held=True)
    oracles.only_answers_failed(traffic)
    assert traffic.inside is not None
    assert traffic.inside.failed == 0, traffic.told()
    assert [one.value for one in oracles.weights(app) if one.value is not None] == [0, 50, 0]
    assert len(app.pods("v1")) == DOWN


def test_scaled_up_and_down_during_a_rollback(apps: Callable[[str], App]):
    in_both_ways(apps, while_it_rolls_back)


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
