"""`make bench`: measure everything that is promised (ONLY=key,... for some), print, judge.

Each measurement runs in a process of its own inside a fresh cluster, so that none inherits another
one's state; `decide_microseconds` and `round_3400_*` need none. Results of earlier runs stay in the
file for keys that are not measured this time. The exit code is 1 if a limit is missed or a key was
not measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench.figures import LIMITS, Figure, figure

RESULTS = Path(__file__).with_name("results.json")
OUT = Path(__file__).with_name("out")


@dataclass(frozen=True, slots=True)
class Theme:
    """A module with `run(boot, boots)`, in how many fresh clusters, and the keys that it gives."""

    module: str
    boots: int
    keys: tuple[str, ...]


THEMES = (
    Theme("cold", 3, ("cold_start_seconds",)),
    Theme(
        "rollback",
        3,
        (
            "rollback_seconds",
            "rollback_query_rate",
            "rollback_writes_before",
            "rollback_failed_requests",
            "rollback_api_requests",
        ),
    ),
    Theme("sequential", 1, ("sequential_failed_requests",)),
    Theme("repeats", 2, ("sequential_good_promoted", "sequential_tolerated_kept")),
    Theme("crowd", 1, ("crowd_query_rate",)),
    Theme("blocked", 2, ("rollback_blocked_seconds",)),
    Theme(
        "crash",
        3,
        (
            "crash_rollback_seconds",
            "crash_reaction_seconds",
            "crash_failed_requests",
            "crash_failed_requests_throttled",
        ),
    ),
    Theme(
        "promotion",
        1,
        (
            "promotion_overhead_seconds",
            "promotion_failed_requests",
            "promotion_requests",
            "promotion_pods_kept",
            "stage_api_requests",
        ),
    ),
    Theme("idle", 1, ("idle_api_requests_per_minute", "hold_api_requests_per_minute")),
    Theme(
        "memory",
        1,
        ("rss_mib", "rss_mib_200", "unrelated_rss_mib", "unrelated_cpu_percent"),
    ),
)
LOCAL = "decide_microseconds"
ROUND = (
    "round_3400_seconds",
    "round_3400_queries",
    "round_3400_shared_percent",
    "round_3400_breach_seconds",
)
COSTS = ("simulate_per_second_core", "guard_decision_microseconds")
STATISTICS = (
    frozenset(LIMITS) - {LOCAL, *ROUND, *COSTS} - {key for theme in THEMES for key in theme.keys}
)
"""Simulated, without a cluster."""


def main() -> int:
    """The exit code."""
    wanted = _wanted(os.environ.get("ONLY", ""))
    OUT.mkdir(exist_ok=True)
    samples: dict[str, list[float]] = {}
    problems: list[str] = []
    figures: dict[str, Figure] = {}
    if LOCAL in wanted:
        from bench import decide

        figures[LOCAL] = decide.measure()
    if not wanted.isdisjoint(STATISTICS):
        from bench import statistics

        figures.update(statistics.measure(wanted & STATISTICS))
    if not wanted.isdisjoint(COSTS):
        from bench import costs

        figures |= {key: costs.timed(key) for key in COSTS if key in wanted}
    if not wanted.isdisjoint(ROUND):
        from bench import round3400

        figures |= round3400.measure()
    for theme in THEMES:
        if wanted.isdisjoint(theme.keys):
            continue
        for boot in range(theme.boots):
            found = _boot(theme, boot)
            if found is None:
                problems.append(f"{theme.module}, boot {boot + 1}: see {_log(theme, boot)}")
                continue
            for key, values in found.items():
                samples.setdefault(key, []).extend(values)
    for key in LIMITS:
        # A theme gives all of its keys at once: what was measured is kept, asked for or not.
        if samples.get(key):
            figures[key] = figure(key, samples[key], _note(key, samples))
    stored = _store(figures)
    _show(stored, problems)
    missed = [key for key in wanted if key not in figures or not figures[key].ok]
    return 1 if missed or problems else 0


def _wanted(only: str) -> set[str]:
    if not only:
        return set(LIMITS)
    keys = {key.strip() for key in only.split(",") if key.strip()}
    if unknown := keys - set(LIMITS):
        raise SystemExit(f"ONLY: no such key: {', '.join(sorted(unknown))}; {', '.join(LIMITS)}")
    return keys


def _boot(theme: Theme, boot: int) -> dict[str, list[float]] | None:
    """One fresh cluster around one run of a theme; None when it failed."""
    path = OUT / f"{theme.module}-{boot}.json"
    path.unlink(missing_ok=True)
    inside = ["bench.inside", theme.module, str(boot), str(theme.boots), str(path)]
    argv = ["e2e.cluster", "run", "--", sys.executable, "-m", *inside]
    print(f"{theme.module}: cluster {boot + 1} of {theme.boots} ...", flush=True)
    env = {**os.environ, "LEADSMAN_BENCH_STARTED": str(time.time())}
    with _log(theme, boot).open("wb") as log:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", *argv],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=env,
            check=False,
        )
    print(f"{theme.module}: {time.monotonic() - began:.0f} s, exit code {done.returncode}")
    if done.returncode != 0 or not path.exists():
        return None
    found: dict[str, list[float]] = json.loads(path.read_text())
    return found


def _log(theme: Theme, boot: int) -> Path:
    return OUT / f"{theme.module}-{boot}.log"


def _note(key: str, samples: dict[str, list[float]]) -> str:
    lists = sum(samples.get(f"note:{key}", ()))
    return f"beside it {lists:g} lists of the sweep" if lists else ""


def _store(figures: dict[str, Figure]) -> dict[str, dict[str, Any]]:
    """Merge into bench/results.json, in the order of the limits."""
    stored: dict[str, dict[str, Any]] = {}
    if RESULTS.exists():
        stored = json.loads(RESULTS.read_text())
    stored.update({key: found.as_json() for key, found in figures.items()})
    ordered = {key: stored[key] for key in LIMITS if key in stored}
    RESULTS.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    return ordered


def _show(stored: dict[str, dict[str, Any]], problems: Sequence[str]) -> None:
    made = Table(box=box.SIMPLE_HEAD, title="bench/results.json", title_justify="left")
    for head in ("key", "value", "limit", "", "n", "p50", "p95", "max", "commit"):
        left = head in ("key", "", "commit")
        made.add_column(head, justify="left" if left else "right", no_wrap=head == "key")
    for key, limit in LIMITS.items():
        one = stored.get(key)
        if one is None:
            made.add_row(key, "not measured", style="dim")
            continue
        allowed = "reported" if one["limit"] is None else f"{limit.sense} {one['limit']:g}"
        numbers = [f"{one[name]:g}" for name in ("p50", "p95", "max")]
        value = f"{one['value']:g} {one['unit']}"
        commit = one.get("measured", {}).get("commit", "unknown")
        row = [key, value, allowed, "ok" if one["ok"] else "MISSED", str(one["n"]), *numbers]
        row.append(commit)
        made.add_row(*row, style="" if one["ok"] else "bold red")
    Console(highlight=False, width=140).print(made)
    for problem in problems:
        print(f"failed: {problem}")


if __name__ == "__main__":
    sys.exit(main())
