"""Whether decision records are complete, told from their numbers.

Files are numbered over all processes, records within a process from 1. A file that was dropped
leaves a hole among the files; a record that the disk did not take leaves one among the records. A
process that starts or is killed leaves none: its last line may be cut, and the next one begins
with 1 in a file of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

_FILE = re.compile(r"decisions-(\d+)\.jsonl$")
_NUMBER = re.compile(rb'"number":(\d+)\}$')


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file; a last one that was cut by a kill is left out."""
    return path.read_bytes().split(b"\n")[:-1]


def missing(paths: Iterable[Path]) -> list[str]:
    """What is missing among the record files of all processes since the first: one line each."""
    named = sorted((_file_number(path), path) for path in paths)
    told = _holes([number for number, _ in named])
    ends = {0}
    for _, path in named:
        numbers = [_record_number(line) for line in whole_lines(path)]
        if not numbers:
            continue
        if numbers[0] - 1 not in ends:
            told.append(f"{path.name} begins with record {numbers[0]}")
        told += [
            f"{path.name}: record {after} follows {before}"
            for before, after in pairwise(numbers)
            if after != before + 1
        ]
        ends.add(numbers[-1])
    return told


def _holes(numbers: Sequence[int]) -> list[str]:
    """Files are numbered from 1, each once."""
    there = set(numbers)
    told = [f"file {n} is missing" for n in range(1, max(there, default=0) + 1) if n not in there]
    twice = {number for number in there if numbers.count(number) > 1}
    return told + [f"file {number} is there twice" for number in sorted(twice)]


def _file_number(path: Path) -> int:
    found = _FILE.search(path.name)
    if found is None:
        raise ValueError(f"{path.name} is no file of decision records")
    return int(found[1])


def _record_number(line: bytes) -> int:
    """The record's number; it is the last member of the line. 0 where nobody counted."""
    found = _NUMBER.search(line)
    return 0 if found is None else int(found[1])
