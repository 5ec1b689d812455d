"""The kinds of the API in one table, and how to read an object of any of them.

The table holds what a CustomResourceDefinition needs beside the schema: plural, short name, scope,
columns. A new kind is one module and one entry here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from leadsman.api.guard import Guard
from leadsman.api.metricssource import MetricsSource
from leadsman.api.releasecontract import ReleaseContract
from leadsman.api.resource import GROUP, InvalidObjectError, Resource, problems
from leadsman.api.rollout import Rollout
from leadsman.api.rolloutplan import RolloutPlan


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; `wide` ones are shown with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class ApiKind:
    """A kind and what its CustomResourceDefinition says about it."""

    model: type[Resource]
    plural: str
    singular: str
    short: str
    columns: tuple[Column, ...]
    namespaced: bool = True

    @property
    def kind(self) -> str:
        """The kind's name."""
        return self.model.__name__

    @property
    def crd_name(self) -> str:
        """The name of its CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"


def _condition(type_: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{type_}")].{field}'


_AGE = Column("Age", ".metadata.creationTimestamp", "date")

KINDS: tuple[ApiKind, ...] = (
    ApiKind(
        Rollout,
        plural="rollouts",
        singular="rollout",
        short="lro",
        columns=(
            Column("Ready", _condition("Ready", "status"), description="Whether all is done."),
            Column("State", ".status.display.state", description="What is going on."),
            Column("Stage", ".status.display.stage", description="The stage, of how many."),
            Column("Weight", ".status.display.weight", description="The canary's percent."),
            Column("Guards", ".status.display.guards", description="Guards that pass."),
            Column("Next", ".status.display.next", description="When something is next due."),
            Column("Revision", ".status.display.version", description="The version."),
            _AGE,
            Column("Message", _condition("Ready", "message"), wide=True),
        ),
    ),
    ApiKind(
        RolloutPlan,
        plural="rolloutplans",
        singular="rolloutplan",
        short="lplan",
        columns=(
            Column("Strategy", ".spec.strategy"),
            Column("Promotion", ".spec.promotion"),
            _AGE,
        ),
    ),
    ApiKind(
        ReleaseContract,
        plural="releasecontracts",
        singular="releasecontract",
        short="lrc",
        columns=(
            Column("NoData", ".spec.noData.action"),
            Column("Inconclusive", ".spec.onInconclusive"),
            _AGE,
        ),
    ),
    ApiKind(
        Guard,
        plural="guards",
        singular="guard",
        short="lguard",
        columns=(Column("Source", ".spec.sourceRef.name"), _AGE),
    ),
    ApiKind(
        MetricsSource,
        plural="metricssources",
        singular="metricssource",
        short="lms",
        columns=(
            Column("Address", ".spec.prometheus.address"),
            Column("PromQL", ".spec.allowPromQL", "boolean"),
            Column("Namespaces", ".spec.namespaces.from"),
            _AGE,
        ),
        namespaced=False,
    ),
)
"""All kinds of this version, in the order in which users meet them."""

BY_NAME: Mapping[str, ApiKind] = {entry.kind: entry for entry in KINDS}


def parse(body: Mapping[str, Any]) -> Resource:
    """Return the model of an object of one of our kinds.

    Raises InvalidObjectError with one line for each wrong field.
    """
    kind = str(body.get("kind", ""))
    metadata = body.get("metadata")
    name = str(metadata.get("name", "")) if isinstance(metadata, Mapping) else ""
    entry = BY_NAME.get(kind)
    if entry is None:
        raise InvalidObjectError(kind, name, (f"kind: must be one of {', '.join(BY_NAME)}",))
    try:
        return entry.model.model_validate(body)
    except ValidationError as error:
        raise InvalidObjectError(kind, name, problems(error)) from error
