"""Twenty releases that must not be rolled back, on the real cluster: chance must not decide.

A good release is promoted and one within its tolerance is kept, each twenty times of twenty. Every
release is a whole test of the sequential suite, in a cluster namespace of its own: the suite's own
application, contract, users and oracles, so that what is counted here is what is promised there.
The first boot counts the good ones, the second the tolerated ones; two releases run side by side.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import httpx

from bench.bed import open_place
from e2e.harness.api import ApiError
from e2e.harness.app import App, NotMetError, Place
from e2e.suites import test_sequential as suite

RUNS = 20
SIDE_BY_SIDE = 2
LAST_START = 18 * 60.0
"""Seconds after which no release is begun any more: each takes a minute, and 6 at the very most."""

_PRINTING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Promise:
    """A test of the suite. `holding` is enough: the release may also wait for more evidence."""

    key: str
    test: Callable[[App], None]
    holding: bool = False


PROMISES = (
    Promise(
        "sequential_good_promoted",
        suite.test_a_release_as_good_as_stable_is_promoted_though_some_requests_fail,
    ),
    Promise(
        "sequential_tolerated_kept",
        suite.test_a_little_worse_within_the_tolerance_is_never_rolled_back,
        holding=True,
    ),
)


def run(boot: int, boots: int) -> dict[str, list[float]]:
    """The releases of one promise: 1 for each that kept it, 0 for one that did not."""
    del boots
    promise = PROMISES[boot]
    place = open_place()
    until = time.monotonic() + LAST_START
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        kept = list(pool.map(partial(_release, place, promise, until), range(1, RUNS + 1)))
    _say(f"{promise.key}: {sum(kept):g} of {len(kept)}")
    return {promise.key: kept}


def _release(place: Place, promise: Promise, until: float, number: int) -> float:
    """One release from the beginning; what was not tried, or broke, did not keep its promise."""
    name = f"{promise.key} {number} of {RUNS}"
    if time.monotonic() > until:
        _say(f"{name}: not begun, there is no time left")
        return 0.0
    began = time.monotonic()
    app = App(place, f"repeats-{number}")
    try:
        promise.test(app)
    except Exception as error:  # noqa: BLE001 - told and counted; the others go on
        kept = promise.holding and isinstance(error, NotMetError) and _holds(app)
        told = "holds" if kept else f"{_outcome(app)}: {error!r}"
        if not kept:
            _tell_all(app)
    else:
        kept, told = True, _outcome(app)
    finally:
        with suppress(ApiError, httpx.HTTPError):
            app.close()
    _say(f"{name}: {told}, after {time.monotonic() - began:.0f} s")
    return float(kept)


def _holds(app: App) -> bool:
    """The release is neither over nor refused: it waits for evidence."""
    return bool(app.status().get("attempt")) and not app.past() and "refused" not in app.status()


def _outcome(app: App) -> str:
    past = app.past()
    return str(past[-1]["outcome"]) if past else "not over"


def _tell_all(app: App) -> None:
    with suppress(ApiError, httpx.HTTPError):
        for title, text in app.diagnosis():
            _say(f"--- {title} of {app.namespace}\n{text}")


def _say(text: str) -> None:
    with _PRINTING:
        print(text, file=sys.stderr, flush=True)
