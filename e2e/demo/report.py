"""What the demo comes to: a table for people, the same as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from e2e.demo.script import Outcome, in_words


def facts(outcome: Outcome) -> dict[str, Any]:
    """The demo's figures; a figure that could not be had is null."""
    raw = outcome.report.raw if outcome.report is not None else {}
    versions = {
        name or "no answer": {"ok": one["ok"], "failed": one["failed"]}
        for name, one in sorted(raw.get("versions", {}).items())
    }
    took = None
    if outcome.off_at is not None and outcome.evidence_at is not None:
        took = round(max(0.0, outcome.off_at - outcome.evidence_at), 3)
    return {
        "simulated": outcome.simulated,
        "requests": raw.get("planned"),
        "failed": raw.get("failed"),
        "versions": versions,
        "canary_pods": outcome.canary_pods,
        "canary_pods_kept": outcome.canary_pods_kept,
        "promotion_seconds": round(outcome.promotion_seconds, 1),
        "evidence_to_weight_0_seconds": took,
        "api_writes": outcome.writes,
        "weights": [
            {"t": round(at - outcome.started, 3), "weight": weight}
            for at, weight in outcome.weights
        ],
        "moments": [
            {"t": round(at - outcome.started, 3), "what": what} for at, what in outcome.moments
        ],
        "seconds": [
            {**one, "t": round(one["t"] - outcome.started, 1)} for one in raw.get("seconds", [])
        ],
    }


def table(found: dict[str, Any]) -> Table:
    """The facts as rows."""
    title = "What was seen (SIMULATED, no real cluster)" if found["simulated"] else "What was seen"
    made = Table(title=title, box=box.SIMPLE_HEAD, show_header=False, title_justify="left")
    made.add_column(style="bold")
    made.add_column(justify="right")
    made.add_row("requests", f"{found['requests']:,}")
    made.add_row("failed", f"{found['failed']:,}")
    for version, one in found["versions"].items():
        made.add_row(f"  {version}", f"{one['failed']:,} of {one['ok'] + one['failed']:,}")
    kept = f"{found['canary_pods_kept']} of {found['canary_pods']}"
    made.add_row("canary pods kept through the promotion", kept)
    took = found["evidence_to_weight_0_seconds"]
    made.add_row("evidence to weight 0", "not measured" if took is None else in_words(took))
    writes = found["api_writes"]
    made.add_row(
        "API writes of the operator, both releases",
        "no audit log" if writes is None else f"{writes}",
    )
    return made


def write(found: dict[str, Any], folder: Path) -> Path:
    """demo.json in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "demo.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    return path


def show(found: dict[str, Any]) -> None:
    """Print the table."""
    Console(highlight=False).print(table(found))
