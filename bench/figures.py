"""Figures and their limits: the one table that says what is promised and how it is held.

Each key of bench/results.json is a Figure. `held` names the statistic that is compared with the
limit (a p95 says what almost everybody sees, a median what is typical, a maximum what must never
be more), so that nobody has to guess which of the numbers counts. Each is kept with the commit
that was measured and the day, because one run of the bench rarely measures all of them.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from leadsman.guards.intervals import wilson

Held = Literal["p50", "p95", "max", "min", "sum", "mean", "share"]
"""`share`: the mean of samples that are 0 or 100, held with its interval: the upper 95 % bound may
exceed the limit by three tenths of it at most."""

SLACK = 1.3
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Limit:
    """What a key promises: `held` of its samples must be `sense` `limit`; None: only reported.

    `how` says from what to what a figure is taken, where its name does not.
    """

    key: str
    unit: str
    held: Held
    limit: float | None
    what: str
    sense: Literal["<=", ">="] = "<="
    how: str = ""

    def under(self, rule: str, words: str) -> Limit:
        """The same question put to a rule of other tools, which has promised nothing."""
        return replace(self, key=f"{rule}_{self.key}", limit=None, what=f"{self.what}, by {words}")


_SIMULATED = (
    *(
        Limit(f"false_rollback_{rps}rps", "%", "share", 1, "good releases, 5-10-25-50 %")
        for rps in (2, 50, 2000)
    ),
    *(
        Limit(f"false_rollback_noise_{rps}rps", "%", "share", 5, "arm noise 0.3, calibrated")
        for rps in (50, 2000)
    ),
    Limit("gap_false_rollback", "%", "share", 1, "5 min without data in each stage"),
    Limit("harm_x2_50rps", "requests", "mean", 20, "failed beyond a good release"),
    Limit("harm_x2_2000rps", "requests", "mean", 25, "failed beyond a good release"),
    Limit("miss_x2_50rps", "%", "share", 1, "twice the errors, promoted"),
    Limit("miss_x1_5_2000rps", "%", "share", 1, "1.5 times the errors, promoted"),
)
"""What simulated releases tell; the rules of other tools are asked the same beside each."""
_RULES = (
    ("failure_limit", "four failed measurements of a threshold"),
    ("consecutive", "three failed measurements in a row"),
    ("lower_bound", "a lower bound below 0 in three windows"),
)


_COUNTED = (
    "every request of the operator's user in the audit log, in any namespace and in none. Left out"
    " are watches, and the lists of the five minutes' sweep, which are told in the note."
)
LIMITS: dict[str, Limit] = {
    one.key: one
    for one in (
        Limit("rollback_seconds", "s", "p95", 0.3, "evidence readable to canary weight 0"),
        Limit(
            "rollback_query_rate", "1/s", "max", 4, "queries to the source meanwhile, of one second"
        ),
        Limit("crowd_query_rate", "1/s", "max", 4, "the same with fifty active Rollouts"),
        Limit("rollback_writes_before", "writes", "max", 0, "route writes before the breach"),
        Limit("rollback_failed_requests", "requests", "p50", 20, "30 % errors at 20 % of 200 rps"),
        Limit(
            "sequential_failed_requests", "requests", "p50", 14, "the same by one sequential guard"
        ),
        Limit("sequential_good_promoted", "of 20", "sum", 20, "good releases, promoted", ">="),
        Limit("sequential_tolerated_kept", "of 20", "sum", 20, "x1.2 under 25 %, kept", ">="),
        Limit(
            "rollback_api_requests",
            "requests",
            "max",
            15,
            "from the evidence to rest",
            how="From 0.2 s before the evidence, or before weight 0 if that was seen earlier, until"
            f" the Rollout is at rest: {_COUNTED}",
        ),
        Limit(
            "rollback_blocked_seconds", "s", "p95", 0.5, "one of three stable ready; frozen gateway"
        ),
        Limit("crash_rollback_seconds", "s", "p95", 0.8, "canary process exit to weight 0"),
        Limit("crash_reaction_seconds", "s", "p95", 0.15, "the pod's status to weight 0"),
        Limit("crash_failed_requests", "requests", "p50", 30, "failed by the crashes"),
        Limit(
            "crash_failed_requests_throttled",
            "requests",
            "p50",
            None,
            "the same with Traefik's default throttle of 2 s",
        ),
        Limit("promotion_overhead_seconds", "s", "max", 6, "20-50-100, less holds and settling"),
        Limit("promotion_failed_requests", "requests", "sum", 0, "three promotions at 200 rps"),
        Limit("promotion_requests", "requests", "sum", 20_000, "of so many", ">="),
        Limit("promotion_pods_kept", "%", "min", 100, "canary pods kept by the promotion", ">="),
        Limit(
            "idle_api_requests_per_minute",
            "1/min",
            "max",
            0,
            "50 idle Rollouts, 11 minutes",
            how="Each of the fifty governs a Deployment of one pod that runs. One more Rollout is"
            f" in a hold meanwhile, in a namespace that is not counted. Elsewhere: {_COUNTED}",
        ),
        Limit(
            "stage_api_requests",
            "requests",
            "max",
            4,
            "one stage, its event included",
            how=f"From one raise of the weight on the route to the next one: {_COUNTED}",
        ),
        Limit(
            "hold_api_requests_per_minute",
            "1/min",
            "max",
            1,
            "a hold whose verdicts stay",
            how=f"In each of eleven minutes, in the Rollout's namespace: {_COUNTED}",
        ),
        Limit("decide_microseconds", "µs", "p95", 50, "one decision, five guards"),
        Limit("rss_mib", "MiB", "max", 80, "the operator without a Rollout"),
        Limit("rss_mib_200", "MiB", "max", 110, "200 Rollouts, 10 of them active"),
        Limit("unrelated_rss_mib", "MiB", "max", 15, "what 17,000 foreign objects cost"),
        Limit("unrelated_cpu_percent", "%", "max", 3, "of a core, at 20 foreign changes a second"),
        Limit("round_3400_seconds", "s", "max", 5, "one round of 3,400 Rollouts, 5 guards each"),
        Limit("round_3400_queries", "queries", "max", 60, "of so many queries"),
        Limit(
            "round_3400_shared_percent", "%", "min", 70, "guards that needed no query more", ">="
        ),
        Limit(
            "round_3400_breach_seconds",
            "s",
            "max",
            5,
            "a breach readable to weight 0, meanwhile",
            how="From the question of the bench, one in 50 ms, whose answer is the first that shows"
            " the failures, to the write by which the route of that Rollout has the"
            " canary at weight 0. Sampler, scheduler, reconciler and executor are the operator's"
            " own, in one process with the 3,399 others' sampling; the API server is in memory and"
            " answers at once, so what a request takes is not in this figure.",
        ),
        Limit("guard_decision_microseconds", "µs", "p95", 50, "a block of a sequential guard"),
        *(
            one
            for limit in _SIMULATED
            for one in (limit, *(limit.under(rule, words) for rule, words in _RULES))
        ),
        Limit("simulate_per_second_core", "1/s", "p50", 60, "releases of 40 minutes", ">="),
        Limit("cold_start_seconds", "s", "max", None, "bare cluster to the first 200"),
    )
}


class Revision(NamedTuple):
    """What was measured: a short commit ("-dirty" if the code differed from it), and the UTC day.

    Either is "unknown" where it cannot be told.
    """

    commit: str = UNKNOWN
    date: str = UNKNOWN


UNMEASURED = Revision()


@dataclass(frozen=True, slots=True)
class Figure:
    """The samples of one key, and what they come to.

    `note` is for people; `details` are the same things for programs, by name.
    """

    limit: Limit
    samples: tuple[float, ...]
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    measured: Revision = UNMEASURED

    @property
    def value(self) -> float:
        """The statistic that is held against the limit."""
        match self.limit.held:
            case "p50":
                return percentile(self.samples, 50)
            case "p95":
                return percentile(self.samples, 95)
            case "max":
                return max(self.samples)
            case "min":
                return min(self.samples)
            case "sum":
                return math.fsum(self.samples)
            case "mean" | "share":
                return math.fsum(self.samples) / len(self.samples)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of a share (Wilson), in percent."""
        if self.limit.held != "share":
            return None
        return _interval(self.samples)

    @property
    def ok(self) -> bool:
        """Whether the promise is kept."""
        if self.limit.limit is None:
            return True
        if self.interval is not None and self.interval[1] > SLACK * self.limit.limit:
            return False
        if self.limit.sense == "<=":
            return self.value <= self.limit.limit
        return self.value >= self.limit.limit

    def as_json(self) -> dict[str, Any]:
        """The object of bench/results.json."""
        found: dict[str, Any] = {
            "value": _rounded(self.value),
            "limit": self.limit.limit,
            "ok": self.ok,
            "unit": self.limit.unit,
            "n": len(self.samples),
            "p50": _rounded(percentile(self.samples, 50)),
            "p95": _rounded(percentile(self.samples, 95)),
            "max": _rounded(max(self.samples)),
        }
        if self.limit.how:
            found["how"] = self.limit.how
        if self.interval is not None:
            found["interval"] = [_rounded(bound) for bound in self.interval]
        if self.note:
            found["note"] = self.note
        if self.details:
            found["details"] = dict(self.details)
        return {**found, "measured": self.measured._asdict()}


