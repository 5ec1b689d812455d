"""Talking to pods through the API server, as `kubectl get --raw .../proxy/` does.

Pod addresses are routed on the bare bed only; the API server reaches its pods on every cluster.
Suites change how pods behave in the moment that they time, so connections stay open between calls
and all pods are told at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from e2e.harness.api import ApiError, Body, credentials, path

PORT = 8080
"""Where the demo app listens."""

SECONDS = 5.0
"""How long one pod may take to answer."""

_AWAY = 404
"""The pod is gone; from 500 on the API server has not reached it, or it broke off."""


class PodProxy:
    """The way to the pods of one cluster. Safe to share between threads."""

    def __init__(self, kubeconfig: Path) -> None:
        suite = kubeconfig.with_name("kubeconfig-suite")
        found = credentials(suite if suite.exists() else kubeconfig)
        headers = {"Authorization": f"Bearer {found.token}"} if found.token else {}
        self._http = httpx.Client(
            base_url=found.server,
            headers={"User-Agent": "leadsman-suite", **headers},
            verify=found.tls,
            timeout=SECONDS,
            trust_env=False,
        )

    def post(self, pods: Sequence[Body], to: str, settings: Mapping[str, Any]) -> int:
        """POST to `to` (a path without its slash) of these pods at once; how many took it.

        A pod that cannot be reached or breaks off has not taken it. Raises ApiError when the
        request itself is wrong or not allowed.
        """
        reachable = [pod for pod in pods if pod.get("status", {}).get("podIP")]
        if not reachable:
            return 0
        with ThreadPoolExecutor(len(reachable)) as threads:
            return sum(threads.map(lambda pod: self._post(pod, to, settings), reachable))

    def _post(self, pod: Body, to: str, settings: Mapping[str, Any]) -> bool:
        name = f"{pod['metadata']['name']}:{PORT}"
        url = path("Pod", pod["metadata"]["namespace"], name, f"proxy/{to}")
        try:
            answer = self._http.post(url, params=dict(settings))
        except httpx.TransportError:
            return False
        if answer.is_success:
            return True
        if answer.status_code == _AWAY or answer.status_code >= 500:
            return False
        raise ApiError(answer.status_code, "Proxy", f"{url}: {answer.text[:300]}")


@cache
def pod_proxy(kubeconfig: Path) -> PodProxy:
    """One for each cluster and process: to make one costs more than many requests."""
    return PodProxy(kubeconfig)
