"""What the measurements share inside a cluster: an application, its rounds, what was requested.

A round is one attempt: release, canary at its weight and measured, something is done to it, all at
rest again. Requests are read from the API server's audit log, where each program has a user of its
own; moments are those at which the bench's own watches saw a change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from e2e.cluster import session
from e2e.harness import objects
from e2e.harness.api import Api, Body
from e2e.harness.app import App, Place
from e2e.harness.audit import WRITES, Audit, Request
from e2e.harness.evidence import Question
from e2e.harness.history import Change
from e2e.harness.installation import Installation
from e2e.harness.reading import canary_weight

WEIGHT = 20
"""The canary's share in most measurements, percent."""

LIMIT, WINDOW, EVENTS = 0.05, 5.0, 50
"""The guard of the rollback figures: share, seconds, requests."""


def open_place() -> Place:
    """The cluster around this process, with the operator of this checkout in it."""
    cluster = session.attach()
    own = cluster.kubeconfig.with_name("kubeconfig-bench")
    api = Api(own if own.exists() else cluster.kubeconfig)
    operator = Installation(cluster, api)
    operator.install()
    return Place(cluster, api, operator)


@contextmanager
def application(
    place: Place,
    name: str,
    *,
    replicas: int = 4,
    hold: str = "10m",
    prepare: Callable[[App], None] | None = None,
) -> Iterator[App]:
    """An application with a Rollout whose first stage gives 20 % and holds.

    `prepare` may change the application before it has a Rollout.
    """
    app = App(place, name)
    try:
        app.install(replicas=replicas)
        if prepare is not None:
            prepare(app)
        app.govern(
            plan=objects.plan(WEIGHT, 100, hold=hold),
            contract=objects.contract(
                objects.guard(limit=f"{LIMIT:.0%}", window=f"{WINDOW:g}s", events=EVENTS)
            ),
        )
        yield app
    finally:
        app.close()


def question(app: App) -> Question:
    """The application's guard, asked by the bench."""
    return Question(app.namespace, objects.NAME, LIMIT, WINDOW, EVENTS)


def measured(app: App, version: str, number: int) -> float:
    """Release a good version and wait until its stage is measured; when its weight was seen."""
    app.release(version)
    raised = app.at_weight(WEIGHT, 120)

    def counting() -> bool:
        attempt = app.status().get("attempt") or {}
        return attempt.get("number") == number and bool(attempt["stage"].get("measuringSince"))

    app.wait("the stage is measured", counting, 60)
    return raised


def weight_seen(app: App, weight: int, since: float) -> float:
    """When the route was first seen at that weight after `since` (Unix seconds)."""
    for change in app.history.of("HTTPRoute"):
        if change.at >= since and _weight(change) == weight:
            return change.at
    raise LookupError(f"weight {weight} was not seen on the route")


def _weight(change: Change) -> int | None:
    rules = change.body["spec"].get("rules", [])
    return canary_weight(rules[0], objects.NAME) if rules else None


def audit_log(place: Place) -> Path:
    """The API server's audit log; raises LookupError where there is none at hand."""
    found = getattr(place.cluster, "audit_log", None)
    if found is None:
        raise LookupError("this cluster has no audit log at hand: use E2E_CLUSTER=bare")
    return Path(found)


class Requests:
    """The operator's requests from the moment at which this was made."""

    def __init__(self, place: Place) -> None:
        self._audit = Audit(audit_log(place))
        self._user = place.operator.user

    def all(self) -> list[Request]:
        """Every request, the oldest first."""
        time.sleep(0.3)  # the log is written in batches
        return sorted(self._audit.requests(self._user), key=lambda one: one.at)

    def between(self, first: float, last: float) -> list[Request]:
        """Requests that arrived in [first, last), Unix seconds; watches are connections, not asked.

        Those for objects of any namespace and of none. A watch is left out because it is counted
        once, when it ends, however long it was open.
        """
        return [one for one in self.all() if first <= moment(one) < last and one.verb != "watch"]


OWN = frozenset({"metricssources", "guards", "releasecontracts", "rolloutplans", "rollouts"})
GOVERNED = frozenset({"deployments", "horizontalpodautoscalers"})
SWEEP = 5.0
"""Seconds from a sweep's first list to its last one, at the most."""


def without_sweep(asked: Iterable[Request]) -> tuple[list[Request], list[Request]]:
    """The requests that are not the sweep's, and its lists, each the oldest first.

    The sweep comes every five minutes whatever happens. It begins with a list of one of our own
    kinds in the whole cluster, which nothing else asks for, and goes on with lists of that width,
    of the governed Deployments, which are otherwise watched, and of what scales them.
    """
    others: list[Request] = []
    lists: list[Request] = []
    began = float("-inf")
    for one in asked:
        wide = one.verb == "list" and not one.namespace
        if wide and one.resource in OWN and moment(one) > began + SWEEP:
            began = moment(one)
        swept = wide or (one.verb == "list" and one.resource in GOVERNED)
        (lists if swept and moment(one) <= began + SWEEP else others).append(one)
    return others, lists


def moment(request: Request) -> float:
    """When a request arrived, Unix seconds."""
    return datetime.fromisoformat(request.at).timestamp()


def is_write(request: Request) -> bool:
    """Whether the request changes something."""
    return request.verb in WRITES


def template_version(body: Body) -> str:
    """The VERSION of a Deployment's template."""
    env = body["spec"]["template"]["spec"]["containers"][0].get("env", [])
    return next((str(one["value"]) for one in env if one["name"] == "VERSION"), "")
