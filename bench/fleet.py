"""Many small Rollouts in one namespace: at rest, or each in a hold.

Those at rest may govern Deployments of no replicas, so that the machine carries hundreds of them:
to the operator a Deployment that is complete with none is a Deployment. A node carries 110 pods, so
fifty of them may have one each.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from e2e.harness import objects
from e2e.harness.api import Api, Body
from e2e.harness.app import Place
from e2e.harness.history import History
from e2e.harness.reading import condition

KINDS = ("Rollout",)


def names(count: int) -> list[str]:
    """Their names."""
    return [f"app-{number:03}" for number in range(count)]


def parts(name: str, namespace: str, replicas: int) -> list[Body]:
    """A Deployment with Service, route and Rollout, all of one name."""
    return [
        objects.deployment("v1", replicas, name=name),
        objects.service(name, name),
        objects.route(
            f"{name}.{namespace}.example.com", objects.rule(objects.backend(name)), name=name
        ),
        objects.rollout(
            name=name,
            target=name,
            routes=({"name": name},),
            plan=objects.plan(20, 100, hold="30m"),
            contract=objects.contract(objects.guard(events=50)),
        ),
    ]


def create(api: Api, namespace: str, bodies: list[Body]) -> None:
    """Create objects, eight at a time."""
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(api.create, body, namespace) for body in bodies]:
            done.result()


@contextmanager
def fleet(
    place: Place, namespace: str, count: int, active: int = 0, *, replicas: int = 0
) -> Iterator[History]:
    """`count` Rollouts, `active` of them in the hold of their first stage, until the block ends.

    Active ones have one replica, the others `replicas`.
    """
    api = place.api
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    history = History(api, namespace, KINDS)
    try:
        for number, name in enumerate(names(count)):
            create(api, namespace, parts(name, namespace, 1 if number < active else replicas))
        _wait(history, lambda: _ready(history) == count, f"{count} Rollouts are adopted")
        for name in names(active):
            body = objects.deployment("v2", 1, name=name)
            api.patch(
                "Deployment", name, namespace, {"spec": {"template": body["spec"]["template"]}}
            )
        _wait(history, lambda: _holding(history) == active, f"{active} Rollouts hold")
        yield history
    finally:
        history.close()
        api.delete("Namespace", namespace)


def _wait(history: History, met: object, what: str, seconds: float = 300.0) -> None:
    assert callable(met)
    if not history.wait(met, seconds):
        raise TimeoutError(f"not within {seconds:g} s: {what}\n{history.told(60)}")


def _ready(history: History) -> int:
    return sum(condition(one, "Ready").get("status") == "True" for one in history.all("Rollout"))


def _holding(history: History) -> int:
    return sum(
        bool(
            ((one.get("status") or {}).get("attempt") or {}).get("stage", {}).get("measuringSince")
        )
        for one in history.all("Rollout")
    )
