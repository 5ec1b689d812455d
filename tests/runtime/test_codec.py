"""The status there and back: exact for what is remembered, total for whatever somebody made."""

from __future__ import annotations

from dataclasses import fields
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadsman.api.rolloutstatus import RolloutStatus
from leadsman.core.changed import changed
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
from leadsman.guards.absolute import AbsoluteState
from leadsman.guards.band import RatioBand
from leadsman.guards.difference import DifferenceState
from leadsman.guards.eprocess import RatioState
from leadsman.guards.gauges import MeanState
from leadsman.guards.memory import Memory
from leadsman.guards.share import ShareState
from leadsman.guards.verdict import Level, Verdict
from leadsman.guards.windows import RECENT, Block
from leadsman.runtime.codec import decode_status, encode_status, percent
from leadsman.runtime.codec_guards import decode_block, encode_block
from leadsman.runtime.codec_reading import share

moments = st.integers(0, 4_000_000_000_000).map(lambda ms: ms / 1000)
words = st.text("abcXYZ-9", min_size=1, max_size=20)
texts = st.text(max_size=30).filter(lambda text: ": " not in text)
counts = st.integers(0, 1000)
shares = st.integers(0, 10_000).map(lambda n: float(share(percent(n / 10_000)) or 0.0))


def maybe(strategy: Any) -> Any:
    return st.none() | strategy


rates = st.floats(0, 1e9)
sums = st.lists(st.tuples(*[st.floats(-500, 500)] * 6), min_size=1, max_size=7).map(tuple)
states = (
    st.builds(
        RatioState, rates, sums, rates, rates, counts, rates, rates, rates, rates, *[rates] * 7
    )
    | st.builds(AbsoluteState, *[rates] * 5)
    | st.builds(DifferenceState, rates, counts, *[rates] * 7)
    | st.builds(MeanState, rates, counts, rates, rates)
    | st.builds(ShareState, rates, rates, counts.map(lambda n: n + 1), *[rates] * 5)
)
bands = st.builds(RatioBand, rates, rates, st.tuples(*[rates] * 24), rates, rates)
memories = st.builds(Memory, moments, counts, rates, rates, rates, rates, states, maybe(bands))
# A slice has half the room of a guard: no band and no restarts (guards/ratios.py).
parts = st.builds(
    Memory,
    moments,
    counts,
    rates,
    rates,
    rates,
    rates,
    states.map(
        lambda state: (
            state._replace(sums=state.sums[:1]) if isinstance(state, RatioState) else state
        )
    ),
    st.none(),
)
blocks = st.builds(
    lambda at, length, *events: Block(round(at - length, 3), at, *events),
    moments,
    st.integers(1, 600_000).map(lambda ms: ms / 1000),
    *[counts.map(float)] * 4,
)
guards = st.builds(
    GuardStatus,
    name=words,
    verdict=st.sampled_from([one.value for one in Verdict]),
    reason=words,
    since=moments,
    level=st.sampled_from([one.value for one in Level]),
    value=maybe(shares),
    limit=maybe(shares),
    events=counts,
    failing_since=maybe(moments),
    no_data_since=maybe(moments),
    state=texts,
    evidence=maybe(memories),
    figures=st.none(),
    slice=texts,
    row=counts,
    slices=st.lists(
        st.builds(
            SliceStatus,
            name=words,
            verdict=st.sampled_from([one.value for one in Verdict]),
            reason=words,
            level=st.sampled_from([one.value for one in Level]),
            value=maybe(shares),
            events=counts,
            row=counts,
            failing_since=maybe(moments),
            evidence=maybe(parts),
            figures=st.none(),
        ),
        max_size=2,
    ).map(tuple),
    recent=st.lists(blocks, max_size=RECENT).map(tuple),
    glance=st.none(),
).map(lambda guard: changed(guard, state="") if guard.evidence is not None else guard)
attempts = st.builds(
    Attempt,
    id=words,
    number=counts,
    revision=words,
    template=words,
    direction=st.builds(
        Direction, name=st.sampled_from(Heading), since=moments, reason=words, message=texts
    ),
    stage=st.builds(
        StageStatus,
        index=st.integers(0, 30),
        name=words,
        entered_at=moments,
        wait_since=moments.filter(bool),
        commanded_at=maybe(moments),
        accepted_at=maybe(moments),
        measuring_since=maybe(moments),
        due_at=maybe(moments),
    ),
    started_at=moments,
    weight=st.integers(0, 100),
    max_weight=st.integers(0, 100),
    replicas=counts,
    base_replicas=counts,
    frozen=texts,
    version=texts,
    took_over=st.booleans(),
    pinned=st.booleans(),
    foreign_writes=counts,
    original=st.lists(
        st.builds(
            Original,
            kind=words,
            route=words,
            index=counts,
            rule=texts,
            service=words,
            backends=words,
            owner=texts,
        ),
        max_size=3,
    ).map(tuple),
    guards=st.lists(guards, max_size=3).map(tuple),
    routed_at=maybe(moments),
    released_at=maybe(moments),
    rested_at=maybe(moments),
    outlook=st.lists(
        st.builds(
            StageOutlook, words, maybe(st.floats(1, 1e3)), st.floats(0.01, 1e6) | st.just(inf)
        ),
        max_size=3,
    ).map(tuple),
)
statuses = st.builds(
    Status,
    observed_generation=counts,
    stable=maybe(st.builds(Stable, uid=words, revision=words, template=words, replicas=counts)),
    attempt=maybe(attempts),
    refused=maybe(
        st.builds(Refused, revision=words, template=words, reason=words, message=texts, at=moments)
    ),
    history=st.lists(
        st.builds(
            Past,
            revision=words,
            number=counts,
            outcome=words,
            started_at=moments,
            ended_at=moments,
            max_weight=st.integers(0, 100),
            reason=st.sampled_from(["", "GuardFailed", "GuardFailed: errors 5%: too many"]),
            version=texts,
            tries=counts,
        ),
        max_size=HISTORY,
    ).map(tuple),
    conditions=st.lists(
        st.builds(
            Condition,
            type=words,
            status=st.sampled_from(["True", "False", "Unknown"]),
            reason=words,
            message=texts,
            since=moments,
            generation=counts,
        ),
        max_size=3,
    ).map(tuple),
    display=st.builds(Display, *[texts] * len(fields(Display))),
    hold_mode=texts,
)


