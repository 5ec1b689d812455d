"""The status in the API, read: total, whatever somebody has made of it.

A damaged status never raises: what cannot be read is dropped and named, because a Rollout that
somebody edited by hand must still be able to roll back. An attempt without the fields that say what
it is (revision, direction, start) is dropped as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, TypeVar

from leadsman.adapters.workloads.moments import parse_time
from leadsman.core.status import (
    HISTORY,
    Attempt,
    Condition,
    Direction,
    Display,
    GuardStatus,
    Heading,
    Original,
    Past,
    Refused,
    SliceStatus,
    Stable,
    StageOutlook,
    StageStatus,
    Status,
)
from leadsman.guards.glances import Told
from leadsman.guards.memory import decode_memory
from leadsman.guards.verdict import Level, Verdict
from leadsman.guards.windows import RECENT
from leadsman.runtime.codec_guards import decode_block, decode_outlook

T = TypeVar("T")


def share(text: object) -> float | None:
    """Return the share of a percentage; None when it is none."""
    if not isinstance(text, str) or not text.endswith("%"):
        return None
    try:
        return float(Decimal(text[:-1]) / 100)
    except InvalidOperation:
        return None


@dataclass(frozen=True, slots=True)
class Remembered:
    """A status that was read, and what of it could not be read (field paths)."""

    status: Status
    damaged: tuple[str, ...] = ()


def decode_status(tree: object) -> Remembered:
    """Read a Rollout's `status`; total, whatever somebody has made of it."""
    reader = _Reader()
    if tree is None:
        return Remembered(Status())
    if not isinstance(tree, Mapping):
        return Remembered(Status(), ("status",))
    fields = _Fields(reader, "status", tree)
    status = Status(
        observed_generation=fields.number("observedGeneration"),
        stable=fields.part("stable", _decode_stable),
        attempt=fields.part("attempt", _decode_attempt),
        refused=fields.part("refused", _decode_refused),
        history=fields.parts("history", _decode_past)[-HISTORY:],
        conditions=fields.parts("conditions", _decode_condition),
        display=fields.part("display", _decode_display) or Display(),
        hold_mode=fields.text("holdMode"),
    )
    return Remembered(status, tuple(reader.damaged))


class _Reader:
    def __init__(self) -> None:
        self.damaged: list[str] = []


class _Unreadable(Exception):  # noqa: N818 (never leaves this module)
    """Raised inside for a part that cannot be read without the field named."""


