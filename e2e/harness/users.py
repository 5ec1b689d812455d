"""The users of an application while it is released: steady load, and what became of each request.

The load is an in-cluster Job with planned arrivals, so that a stall is counted. It runs until it is
stopped; its report comes over the log, which outlives the pod that is being deleted.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import httpx

from e2e.cluster.load import Load, parse_report
from e2e.harness.api import Api, ApiError

LONGEST = 600.0
"""Seconds after which a forgotten load ends by itself."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the requests; `raw` is the generator's whole document."""

    raw: dict[str, Any]

    @property
    def planned(self) -> int:
        """Requests that were due."""
        return int(self.raw["planned"])

    @property
    def failed(self) -> int:
        """Requests that failed, for whatever reason."""
        return int(self.raw["failed"])

    def served(self, version: str) -> int:
        """Requests that a version answered well."""
        return int(self.raw["versions"].get(version, {}).get("ok", 0))

    def reached(self, version: str) -> int:
        """Requests that a version answered, well or not."""
        found = self.raw["versions"].get(version, {})
        return int(found.get("ok", 0)) + int(found.get("failed", 0))

    def reached_before(self, version: str, moment: float) -> int:
        """Requests planned in whole seconds before `moment` (Unix) that a version answered."""
        return sum(
            one["ok"] + one["failed"]
            for one in self.raw["seconds"]
            if one["version"] == version and one["t"] + 1 <= moment
        )

    def reached_after(self, version: str, moment: float) -> int:
        """Requests planned in whole seconds after `moment` (Unix) that a version answered."""
        return sum(
            one["ok"] + one["failed"]
            for one in self.raw["seconds"]
            if one["version"] == version and one["t"] >= moment
        )

    def told(self) -> str:
        """The report in a line or two, with every second in which a request failed."""
        bad = [one for one in self.raw["seconds"] if one["failed"]]
        versions = {name: (one["ok"], one["failed"]) for name, one in self.raw["versions"].items()}
        return (
            f"{self.planned} planned, {self.failed} failed {self.raw['errors']}; "
            f"ok and failed by version: {versions}; failing seconds: {bad[:12]}"
        )


class Users:
    """One running load. Start it with `begin`, end it with `stop`."""

    def __init__(self, api: Api, load: Load) -> None:
        self.load = load
        self._api = api
        self._lines: list[str] = []
        self._problem: Exception | None = None
        self._sending = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def begin(self) -> None:
        """Creates the Job; `sending` tells when requests flow."""
        self._api.create(self.load.job(), self.load.namespace)
        self._thread.start()

    def sending(self) -> None:
        """Returns when requests are being sent."""
        if not self._sending.wait(60):
            raise TimeoutError(f"the load {self.load.name} does not start: {self._problem}")

    def stop(self) -> Report:
        """Ends the load and returns its report."""
        options = {"propagationPolicy": "Background"}
        self._api.delete("Job", self.load.name, self.load.namespace, **options)
        self._thread.join(40)
        if self._problem is not None:
            raise self._problem
        return Report(parse_report("\n".join(self._lines)))

    def _pod(self) -> str:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for pod in self._api.list("Pod", self.load.namespace, f"loadgen={self.load.name}"):
                if pod.get("status", {}).get("phase") in ("Running", "Succeeded", "Failed"):
                    return str(pod["metadata"]["name"])
            time.sleep(0.1)
        raise TimeoutError(f"no pod of the load {self.load.name} runs")

    def _follow(self) -> None:
        try:
            for line in self._api.log_lines(self.load.namespace, self._pod(), follow=True):
                if line.startswith("progress "):
                    self._sending.set()
                else:
                    self._lines.append(line)
        except (
            ApiError,
            httpx.HTTPError,
            OSError,
            TimeoutError,
        ) as error:  # told by `begin` and `stop`, in the test's own thread
            self._problem = error
