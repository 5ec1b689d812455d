"""Decision records: each decision with all that it was made from, as JSON lines.

Recording is for people who ask why, and for replay; it never fails or delays a decision.
Files are bounded and the oldest goes first. Files are numbered, and records in the order of their
decisions, so that whoever reads them sees when some are missing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Protocol

import structlog

from leadsman.core.decision import Decision
from leadsman.core.observation import Observation
from leadsman.core.record import DecisionRecord, encode
from leadsman.core.spec import RolloutSpec
from leadsman.core.status import Status

FILE_BYTES = 64 * 1024 * 1024
FILES = 8
log = structlog.get_logger(__name__)


class Recorder(Protocol):
    """Takes each decision."""

    def record(
        self, spec: RolloutSpec, status: Status, seen: Observation, now: float, decision: Decision
    ) -> None:
        """Record one decision; never raises."""
        ...


class NoRecorder:
    """Records nothing."""

    def record(
        self, spec: RolloutSpec, status: Status, seen: Observation, now: float, decision: Decision
    ) -> None:
        """Do nothing."""


class FileRecorder:
    """Records into `decisions-<n>.jsonl` files of a directory."""

    def __init__(
        self, directory: Path, *, file_bytes: int = FILE_BYTES, files: int = FILES
    ) -> None:
        """At most `files` files of about `file_bytes` bytes each are kept."""
        self._directory = directory
        self._file_bytes = file_bytes
        self._files = files
        self._open: IO[str] | None = None
        self._written = 0
        self._number = 0
        self._broken = False

    def record(
        self, spec: RolloutSpec, status: Status, seen: Observation, now: float, decision: Decision
    ) -> None:
        """Write one line; a disk that does not take it is reported once, and leaves a gap."""
        self._number += 1
        try:
            record = DecisionRecord(spec, status, seen, now, decision, self._number)
            line = json.dumps(encode(record), separators=(",", ":")) + "\n"
            out = self._file()
            out.write(line)
            out.flush()
            self._written += len(line)
        except (OSError, TypeError, ValueError) as error:
            if not self._broken:
                log.warning("decisions are not recorded", error=type(error).__name__)
            self._broken = True
            self.close()

    def close(self) -> None:
        """Close the file that is open."""
        found, self._open = self._open, None
        if found is not None:
            found.close()

    def _file(self) -> IO[str]:
        if self._open is not None and self._written < self._file_bytes:
            return self._open
        self.close()
        self._directory.mkdir(parents=True, exist_ok=True)
        numbers = sorted(
            int(path.stem.rpartition("-")[2])
            for path in self._directory.glob("decisions-*.jsonl")
            if path.stem.rpartition("-")[2].isdecimal()
        )
        for number in numbers[: max(0, len(numbers) - self._files + 1)]:
            self._path(number).unlink(missing_ok=True)
        self._open = self._path((numbers[-1] if numbers else 0) + 1).open("w", encoding="utf-8")
        self._written = 0
        return self._open

    def _path(self, number: int) -> Path:
        return self._directory / f"decisions-{number:06d}.jsonl"
