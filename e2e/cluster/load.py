"""The load generator as an in-cluster Job, and its report.

Suites start a Job, do what they test, and read the one JSON document that it prints at its end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from e2e.cluster.catalog import LOADGEN
from e2e.cluster.errors import BedError

GATEWAY = "http://traefik.gateway.svc:8000/"


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: `rps` planned requests a second for `seconds`, to `url` as `host`."""

    name: str
    namespace: str
    host: str = ""
    url: str = GATEWAY
    rps: float = 200
    seconds: float = 60
    grpc: bool = False
    keepalive: bool = True
    extra: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def argv(self) -> list[str]:
        """The generator's arguments."""
        argv = [f"--url={self.url}", f"--rps={self.rps:g}", f"--duration={self.seconds:g}s"]
        if self.host:
            argv.append(f"--host={self.host}")
        if self.grpc:
            argv.append("--grpc")
        if not self.keepalive:
            argv.append("--keepalive=false")
        return [*argv, "--progress", *self.extra]

    def job(self) -> dict[str, Any]:
        """The Job; its pod ends with the report, also when it is deleted before its time."""
        labels = {"app": "loadgen", "loadgen": self.name, **self.labels}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": labels},
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "restartPolicy": "Never",
                        "terminationGracePeriodSeconds": 10,
                        "containers": [
                            {
                                "name": "loadgen",
                                "image": LOADGEN,
                                "imagePullPolicy": "IfNotPresent",
                                "args": self.argv(),
                                # Late senders would count as late answers.
                                "resources": {"requests": {"cpu": "50m"}},
                            }
                        ],
                    },
                },
            },
        }


def parse_report(output: str) -> dict[str, Any]:
    """The report in what the generator printed (standard output, or the pod's log).

    Raises BedError when there is none, with the last line that was printed instead.
    """
    last = ""
    for line in output.splitlines():
        if line.startswith("{"):
            report: dict[str, Any] = json.loads(line)
            return report
        last = line
    raise BedError(f"the load generator printed no report; its last line: {last!r}")
