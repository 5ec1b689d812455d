"""Whose is this series? Thousands of shapes, and no time to try each of them on every series.

The regular expressions that tell the arms begin with names that are known (a ReplicaSet's, a
route's, a Service's). A series can only belong to the tallies whose expression begins as its arm
label's value does, so these few are looked up and then asked exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from leadsman.adapters.presets.shape import heads
from leadsman.runtime.sampling.evidence import Tally


class Directory:
    """Finds the tallies of one family that a series may belong to."""

    def __init__(self, tallies: Sequence[Tally]) -> None:
        self._label = tallies[0].shape.arm_label if tallies else ""
        self._by_head: dict[str, list[Tally]] = {}
        for tally in tallies:
            for head in _heads(tally):
                self._by_head.setdefault(head, []).append(tally)
        self._lengths = sorted({len(head) for head in self._by_head})

    def candidates(self, labels: Mapping[str, str]) -> Iterator[Tally]:
        """Return the tallies whose arm label's value may be this one, each once."""
        value = labels.get(self._label, "")
        seen: set[int] = set()
        for length in self._lengths:
            if length > len(value):
                return
            for tally in self._by_head.get(value[:length], ()):
                if id(tally) not in seen:
                    seen.add(id(tally))
                    yield tally


def _heads(tally: Tally) -> Iterable[str]:
    shape = tally.shape
    if shape.stable_if_absent:
        return ("",)
    patterns = (shape.canary, shape.stable) if shape.is_expression else shape.asked
    return {head for pattern in patterns for head in heads(pattern)}
