"""What the users of the lab write: a Deployment, a Service, routes, a Rollout and its source.

The Rollout is stored through the CustomResourceDefinition as it is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from leadsman.ports import DEPLOYMENT, HTTPROUTE, ROLLOUT, SERVICE, Body, Ref
from leadsman.testing import from_crd

KEY = ("default", "shop")
ROUTE = Ref(HTTPROUTE, *KEY)
SECOND = Ref(HTTPROUTE, "default", "second")
TARGET = Ref(DEPLOYMENT, *KEY)
LRO = Ref(ROLLOUT, *KEY)
STABLE_SHOP = Ref(SERVICE, *KEY)


def deployment(version: str, replicas: int = 4, **env: str) -> Body:
    """The user's Deployment at a version; `env` says how its pods behave."""
    values = {"VERSION": version, **env}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {
                    "containers": [
                        {
                            "name": "app",
                            "image": f"shop:{version}",
                            "env": [{"name": k, "value": v} for k, v in sorted(values.items())],
                        }
                    ]
                },
            },
        },
    }


@cache
def stored_rollout() -> Callable[[Body], Body]:
    """How the API server stores a Rollout, after the CustomResourceDefinition as it is installed.

    A status that it would refuse is refused; one of which it would cut a member, silently, fails
    the test at once.
    """
    path = Path(__file__).parents[2] / "crds" / "rollouts.leadsman.dev.yaml"
    schema = from_crd(ROLLOUT, yaml.load(path.read_text(), Loader=yaml.CSafeLoader))

    def stored(body: Body) -> Body:
        shaped = schema(body)
        assert shaped.get("status") == body.get("status"), "the CRD cuts the status"
        return shaped

    return stored


SERVICE_MANIFEST: Body = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {"selector": {"app": "shop"}, "ports": [{"name": "http", "port": 80}]},
}
ELSEWHERE: Body = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "elsewhere", "namespace": "default"},
    "spec": {"selector": {"app": "elsewhere"}, "ports": [{"name": "http", "port": 80}]},
}
ROUTE_MANIFEST: Body = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {
        "parentRefs": [{"name": "gateway", "namespace": "gateway"}],
        "rules": [
            {"name": "main", "backendRefs": [{"name": "shop", "port": 80}]},
            {
                "name": "other",
                "matches": [{"path": {"type": "PathPrefix", "value": "/other"}}],
                "backendRefs": [{"name": "elsewhere", "port": 80}],
            },
        ],
    },
}
SECOND_MANIFEST: Body = {
    **ROUTE_MANIFEST,
    "metadata": {"name": "second", "namespace": "default"},
    "spec": {**ROUTE_MANIFEST["spec"], "rules": ROUTE_MANIFEST["spec"]["rules"][:1]},
}
"""Another route for the same Service, which the Rollout does not list."""


def rollout(**spec: Any) -> Body:
    """A Rollout with a short plan of two stages and a guard on errors."""
    return {
        "apiVersion": "leadsman.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {
            "targetRef": {"kind": "Deployment", "name": "shop"},
            "traffic": {"gatewayAPI": {"routeRefs": [{"name": "shop", "ruleName": "main"}]}},
            "plan": {
                "stages": [
                    {"name": "quarter", "weight": 25, "hold": "5s"},
                    {"name": "full", "weight": 100, "hold": "2s"},
                ],
                "settle": "1s",
                "scaleDownDelay": "2s",
                "progressDeadline": "60s",
            },
            "contract": {
                "guards": [
                    {
                        "name": "errors",
                        "onFail": "Rollback",
                        "guard": {
                            "errors": {"preset": "Traefik"},
                            "judge": {"threshold": {"max": "5%", "window": "5s", "minEvents": 20}},
                        },
                    }
                ]
            },
            **spec,
        },
    }


SOURCE: Body = {
    "apiVersion": "leadsman.dev/v1alpha1",
    "kind": "MetricsSource",
    "metadata": {"name": "default"},
    "spec": {"prometheus": {"address": "http://prometheus.monitoring.svc:9090"}},
}
