"""What happens in the demo, in order, on a real cluster.

It does what a user would do: `kubectl apply` of the files in examples/, then `kubectl set env` for
two new versions. Everything that is told afterwards was seen by watches of the demo's own and by
the load generator, not by the operator.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from e2e.cluster.backend import Backend
from e2e.cluster.load import Load
from e2e.demo.frames import NAME, Frame, example_plan, look, weight_of
from e2e.harness.api import Api
from e2e.harness.audit import WRITES, Audit
from e2e.harness.evidence import EVERY, Probe, Question
from e2e.harness.history import History
from e2e.harness.installation import Installation
from e2e.harness.objects import ROOT
from e2e.harness.reading import ready_pods, version_of
from e2e.harness.users import Report, Users

NAMESPACE = "default"
HOST = "shop.example.com"
RPS = 200.0
GUARD = Question(NAMESPACE, NAME, limit=0.05, window=15.0, min_events=100)
"""The guard `errors` of examples/rollout.yaml, asked once more by the demo itself."""


def in_words(seconds: float) -> str:
    """A time between evidence and weight; what is shorter than one question is said so."""
    return f"{seconds:.2f} s" if seconds >= EVERY else f"less than {EVERY:.2f} s"


class DemoError(Exception):
    """Raised when the show does not go as it must; the text says what was waited for."""


@dataclass(slots=True)
class Outcome:
    """All that was seen. Moments are Unix seconds."""

    started: float
    report: Report | None = None
    weights: list[tuple[float, int | None]] = field(default_factory=list)
    moments: list[tuple[float, str]] = field(default_factory=list)
    canary_pods: int = 0
    canary_pods_kept: int = 0
    evidence_at: float | None = None
    off_at: float | None = None
    promotion_seconds: float = 0.0
    writes: int | None = None
    simulated: bool = False


class Demo:
    """The demo on one cluster. `tell` gets a line for each thing that happens."""

    def __init__(self, cluster: Backend, tell: Callable[[str], None]) -> None:
        suite = cluster.kubeconfig.with_name("kubeconfig-suite")
        self.cluster = cluster
        self.api = Api(suite if suite.exists() else cluster.kubeconfig)
        self.operator = Installation(cluster, self.api)
        self.history: History | None = None
        self.outcome = Outcome(time.time())
        self.plan = example_plan()
        self._tell = tell
        self._audit = Audit.of(cluster)

    def tell(self, text: str, mark: str = "") -> None:
        """A line for the reader; with `mark` also a mark in the picture."""
        self._tell(text)
        if mark:
            self.outcome.moments.append((time.time(), mark))

    def frame(self) -> Frame | None:
        """What there is to show now; None before the application exists."""
        return look(self.history, self.plan) if self.history is not None else None

    def play(self) -> Outcome:
        """The whole show; raises DemoError, with what was waited for."""
        self.install()
        with self._load():
            self._good()
            self._bad()
        if self._audit is not None:
            asked = self._audit.requests(self.operator.user)
            self.outcome.writes = sum(
                1 for one in asked if one.verb in WRITES and one.namespace == NAMESPACE
            )
        return self.outcome

    # --- steps ------------------------------------------------------------------------------

    def install(self) -> None:
        """The operator, then the team's application, then the Rollout."""
        self.tell("building the operator's image; installing CRDs, permissions, policies, operator")
        self.operator.install()
        self.history = History(self.api, NAMESPACE)
        self.tell("kubectl apply -f examples/app.yaml            # Deployment, Service, HTTPRoute")
        self._kubectl("apply", "-f", str(ROOT / "examples" / "app.yaml"))
        self._wait("version v1 serves", self._serving, 90)
        self.tell("kubectl apply -f examples/metrics-source.yaml -f examples/rollout.yaml")
        self._kubectl("apply", "-f", str(ROOT / "examples" / "metrics-source.yaml"))
        self._kubectl("apply", "-f", str(ROOT / "examples" / "rollout.yaml"))
        self._wait("the Rollout has adopted the Deployment", lambda: self._now().ready == "True")

    @contextmanager
    def _load(self) -> Iterator[None]:
        self.tell(f"{RPS:g} requests a second through the gateway, from now to the end")
        load = Load("demo-load", NAMESPACE, HOST, rps=RPS, seconds=900)
        users = Users(self.api, load)
        users.begin()
        users.sending()
        try:
            yield
        finally:
            self.outcome.report = users.stop()
        self.outcome.weights = self._weights()

    def _good(self) -> None:
        time.sleep(3)
        self.tell("kubectl set env deployment/shop VERSION=v2    # a good release", "v2 applied")
        began = time.time()
        self._kubectl("set", "env", f"deployment/{NAME}", "VERSION=v2")
        self._wait("v2 gets its first traffic", lambda: self._weight() > 0, 60)
        self._wait("v2 has all traffic", lambda: self._weight() == 100, 200)
        self._wait("v2 runs at full strength", lambda: len(self._pods("v2")) >= self._replicas())
        before = self._pods("v2")
        self._wait("v2 is promoted", lambda: self._now().reason == "Promoted", 120)
        self._wait("the canary is the Deployment", lambda: not self._pods("v1"), 60)
        self.outcome.promotion_seconds = time.time() - began
        self.outcome.canary_pods = len(before)
        self.outcome.canary_pods_kept = len(before & self._pods("v2"))
        self.tell(
            f"v2 promoted: {self.outcome.canary_pods_kept} of {len(before)} canary pods are now"
            " the Deployment's own, none was restarted",
            "v2 promoted",
        )

    def _bad(self) -> None:
        time.sleep(2)
        self.tell(
            "kubectl set env deployment/shop VERSION=v3 ERROR_RATE=0.3   # a bad release",
            "v3 applied",
        )
        self._kubectl("set", "env", f"deployment/{NAME}", "VERSION=v3", "ERROR_RATE=0.3")
        self._wait("v3 gets its first traffic", lambda: self._weight() > 0, 60)
        raised = self._changed_at(above=0)
        probe = Probe(self.cluster.prometheus_url, GUARD, raised).start()
        try:
            self._wait("v3 is taken off the traffic", lambda: self._weight() == 0, 90)
            self.outcome.off_at = self._changed_at(above=-1)
            self.outcome.evidence_at = probe.wait(5)
        finally:
            probe.stop()
        if self.outcome.evidence_at is None:
            raise DemoError(f"no evidence was found in Prometheus ({probe.problem})")
        took = in_words(max(0.0, self.outcome.off_at - self.outcome.evidence_at))
        self.tell(f"v3 rolled back: weight 0 came {took} after the evidence", "v3 rolled back")
        self._wait("the Rollout says so", lambda: self._now().state == "RollingBack", 10)
        time.sleep(6)

    # --- looking and waiting ----------------------------------------------------------------

    def _seen(self) -> History:
        if self.history is None:
            raise DemoError("nothing is installed yet")
        return self.history

    def _now(self) -> Frame:
        return look(self._seen(), self.plan)

    def _weight(self) -> int:
        return self._now().weight or 0

    def _replicas(self) -> int:
        body = self._seen().get("Deployment", NAME) or {}
        return int(body.get("spec", {}).get("replicas", 0))

    def _pods(self, version: str) -> set[str]:
        return {
            str(pod["metadata"]["uid"])
            for pod in ready_pods(self._seen().all("Pod"))
            if version_of(pod) == version
        }

    def _serving(self) -> bool:
        if len(self._pods("v1")) < max(1, self._replicas()):
            return False
        try:
            answer = httpx.get(
                self.cluster.gateway_url, headers={"Host": HOST}, timeout=2, trust_env=False
            )
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    def _weights(self) -> list[tuple[float, int | None]]:
        """Every weight that the route had, since when; None: the route was the user's own."""
        found: list[tuple[float, int | None]] = []
        for change in self._seen().of("HTTPRoute", NAME):
            weight = weight_of(change.body)
            if not found or found[-1][1] != weight:
                found.append((change.at, weight))
        return found

    def _changed_at(self, above: int) -> float:
        """When the present weight was first seen; `above` guards against a later change."""
        at, weight = self._weights()[-1]
        if weight is None or weight <= above:
            raise DemoError("the weight changed while it was looked at")
        return at

    def _kubectl(self, *argv: str) -> None:
        answer = self.cluster.run(["kubectl", "-n", NAMESPACE, *argv])
        if answer.returncode != 0:
            raise DemoError(f"kubectl {' '.join(argv)}: {answer.stderr.strip()}")

    def _wait(self, what: str, met: Callable[[], Any], seconds: float = 60.0) -> None:
        if not self._seen().wait(met, seconds):
            log = self.operator.log(40)
            raise DemoError(
                f"not within {seconds:g} s: {what}\n{self._seen().told(60)}\noperator:\n{log}"
            )
