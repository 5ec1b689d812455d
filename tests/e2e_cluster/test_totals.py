"""What a run of the suites counts, and what a repetition may make good."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from e2e import run
from e2e.run import Totals


def counted(line: str) -> Totals:
    totals = Totals()
    totals.add(line)
    return totals


@pytest.mark.parametrize(
    ("again", "code", "told"),
    [
        ("1 passed in 3.00s", 0, "13 passed, 0 failed, 1 skipped"),
        ("1 failed in 3.00s", 1, "12 passed, 1 failed, 1 skipped"),
        ("13 deselected in 0.10s", 1, "12 passed, 1 failed, 1 skipped"),
        ("", 1, "12 passed, 1 failed, 1 skipped"),
    ],
    ids=["passes alone", "fails twice", "was not remembered", "did not run"],
)
def test_what_failed_is_made_good_by_passing_alone_only(
    monkeypatch: pytest.MonkeyPatch, again: str, code: int, told: str
) -> None:
    def fake(_: Sequence[str], totals: Totals) -> int:
        totals.add(again)
        return 1 if "failed" in again else 0

    monkeypatch.setattr(run, "run_phase", fake)
    totals = counted("12 passed, 1 failed, 1 skipped in 9.00s")
    assert run.once_more("parallel", [], totals) == code
    assert totals.told() == told
    assert totals.repeated == ("1 passed" in again)
