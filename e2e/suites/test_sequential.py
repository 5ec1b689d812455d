"""Contracts that gather evidence, on the real cluster: harm is shown, and nothing else is.

The applications here answer some requests badly in both versions, as real ones do. Contracts ask
for large design ratios, so that a stage has its evidence after seconds; what a smaller one needs is
a matter of arithmetic, which the bench shows for thousands of releases.
"""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import suppress
from typing import Any, Self

import httpx

from e2e.harness import objects, oracles
from e2e.harness.api import Body
from e2e.harness.app import App
from e2e.harness.objects import backend, contract, guard, plan, route, rule, sequential

CALLS = "/calls"
"""The path of the calls that only some users make."""

SHOWN = re.compile(r"(\d+) of the canary's (\d+) requests failed in all")


def begin(
    app: App, errors: float, terms: Body | None = None, *, hold: str = "10s", **more: Any
) -> None:
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


class Calls:
    """A user who POSTs to the application's calls, so many a second, until the block ends."""

    def __init__(self, app: App, rps: float) -> None:
        self._url = f"{app.place.cluster.gateway_url}{CALLS}"
        self._headers = {"Host": app.host}
        self._pause = 1 / rps
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()

    def _send(self) -> None:
        with httpx.Client(headers=self._headers, trust_env=False, timeout=5) as client:
            while not self._over.wait(self._pause):
                with suppress(httpx.HTTPError):
                    client.post(self._url)


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


def test_a_little_worse_within_the_tolerance_is_never_rolled_back(app: App):
    begin(app, 0.02, contract(sequential(tolerance="25%"), designRatio="4"))
    with app.users(inside=0) as traffic:
        app.release("v2", ERROR_RATE="0.024")
        app.finished("Promoted")
        app.rest()
    oracles.only_answers_failed(traffic)
    assert "refused" not in app.status()


def test_a_stage_lasts_until_the_release_is_shown_to_be_no_worse(app: App):
    no_worse: Body = {
        "name": "no-worse",
        "onFail": "Hold",
        "guard": {
            "errors": {"preset": "Traefik"},
            "judge": {"nonInferiority": {"margin": "2%"}},
        },
    }
    begin(app, 0.005, contract(guard(limit="60%"), no_worse), hold="1s")
    with app.users(inside=0) as traffic:
        app.release("v2", ERROR_RATE="0.005")
        half = app.at_weight(50)
        full = app.at_weight(100)
        app.finished("Promoted")
        app.rest()
    oracles.only_answers_failed(traffic)
    # It needs 20 scrapes, one a second, whatever the hold.
    assert full - half > 15


def test_a_slower_release_without_errors_is_rolled_back(app: App):
    slow = sequential("slow", measure={"latency": {"preset": "Traefik", "above": "250ms"}})
    begin(app, 0, contract(sequential(), slow))
    with app.users(inside=0) as traffic:
        app.release("v2", LATENCY_MS="400")
        entry = app.finished("RolledBack")
        app.rest(held=True)
    oracles.nobody_lost(traffic)
    assert entry["reason"] == "GuardFailed"
    assert "guard slow: Fail (HarmDetected)" in entry["message"], entry["message"]


def to_calls(port: int) -> Body:
    """A JSON patch's operation: the port that calls are sent to."""
    path = "/spec/template/spec/containers/0/ports/2"
    return {"op": "add", "path": path, "value": {"name": "calls", "containerPort": port}}


def patch(app: App, *operations: Body) -> None:
    """Applied as a JSON patch: kubectl's own merge takes two ports of one number for one."""
    answer = app.kubectl(
        "patch", f"deployment/{objects.NAME}", "--type=json", "-p", json.dumps(operations)
    )
    assert answer.returncode == 0, answer.stderr


def test_errors_of_one_method_only_are_seen_in_its_slice(app: App):
    """Some calls (POST) go to a port that the new version no longer has; most requests are GET."""
    service = objects.service()
    service["spec"]["ports"].append({"name": "calls", "port": 81, "targetPort": "calls"})
    rules = [rule(), rule(backend(port=81), name="calls", prefix=CALLS)]
    app.install(routes=[route(app.host, *rules)], services=[service], env={"ERROR_RATE": "0.02"})
    patch(app, to_calls(8080))
    app.wait("calls are served", lambda: app.complete(4) and app.served())
    sliced = sequential(tolerance="10%")
    sliced["guard"]["slices"] = {"label": "method", "values": ["GET", "POST"]}
    app.govern(plan=plan(50, 100, hold="60s"), contract=contract(sliced))
    with app.users(inside=0) as traffic, Calls(app, 3):
        version = "/spec/template/spec/containers/0/env/0/value"
        gone = {"op": "remove", "path": to_calls(0)["path"]}
        patch(app, gone, to_calls(8081), {"op": "replace", "path": version, "value": "v2"})
        entry = app.finished("RolledBack")
        app.rest(held=True)
    oracles.only_answers_failed(traffic)
    assert entry["reason"] == "GuardFailed"
    assert "guard errors, slice POST: Fail (HarmDetected)" in entry["message"], entry["message"]


def test_without_traffic_and_with_little_of_it_the_stage_waits_and_says_why(app: App):
    begin(app, 0.005, contract(sequential()), hold="5s")
    app.release("v2", ERROR_RATE="0.005")
    app.at_weight(50)
    app.wait("it holds", lambda: app.ready().get("reason") == "Holding")
    assert verdicts(app)["errors"][0] == "NoData"
    with app.users(10, inside=0) as traffic:
        app.wait(
            "too little is known",
            lambda: verdicts(app).get("errors") == ("Inconclusive", "InsufficientData"),
            90,  # what is for people only is written within a minute
        )
        time.sleep(5)  # as long as the hold once more
    oracles.only_answers_failed(traffic)
    assert app.weight() == 50
    assert not app.past()
    assert app.condition("GuardsPassing")["status"] == "Unknown"


def test_a_broken_split_holds_the_stage_and_is_named(app: App):
    """Another route leads to the canary alone, and the gateway's names hide that it is another."""
    begin(app, 0.02, hold="15s")
    with app.users(inside=0) as traffic:
        app.release("v2", ERROR_RATE="0.02")
        app.at_weight(50)
        app.wait("the stage is measured", lambda: verdicts(app))
        other = f"other-{app.host}"
        app.apply(
            route(other, rule(backend(f"{objects.NAME}-canary")), name=f"{objects.NAME}-gw-other")
        )
        with app.users(200, inside=0, host=other):
            app.wait("it is named", lambda: app.ready().get("reason") == "SampleRatioMismatch")
            assert app.weight() == 50
            time.sleep(5)
            assert app.weight() == 50
            assert "50 % commanded" in app.ready()["message"]
        app.api.delete("HTTPRoute", f"{objects.NAME}-gw-other", app.namespace)
        assert not app.past()
    oracles.only_answers_failed(traffic)
