"""The one entrance: ask the policies in order; the first that has something to do decides.

The order is the design. Lowering traffic comes before everything that could make it wait; giving
back and adopting come before a new attempt; rest is what is left. `core/policies` has one small
function for each line.
"""

from __future__ import annotations

from collections.abc import Callable

from leadsman.core.actions import Emit
from leadsman.core.conditions import describe_status
from leadsman.core.decision import Decision, Persist
from leadsman.core.observation import Observation
from leadsman.core.phases import Phase, phase_of
from leadsman.core.policies import (
    adopting,
    falling_back,
    handing_over,
    holding,
    managing,
    measuring,
    opening,
    restarting,
    shifting,
    telling,
    unwinding,
)
from leadsman.core.spec import RolloutSpec
from leadsman.core.status import Status
from leadsman.core.view import View

Policy = Callable[[View], Decision | None]

REST, BACK, RELEASED = {Phase.REST}, {Phase.ROLLING_BACK}, {Phase.RELEASED}
SHIFTING, MEASURING, HANDING_OVER = {Phase.SHIFTING}, {Phase.MEASURING}, {Phase.HANDING_OVER}
FORWARD = SHIFTING | MEASURING
ONWARD = FORWARD | HANDING_OVER
ALWAYS = set(Phase)

CHAIN: tuple[tuple[Policy, set[Phase]], ...] = (
    # lowering waits for nothing
    (falling_back.traffic_off, BACK),
    (handing_over.release_found, HANDING_OVER),
    (falling_back.breach, ONWARD),
    # half a picture stops here
    (holding.unread, ALWAYS),
    (holding.stray_set, ALWAYS),
    # after the release there is only forward
    (handing_over.reclaim, RELEASED),
    (handing_over.settle_down, RELEASED),
    # somebody older has the target or the route: hands off
    (holding.conflicted, REST),
    # giving back, learning
    (adopting.give_back, REST),
    (adopting.finalize, ALWAYS),
    (managing.keep_route, ALWAYS - BACK),
    (adopting.adopt, REST),
    # what somebody wrote, or we did before a restart
    (falling_back.own_write_found, ONWARD),
    (falling_back.caught_up, FORWARD),
    (falling_back.foreign_write, ONWARD),
    (falling_back.canary_thin, ONWARD),
    # the hold
    (holding.keep_hold, ALWAYS - RELEASED),
    (unwinding.unwind, BACK),
    (adopting.rest_hold, REST),
    # going on, as far as nothing is in the way
    (holding.blocked, REST | ONWARD),
    (adopting.rest_arms, REST),
    (opening.begin, REST),
    (opening.terms_recorded, FORWARD),
    (opening.weights_first, SHIFTING),
    (opening.put_arms, FORWARD),
    (opening.route_on_stable, SHIFTING),
    (opening.pin, FORWARD),
    (opening.put_canary, FORWARD),
    (shifting.capacity, FORWARD),
    (shifting.prepare, FORWARD),
    (shifting.step_back, FORWARD),
    (holding.stable_short, SHIFTING),
    (shifting.raise_weight, SHIFTING),
    (restarting.restarting, FORWARD),
    (shifting.arrival, SHIFTING),
    (telling.tell, MEASURING),
    (measuring.measure, FORWARD),
    (measuring.advance, FORWARD),
    (handing_over.hand_over, HANDING_OVER),
)
"""The policies in their order, each with the phases in which it can have an answer."""

_IN_PHASE = tuple(
    tuple(policy for policy, phases in CHAIN if phase in phases) for phase in sorted(Phase)
)


def decide(spec: RolloutSpec, status: Status, seen: Observation, now: float) -> Decision:
    """Decide the next step of one Rollout.

    `now` is Unix time in seconds. Total: every observation has an answer, and nothing raises.
    The answer's status carries the conditions and columns that follow from it.
    """
    view = View(spec, status, seen, now)
    decision: Decision | None = None
    for policy in _IN_PHASE[phase_of(view)]:
        decision = policy(view)
        if decision is not None:
            break
    if decision is None:
        decision = adopting.rest(view)
    said = decision
    if status.attempt is not None and decision.status.attempt is None:
        # What is told of an attempt's end is what follows, so that it is written once.
        view = View(spec, decision.status, seen, now)
        said = holding.blocked(view) or adopting.rest(view)
    told = describe_status(view, said)
    actions = decision.actions
    if _same(told, status):
        persist = Persist.NEVER
    else:
        persist = max(decision.persist, Persist.LAZY)
        if told.attempt is None and _turned(status, told):
            persist = max(persist, Persist.SOON if status.conditions else Persist.NOW)
        if said.why.policy in PROBLEMS and _stalled(told) not in ("", _stalled(status)):
            actions = (*actions, Emit(said.why.reason, said.why.message, warning=True))
    if told is decision.status and persist is decision.persist and actions is decision.actions:
        return decision
    return Decision(told, actions, decision.wake_at, decision.why, persist, decision.urgency)


def _same(told: Status, before: Status) -> bool:
    """Nothing changed; looked for first where most of it does, in what the guards say."""
    if told is before:
        return True
    new, old = told.attempt, before.attempt
    if new is not None and old is not None and new.guards != old.guards:
        return False
    return told == before


PROBLEMS = frozenset({"blocked", "conflicted", "adopt"})
"""The policies that say what only somebody else can mend: an event tells it when it begins."""


def _stalled(status: Status) -> str:
    """Why the Rollout is Stalled; "" where it is not."""
    return next(
        (one.reason for one in status.conditions if one.type == "Stalled" and one.status == "True"),
        "",
    )


def _turned(before: Status, after: Status) -> bool:
    """A condition that people and tools wait for has turned."""
    old = {one.type: (one.status, one.reason) for one in before.conditions}
    return any(old.get(one.type) != (one.status, one.reason) for one in after.conditions)
