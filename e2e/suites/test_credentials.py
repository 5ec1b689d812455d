"""A metrics source that asks for a bearer token: from a Secret, through the shipped deployment.

The gateway stands before Prometheus and lets nobody pass but who shows the token. The Secret is
made while the operator runs, as a user would make it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from e2e.harness import objects, oracles
from e2e.harness.api import ApiError, Body
from e2e.harness.app import App, Place
from e2e.harness.objects import contract, guard, plan, rule

NAME = "guarded-prometheus"
SECRET = "metrics-credentials"
TOKEN = "b3arer-of-this-suite"
PATH = "/guarded"


def route() -> Body:
    """Prometheus below a path of the gateway, for requests with the token only."""
    way = rule(objects.backend("prometheus", 9090), name="prometheus")
    way["matches"] = [
        {
            "path": {"type": "PathPrefix", "value": PATH},
            "headers": [{"name": "Authorization", "value": f"Bearer {TOKEN}"}],
        }
    ]
    rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    way["filters"] = [{"type": "URLRewrite", "urlRewrite": rewrite}]
    body = objects.route("any", way, name=NAME)
    del body["spec"]["hostnames"]
    return body


def source(address: str) -> Body:
    body = objects.metrics_source()
    body["metadata"]["name"] = NAME
    reference = {"secretRef": {"name": SECRET, "key": "suite"}}
    body["spec"]["prometheus"] = {"address": address, "credentials": reference}
    return body


def secret(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets"


@pytest.fixture
def address(place: Place) -> Iterator[str]:
    """The guarded Prometheus; its Secret is not there yet.

    kubelet brings a new Secret into a running pod within a minute or so: the release holds as long.
    """
    api, home = place.api, place.operator.namespace
    api.apply(route(), "monitoring", force=True)
    address = f"{place.cluster.gateway_url.rstrip('/')}{PATH}"
    api.apply(source(address), force=True)
    yield address
    api.delete("MetricsSource", NAME)
    api.delete("HTTPRoute", NAME, "monitoring")
    with suppress(ApiError):
        api.request("DELETE", f"{secret(home)}/{SECRET}")


def test_a_token_from_a_secret_opens_a_source_that_refuses_everybody_else(app: App, address: str):
    judged = guard()
    judged["guard"]["sourceRef"] = {"name": NAME}
    home = app.operator.namespace
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET},
        "data": {"suite": base64.b64encode(TOKEN.encode()).decode()},
    }
    app.api.request("POST", secret(home), body=body)
    app.install()
    app.govern(plan=plan(50, 100), contract=contract(judged))
    app.wait("the gateway guards Prometheus", lambda: _asked(address, TOKEN) == 200)
    assert _asked(address, "wrong") == 404
    with app.users(inside=0) as traffic:
        app.release("v2")
        app.finished("Promoted", seconds=180)
        app.rest()
    oracles.nobody_lost(traffic)


def _asked(address: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{address}/api/v1/query"
    return httpx.get(url, params={"query": "up"}, headers=headers, trust_env=False).status_code
