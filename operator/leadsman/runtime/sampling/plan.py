"""As few queries as possible: the shapes of all Rollouts merged into a handful of selectors.

Shapes that tell arms by the same label and need the same further matchers become one selector with
alternations. What such a selector returns too much, the shapes themselves sort out. A selector is
kept below a length, because a server has to match every series against it; if that made more
queries than a second allows, longer ones are the lesser evil. What one answer may hold is a harder
limit: there are never more tallies in a query than its answer is expected to have room for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leadsman.adapters.presets.shape import Shape, literal, quoted
from leadsman.runtime.sampling.evidence import Tally

LENGTH = 8192
SERIES = 8000
"""Series that an answer is expected to have room for, where the source does not say."""
_SERIES_OF_METRIC = 4
"""Series of a metric that one Rollout is expected to have: two arms, two codes or pods each."""
_METRICS = 2
"""Of the metrics that a shape names, the most that are there: a histogram is of one kind."""


@dataclass(frozen=True, slots=True)
class Query:
    """One selector and the tallies that it serves; or, `expression`, a query that a user wrote.

    `speaks` says whether its errors are the guard's: not those of the stable arm's expression.
    """

    selector: str
    tallies: tuple[Tally, ...]
    expression: bool = False
    speaks: bool = True

    @property
    def bounds(self) -> set[str]:
        """Every spelling of every bucket bound that is asked for."""
        return {bound for tally in self.tallies for bound in tally.shape.bounds}


Family = tuple[object, ...]


def family_of(shape: Shape) -> Family:
    """Return what shapes must have in common to share a query."""
    return (shape.arm_label, bool(shape.namespace), *shape.matchers)


def queries_of(
    tallies: Sequence[Tally], most: int, series: int = SERIES, length: int = LENGTH
) -> tuple[Query, ...]:
    """Return the queries that serve tallies of one family.

    At most `most`, each of `length` characters; with very many tallies longer, but not more, unless
    an answer would then be expected to hold more than `series` series.
    """
    if tallies and tallies[0].shape.is_expression:
        return _expressions_of(tallies)
    total = sum(_size(tally) for tally in tallies)
    room = max(length, total // max(1, most - 1) + 1 if most > 1 else total)
    chunks = _chunks(tallies, room, series)
    return tuple(Query(selector_of(chunk), tuple(chunk)) for chunk in chunks)


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


def _expressions_of(tallies: Sequence[Tally]) -> tuple[Query, ...]:
    """One query for each text, however many ask it."""
    askers: dict[str, list[Tally]] = {}
    spoken: set[str] = set()
    for tally in tallies:
        for text in tally.shape.asked:
            askers.setdefault(text, []).append(tally)
        spoken.update(tally.shape.asked[:1])
    return tuple(
        Query(text, tuple(asking), expression=True, speaks=text in spoken)
        for text, asking in askers.items()
    )


def _chunks(members: Sequence[Tally], room: int, series: int) -> list[list[Tally]]:
    chunks: list[list[Tally]] = [[]]
    used = expected = 0
    known: set[tuple[str, ...]] = set()
    for tally in members:
        size = 0 if tally.shape.asked in known else _size(tally)
        more = _SERIES_OF_METRIC * min(len(tally.shape.metrics), _METRICS)
        if chunks[-1] and (used + size > room or expected + more > series):
            chunks.append([])
            used, expected, known, size = 0, 0, set(), _size(tally)
        chunks[-1].append(tally)
        known.add(tally.shape.asked)
        used, expected = used + size, expected + more
    return chunks


def _size(tally: Tally) -> int:
    return sum(len(quoted(pattern)) + 1 for pattern in tally.shape.asked) + 32
