"""As few queries as possible: the shapes of all Rollouts merged into a handful of selectors.

Shapes that tell arms by the same label and need the same further matchers become one selector with
alternations. What such a selector returns too much, the shapes themselves sort out. A selector is
kept below a length, because a server has to match every series against it; if that made more
queries than a second allows, longer ones are the lesser evil.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from leadsman.adapters.presets.shape import literal, quoted
from leadsman.runtime.sampling.evidence import Tally

LENGTH = 8192


@dataclass(frozen=True, slots=True)
class Query:
    """One selector and the tallies that it serves."""

    selector: str
    tallies: tuple[Tally, ...]


def plan(tallies: Iterable[Tally], most: int, length: int = LENGTH) -> tuple[Query, ...]:
    """Return the queries that serve all tallies: if possible at most `most`, each of `length`."""
    families: dict[tuple[object, ...], list[Tally]] = {}
    for tally in tallies:
        shape = tally.shape
        if shape.asked:
            family = (shape.arm_label, bool(shape.namespace), *shape.matchers)
            families.setdefault(family, []).append(tally)
    total = sum(_size(tally) for members in families.values() for tally in members)
    room = max(length, total // max(1, most - len(families)) + 1)
    return tuple(
        Query(selector_of(chunk), tuple(chunk))
        for members in families.values()
        for chunk in _chunks(members, room)
    )


def selector_of(tallies: Iterable[Tally]) -> str:
    """Return one selector for tallies of the same family."""
    shapes = [tally.shape for tally in tallies]
    first = shapes[0]
    names = sorted({name for shape in shapes for name in shape.metrics})
    parts = [f"__name__=~{quoted('|'.join(names))}"]
    if first.namespace:
        spaces = sorted({literal(shape.namespace) for shape in shapes})
        parts.append(f"namespace=~{quoted('|'.join(spaces))}")
    bounds = sorted({literal(bound) for shape in shapes for bound in shape.bounds})
    if bounds:
        # The empty alternative lets in the counters, which have no such label.
        parts.append(f"le=~{quoted('|'.join(['', *bounds]))}")
    parts += [f"{label}{operator}{quoted(value)}" for label, operator, value in first.matchers]
    asked = sorted({pattern for shape in shapes for pattern in shape.asked})
    parts.append(f"{first.arm_label}=~{quoted('|'.join(asked))}")
    return "{" + ",".join(parts) + "}"


def bounds_selector(tally: Tally) -> str:
    """Return the selector of all buckets of a tally's histogram."""
    shape = tally.shape
    names = [role.metric for role in shape.roles if role.total == 0]
    parts = [f"__name__=~{quoted('|'.join(sorted(set(names))))}"]
    if shape.namespace:
        parts.append(f"namespace={quoted(shape.namespace)}")
    parts.append(f"{shape.arm_label}=~{quoted('|'.join(shape.asked))}")
    return "{" + ",".join(parts) + "}"


def _chunks(members: list[Tally], room: int) -> list[list[Tally]]:
    chunks: list[list[Tally]] = [[]]
    used = 0
    known: set[tuple[str, ...]] = set()
    for tally in members:
        size = 0 if tally.shape.asked in known else _size(tally)
        if chunks[-1] and used + size > room:
            chunks.append([])
            used, known, size = 0, set(), _size(tally)
        chunks[-1].append(tally)
        known.add(tally.shape.asked)
        used += size
    return chunks


def _size(tally: Tally) -> int:
    return sum(len(quoted(pattern)) + 1 for pattern in tally.shape.asked) + 32
