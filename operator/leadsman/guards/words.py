"""Enumerations whose members are plain class attributes, as they are from Python 3.12 on.

Python 3.11 finds a member through a descriptor that looks its name up; a pass of the core names
some eighty of them, which was a twentieth of its time.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

E = TypeVar("E", bound=Enum)


def plain(kind: type[E]) -> type[E]:
    """A class decorator: the same enumeration, its members found at once."""
    for name, member in kind.__members__.items():
        type.__setattr__(kind, name, member)
    return kind