@given(statuses)
@settings(max_examples=20, deadline=None)
def test_what_is_remembered_comes_back_exactly(status: Status) -> None:
    found = decode_status(encode_status(status))
    assert found.damaged == ()
    assert found.status == status


@given(attempts)
@settings(max_examples=20, deadline=None)
def test_every_field_of_an_attempt_is_in_the_api(attempt: Attempt) -> None:
    tree = encode_status(Status(attempt=attempt))["attempt"]
    declared = RolloutStatus.model_json_schema(by_alias=True)["$defs"]["Attempt"]["properties"]
    assert set(tree) <= set(declared)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(statuses, st.data())
@settings(max_examples=20, deadline=None)
def test_a_damaged_status_never_raises(status: Status, data: st.DataObject) -> None:
    tree = encode_status(status)
    for _ in range(data.draw(st.integers(1, 3))):
        spot: Any = tree
        while isinstance(spot, dict | list) and spot:
            key = data.draw(
                st.sampled_from(sorted(spot) if isinstance(spot, dict) else range(len(spot)))
            )
            if not isinstance(spot[key], dict | list) or data.draw(st.booleans()):
                spot[key] = data.draw(junk)
                break
            spot = spot[key]
    found = decode_status(tree)
    encode_status(found.status)


@given(junk)
def test_any_tree_can_be_read(tree: object) -> None:
    decode_status(tree)


def test_what_cannot_be_read_is_dropped_and_named() -> None:
    found = decode_status({"stable": {"uid": "u"}, "attempt": {"id": 3}, "history": [{}, 7]})
    assert found.status == Status()
    assert set(found.damaged) == {
        "status.stable.revision",
        "status.attempt.startedAt",
        "status.history[0].revision",
        "status.history[1]",
    }


def test_unknown_fields_are_passed_over() -> None:
    assert decode_status({"observedGeneration": 3, "newer": {"x": 1}}) == decode_status(
        {"observedGeneration": 3}
    )


def test_texts_are_cut_to_what_the_schema_allows() -> None:
    direction = Direction(Heading.ROLLING_BACK, 1.0, "R" * 100, "m" * 5000)
    stage = StageStatus(0, "s", 1.0, 1.0)
    attempt = Attempt("i", 1, "r", "t", direction, stage, 1.0)
    tree = encode_status(Status(attempt=attempt))["attempt"]["direction"]
    assert len(tree["reason"]) == 64
    assert len(tree["message"]) == 1024


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (0.0, "0%"),
        (1.0, "100%"),
        (0.004, "0.4%"),
        (0.1, "10%"),
        (0.12345678, "12.35%"),
        (0.00001, "0.001%"),
        (None, None),
    ],
)
def test_shares_as_people_read_them(value: float | None, says: str | None) -> None:
    assert percent(value) == says


def test_a_block_is_a_line_that_people_can_read() -> None:
    whole = Block(1767614474.437, 1767614475.437, 40.0, 12.0, 160.0, 1.0)
    line = encode_block(whole)
    assert line == "2026-01-05T12:01:15.437Z 1s canary 12/40 stable 1/160"
    assert decode_block(line) == whole
    sums = Block(1767614415.437, 1767614475.437, 1e15, 2.0 / 3, 0.0, -1e-7)
    line = encode_block(sums)
    assert line.endswith("60s canary 0.666667/1000000000000000 stable -1e-07/0")
    assert encode_block(decode_block(line) or whole) == line
    assert len(line) < 192


def test_a_block_that_cannot_be_read_is_dropped_and_named() -> None:
    good = encode_block(Block(10.0, 11.0, 4.0, 1.0, 8.0, 0.0))
    guard = {
        "name": "errors",
        "since": "2026-01-05T12:00:00.000Z",
        "lastBlocks": [good, 7, "x", good.replace("4", "nan"), "2026-13-01T00:00:00Z" + good[24:]],
    }
    start = "2026-01-05T12:00:00.000Z"
    tree = {"revision": "a", "template": "a", "reason": "b", "message": "", "at": start}
    found = decode_status({"refused": {**tree, "guards": [guard]}})
    assert found.damaged == ("status.refused.guards[0].lastBlocks",)
    assert found.status.refused is not None
    (one,) = found.status.refused.guards
    assert [encode_block(block) for block in one.recent] == [good]


def test_released_is_said_in_one_word_for_the_freezing_policy() -> None:
    stage = StageStatus(0, "s", 1.0, 1.0)
    attempt = Attempt("i", 1, "r", "t", Direction(Heading.HANDING_OVER, 1.0), stage, 1.0)
    assert encode_status(Status(attempt=attempt))["attempt"]["released"] is False
    assert encode_status(Status(attempt=attempt))["attempt"]["direction"]["name"] == "HandingOver"
