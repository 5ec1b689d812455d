"""Rollout: the one object that a team writes, and where a release says how it is going.

It names what the team has already (a Deployment, a route) and what a release must honour; nothing
of it is a command, so GitOps never reverts one. Plan and contracts are references or stand inline;
one way of each, so that nobody has to know which one wins. The status is in `rolloutstatus.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from leadsman.api.releasecontract import ContractSpec
from leadsman.api.resource import API_VERSION, LocalRef, Resource
from leadsman.api.rolloutplan import PlanSpec
from leadsman.api.rolloutstatus import RolloutStatus
from leadsman.api.schema import ATOMIC, PRESERVE, Api, Extra, ListMap, Rule, exactly_one
from leadsman.api.types import ObjectName, RuleName


class Hold(StrEnum):
    """How a new template is held back."""

    POLICY = "Policy"
    PAUSED = "Paused"


class InCluster(StrEnum):
    """Which pods callers inside the cluster meet during an attempt."""

    STABLE = "Stable"
    SHARED = "Shared"
    REQUIRED = "Required"


class RouteKind(StrEnum):
    """Routes of the Gateway API that can be weighted."""

    HTTP_ROUTE = "HTTPRoute"
    GRPC_ROUTE = "GRPCRoute"


class TargetRef(Api):
    """The workload whose versions are released in stages."""

    api_version: Literal["apps/v1"] = Field(
        default="apps/v1", description="The workload's API version."
    )
    kind: Literal["Deployment"] = Field(description="The workload's kind.")
    name: ObjectName = Field(description="The workload's name, in the same namespace.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self == oldSelf",
            message="spec.targetRef must not change: delete this Rollout and create another one",
            holds=lambda _: True,  # one object alone cannot tell; the API server compares
        ),
    )


class RouteRef(Api):
    """A route of the user's, or one rule of it."""

    kind: RouteKind = Field(default=RouteKind.HTTP_ROUTE, description="The route's kind.")
    name: ObjectName = Field(description="The route's name, in the same namespace.")
    rule_name: RuleName | None = Field(
        default=None,
        description="The rule; without it all rules of the route that name the Service.",
    )


LabelsOrAnnotations = Annotated[
    dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=32)
]


class RouteMetadata(Api):
    """Name, labels and annotations of a route that the operator owns."""

    name: ObjectName = Field(description="The route's name.")
    labels: LabelsOrAnnotations | None = Field(default=None, description="The route's labels.")
    annotations: LabelsOrAnnotations | None = Field(
        default=None, description="The route's annotations."
    )


FreeForm = Annotated[
    dict[str, Any],
    Field(min_length=1, max_length=16),
    Extra(PRESERVE, value=True),
]
"""An object of another API, kept as it is; that API checks it when it is written."""


class RouteTemplate(Api):
    """A route that the operator creates and owns, in the form at rest."""

    kind: RouteKind = Field(default=RouteKind.HTTP_ROUTE, description="The route's kind.")
    metadata: RouteMetadata = Field(description="The route's name, labels and annotations.")
    spec: FreeForm = Field(
        description="The route's spec as it is at rest: the backends are the user's Services."
    )


def _one_ref_a_rule(refs: tuple[RouteRef, ...]) -> bool:
    seen = {(ref.kind, ref.name, ref.rule_name) for ref in refs}
    whole = {(ref.kind, ref.name) for ref in refs if ref.rule_name is None}
    parts = {(ref.kind, ref.name) for ref in refs if ref.rule_name is not None}
    return len(seen) == len(refs) and not whole & parts


# Two references may name one route with different rules, so no single key tells them apart, and
# a list of type map cannot have optional keys. Hence an atomic list and a rule.
RouteRefs = Annotated[
    tuple[RouteRef, ...],
    Field(min_length=1, max_length=8),
    ATOMIC,
    Rule(
        cel=(
            "self.all(a, self.exists_one(b, a.kind == b.kind && a.name == b.name && "
            "(!has(a.ruleName) || !has(b.ruleName) || a.ruleName == b.ruleName)))"
        ),
        message=(
            "routeRefs must name each rule of a route once; "
            "a reference without ruleName means all rules of the route"
        ),
        holds=_one_ref_a_rule,
    ),
]


class GatewayAPI(Api):
    """Traffic by the Gateway API: the user's routes, or one of the operator's own."""

    route_refs: RouteRefs | None = Field(
        default=None, description="The user's routes; at rest they are as the user wrote them."
    )
    template: RouteTemplate | None = Field(
        default=None,
        description=(
            "A route that the operator creates and owns: for tools that apply routes "
            "server-side with force."
        ),
    )

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one("route_refs", "template"),)


class Traffic(Api):
    """What shares the traffic out: exactly one provider."""

    gateway_api: GatewayAPI | None = Field(
        default=None, description="HTTPRoutes or GRPCRoutes of the Gateway API."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.gatewayAPI)",
            message="exactly one provider must be set: gatewayAPI",
            holds=lambda traffic: traffic.gateway_api is not None,
        ),
    )


class RolloutSpec(Api):
    """Which Deployment, which route, which plan and contracts."""

    target_ref: TargetRef = Field(
        description="The Deployment whose new templates are released in stages."
    )
    traffic: Traffic = Field(description="What shares the traffic out: exactly one provider.")
    service_refs: (
        Annotated[tuple[LocalRef, ...], Field(min_length=1, max_length=8), ListMap()] | None
    ) = Field(
        default=None,
        description=(
            "The Deployment's Services. Without it: those backends of the routes that select "
            "its pods. Required when the route already names the two arms."
        ),
    )
    hold: Hold = Field(
        default=Hold.POLICY,
        description=(
            "How a new template is held back: Policy, by an admission policy of the API server; "
            "Paused, by a Deployment that is paused at rest, for older servers."
        ),
    )
    in_cluster: InCluster = Field(
        default=InCluster.STABLE,
        description=(
            "Callers past the router: Stable, only stable pods where the Service can be pinned; "
            "Required, no attempt where it cannot; Shared, both versions."
        ),
    )
    plan_ref: LocalRef | None = Field(default=None, description="A RolloutPlan in this namespace.")
    plan: PlanSpec | None = Field(default=None, description="The plan inline.")
    contract_refs: (
        Annotated[tuple[LocalRef, ...], Field(min_length=1, max_length=4), ListMap()] | None
    ) = Field(default=None, description="ReleaseContracts in this namespace; all must be honoured.")
    contract: ContractSpec | None = Field(default=None, description="The contract inline.")
    unguarded: Annotated[str, Field(min_length=3, max_length=256)] | None = Field(
        default=None,
        description="Instead of contracts: why releases are judged by nothing but time.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one("plan_ref", "plan"),
        Rule(
            cel=exactly_one("contract_refs", "contract", "unguarded").cel,
            message=(
                "exactly one of contractRefs, contract, unguarded must be set: a Rollout has a "
                'contract, or says why not (unguarded: "why")'
            ),
            holds=exactly_one("contract_refs", "contract", "unguarded").holds,
        ),
    )


class Rollout(Resource):
    """The release of one Deployment's versions, stage by stage."""

    api_version: Literal["leadsman.dev/v1alpha1"] = API_VERSION
    kind: Literal["Rollout"] = "Rollout"
    spec: RolloutSpec = Field(
        description="Which Deployment, which route, which plan and contracts."
    )
    status: RolloutStatus | None = Field(
        default=None, description="How it is going; written by the operator alone."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="size(self.metadata.name) <= 63",
            message="metadata.name must have at most 63 characters, to fit into labels",
            holds=lambda rollout: len(rollout.name) <= 63,
        ),
    )
