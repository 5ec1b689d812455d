"""What people are told beside a verdict: intervals, information, and what would have been seen."""

from __future__ import annotations

from math import inf

import pytest

from leadsman.core import evidence
from leadsman.core.spec import Contract, GuardSpec
from leadsman.core.status import Refused, Status
from leadsman.guards import absolute, glances, share
from leadsman.guards.bounds import absolute_settings
from leadsman.guards.gathering import figures_of, gather
from leadsman.guards.glances import Glance, glance
from leadsman.guards.intervals import wilson
from leadsman.guards.judges import (
    Absolute,
    Gathering,
    NegativeControl,
    NonInferiority,
    Relative,
    SampleRatio,
    Sequential,
    Threshold,
)
from leadsman.guards.memory import Gathered, Memory, Place
from leadsman.guards.share import ShareSettings, ShareState
from leadsman.guards.splits import SLACK
from leadsman.guards.verdict import Figures
from leadsman.guards.windows import Block, Reading, Window
from leadsman.runtime.codec import decode_status, encode_status
from leadsman.runtime.codec_guards import encode_guard

PLACE = Place(0, 0, 25)
THRESHOLD, RELATIVE = Threshold(0.05, 30.0, 400), Relative(1.5, 60.0, 500)


def told(spec: Gathering, count: int, *counts: float) -> tuple[Memory, Figures]:
    blocks = tuple(Block(float(t), t + 1.0, *counts) for t in range(1, count + 1))
    memory = gather(spec, PLACE, Gathered(), blocks).memory
    assert memory is not None
    figures = figures_of(spec, PLACE, memory)
    assert figures is not None
    return memory, figures


def looked(judge: Threshold | Relative, canary: Window, stable: Window | None = None) -> Figures:
    found = glances.figures(Glance(judge, canary, stable))
    assert found is not None
    return found


# --- judges of windows -----------------------------------------------------------------------


def test_a_share_in_a_window_has_its_wilson_interval() -> None:
    found = looked(THRESHOLD, Window(9, 620, 59))
    assert (found.estimate, found.low, found.high) == (59 / 620, *wilson(59, 620))
    assert (found.information, found.requests, found.bad) == (1.0, 620, 59)
    assert looked(THRESHOLD, Window(9, 100, 0)).information == 0.25


@pytest.mark.parametrize("limit", [0.0, 0.001, 0.05, 0.5, 0.97])
@pytest.mark.parametrize("events", [1, 7, 100, 3000])
def test_the_smallest_share_that_a_window_shows_is_the_first_above_the_limit(
    limit: float, events: int
) -> None:
    judge = Threshold(limit, 30.0, 10)
    shown = [bad for bad in range(events + 1) if wilson(bad, events)[0] > limit]
    found = looked(judge, Window(9, events, 0)).detectable
    assert found == (pytest.approx(shown[0] / events) if shown else None)


def test_a_ratio_in_windows_has_the_interval_of_the_canarys_part_of_the_bad_events() -> None:
    found = looked(RELATIVE, Window(9, 1000, 30), Window(9, 3000, 30))
    low, high = wilson(30, 60)
    assert (found.low, found.high) == pytest.approx((low / (1 - low) * 3, high / (1 - high) * 3))
    assert found.low is not None
    assert found.high is not None
    assert found.low < 3 < found.high
    assert found.estimate == pytest.approx(30 / 1000 * 3001 / 30.5)
    assert (found.stable, found.information) == (0.01, 1.0)
    assert looked(RELATIVE, Window(9, 1000, 9), Window(9, 100, 3)).information == 0.2


def test_the_smallest_ratio_that_windows_show_is_one_whose_interval_is_above_the_limit() -> None:
    found = looked(RELATIVE, Window(9, 1000, 30), Window(9, 3000, 90)).detectable
    assert found is not None

    def low(ratio: float) -> float:
        part = ratio / (ratio + 3)
        end = wilson(part * 120, 120)[0]
        return end / (1 - end) * 3

    assert low(found) > 1.5 > low(found * 0.95)


def test_no_bad_event_bounds_no_ratio_and_none_of_stables_only_from_below() -> None:
    none = looked(RELATIVE, Window(9, 1000, 0), Window(9, 3000, 0))
    assert (none.estimate, none.low, none.high, none.detectable) == (0.0, None, None, None)
    some = looked(RELATIVE, Window(9, 1000, 20), Window(9, 3000, 0))
    assert some.low is not None
    assert some.low > 1
    assert some.high == inf


@pytest.mark.parametrize("limit", [-1.0, 2.0])
def test_a_limit_that_no_contract_has_never_raises(limit: float) -> None:
    assert looked(Threshold(limit, 30.0, 0), Window(9, 10, 1)).information == 1.0
    assert looked(Relative(0.0, 30.0, 0), Window(9, 10, 1), Window(9, 10, 1)).information == 1.0


