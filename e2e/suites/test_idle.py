"""At rest nothing is written and nothing is asked for, however many Rollouts there are."""

from __future__ import annotations

import time

import pytest

from e2e.harness import objects
from e2e.harness.api import Body
from e2e.harness.app import App
from e2e.harness.audit import WRITES, Audit
from e2e.harness.objects import plan
from e2e.harness.reading import condition

COUNT = 50
SECONDS = 30
"""For so long nothing may be asked for."""

LAZY = 70
"""Seconds in which what may be written late has been written."""


def test_fifty_idle_rollouts_cost_no_write_and_no_get(app: App):
    names = [f"team-{number:02}" for number in range(COUNT)]
    app.apply(*(body for name in names for body in _team(app, name)))
    app.wait(
        "all are Ready",
        lambda: all(
            condition(app.history.get("Rollout", name), "Ready").get("status") == "True"
            for name in names
        ),
        120,
    )
    until = time.monotonic() + LAZY
    while True:
        audit = Audit.of(app.place.cluster)
        if audit is None:
            pytest.skip("this cluster has no audit log to read")
        time.sleep(SECONDS)
        asked = audit.requests(app.operator.user, app.namespace)
        if not asked or time.monotonic() > until:
            break
    assert not [one.told() for one in asked if one.verb in WRITES]
    assert not [one.told() for one in asked if one.verb == "get"]


def _team(app: App, name: str) -> list[Body]:
    own = objects.rule(objects.backend(name))
    return [
        objects.deployment("v1", 0, name=name),
        objects.service(name, name),
        objects.route(f"{name}-{app.host}", own, name=name),
        objects.rollout(
            name=name,
            target=name,
            plan=plan(),
            contract=objects.contract(),
            routes=[{"name": name}],
        ),
    ]
