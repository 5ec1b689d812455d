"""Manifests as a user would write them, for the tests of the fakes."""

from __future__ import annotations

from typing import Any


def deployment(image: str = "shop:1", replicas: int = 4, **spec: Any) -> dict[str, Any]:
    env = spec.pop("env", {})
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
                            "name": "shop",
                            "image": image,
                            "ports": [{"name": "http", "containerPort": 8080}],
                            "env": [{"name": key, "value": value} for key, value in env.items()],
                        }
                    ]
                },
            },
            **spec,
        },
    }


def service(name: str = "shop", **selector: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"app": "shop", **selector},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }


def route(*backends: tuple[str, int]) -> dict[str, Any]:
    refs = [{"name": name, "port": 80, "weight": weight} for name, weight in backends]
    if not backends:
        refs = [{"name": "shop", "port": 80}]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {
            "parentRefs": [{"name": "gateway", "namespace": "gateway"}],
            "rules": [{"name": "main", "backendRefs": refs}],
        },
    }


def rollout(**status: Any) -> dict[str, Any]:
    out: dict[str, Any] = {
        "apiVersion": "leadsman.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {"targetRef": {"kind": "Deployment", "name": "shop"}},
    }
    return {**out, "status": status} if status else out