def test_no_event_is_no_figure() -> None:
    assert glances.figures(Glance(THRESHOLD, Window(9, 0, 0))) is None
    assert glances.figures(Glance(RELATIVE, Window(9, 10, 1))) is None
    assert glances.figures(Glance(RELATIVE, Window(9, 10, 1), Window(9, 0, 0))) is None
    assert glance(THRESHOLD, Reading("g", (), (), "Timeout", None)) is None
    assert glance(Sequential(), Reading("g", (Window(9, 10, 1),), (), "", 9.0)) is None


@pytest.mark.parametrize("judge", [THRESHOLD, RELATIVE], ids=["threshold", "relative"])
def test_figures_of_a_window_are_made_when_the_status_is_written_and_not_before(
    judge: Threshold | Relative, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = Reading("g", (Window(9, 1000, 90),), (Window(9, 3000, 30),), "", 9.0)
    contract = Contract((GuardSpec("g", judge),))
    with monkeypatch.context() as patch:
        patch.setattr(glances, "figures", None)
        patch.setattr(glances, "wilson", None)
        (one,) = evidence.weigh(contract, (reading,), (), 10.0).guards
    assert one.verdict == "Fail"
    tree = encode_guard(one)
    assert set(tree) >= {"estimate", "interval", "information", "detectable", "bad"}
    assert not set(tree) & {"eValue", "eLimit", "blocks"}
    assert tree["information"] == "100%"
    assert ("stableValue" in tree) == (judge is RELATIVE)


@pytest.mark.parametrize("judge", [THRESHOLD, Absolute(0.01)], ids=["a window", "evidence"])
def test_a_restart_in_a_hold_tells_the_same_figures_and_writes_nothing(
    judge: Threshold | Absolute,
) -> None:
    window = (Window(9, 1000, 9),)
    reading = Reading("g", window, (), "", 9.0, (Block(8, 9, 1000, 9, 3000, 30),))
    contract = Contract((GuardSpec("g", judge),))
    before = evidence.weigh(contract, (reading,), (), 10.0).guards[0]
    tree = encode_status(Status(refused=Refused("r", "t", "GuardFailed", "", 9.0, (before,))))
    assert tree["refused"]["guards"][0]["interval"]
    after = decode_status(tree).status
    assert encode_status(after) == tree
    assert after.refused is not None
    quiet = evidence.weigh(contract, (reading,), after.refused.guards, 11.0).guards
    assert quiet is after.refused.guards


# --- judges that gather ------------------------------------------------------------------------


def test_a_gate_knows_what_it_has_of_its_margin() -> None:
    spec = NonInferiority(0.01)
    for blocks in (20, 100, 400):
        _, found = told(spec, blocks, 100, 1, 300, 3)
        assert found.low is not None
        assert found.high is not None
        radius = (found.high - found.low) / 2
        assert found.information == pytest.approx(min(1.0, (0.01 / radius) ** 2))
        assert found.detectable == pytest.approx(0.01 + radius)
    _, early = told(spec, 19, 100, 1, 300, 3)
    assert (early.information, early.detectable, early.low) == (0.0, None, None)


def test_the_smallest_share_that_an_absolute_guard_shows_is_the_first_that_fails() -> None:
    spec = Absolute(0.01, 0.01)
    memory, found = told(spec, 50, 100, 1, 300, 3)
    settings, total = absolute_settings(spec, PLACE), memory.canary
    assert found.detectable is not None
    bad = round(found.detectable * total)
    assert absolute.log_evidence(settings, total, bad) >= settings.bar
    assert absolute.log_evidence(settings, total, bad - 1) < settings.bar
    assert absolute.detectable(settings, 1) is None
    assert absolute.detectable(settings, 0) is None


def test_the_smallest_share_that_a_broken_split_shows() -> None:
    spec = SampleRatio()
    memory, found = told(spec, 50, 100, 0, 300, 0)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.25 < found.high
    assert found.information == 1.0
    state, settings = memory.state, ShareSettings(alpha=spec.alpha, slack=SLACK)
    assert isinstance(state, ShareState)
    assert found.detectable is not None
    start = ShareState()
    for step, broken in ((0, True), (-1, False)):
        canary = round(found.detectable * state.total) + step
        after = share.update(settings, start, 2.0, 0.25, canary, state.total - canary)
        assert (after.log_e >= settings.limit) == broken
    assert share.detectable(settings, start) is None
    assert share.detectable(settings, ShareState(2.0, -1e9, 1, 0.25, 5, 20)) is None
    assert told(spec, 1, 10, 0, 30, 0)[1].information == 0.2


def test_halves_that_are_alike_have_a_range_around_one_and_others_have_not() -> None:
    _, alike = told(NegativeControl(), 100, 100, 1, 200, 2)
    assert alike.low is not None
    assert alike.high is not None
    assert 0.5 < alike.low < 1 < alike.high < 2
    _, apart = told(NegativeControl(), 100, 100, 4, 200, 2)
    assert apart.low is not None
    assert apart.low > 2
    _, silent = told(NegativeControl(), 100, 100, 0, 200, 0)
    assert (silent.low, silent.high) == (None, None)
    _, single = told(NegativeControl(), 100, 100, 1, 200, 0)
    assert single.high == inf