class _Fields:
    """The fields of one object; what is missing or wrong becomes a default, and is noted."""

    def __init__(self, reader: _Reader, path: str, tree: Mapping[str, Any]) -> None:
        self._reader = reader
        self._path = path
        self._tree = tree

    def _note(self, name: str) -> None:
        self._reader.damaged.append(f"{self._path}.{name}")

    def text(self, name: str, default: str = "") -> str:
        value = self._tree.get(name, default)
        if isinstance(value, str):
            return value
        self._note(name)
        return default

    def needed(self, name: str) -> str:
        value = self._tree.get(name)
        if isinstance(value, str) and value:
            return value
        raise _Unreadable(name)

    def number(self, name: str, default: int = 0) -> int:
        value = self._tree.get(name, default)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self._note(name)
        return default

    def truth(self, name: str) -> bool:
        value = self._tree.get(name, False)
        if isinstance(value, bool):
            return value
        self._note(name)
        return False

    def moment(self, name: str) -> float | None:
        value = self._tree.get(name)
        if value is None:
            return None
        found = parse_time(value)
        if found is None:
            self._note(name)
        return found

    def instant(self, name: str) -> float:
        found = self.moment(name)
        if found is None:
            raise _Unreadable(name)
        return found

    def one_of(self, name: str, kind: type[Enum], default: str) -> str:
        value = self._tree.get(name, default)
        if isinstance(value, str) and value in {member.value for member in kind}:
            return str(value)
        self._note(name)
        return default

    def share(self, name: str) -> float | None:
        value = self._tree.get(name)
        found = share(value)
        if value is not None and found is None:
            self._note(name)
        return found

    def part(self, name: str, decode: Callable[[_Fields], T]) -> T | None:
        value = self._tree.get(name)
        if value is None:
            return None
        return self._decoded(name, value, decode)

    def _items(self, name: str) -> Sequence[object]:
        """The items of a list, none where it is missing or no list."""
        value = self._tree.get(name)
        if value is None:
            return ()
        if isinstance(value, str) or not isinstance(value, Sequence):
            self._note(name)
            return ()
        return value

    def parts(self, name: str, decode: Callable[[_Fields], T]) -> tuple[T, ...]:
        found = [
            self._decoded(f"{name}[{index}]", one, decode)
            for index, one in enumerate(self._items(name))
        ]
        return tuple(one for one in found if one is not None)

    def lines(self, name: str, decode: Callable[[str], T | None]) -> tuple[T, ...]:
        found = [decode(one) if isinstance(one, str) else None for one in self._items(name)]
        if None in found:
            self._note(name)
        return tuple(one for one in found if one is not None)

    def _decoded(self, name: str, value: object, decode: Callable[[_Fields], T]) -> T | None:
        if not isinstance(value, Mapping):
            self._note(name)
            return None
        try:
            return decode(_Fields(self._reader, f"{self._path}.{name}", value))
        except _Unreadable as missing:
            self._note(f"{name}.{missing.args[0]}")
            return None


def _decode_condition(tree: _Fields) -> Condition:
    return Condition(
        type=tree.needed("type"),
        status=tree.needed("status"),
        reason=tree.text("reason"),
        message=tree.text("message"),
        since=tree.instant("lastTransitionTime"),
        generation=tree.number("observedGeneration"),
    )


def _decode_stable(tree: _Fields) -> Stable:
    return Stable(
        uid=tree.needed("uid"),
        revision=tree.needed("revision"),
        template=tree.needed("template"),
        replicas=tree.number("replicas"),
    )


def _decode_refused(tree: _Fields) -> Refused:
    return Refused(
        revision=tree.needed("revision"),
        template=tree.needed("template"),
        reason=tree.text("reason"),
        message=tree.text("message"),
        at=tree.instant("at"),
        guards=tree.parts("guards", _decode_guard),
        requests=tree.number("requests"),
        failed=tree.number("failed"),
    )


def _decode_past(tree: _Fields) -> Past:
    reason, message = tree.text("reason"), tree.text("message")
    return Past(
        revision=tree.needed("revision"),
        number=tree.number("number"),
        outcome=tree.needed("outcome"),
        started_at=tree.instant("startedAt"),
        ended_at=tree.instant("endedAt"),
        max_weight=tree.number("maxWeight"),
        reason=f"{reason}: {message}" if message else reason,
        version=tree.text("version"),
        tries=tree.number("tries"),
    )


def _decode_display(tree: _Fields) -> Display:
    return Display(
        state=tree.text("state"),
        stage=tree.text("stage"),
        weight=tree.text("weight"),
        guards=tree.text("guards"),
        next=tree.text("next"),
        version=tree.text("version"),
    )


def _decode_attempt(tree: _Fields) -> Attempt:
    direction = tree.part("direction", _decode_direction)
    stage = tree.part("stage", _decode_stage)
    started = tree.instant("startedAt")
    if direction is None:
        raise _Unreadable("direction")
    return Attempt(
        id=tree.needed("id"),
        number=tree.number("number"),
        revision=tree.needed("revision"),
        template=tree.needed("template"),
        direction=direction,
        stage=stage or StageStatus(0, "", started, started),
        started_at=started,
        weight=tree.number("weight"),
        max_weight=tree.number("maxWeight"),
        replicas=tree.number("replicas"),
        base_replicas=tree.number("baseReplicas"),
        frozen=tree.text("frozen"),
        version=tree.text("version"),
        took_over=tree.truth("tookOver"),
        pinned=tree.truth("pinned"),
        foreign_writes=tree.number("foreignWrites"),
        original=tree.parts("original", _decode_original),
        guards=tree.parts("guards", _decode_guard),
        weight_since=tree.moment("weightSince"),
        routed_at=tree.moment("routedAt"),
        released_at=tree.moment("releasedAt"),
        rested_at=tree.moment("restedAt"),
        outlook=tree.parts("outlook", _decode_outlook),
    )


