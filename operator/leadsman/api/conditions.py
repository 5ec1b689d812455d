"""Conditions: how every object says what is true of it, in the form that Kubernetes tools know.

`Ready`, `Reconciling` and `Stalled` are read by kstatus, and with it by Flux, Argo CD and
`kubectl wait`; the others say why. Conditions are used instead of a phase because several of them
are true at once: after a rollback the release has failed while users are served.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from leadsman.api.schema import ApiStatus, Extra, ListMap
from leadsman.api.types import REASON, Timestamp

CONDITION_TYPE_FORM = r"^[A-Z][A-Za-z0-9]*$"
MESSAGE_LENGTH = 4096


class ConditionType(StrEnum):
    """The types of conditions that Leadsman sets."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    AVAILABLE = "Available"
    GUARDS_PASSING = "GuardsPassing"
    TRAFFIC_IN_SYNC = "TrafficInSync"
    IN_CLUSTER_PINNED = "InClusterPinned"
    HOLD = "Hold"
    AUTOSCALING_SAFE = "AutoscalingSafe"
    CANARY_STEADY = "CanarySteady"
    CONTRACT_SOUND = "ContractSound"


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiStatus):
    """One aspect of an object's state, with the reason for it."""

    type: Annotated[
        str, Field(min_length=1, max_length=64), Extra("pattern", CONDITION_TYPE_FORM)
    ] = Field(description="What is said, for instance Ready.")
    status: ConditionStatus = Field(description="Whether it is so: True, False or Unknown.")
    reason: Annotated[str, Field(min_length=1, max_length=128), Extra("pattern", REASON)] = Field(
        description="One word for why, fixed and enumerable."
    )
    message: Annotated[str, Field(max_length=MESSAGE_LENGTH)] = Field(
        default="", description="The same for people, with what to do."
    )
    last_transition_time: Timestamp = Field(description="When status last changed.")
    observed_generation: int | None = Field(
        default=None,
        ge=0,
        le=2**53,
        description="The generation of the object that this was said about.",
    )


Conditions = Annotated[tuple[Condition, ...], Field(max_length=16), ListMap(("type",))]
"""The conditions of an object, one a type."""


class PlainStatus(ApiStatus):
    """What the operator says about an object that has no progress of its own."""

    observed_generation: int | None = Field(
        default=None,
        ge=0,
        le=2**53,
        description="The generation of spec that the operator has last looked at.",
    )
    conditions: Conditions | None = Field(
        default=None, description="What is true of the object: Ready, and why not."
    )
