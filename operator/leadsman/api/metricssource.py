"""MetricsSource: a Prometheus that guards may ask, written by an administrator.

It is cluster-scoped because it holds an address: a network address in a namespaced kind would let
any team make the operator call whatever it likes. Limits protect the Prometheus from the operator,
and the operator from an answer that is too large.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StrictBool, StrictInt

from leadsman.api.conditions import PlainStatus
from leadsman.api.resource import API_VERSION, Resource
from leadsman.api.schema import Api, Extra, Rule, exactly_one
from leadsman.api.types import Duration, ObjectName, between, formed

ADDRESS = r"^https?://[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[-A-Za-z0-9._~/]*)?$"
FILE = r"^/[-A-Za-z0-9._]+(/[-A-Za-z0-9._]+)*$"


class From(StrEnum):
    """Which namespaces."""

    ALL = "All"
    SELECTOR = "Selector"


Address = Annotated[
    str,
    Field(max_length=512),
    Extra("pattern", ADDRESS),
    formed(
        ADDRESS,
        "must be http:// or https://, a host, and perhaps a port and a path: "
        "no user, query or fragment",
    ),
]


class SecretKey(Api):
    """One key of a Secret in the operator's own namespace."""

    name: ObjectName = Field(description="The Secret's name, in the operator's namespace.")
    key: Annotated[
        str,
        Field(min_length=1, max_length=253),
        Extra("pattern", r"^[-._a-zA-Z0-9]+$"),
        formed(r"^[-._a-zA-Z0-9]+$", "must be a key of a Secret: letters, digits, '-', '_', '.'"),
    ] = Field(default="token", description="The key that holds the bearer token.")


class Credentials(Api):
    """The bearer token that the source asks for, from exactly one place."""

    file: (
        Annotated[
            str,
            Field(max_length=512),
            Extra("pattern", FILE),
            formed(FILE, "must be an absolute path without spaces"),
            Rule(
                cel="!self.matches('(^|/)[.][.](/|$)')",
                message="must not contain '..'",
                holds=lambda path: ".." not in path.split("/"),
            ),
        ]
        | None
    ) = Field(default=None, description="A file in the operator's container, read at each use.")
    secret_ref: SecretKey | None = Field(
        default=None, description="A Secret in the operator's namespace."
    )

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one("file", "secret_ref"),)


class Prometheus(Api):
    """Where the Prometheus is, and how it is asked."""

    address: Address = Field(description="The base address, for instance http://prometheus:9090.")
    timeout: Annotated[Duration, between("100ms", "30s")] = Field(
        default="2s", description="A query without an answer by then counts as no data."
    )
    credentials: Credentials | None = Field(
        default=None, description="A bearer token, if the source asks for one."
    )


class Limits(Api):
    """What one answer and one second may cost."""

    queries_per_second: StrictInt = Field(
        default=4, ge=1, le=100, description="Queries to this source in any second, all guards."
    )
    series: StrictInt = Field(
        default=10_000, ge=1, le=1_000_000, description="Series in one answer; more is an error."
    )
    body_bytes: StrictInt = Field(
        default=8_388_608,
        ge=1024,
        le=268_435_456,
        description="Bytes of one answer; more is an error.",
    )


class Namespaces(Api):
    """Which namespaces may use the source."""

    from_: From = Field(
        default=From.ALL,
        description="All, or those that the selector chooses.",
    )
    match_labels: (
        Annotated[
            dict[str, Annotated[str, Field(max_length=63)]], Field(min_length=1, max_length=8)
        ]
        | None
    ) = Field(default=None, description="Labels that the namespace must have, with from Selector.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(self.from == 'Selector') == has(self.matchLabels)",
            message="matchLabels must be set with from Selector, and only then",
            holds=lambda spec: (spec.from_ is From.SELECTOR) == (spec.match_labels is not None),
            field=".matchLabels",
        ),
    )


class MetricsSourceSpec(Api):
    """A source of metrics, what it may be asked, and by whom."""

    prometheus: Prometheus = Field(description="Where the Prometheus is, and how it is asked.")
    allow_prom_ql: StrictBool = Field(
        default=False,
        description=(
            "Whether guards may carry queries of their own (promQL). Such a query may read every "
            "series of the source, whatever its namespace: allow it for a source that only those "
            "may use who may see everything in it."
        ),
    )
    namespaces: Namespaces = Field(
        default=Namespaces(), description="Which namespaces may use the source."
    )
    limits: Limits = Field(default=Limits(), description="What one answer and second may cost.")


class MetricsSource(Resource):
    """A source of metrics for all guards of the cluster."""

    api_version: Literal["leadsman.dev/v1alpha1"] = API_VERSION
    kind: Literal["MetricsSource"] = "MetricsSource"
    spec: MetricsSourceSpec = Field(description="The source, what it may be asked, and by whom.")
    status: PlainStatus | None = Field(
        default=None, description="What the operator says about this source."
    )
