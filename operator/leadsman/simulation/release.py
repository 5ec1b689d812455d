"""One simulated release, from the first stage to its end, decided by `core.decide`.

The world around the core is the smallest that lets it work: one pod in each arm, a gateway that
takes a weight at once, a cluster that does what it is told. Time jumps from scrape to scrape and to
every moment at which the core asked to be woken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from leadsman.core.actions import Action, ScaleCanary, SetWeights
from leadsman.core.changed import changed
from leadsman.core.decide import decide
from leadsman.core.decision import Decision
from leadsman.core.evidence import place, weigh
from leadsman.core.observation import (
    Arm,
    Form,
    Observation,
    Owner,
    Pod,
    ReplicaSet,
    Role,
    Rule,
    Service,
    Target,
)
from leadsman.core.policies.shifting import PREPARE_SECONDS
from leadsman.core.spec import RolloutSpec, Terms
from leadsman.core.status import (
    Attempt,
    Direction,
    GuardStatus,
    Heading,
    Original,
    Stable,
    StageStatus,
    Status,
)
from leadsman.guards.windows import Reading
from leadsman.simulation.scrapes import Watched, counted
from leadsman.simulation.traffic import Rates, Traffic, Weather

START = 1_800_000_000.0
"""When every simulated release begins, Unix seconds."""
STEPS = 50
"""So many decisions in one moment are a mistake of the simulation."""


class Ending(StrEnum):
    """How a release ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    HELD = "Held"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one release.

    `seconds` since its first weight; `stage` from 0; `requests` and `failed`: the canary's, as the
    guard of `scrapes.counted` counts them, 0 without one; `excess`: how many more were bad than
    with stable's rate.
    """

    ending: Ending
    seconds: float
    stage: int
    weight: int
    guard: str
    reason: str
    requests: int
    failed: int
    excess: float


class Release:
    """A release on its way. `run` it to the end, or `step` through its moments."""

    def __init__(self, terms: Terms, traffic: Traffic, seed: str, limit: float) -> None:
        """`limit`: seconds after which a release that neither passed nor failed counts as held."""
        self._traffic = traffic
        self._random = Random(seed)
        self._weather = Weather(traffic, self._random)
        self._rates = Rates(1.0, 1.0)
        self._terms = terms
        self._guards = [Watched(guard, traffic) for guard in terms.contract.guards]
        told_of = counted(terms.contract)
        self._told_of = next((one for one in self._guards if one.guard is told_of), None)
        self._spec = RolloutSpec("simulated", "release", "uid", 1, "release", terms)
        self.status = _status(terms)
        self._seen = _world(terms)
        self._readings: tuple[Reading, ...] = ()
        self._limit = START + limit
        self._phase = self._random.random() * traffic.interval
        self._grown_to = self.now = START
        self._since: float | None = None
        self._requests = self._failed = 0
        self._excess = 0.0
        self._wake: float | None = START
        self._scrape = START + self._phase
        self._dark = (0.0, 0.0)
        self._told: tuple[GuardStatus, ...] = ()
        self._calm_until = 0.0
        self._place = place(self.status)

    def run(self) -> Outcome:
        """Go on until the release has ended."""
        while True:
            ended = self.step()
            if ended is not None:
                return ended

    def step(self) -> Outcome | None:
        """Go to the next moment at which something is seen or due; the outcome, once ended."""
        wake = self._wake
        if wake is not None and wake < self._scrape:
            self.now = max(wake, self.now)
        else:
            self.now = self._scrape
            self._grow()
            self._read()
            self._scrape += self._traffic.interval
            self._rates = self._weather.at(self.now - START)
        if self.now > self._limit:
            return self._outcome(Ending.HELD)
        if self._calm():
            return None
        decision = self._decide()
        attempt = self.status.attempt
        if attempt is None or attempt.direction.name is Heading.ROLLING_BACK:
            return self._outcome(Ending.ROLLED_BACK)
        if attempt.direction.name is Heading.HANDING_OVER:
            return self._outcome(Ending.PROMOTED)
        self._wake = decision.wake_at
        self._calm_until = self._quiet(decision, attempt)
        if self._wake is not None:
            self._wake = max(self._wake, self._calm_until)
        return None

    def _calm(self) -> bool:
        """Whether the core would only remember this reading, in the middle of a stage's hold.

        Then what it remembers is worked out by the core's own function, and the rest of the
        decision, which would be to wait on, is saved. Anything else is left to `decide`.
        """
        if self.now >= self._calm_until:
            return False
        found = weigh(self._terms.contract, self._readings, self._told, self.now, self._place)
        if found.fired or found.no_data_since is not None or found.no_traffic_since is not None:
            return False
        self._told = found.guards
        return True

    def _quiet(self, decision: Decision, attempt: Attempt) -> float:
        """Until when the core would only remember what it reads, as long as nobody fails.

        Within a hold that is until the next stage is prepared, unless a guard is blind, which is
        what the core counts seconds of.
        """
        due = attempt.stage.due_at
        if decision.why.policy != "measure" or due is None:
            return 0.0
        blind = any(guard.no_data_since is not None for guard in attempt.guards)
        return 0.0 if blind else due - PREPARE_SECONDS

    @property
    def guards(self) -> tuple[GuardStatus, ...]:
        """What the guards say now."""
        return self._told

    def _decide(self) -> Decision:
        attempt = self.status.attempt
        if attempt is not None and attempt.guards is not self._told:
            self.status = changed(self.status, attempt=changed(attempt, guards=self._told))
        decision = self._settle()
        attempt = self.status.attempt
        self._told = () if attempt is None else attempt.guards
        self._place = place(self.status)
        return decision

    def _settle(self) -> Decision:
        """Decide and do, until there is nothing to do in this moment."""
        for _ in range(STEPS):
            self._seen = changed(self._seen, readings=self._readings)
            decision = decide(self._spec, self.status, self._seen, self.now)
            self.status = decision.status
            for action in decision.actions:
                self._do(action)
            attempt = self.status.attempt
            if attempt is None or attempt.direction.name in (
                Heading.ROLLING_BACK,
                Heading.HANDING_OVER,
            ):
                return decision
            if attempt.weight_since != self._since:
                self._begin(attempt)
            if decision.wake_at is None or decision.wake_at > self.now:
                return decision
        raise AssertionError(f"the simulated world stands still: {decision.why}")

    def _do(self, action: Action) -> None:
        match action:
            case SetWeights(canary=weight):
                self._grow()
                rule = changed(self._seen.rules[0], canary=weight, stable=100 - weight)
                self._seen = changed(self._seen, rules=(rule,))
            case ScaleCanary(replicas=count):
                stable, canary = self._seen.sets
                canary = changed(canary, replicas=count, ready=count, available=count)
                arms = (self._seen.arms[0], changed(self._seen.arms[1], ready=count))
                self._seen = changed(self._seen, sets=(stable, canary), arms=arms)
            case _:
                pass

    def _begin(self, attempt: Attempt) -> None:
        """The canary has a new weight: nothing that was sampled before counts."""
        self._since = attempt.weight_since
        for watched in self._guards:
            watched.begin(self.now)
        self._readings = tuple(
            Reading(watched.guard.name, (), (), "Pending", None) for watched in self._guards
        )
        hold = self._terms.plan.stages[attempt.stage.index].hold
        middle = self.now + hold / 2
        self._dark = (middle - self._traffic.blackout / 2, middle + self._traffic.blackout / 2)

    def _grow(self) -> None:
        """Let the requests come that came since the last time."""
        seconds = self.now - self._grown_to
        self._grown_to = self.now
        if seconds <= 0:
            return
        weight = self._seen.rules[0].canary
        for watched in self._guards:
            requests, failed = watched.grow(self._random, seconds, weight, self._rates)
            if watched is self._told_of:
                self._requests += requests
                self._failed += failed
                expected = min(1.0, watched.whole.share * self._rates.both)
                self._excess += failed - requests * expected

    def _read(self) -> None:
        dark, gaps = self._dark, self._traffic.gaps
        if dark[0] <= self.now < dark[1] or (gaps and self._random.random() < gaps):
            self._readings = tuple(watched.blind() for watched in self._guards)
            return
        self._readings = tuple(watched.read(self.now) for watched in self._guards)

    def _outcome(self, ending: Ending) -> Outcome:
        attempt = self.status.attempt
        guards = () if attempt is None else attempt.guards
        failed = next((guard.name for guard in guards if guard.verdict == "Fail"), "")
        reason = "" if attempt is None else attempt.direction.reason
        if ending is Ending.HELD:
            held = next((guard for guard in guards if guard.verdict != "Pass"), None)
            failed, reason = ("", "") if held is None else (held.name, str(held.reason))
        return Outcome(
            ending,
            self.now - START,
            0 if attempt is None else attempt.stage.index,
            0 if attempt is None else attempt.max_weight,
            failed,
            reason,
            self._requests,
            self._failed,
            self._excess,
        )


def horizon(terms: Terms) -> float:
    """Seconds after which a release that goes nowhere is called held: twice the plan's length."""
    plan = terms.plan
    stages = [max(stage.hold, stage.max_hold or 0.0) + plan.settle for stage in plan.stages]
    return 2 * sum(stages) + 60


