"""The law of the chain: a policy that is left out of a phase would have had no answer there."""

from __future__ import annotations

from leadsman.core.decide import CHAIN
from leadsman.core.decision import Decision
from leadsman.core.observation import Observation
from leadsman.core.phases import phase_of
from leadsman.core.spec import RolloutSpec
from leadsman.core.status import Status
from leadsman.core.view import View


def check_left_out(spec: RolloutSpec, status: Status, seen: Observation, now: float) -> None:
    """Ask the policies that this phase leaves out; raises AssertionError if one has an answer."""
    view = View(spec, status, seen, now)
    phase = phase_of(view)
    for policy, phases in CHAIN:
        if phase not in phases:
            answer = policy(view)
            assert answer is None, f"{policy.__name__} in {phase.name}: {answer}"


class ChainChecked:
    """A recorder that holds every decision against the law."""

    def record(
        self, spec: RolloutSpec, status: Status, seen: Observation, now: float, decision: Decision
    ) -> None:
        """Check; the decision itself is not looked at."""
        check_left_out(spec, status, seen, now)
