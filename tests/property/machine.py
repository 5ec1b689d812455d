"""What the law machines share: rules about the good Rollout, how many lives, and of what seed.

EXAMPLES sets how many lives; the default is what `make test` promises. They are the same lives in
every run, so that a red run is about the change; SEED=random looks for new ones. Shrinking a life
takes minutes; SHRINK=1 asks for it when a law is broken.
"""

from __future__ import annotations

import asyncio
import os
from abc import abstractmethod
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from .cluster import Lab

EXAMPLES = int(os.environ.get("EXAMPLES", "2000"))
SEED = os.environ.get("SEED", "1")
PHASES = tuple(Phase) if os.environ.get("SHRINK") else (Phase.explicit, Phase.generate)
PLAN = {
    "stages": [
        {"name": "quarter", "weight": 25, "hold": "3s"},
        {"name": "most", "weight": 60, "hold": "2s"},
        {"name": "full", "weight": 100, "hold": "1s"},
    ],
    "settle": "1s",
    "scaleDownDelay": "1s",
    "progressDeadline": "30s",
}


class Releases(RuleBasedStateMachine):
    """One Rollout whose team releases while time passes and the operator crashes."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.version = 1

    @abstractmethod
    def go(self, seconds: float) -> None:
        """Let time pass."""

    @abstractmethod
    def do(self, what: Callable[[Lab], object]) -> None:
        """Something happens, in every lab where the Rollout lives."""

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, 8.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.go(seconds)

    @rule(back=st.integers(0, 2), bad=st.booleans())
    def release(self, back: int, bad: bool) -> None:
        """A new template, or one that was there before; it may be bad."""
        self.version = max(1, self.version + 1 - back) if back else self.version + 1
        name = f"v{self.version}"

        def released(lab: Lab) -> None:
            if bad and name != "v1" and name not in lab.versions():
                lab.metrics.bad.add(name)
            lab.release(name)

        self.do(released)
        self.go(0.1)

    @rule()
    def crash(self) -> None:
        """The operator loses its memory."""
        self.do(lambda lab: lab.operator.crash())


def shards(law: str, machine: type[Releases], lives: int, count: int) -> dict[str, Callable]:
    """Tests by name: `lives` of a machine, dealt to `count` tests so that both cores have work."""

    def shard(number: int) -> Callable[[], None]:
        def test() -> None:
            life = type(f"{machine.__name__}{number}", (machine,), {})
            if SEED != "random":
                life = seed(int(SEED) + number)(life)
            run_state_machine_as_test(
                life,
                settings=settings(
                    max_examples=max(1, lives // count),
                    stateful_step_count=10,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                    print_blob=True,
                    phases=PHASES,
                ),
            )

        return test

    return {f"test_{law}_{number}": shard(number) for number in range(count)}