def figure(
    key: str, samples: Sequence[float], note: str = "", details: Mapping[str, Any] | None = None
) -> Figure:
    """The Figure of a key, of what is checked out now.

    Raises ValueError without a sample: nothing measured is not zero.
    """
    if not samples:
        raise ValueError(f"{key}: nothing was measured")
    return Figure(
        LIMITS[key], tuple(float(one) for one in samples), note, details or {}, revision()
    )


def share(samples: Sequence[float]) -> dict[str, Any]:
    """A detail of samples that are 0 or 100: their mean in percent, with its 95 % interval."""
    low, high = _interval(samples)
    value = math.fsum(samples) / len(samples)
    return {"value": _rounded(value), "interval": [_rounded(low), _rounded(high)]}


@cache
def revision() -> Revision:
    """The revision of the code when this was first asked, which is the one that runs."""
    return Revision(_commit(), datetime.now(UTC).strftime("%Y-%m-%d"))


def _commit() -> str:
    root = Path(__file__).parent.parent
    code = ("operator", "bench/*.py", "e2e")
    try:
        named, changed = (
            subprocess.run(
                ["git", "-C", str(root), *argv], capture_output=True, text=True, check=True
            ).stdout.strip()
            for argv in (
                ("rev-parse", "--short", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no", "--", *code),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    return f"{named}-dirty" if changed else named


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that at least `percent` of all samples do not exceed (nearest rank)."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _interval(samples: Sequence[float]) -> tuple[float, float]:
    low, high = wilson(sum(one > 0 for one in samples), len(samples))
    return 100 * low, 100 * high


def _rounded(value: float) -> float:
    return round(value, 4)