def _status(terms: Terms) -> Status:
    name = terms.plan.stages[0].name if terms.plan.stages else "full"
    attempt = Attempt(
        id="new-1",
        number=1,
        revision="new",
        template="new",
        direction=Direction(Heading.ADVANCING, START),
        stage=StageStatus(0, name, START, START),
        started_at=START,
        replicas=1,
        base_replicas=1,
        frozen="release-new-1",
        pinned=True,
        original=(Original("HTTPRoute", "release", 0, "", "release", "[]"),),
        routed_at=START,
    )
    return Status(1, Stable("uid", "old", "old", 1), attempt)


def _world(terms: Terms) -> Observation:
    old = ReplicaSet(
        "release-old", "a", "1", "old", "old", 1, 1, 1, Owner.DEPLOYMENT, False, START - 9e4
    )
    new = replace(
        old, name="release-new", uid="b", revision="new", template="new", owner=Owner.ROLLOUT,
        matches=True, created_at=START,
    )  # fmt: skip
    rule = Rule(
        "HTTPRoute", "release", 0, "", "release", Form.ARMS, 100, 0,
        ours=True, writer="leadsman", accepted=True, why_not="", backends="[]",
        resource_version="1",
    )  # fmt: skip
    return Observation(
        target=Target("release", "uid", "1", 1, True, "new", complete=False),
        sets=(old, new),
        pods=(Pod("old", "old", ready=True), Pod("new", "new", ready=True)),
        services=(Service("release", "1", pinned_to="old", ready_stable=1),),
        arms=(
            Arm("release", Role.STABLE, "release-stable", "1", "old", 1),
            Arm("release", Role.CANARY, "release-canary", "1", "new", 1),
        ),
        rules=(rule,),
        terms=terms,
        hold_policy=True,
        freeze_policy=True,
        finalizer=True,
        approvals=99,
    )
