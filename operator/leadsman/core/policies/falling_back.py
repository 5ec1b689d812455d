"""Lowering traffic: decided first, waiting for nothing.

Nothing here looks at stable's strength, at the gateway's conditions, at a window or at an approval;
the one exception is a stable arm without a single ready endpoint, where weight 0 would turn a
partly good canary into nothing.
"""

from __future__ import annotations

from dataclasses import replace

from leadsman.core.actions import Emit, SetWeights
from leadsman.core.decision import Decision, Persist, Urgency
from leadsman.core.exhibits import exhibited
from leadsman.core.members import ARMS, AT_REST, ROLLING_BACK
from leadsman.core.observation import Form, Rule
from leadsman.core.policies.breaches import LOST_TARGET, Breach, find_breach
from leadsman.core.policies.holding import rolling_update
from leadsman.core.status import Attempt, Direction, Heading, Original, Status
from leadsman.core.view import FORWARD, View

ANSWERS = 2
"""How many foreign writes an attempt answers; the next one starts the rollback."""

ROUTE_WRITES = 3
"""At most this many of our route writes answer others in one attempt, the rollback's included."""

_ONWARD = (*FORWARD, Heading.HANDING_OVER)


def traffic_off(view: View) -> Decision | None:
    """Rolling back and the route still gives the canary weight: weight 0, alone, at once."""
    attempt = view.attempt
    if attempt is None or attempt.direction.name is not ROLLING_BACK or view.released:
        return None
    if view.top == 0 or attempt.direction.reason in LOST_TARGET:
        return None
    foreign = any(rule.canary > 0 and not rule.ours for rule in view.armed)
    if foreign and attempt.foreign_writes >= ROUTE_WRITES:
        return None
    if _no_healthy_arm(view):
        return _no_arm(view)
    writes = attempt.foreign_writes + (1 if foreign and attempt.weight == 0 else 0)
    return view.act(
        "traffic_off",
        "Progressing",
        f"rolling back: {attempt.direction.message}",
        SetWeights(0, lowering=True),
        status=view.with_attempt(weight=0, foreign_writes=writes),
        persist=Persist.NOW if foreign else Persist.SOON,
        urgency=Urgency.ROLL_BACK,
    )


def breach(view: View) -> Decision | None:
    """A reason to roll back is there: direction and weight 0 in one decision, the route first."""
    attempt = view.attempt
    if attempt is None or attempt.direction.name not in _ONWARD or view.released:
        return None
    found = find_breach(view)
    return None if found is None else roll_back(view, found)


def roll_back(view: View, found: Breach) -> Decision:
    """Turn the attempt round: weight 0 if there is any, then the direction, then one event."""
    attempt = view.attempt
    if attempt is None:
        raise AssertionError("only an attempt can be rolled back")  # decide() never comes here
    direction = Direction(Heading.ROLLING_BACK, view.now, found.reason, found.message)
    guards = exhibited(view.evidence, view.seen.readings) or attempt.guards
    status = view.with_attempt(direction=direction, guards=guards)
    event = Emit(found.event, found.message, warning=found.warning)
    off = view.top > 0 and found.reason not in LOST_TARGET
    if off and _no_healthy_arm(view):
        return view.act(
            "breach",
            "NoHealthyArm",
            found.message,
            event,
            status=status,
            persist=Persist.NOW,
            urgency=Urgency.ROLL_BACK,
        )
    if off and status.attempt is not None:
        status = replace(status, attempt=replace(status.attempt, weight=0))
    actions = (SetWeights(0, lowering=True), event) if off else (event,)
    return view.act(
        "breach",
        "Progressing",
        f"rolling back: {found.message}",
        *actions,
        status=status,
        persist=Persist.NOW,
        urgency=Urgency.ROLL_BACK,
    )


def _no_healthy_arm(view: View) -> bool:
    return view.ready_stable == 0 and view.ready_canary > 0


def _no_arm(view: View) -> Decision:
    return view.wait(
        "traffic_off",
        "NoHealthyArm",
        "rolling back, but stable has no ready endpoint: weight 0 follows the first one",
        urgency=Urgency.ROLL_BACK,
    )


