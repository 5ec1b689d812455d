"""The base of all resource models, and the markers that Kubernetes needs beside JSON Schema.

One declaration has to serve two readers: pydantic, when the operator reads an object, and the API
server, when a user writes one. So a rule across fields is one `Rule` that carries its CEL text, its
message and the same test in Python; it can be attached to a field (`Annotated[..., Rule(...)]`) or
to a whole model (the class variable `rules`). List types are markers of the same kind. Nothing here
knows a single kind of resource.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VALIDATIONS = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"
PRESERVE = "x-kubernetes-preserve-unknown-fields"

_SPELLED = {
    "from_": "from",
    "prom_ql": "promQL",
    "gateway_api": "gatewayAPI",
    "allow_prom_ql": "allowPromQL",
}


def camel(name: str) -> str:
    """Return the API's spelling of a Python field name (`prom_ql` is `promQL`)."""
    return _SPELLED.get(name) or to_camel(name)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that a schema cannot say: the same test in CEL and in Python.

    `cel` sees the value as `self`, as the API server does; `holds` sees the parsed value. `message`
    names the field and what is allowed. `field` is the CEL field path (".stages") below the value
    that the message belongs to, for rules on objects.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    field: str = ""

    def as_validation(self) -> dict[str, str]:
        """Return the entry for `x-kubernetes-validations`."""
        entry = {"rule": self.cel, "message": self.message}
        return entry | ({"fieldPath": self.field} if self.field else {})

    def check(self, value: Any) -> Any:
        """Return the value if the rule holds; raises a validation error with the message if not."""
        if not self.holds(value):
            # Braces would be taken for placeholders of the error's template.
            message = self.message.replace("{", "{{").replace("}", "}}")
            raise PydanticCustomError("rule", "{message}", {"message": message})
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check the value after its own validation."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the rule to the value's schema."""
        out = handler(schema)
        out.setdefault(VALIDATIONS, []).append(self.as_validation())
        return out


@dataclass(frozen=True, slots=True)
class ListMap:
    """Marks a list whose items are told apart by these keys (API names), each once."""

    keys: tuple[str, ...] = ("name",)

    def check(self, items: Any) -> Any:
        """Return the items; raises a validation error if two have the same keys."""
        seen: set[tuple[Any, ...]] = set()
        for item in items:
            key = tuple(getattr(item, name) for name in self.keys)
            if key in seen:
                raise PydanticCustomError(
                    "duplicate",
                    "{keys} must be unique: {key} is there twice",
                    {"keys": ", ".join(self.keys), "key": ", ".join(map(str, key))},
                )
            seen.add(key)
        return items

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check uniqueness as the API server does for a list of type map."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add list type and keys."""
        return handler(schema) | {LIST_TYPE: "map", LIST_KEYS: list(self.keys)}


@dataclass(frozen=True, slots=True)
class ListSet:
    """Marks a list of scalars in which each value is there once."""

    def check(self, items: Any) -> Any:
        """Return the items; raises a validation error if one is there twice."""
        if len(set(items)) != len(items):
            raise PydanticCustomError("duplicate", "values must be unique")
        return items

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check uniqueness as the API server does for a list of type set."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the list type."""
        return handler(schema) | {LIST_TYPE: "set"}


@dataclass(frozen=True, slots=True)
class Extra:
    """Adds one plain schema key (`format`, an atomic list type) to a value's schema."""

    key: str
    value: str | bool

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the key."""
        return handler(schema) | {self.key: self.value}


ATOMIC = Extra(LIST_TYPE, "atomic")
"""A list that is replaced as a whole."""


class Api(BaseModel):
    """Base of everything that a user writes: frozen, camelCase, no unknown fields."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=camel,
        populate_by_name=True,
        validate_default=False,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()
    """Rules across this object's fields."""

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        for rule in self.rules:
            rule.check(self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the rules to the model's own definition."""
        out = handler(schema)
        if cls.rules:
            target = handler.resolve_ref_schema(out)
            target[VALIDATIONS] = [rule.as_validation() for rule in cls.rules]
        return out

    def as_dict(self) -> dict[str, Any]:
        """Return the API's form: camelCase keys, absent members left out, JSON values only."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class ApiStatus(Api):
    """Base of what the operator itself writes.

    A newer operator may have written fields that this one does not know, so they are passed over
    instead of refused: an operator must be able to go back to its predecessor in mid-attempt.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=camel,
        populate_by_name=True,
        validate_default=False,
    )


def exactly_one(*members: str, optional: bool = False) -> Rule:
    """Return the rule that exactly one of these fields (Python names) is set.

    With `optional` none may be set as well.
    """
    names = [camel(member) for member in members]
    listed = "[" + ", ".join(f"has(self.{name})" for name in names) + "]"
    sense = "<=" if optional else "=="
    word = "at most one" if optional else "exactly one"

    def holds(value: Any) -> bool:
        count = sum(getattr(value, member) is not None for member in members)
        return count <= 1 if optional else count == 1

    return Rule(
        cel=f"{listed}.filter(set, set).size() {sense} 1",
        message=f"{word} of {', '.join(names)} must be set",
        holds=holds,
    )
