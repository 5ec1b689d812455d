"""What all kinds have in common: the group and version, the envelope, references, reading.

A kind is a `Resource` with its own `spec` and `status` and one entry in `KINDS` (`kinds.py`).
`InvalidObjectError` carries the problems of an object that cannot be read, each with its field
path, so that bad input ends as a condition and not as a traceback.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import ConfigDict, Field, ValidationError

from leadsman.api.schema import Api, camel
from leadsman.api.types import ObjectName
from leadsman.errors import LeadsmanError

GROUP = "leadsman.dev"
VERSION = "v1alpha1"
API_VERSION: Final = "leadsman.dev/v1alpha1"


class LocalRef(Api):
    """A reference to an object in the same namespace."""

    name: ObjectName = Field(description="The object's name, in the same namespace.")


class SourceRef(Api):
    """A reference to a MetricsSource, which has no namespace."""

    name: ObjectName = Field(default="default", description="The name of the MetricsSource.")


class Resource(Api):
    """The envelope of every kind; metadata stays as Kubernetes gave it."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=camel,
        populate_by_name=True,
        validate_default=False,
    )

    metadata: dict[str, Any] = Field(description="Name, namespace, labels and so on.")

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.metadata.get("name", ""))

    @property
    def namespace(self) -> str:
        """The object's namespace; empty for a cluster-scoped kind."""
        return str(self.metadata.get("namespace", ""))

    @property
    def uid(self) -> str:
        """The object's uid."""
        return str(self.metadata.get("uid", ""))

    @property
    def generation(self) -> int:
        """The generation of the object's spec; 0 where there is none."""
        return int(self.metadata.get("generation", 0))


def field_path(location: tuple[int | str, ...]) -> str:
    """Return a field path as Kubernetes writes it: `spec.stages[1].weight`."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def problems(error: ValidationError) -> tuple[str, ...]:
    """Return what is wrong, one line a field: `spec.stages[1].weight: ...`."""
    return tuple(
        f"{field_path(entry['loc']) or 'object'}: {entry['msg']}"
        for entry in error.errors(include_url=False, include_context=False, include_input=False)
    )


class InvalidObjectError(LeadsmanError):
    """Raised when an object of a known kind cannot be read.

    Attributes: `kind`, `name`, and `problems`, one line for each wrong field.
    """

    def __init__(self, kind: str, name: str, problems: tuple[str, ...]) -> None:
        super().__init__(kind, name, problems)
        self.kind = kind
        self.name = name
        self.problems = problems

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: " + "; ".join(self.problems)