def canary_thin(view: View) -> Decision | None:
    """Fewer canary endpoints are ready than its weight needs: lower to what they carry.

    Measured against the replicas at the time of the raise, so that scaling the Deployment is never
    taken for a loss. It refuses nothing: evictions and drains happen to good versions too.
    """
    attempt, target = view.attempt, view.target
    if attempt is None or target is None or view.released or view.top == 0:
        return None
    if attempt.direction.name is ROLLING_BACK or attempt.base_replicas == 0:
        return None
    base = view.counted(min(attempt.base_replicas, target.replicas) or attempt.base_replicas)
    ready = view.ready_canary
    if ready >= view.needed(view.top, base) or _stage_needs_no_more(view):
        return None
    stable = view.ready_stable
    # By its own strength, or by its part of all ready pods when stable is weak as well.
    share = min(view.top, max(100 * ready // base, 100 * ready // max(1, ready + stable)))
    if share >= view.top:
        return None
    if share == 0 and stable == 0:
        return None
    message = f"{ready} ready canary pods carry {share} %, not {view.top} %"
    stage = replace(
        attempt.stage,
        commanded_at=None,
        accepted_at=None,
        measuring_since=None,
        due_at=None,
        wait_since=view.now,
    )
    return view.act(
        "canary_thin",
        "Holding",
        message,
        SetWeights(share, lowering=True),
        Emit("WeightChanged", message, warning=True),
        status=view.with_attempt(
            weight=share,
            weight_since=view.now,
            direction=Direction(Heading.STEPPING_BACK, view.now, "CanaryNotReady", message),
            stage=stage,
        ),
        persist=Persist.NOW,
        urgency=Urgency.ROLL_BACK,
    )


def _stage_needs_no_more(view: View) -> bool:
    """The plan asked for fewer pods than the weight's share, and these are ready."""
    asked = view.stage.replicas
    return asked is not None and view.top < 100 and view.ready_canary >= asked


def own_write_found(view: View) -> Decision | None:
    """The rule is lower than status says and we wrote it last: a rollback cut short. Finish it."""
    attempt = view.attempt
    if attempt is None or view.released or view.heading not in _ONWARD or not view.armed:
        return None
    weight = attempt.weight
    if not [rule for rule in view.armed if rule.canary < weight and rule.ours]:
        return None
    message = "the weight was lowered before a restart that came before the reason was recorded"
    return roll_back(view, Breach("Interrupted", message, event="RolledBack"))


def caught_up(view: View) -> Decision | None:
    """The rule is higher than status says and we wrote it last: it was approved, so remember it."""
    attempt, target = view.attempt, view.target
    if attempt is None or target is None or view.released or view.top <= attempt.weight:
        return None
    if not all(rule.ours for rule in view.armed) or view.terms is None:
        return None
    if attempt.direction.name is Heading.ADVANCING:
        for index in (attempt.stage.index, attempt.stage.index + 1):
            if index < len(view.stages) and view.stages[index].weight == view.top:
                stage = replace(
                    attempt.stage,
                    index=index,
                    name=view.stages[index].name,
                    commanded_at=view.now,
                    accepted_at=None,
                    measuring_since=None,
                    due_at=None,
                )
                status = view.with_attempt(
                    stage=stage,
                    weight=view.top,
                    weight_since=view.now,
                    max_weight=max(view.top, attempt.max_weight),
                    base_replicas=attempt.base_replicas or target.replicas,
                    routed_at=attempt.routed_at or view.now,
                )
                return view.act(
                    "caught_up",
                    "Progressing",
                    f"the weight of stage {stage.name} was written before a restart",
                    status=status,
                    persist=Persist.SOON,
                )
    if view.heading in FORWARD:
        return view.act(
            "caught_up",
            "Holding",
            f"lowering the canary to {attempt.weight} %",
            SetWeights(attempt.weight, lowering=True),
            urgency=Urgency.ROLL_BACK,
        )
    return None


def foreign_write(view: View) -> Decision | None:
    """Somebody else wrote the rule and it differs from what was commanded."""
    attempt = view.attempt
    if attempt is None or view.released or view.heading not in _ONWARD:
        return None
    if attempt.routed_at is None or attempt.rested_at is not None:
        return None
    for rule in view.seen.rules:
        if rule.form is AT_REST and view.heading is Heading.HANDING_OVER and rolling_update(view):
            continue
        off = rule.form is not ARMS or rule.canary != attempt.weight
        if not off or (rule.ours and rule.form is ARMS):
            continue
        who = rule.writer or "somebody"
        where = f"{rule.kind} {rule.route}"
        if rule.form is Form.ARMS and rule.canary < attempt.weight:
            message = f"{who} lowered the canary's weight on {where} to {rule.canary}: aborted"
            return roll_back(view, Breach("Aborted", message, event="Aborted"))
        if _answered_before(attempt, rule):
            message = f"{who} rewrote {where}: answered ({attempt.foreign_writes} of {ANSWERS})"
            # The event follows the write, so the try that was refused has not told it.
            return view.act(
                "foreign_write",
                "Progressing",
                message,
                SetWeights(attempt.weight, lowering=rule.form is Form.ARMS),
                Emit("ForeignWriter", message, warning=True),
                urgency=Urgency.ROLL_BACK,
            )
        if rule.form is Form.OTHER or attempt.foreign_writes >= ANSWERS:
            message = (
                f"{who} keeps rewriting {where}: stop it, or let the operator own the route"
                " (spec.traffic.gatewayAPI.template)"
            )
            return roll_back(view, Breach("ForeignWriter", message, event="ForeignWriter"))
        message = f"{who} rewrote {where}: answered ({attempt.foreign_writes + 1} of {ANSWERS})"
        return view.act(
            "foreign_write",
            "Progressing",
            message,
            SetWeights(attempt.weight, lowering=rule.form is Form.ARMS),
            Emit("ForeignWriter", message, warning=True),
            status=_captured(view),
            persist=Persist.FIRST,
            urgency=Urgency.ROLL_BACK,
        )
    return None


def _answered_before(attempt: Attempt, rule: Rule) -> bool:
    """Whether this very write is counted and the answer to it has not got through yet."""
    return any(
        _is_of(one, rule) and 0 < rule.generation == one.generation for one in attempt.original
    )


def _is_of(one: Original, rule: Rule) -> bool:
    """Whether a rule is the remembered one: by its name, or by its place where it has none."""
    same = one.rule == rule.name if one.rule else one.index == rule.index
    return same and (one.kind, one.route) == (rule.kind, rule.route)


def _captured(view: View) -> Status:
    """Count the answer and take the user's rest form anew: it may have changed."""
    attempt = view.attempt
    if attempt is None:
        return view.status
    original: list[Original] = []
    for one in attempt.original:
        rule = next((rule for rule in view.seen.rules if _is_of(one, rule)), None)
        if rule is None or (rule.ours and rule.form is Form.ARMS):
            original.append(one)
        elif rule.form is Form.REST:
            original.append(
                replace(one, backends=rule.backends, owner=rule.writer, generation=rule.generation)
            )
        else:
            original.append(replace(one, generation=rule.generation))
    return view.with_attempt(original=tuple(original), foreign_writes=attempt.foreign_writes + 1)
