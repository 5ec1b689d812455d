"""What the core remembers, the API server keeps.

The API server silently drops a field that the schema does not know, and the operator would forget
it. So a core status in which every field is set goes through the codec, and each key that comes out
must be one that the schema knows, with a value that the models accept.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import Enum
from typing import Any

from leadsman.api.rolloutstatus import RolloutStatus
from leadsman.api.structural import structural
from leadsman.core.status import Status
from leadsman.guards.band import RatioBand
from leadsman.guards.eprocess import RatioSettings, empty
from leadsman.guards.memory import Memory
from leadsman.runtime.codec import encode_status

WORDS = {"verdict": "Fail", "level": "Critical", "outcome": "RolledBack", "status": "True"}


def filled(kind: Any, name: str = "") -> Any:
    """Return a value of a type with everything in it set."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in {types.UnionType, typing.Union}:
        return filled(next(one for one in inside if one is not type(None)), name)
    if origin is tuple:
        return (filled(inside[0]),)
    if kind is Memory:
        return Memory(1.0, 1, 1.0, 1.0, 1.0, 1.0, empty(RatioSettings(0.01)), RatioBand())
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        hints = typing.get_type_hints(kind)
        return kind(**{name: filled(hint, name) for name, hint in hints.items()})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if kind is bool:
        return True
    return WORDS.get(name, "Word") if kind is str else kind(1)


def unknown(schema: dict[str, Any], value: Any, path: str = "status") -> list[str]:
    """Return the paths in a value that the schema does not know."""
    if isinstance(value, list):
        return [bad for item in value for bad in unknown(schema["items"], item, f"{path}[]")]
    if not isinstance(value, dict):
        return []
    out = []
    for name, child in value.items():
        if name in schema["properties"]:
            out += unknown(schema["properties"][name], child, f"{path}.{name}")
        else:
            out.append(f"{path}.{name}")
    return out


def test_every_field_that_the_codec_writes_is_in_the_schema():
    written = encode_status(filled(Status))
    assert unknown(structural(RolloutStatus), written) == []


def test_what_the_codec_writes_is_what_the_models_read():
    written = encode_status(filled(Status))
    assert RolloutStatus.model_validate(written).as_dict() == written
