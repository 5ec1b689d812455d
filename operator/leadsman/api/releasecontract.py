"""ReleaseContract: what a release must honour, and what is done when it does not.

A guard gives a verdict, the contract turns it into an action: roll back, hold or warn, at once or
after several readings. It also says what to do when there is nothing to judge by, because missing
data is no good data. The same fields can stand inline in a Rollout.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StrictInt

from leadsman.api.conditions import PlainStatus
from leadsman.api.guard import GuardSpec
from leadsman.api.resource import API_VERSION, LocalRef, Resource
from leadsman.api.schema import Api, ListMap, Rule, exactly_one
from leadsman.api.types import (
    PERCENT,
    RATIO,
    Duration,
    Name,
    Percent,
    Ratio,
    between,
    cel_string,
    parse_duration,
    parse_percent,
    parse_ratio,
)


class OnFail(StrEnum):
    """What a guard's Fail does once its trigger has fired."""

    ROLLBACK = "Rollback"
    HOLD = "Hold"
    WARN = "Warn"


class BlindAction(StrEnum):
    """What is done without data or without traffic."""

    HOLD = "Hold"
    ROLLBACK = "Rollback"
    PROCEED = "Proceed"


class OnInconclusive(StrEnum):
    """What is done at a stage's maxHold when verdicts are still inconclusive."""

    HOLD = "Hold"
    PROMOTE = "Promote"
    ROLLBACK = "Rollback"


Hysteresis = Annotated[
    Percent,
    Rule(
        cel=f"!self.matches({cel_string(PERCENT)}) || double(self.replace('%', '')) <= 90.0",
        message='must be at most 90%, such as "10%"',
        holds=lambda text: parse_percent(text) <= 0.9,
    ),
]


class Trigger(Api):
    """How much Fail it takes before onFail is done; all that is given must be met."""

    consecutive: StrictInt = Field(
        default=1, ge=1, le=100, description="So many readings with newer samples, one by one."
    )
    sustained_for: Annotated[Duration, between("0s", "24h")] | None = Field(
        default=None, description="So long without a break, in the samples' own time."
    )
    hysteresis: Hysteresis = Field(
        default="0%",
        description=(
            "A share of the limit: only so far below it does a failing guard count as well again; "
            "of evidence it is a share of the limit's logarithm."
        ),
    )


class ContractGuard(Api):
    """One guard of the contract, by reference or inline."""

    name: Name = Field(description="The guard's name in this contract, unique.")
    guard_ref: LocalRef | None = Field(default=None, description="A Guard in this namespace.")
    guard: GuardSpec | None = Field(default=None, description="The guard inline.")
    on_fail: OnFail = Field(
        default=OnFail.ROLLBACK,
        description="Rollback, Hold (the stage waits) or Warn (only said).",
    )
    trigger: Trigger = Field(
        default=Trigger(), description="How much Fail it takes before onFail is done."
    )

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one("guard_ref", "guard"),)


class Blind(Api):
    """What is done when there is nothing to judge by for a while."""

    after: Annotated[Duration, between("1s", "24h")] = Field(
        default="3m", description="How long it may last before the action."
    )
    action: BlindAction = Field(
        default=BlindAction.HOLD,
        description="Hold (wait and say so), Rollback, or Proceed (count it as a Pass).",
    )


class MaxBlind(Api):
    """When blindness itself is the danger."""

    freeze_after: Annotated[Duration, between("1s", "24h")] = Field(
        default="5m", description="Without data for so long: no weight is raised any more."
    )
    step_back_after: Annotated[Duration, between("1s", "24h")] = Field(
        default="10m", description="Without data for so long: back to the stage before."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="duration(self.stepBackAfter) >= duration(self.freezeAfter)",
            message="stepBackAfter must be at least freezeAfter",
            holds=lambda blind: (
                parse_duration(blind.step_back_after) >= parse_duration(blind.freeze_after)
            ),
            field=".stepBackAfter",
        ),
    )


DesignRatio = Annotated[
    Ratio,
    Rule(
        cel=f"!self.matches({cel_string(RATIO)}) || double(self) > 1.0",
        message='must be above 1, such as "1.5": the worsening that must not stay hidden',
        holds=lambda text: parse_ratio(text) > 1,
    ),
]
ErrorBudget = Annotated[
    Percent,
    Rule(
        cel=(
            f"!self.matches({cel_string(PERCENT)}) || "
            "(double(self.replace('%', '')) > 0.0 && double(self.replace('%', '')) <= 20.0)"
        ),
        message='must be above 0% and at most 20%, such as "1%"',
        holds=lambda text: 0 < parse_percent(text) <= 0.2,
    ),
]


class ContractSpec(Api):
    """The guards that a release must honour."""

    false_rollback: ErrorBudget = Field(
        default="1%",
        description=(
            "How likely a good release may be rolled back; shared by all sequential guards. Each"
            " retry of a revision has half of the one before: all together at most twice this."
        ),
    )
    guards: Annotated[tuple[ContractGuard, ...], Field(min_length=1, max_length=20), ListMap()] = (
        Field(description="The guards, each with what its Fail does.")
    )
    no_data: Blind = Field(default=Blind(), description="What is done when a guard gets no data.")
    no_traffic: Blind = Field(
        default=Blind(), description="What is done when the canary gets no requests."
    )
    max_blind: MaxBlind = Field(
        default=MaxBlind(), description="When blindness itself is the danger."
    )
    on_inconclusive: OnInconclusive = Field(
        default=OnInconclusive.HOLD,
        description="Done at a stage's maxHold: Hold, Promote or Rollback.",
    )
    design_ratio: DesignRatio = Field(
        default="1.5",
        description="The worsening that a release must not hide; a plan is measured by it.",
    )


class ReleaseContract(Resource):
    """A contract that several Rollouts can use by reference."""

    api_version: Literal["leadsman.dev/v1alpha1"] = API_VERSION
    kind: Literal["ReleaseContract"] = "ReleaseContract"
    spec: ContractSpec = Field(description="The guards that a release must honour.")
    status: PlainStatus | None = Field(
        default=None, description="What the operator says about this contract."
    )