def _decode_outlook(tree: _Fields) -> StageOutlook:
    return decode_outlook(tree.needed("stage"), tree.text("detectable"), tree.text("minutes"))


def _decode_direction(tree: _Fields) -> Direction:
    return Direction(
        name=Heading(tree.one_of("name", Heading, Heading.ADVANCING.value)),
        since=tree.instant("since"),
        reason=tree.text("reason"),
        message=tree.text("message"),
    )


def _decode_stage(tree: _Fields) -> StageStatus:
    entered = tree.instant("enteredAt")
    return StageStatus(
        index=max(0, tree.number("index")),
        name=tree.text("name"),
        entered_at=entered,
        wait_since=tree.moment("waitSince") or entered,
        commanded_at=tree.moment("commandedAt"),
        accepted_at=tree.moment("acceptedAt"),
        measuring_since=tree.moment("measuringSince"),
        due_at=tree.moment("dueAt"),
        told=tree.lines("told", str),
    )


def _decode_original(tree: _Fields) -> Original:
    return Original(
        kind=tree.needed("kind"),
        route=tree.needed("route"),
        index=tree.number("index"),
        rule=tree.text("rule"),
        service=tree.needed("service"),
        backends=tree.needed("backends"),
        owner=tree.text("owner"),
        generation=tree.number("generation"),
    )


def _decode_guard(tree: _Fields) -> GuardStatus:
    state = tree.text("state")
    evidence = decode_memory(state)
    return GuardStatus(
        name=tree.needed("name"),
        verdict=tree.one_of("verdict", Verdict, Verdict.NO_DATA.value),
        reason=tree.text("reason"),
        since=tree.instant("since"),
        level=tree.one_of("level", Level, Level.NONE.value),
        value=tree.share("value"),
        limit=tree.share("limit"),
        events=tree.number("events"),
        failing_since=tree.moment("failingSince"),
        no_data_since=tree.moment("noDataSince"),
        state=state if evidence is None else "",
        evidence=evidence,
        slice=tree.text("slice"),
        row=tree.number("consecutive"),
        slices=tree.parts("slices", _decode_slice),
        recent=tree.lines("lastBlocks", decode_block)[-RECENT:],
        glance=_decode_told(tree),
    )


def _decode_told(tree: _Fields) -> Told | None:
    blocks, bad = tree.number("blocks", -1), tree.number("bad", -1)
    found = Told(
        stable_value=tree.text("stableValue"),
        estimate=tree.text("estimate"),
        interval=tree.text("interval"),
        e_value=tree.text("eValue"),
        e_limit=tree.text("eLimit"),
        information=tree.text("information"),
        detectable=tree.text("detectable"),
        blocks=None if blocks < 0 else blocks,
        bad=None if bad < 0 else bad,
    )
    return None if found == Told() else found


def _decode_slice(tree: _Fields) -> SliceStatus:
    return SliceStatus(
        name=tree.needed("name"),
        verdict=tree.one_of("verdict", Verdict, Verdict.NO_DATA.value),
        reason=tree.text("reason"),
        level=tree.one_of("level", Level, Level.NONE.value),
        value=tree.share("value"),
        events=tree.number("events"),
        row=tree.number("consecutive"),
        failing_since=tree.moment("failingSince"),
        evidence=decode_memory(tree.text("state")),
    )
