"""RolloutPlan: the strategy, and the stages through which traffic is opened.

A plan says nothing about one application, so a platform team can write it once. The same fields
can stand inline in a Rollout. Weights may not decrease, because a lower weight is a step back and
never part of a plan.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StrictInt

from leadsman.api.conditions import PlainStatus
from leadsman.api.resource import API_VERSION, Resource
from leadsman.api.schema import Api, ListMap, Rule
from leadsman.api.types import Duration, Name, between, parse_duration


class Strategy(StrEnum):
    """How traffic reaches the new version."""

    CANARY = "Canary"
    BLUE_GREEN = "BlueGreen"
    AB_TEST = "ABTest"
    IMMEDIATE = "Immediate"


class Promotion(StrEnum):
    """How the canary becomes the Deployment's own."""

    HAND_OVER = "HandOver"
    ROLLING_UPDATE = "RollingUpdate"


class Approval(Api):
    """Who has to agree before a stage begins."""

    count: StrictInt = Field(default=1, ge=1, le=10, description="How many different people.")


class Stage(Api):
    """One step: this much traffic, for this long."""

    name: Name = Field(description="The stage's name, unique in the plan.")
    weight: StrictInt = Field(
        ge=0,
        le=100,
        description="The canary's share of the traffic in percent, from 0 to 100.",
    )
    hold: Annotated[Duration, between("0s", "168h")] = Field(
        default="0s", description="How long the guards must pass before the next stage begins."
    )
    max_hold: Annotated[Duration, between("0s", "720h")] | None = Field(
        default=None,
        description=(
            "When the verdicts are still inconclusive after this time, the contract's "
            "onInconclusive is done. Without it the stage waits."
        ),
    )
    replicas: StrictInt | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description=(
            "The canary's replicas in this stage. Without it: as many as the weight needs, "
            "rounded up."
        ),
    )
    approval: Approval | None = Field(
        default=None, description="Set it to let people agree before the stage begins."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.maxHold) || duration(self.maxHold) >= duration(self.hold)",
            message="maxHold must be at least hold",
            holds=lambda stage: (
                stage.max_hold is None
                or parse_duration(stage.max_hold) >= parse_duration(stage.hold)
            ),
            field=".maxHold",
        ),
    )


def _ends_full(plan: PlanSpec) -> bool:
    return (
        plan.promotion is Promotion.ROLLING_UPDATE
        or not plan.stages
        or plan.stages[-1].weight == 100
    )


def _never_decreases(plan: PlanSpec) -> bool:
    weights = [stage.weight for stage in plan.stages or ()]
    return weights == sorted(weights)


def _immediate_is_one_stage(plan: PlanSpec) -> bool:
    stages = plan.stages
    return (
        plan.strategy is not Strategy.IMMEDIATE
        or stages is None
        or (len(stages) == 1 and stages[0].weight == 100)
    )


class PlanSpec(Api):
    """The strategy and its stages."""

    strategy: Strategy = Field(
        default=Strategy.CANARY,
        description="Canary opens traffic stage by stage, Immediate all at once.",
    )
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=30), ListMap()] | None = (
        Field(
            default=None,
            description="The stages in order; weights never decrease and the last is 100.",
        )
    )
    settle: Annotated[Duration, between("0s", "10m")] = Field(
        default="5s",
        description=(
            "Waited after a weight has arrived, before Pass and the hold count. "
            "A Fail counts at once."
        ),
    )
    progress_deadline: Annotated[Duration, between("1s", "24h")] = Field(
        default="10m", description="Pods or route not ready by then: rolled back."
    )
    promotion: Promotion = Field(
        default=Promotion.HAND_OVER,
        description=(
            "HandOver gives the canary's pods to the Deployment; RollingUpdate lets the "
            "Deployment roll on by itself, where twice the pods are too many."
        ),
    )
    scale_down_delay: Annotated[Duration, between("0s", "24h")] = Field(
        default="30s", description="The canary's pods stay this long after weight 0."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.strategy == 'Immediate' || has(self.stages)",
            message="stages must have at least one stage; only strategy Immediate may leave it out",
            holds=lambda plan: plan.strategy is Strategy.IMMEDIATE or plan.stages is not None,
        ),
        Rule(
            cel=(
                "self.strategy != 'Immediate' || !has(self.stages) || "
                "(size(self.stages) == 1 && self.stages[0].weight == 100)"
            ),
            message=(
                "stages of strategy Immediate must be left out or be one stage with weight 100"
            ),
            holds=_immediate_is_one_stage,
            field=".stages",
        ),
        Rule(
            cel="!has(self.stages) || self.stages.map(stage, stage.weight).isSorted()",
            message=(
                "stages must not decrease in weight: each weight must be at least the one before"
            ),
            holds=_never_decreases,
            field=".stages",
        ),
        Rule(
            cel=(
                "!has(self.stages) || self.promotion == 'RollingUpdate' || "
                "self.stages[size(self.stages) - 1].weight == 100"
            ),
            message=(
                "stages must end with weight 100; "
                "only with promotion RollingUpdate may the last weight be below"
            ),
            holds=_ends_full,
            field=".stages",
        ),
    )


class RolloutPlan(Resource):
    """A plan that several Rollouts can use by reference."""

    api_version: Literal["leadsman.dev/v1alpha1"] = API_VERSION
    kind: Literal["RolloutPlan"] = "RolloutPlan"
    spec: PlanSpec = Field(description="The strategy and its stages.")
    status: PlainStatus | None = Field(
        default=None, description="What the operator says about this plan."
    )
