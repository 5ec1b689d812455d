"""When what a guard says is news, and when what is remembered of it may stand.

A hold in which nothing happens writes nothing: a status whose figures people would not call other
figures is kept as the very object it is, and what is dear to work out waits until there is more.
"""

from __future__ import annotations

from leadsman.core.status import GuardStatus
from leadsman.guards.judges import Threshold
from leadsman.guards.memory import Memory
from leadsman.guards.verdict import WARNING_BAND, Figures, Judged, Reason, Verdict
from leadsman.guards.windows import Window

FIGURES_EVERY = 64
"""Blocks after which the figures that people read are worked out anew; earlier while few."""

_PASS, _WITHIN = Verdict.PASS, Reason.WITHIN_LIMIT


def quiet(limit: Threshold, newest: Window, before: GuardStatus) -> bool:
    """It passes clearly, as it did before, with figures that are no news: what `near` says."""
    total = newest.total
    if before.verdict != _PASS or total < limit.min_events or total <= 0:
        return False
    return before.reason == _WITHIN and _close(before, limit.max, newest.bad / total, int(total))


def near(before: GuardStatus, judged: Judged) -> bool:
    """The figures are so close to the remembered ones that people would not call it news.

    Within a tenth of the limit, half to twice the events, and no warning: then what is remembered
    stands, and a hold in which nothing happens writes nothing. A Fail is always told exactly.
    """
    limit, new, events = judged.limit, judged.value, judged.events
    if limit is None or new is None or before.value is None:
        same = limit == before.limit and before.level == "None"
        return same and new is before.value and events == before.events
    return _close(before, limit, new, events)


def _close(before: GuardStatus, limit: float, value: float, events: int) -> bool:
    """The same limit, no warning, and a value and events as close as `near` says."""
    old, band = before.value, limit * WARNING_BAND
    if old is None or limit != before.limit or before.level != "None":
        return False
    return (
        -band <= value - old <= band
        and value < limit - band
        and before.events <= 2 * events <= 4 * before.events
    )


def worth_new_figures(figures: Figures, memory: Memory | None) -> bool:
    """Figures for people are worked out as the evidence grows by half: the interval is dear."""
    if memory is None:
        return False
    return memory.blocks >= figures.blocks + min(FIGURES_EVERY, max(1, figures.blocks // 2))
