"""The operator says nothing that the API does not document.

The core must not import the API, so its reasons are plain words. This reads the words out of its
source and asks for each of them whether the API knows it: as a reason, a condition's type, a value
of an enum or a kind.
"""

from __future__ import annotations

import ast
import re
from enum import StrEnum
from pathlib import Path

import pytest

from leadsman.api import (
    conditions,
    guard,
    guardstatus,
    releasecontract,
    rollout,
    rolloutplan,
    rolloutstatus,
)
from leadsman.api.kinds import BY_NAME
from leadsman.api.reasons import EventReason, Reason, VerdictReason
from leadsman.guards import verdict

CORE = Path(__file__).parents[2] / "operator" / "leadsman" / "core"
SPEAKING = [*sorted((CORE / "policies").glob("*.py")), CORE / "conditions.py"]


def known() -> set[str]:
    words = {str(reason) for reasons in (Reason, EventReason, VerdictReason) for reason in reasons}
    spoken = (conditions, guard, guardstatus, releasecontract, rollout, rolloutplan, rolloutstatus)
    for module in spoken:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, StrEnum):
                words |= {str(member) for member in value}
    return words | set(BY_NAME) | {"Deployment", "Unprotected"}


@pytest.mark.parametrize("path", SPEAKING, ids=lambda path: path.stem)
def test_every_word_that_the_core_says_is_documented(path):
    said = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"[A-Z][A-Za-z]+", node.value)
    }
    assert said <= known()


def test_every_reason_of_an_event_is_said_by_something():
    said = "".join(
        path.read_text() for path in (CORE.parent).rglob("*.py") if "api" not in path.parts
    )
    assert not [str(reason) for reason in EventReason if f'"{reason}"' not in said]


def test_every_reason_of_a_verdict_is_documented():
    assert {str(reason) for reason in verdict.Reason} <= {str(reason) for reason in VerdictReason}


def test_verdicts_and_levels_are_those_of_the_status():
    assert list(map(str, verdict.Verdict)) == list(map(str, guardstatus.Verdict))
    assert list(map(str, verdict.Level)) == list(map(str, guardstatus.Level))


@pytest.mark.parametrize("reasons", [Reason, EventReason, VerdictReason])
def test_every_reason_is_one_camel_case_word_with_a_sentence(reasons):
    for reason in reasons:
        assert reason.value.isalpha()
        assert reason.value[0].isupper()
        assert reason.doc.endswith(".")
