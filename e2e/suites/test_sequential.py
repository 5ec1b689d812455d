"""Contracts that gather evidence, on the real cluster: harm is shown, and nothing else is.

The applications here answer some requests badly in both versions, as real ones do. Contracts ask
for large design ratios, so that a stage has its evidence after seconds; what a smaller one needs is
a matter of arithmetic, which the bench shows for thousands of releases.
"""

from __future__ import annotations

import re
from typing import Any

from e2e.harness import oracles
from e2e.harness.app import App
from e2e.harness.objects import contract, plan, sequential

SHOWN = re.compile(r"(\d+) of the canary's (\d+) requests failed in all")


def begin(app: App, errors: float, terms: Any = None, *, hold: str = "10s", **more: Any) -> None:
    """An application of which a share of all requests fails, under a sequential contract."""
    app.install(env={"ERROR_RATE": errors})
    app.govern(
        plan=plan(50, 100, hold=hold),
        contract=terms or contract(sequential(), designRatio="5"),
        **more,
    )


def verdicts(app: App) -> dict[str, tuple[str, str]]:
    """What each guard says now: verdict and reason."""
    guards = (app.status().get("attempt") or {}).get("guards") or []
    return {one["name"]: (one.get("verdict"), one.get("reason")) for one in guards}


def test_a_release_as_good_as_stable_is_promoted_though_some_requests_fail(app: App):
    begin(app, 0.005)
    with app.users() as traffic:
        app.release("v2", ERROR_RATE="0.005")
        app.finished("Promoted")
        app.rest()
    oracles.only_answers_failed(traffic)
    oracles.never_above_the_plan(app, (50, 100), 10.0)
    oracles.callers_inside_saw_only_stable(app, traffic, "v2")
    oracles.pods_kept(app, "v2")


def test_a_release_with_twice_the_errors_is_rolled_back_and_the_message_has_the_counts(app: App):
    begin(app, 0.02, contract(sequential()), hold="20s")
    with app.users(inside=0) as traffic:
        app.release("v2", ERROR_RATE="0.04")
        entry = app.finished("RolledBack")
        app.rest(held=True)
    oracles.only_answers_failed(traffic)
    assert entry["reason"] == "GuardFailed"
    assert entry["maxWeight"] == 50
    counted = SHOWN.search(entry["message"])
    assert counted is not None, entry["message"]
    failed, requests = map(int, counted.groups())
    assert 0 < failed < requests <= traffic.routed.reached("v2")
    assert "HarmDetected" in entry["message"], entry["message"]


def test_errors_that_jump_in_both_versions_are_no_harm_of_the_release(app: App):
    begin(app, 0.005, hold="15s")
    with app.users(inside=0) as traffic:
        app.release("v2", ERROR_RATE="0.005")
        app.at_weight(50)
        app.wait("evidence is gathered", lambda: "errors" in verdicts(app))
        assert app.behave(app.pods(), errorRate=0.1) >= 4
        app.finished("Promoted")
        app.rest()
    oracles.only_answers_failed(traffic)
    for version in ("v1", "v2"):
        reached = traffic.routed.reached(version)
        assert reached - traffic.routed.served(version) > 0.01 * reached, traffic.told()
