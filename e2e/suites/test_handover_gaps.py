"""The dangerous 100 ms: something happens just as the canary's ReplicaSet is released.

Between the operator's last look and the Deployment controller's sync the set may turn out not to be
saturated. The freezing policy closes the gap for scaling; what it cannot close, `reclaim` repairs.
Either way no request is lost and the end is a complete Deployment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.installation import Installation
from e2e.harness.objects import NAME, plan
from e2e.harness.reading import ready_pods

DELAYS = (0.0, 0.03, 0.1)
"""Seconds after the release; 0: already when the hand-over begins."""

Hit = Callable[[App, int], None]


def direction(app: App) -> str:
    """Where the attempt goes; "" at rest."""
    attempt: dict[str, Any] = app.status().get("attempt") or {}
    return str(attempt.get("direction", {}).get("name", ""))


def released(app: App, version: str) -> bool:
    """The set that has this version's pods is the Deployment's."""
    owners = {pod["metadata"]["ownerReferences"][0]["name"] for pod in app.pods(version)}
    return any(
        any(one["kind"] == "Deployment" for one in body["metadata"].get("ownerReferences", []))
        for body in app.history.all("ReplicaSet")
        if body["metadata"]["name"] in owners
    )


def scale_in_a_barrage(app: App, number: int) -> None:
    """Scale calls every 10 ms around the release: the freezing policy holds them off."""
    until = time.monotonic() + 0.5
    call = 0
    while time.monotonic() < until:
        body = {"spec": {"replicas": 3 + (number + call) % 4}}
        app.api.patch("Deployment", NAME, app.namespace, body, sub="scale")
        call += 1
        time.sleep(0.01)


def scale_once(app: App, _number: int) -> None:
    """One scale call, up or down, as a person or an autoscaler does it."""
    body = {"spec": {"replicas": 4 if app.complete(6) else 6}}
    app.api.patch("Deployment", NAME, app.namespace, body, sub="scale")


def unready(app: App, number: int) -> None:
    """One pod of the new version stops being ready for a moment."""
    version = f"v{number}"
    victims = ready_pods(app.pods(version))[:1]
    app.behave(victims, ready="false")
    time.sleep(1.5)
    app.behave(victims, ready="true")


def at_the_release(app: App, version: str, delay: float, hit: Callable[[], object]) -> None:
    """Runs `hit` when the hand-over begins, or `delay` after the release, as the delay says."""

    def run() -> None:
        app.history.wait(lambda: direction(app) == "HandingOver", 90)
        if delay:
            app.history.wait(lambda: released(app, version), 10)
            time.sleep(delay)
        hit()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    app.wait("the hand-over", lambda: direction(app) == "HandingOver" or app.past(), 90)
    thread.join(30)


def promotions_hit(app: App, versions: list[str], hit: Hit) -> None:
    """One promotion after the other, each hit at another moment of its hand-over."""
    with app.users() as traffic:
        for index, version in enumerate(versions):
            number = len(app.past()) + 1
            app.release(version)
            which = int(version.removeprefix("v"))
            delay = DELAYS[index % len(DELAYS)]
            at_the_release(app, version, delay, partial(hit, app, which))
            app.finished("Promoted", number=number)
            app.rest()
    oracles.nobody_lost(traffic)
    assert app.complete()


NEW = ["v2", "v3", "v4"]
TAKEN_OVER = ["v2", "v1", "v2", "v1"]


@pytest.mark.parametrize("versions", [NEW, TAKEN_OVER], ids=["new", "taken-over"])
@pytest.mark.parametrize("hit", [scale_in_a_barrage, unready])
def test_hit_at_the_release(app: App, versions, hit):
    app.install()
    app.govern(plan=plan(100, hold="1s"), contract={})
    promotions_hit(app, versions, hit)


@pytest.mark.disruptive
@pytest.mark.parametrize("versions", [NEW, TAKEN_OVER], ids=["new", "taken-over"])
@pytest.mark.parametrize("hit", [scale_once, unready])
def test_hit_at_the_release_without_the_freezing_policy(
    app: App, operator: Installation, versions, hit
):
    app.install()
    with operator.without_policies("freeze"):
        app.govern(plan=plan(100, hold="1s"), contract={})
        promotions_hit(app, versions, hit)


def newer_template_at_the_release(
    app: App, versions: list[str], delay: float, following: str
) -> None:
    """The last of these releases meets a newer template at its hand-over."""
    with app.users() as traffic:
        for number, version in enumerate(versions[:-1], start=1):
            app.release(version)
            app.finished("Promoted", number=number)
            app.rest()
        app.release(versions[-1])
        at_the_release(app, versions[-1], delay, lambda: app.change(VERSION=following))
        app.wait(
            f"{following} serves and nothing is under way",
            lambda: (
                not app.status().get("attempt")
                and app.complete(4)
                and len(ready_pods(app.pods(following))) == 4
            ),
            120,
        )
        app.rest()
    oracles.nobody_lost(traffic)


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("following", ["v3", "v1"], ids=["new", "taken-over"])
def test_a_newer_template_at_the_release_waits_for_its_end_or_takes_its_place(
    app: App, delay, following
):
    app.install()
    app.govern(plan=plan(100, hold="1s"), contract={})
    newer_template_at_the_release(app, ["v2"], delay, following)


def test_a_newer_template_at_the_release_of_a_set_that_was_taken_over(app: App):
    app.install()
    app.govern(plan=plan(100, hold="1s"), contract={})
    newer_template_at_the_release(app, ["v2", "v1"], 0.03, "v3")


@pytest.mark.disruptive
@pytest.mark.parametrize("versions", [["v2"], ["v2", "v1"]], ids=["new", "taken-over"])
def test_a_newer_template_at_the_release_without_the_freezing_policy(
    app: App, operator: Installation, versions
):
    app.install()
    with operator.without_policies("freeze"):
        app.govern(plan=plan(100, hold="1s"), contract={})
        newer_template_at_the_release(app, versions, 0.03, "v3")
