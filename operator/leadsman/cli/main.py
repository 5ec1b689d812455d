"""The group of all commands. A command is one module, imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from leadsman import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="leadsman")
def main() -> None:
    """Leadsman: progressive delivery for the Deployments and routes that you have."""


@main.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, readable=True, path_type=Path)
)
@click.option("--differences", default=3, show_default=True, help="How many differences to show.")
def replay(files: tuple[Path, ...], differences: int) -> None:
    """Decide every recorded decision again, and compare.

    FILES are decision records (JSON lines), or directories of them, as an operator with
    LEADSMAN_RECORDS writes them. Exit code 1 when a decision differs, 2 when a record cannot be
    read.
    """
    from leadsman.cli.replay import run

    raise SystemExit(run(files, differences))


_FILES = click.Path(exists=True, readable=True, allow_dash=True, path_type=Path)
_SHARE = click.FloatRange(0, 1)
_COUNT = click.IntRange(1, 10_000_000)
_POSITIVE = click.FloatRange(0, min_open=True)
_NOT_NEGATIVE = click.FloatRange(0)


_Command = TypeVar("_Command", bound=Callable[..., None])
_WHAT_IS_TRIED = (
    click.argument("files", nargs=-1, required=True, type=_FILES),
    click.option("--rollout", help="Which Rollout, where the files have several."),
    click.option(
        "--contract",
        "contracts",
        multiple=True,
        help="A contract to try in place of the Rollout's.",
    ),
    click.option(
        "--rps", default=50.0, show_default=True, type=_POSITIVE, help="Requests a second."
    ),
    click.option(
        "--errors", default=0.005, show_default=True, type=_SHARE, help="Share that fails anyway."
    ),
    click.option(
        "--slow",
        default=0.02,
        show_default=True,
        type=_SHARE,
        help="Share that is slow anyway, for guards on latency.",
    ),
)


def _what_is_tried(command: _Command) -> _Command:
    """The manifests and the traffic of the commands that try a contract."""
    for decorate in reversed(_WHAT_IS_TRIED):
        command = decorate(command)
    return command


@main.command()
@_what_is_tried
@click.option(
    "--latency",
    default=0.1,
    show_default=True,
    type=_POSITIVE,
    help="Mean seconds of a request, for guards on a mean.",
)
@click.option(
    "--ratio",
    "ratios",
    multiple=True,
    type=_NOT_NEGATIVE,
    help="The canary's rate in units of stable's; several make several lines. [default: 1, 1.5, 2]",
)
@click.option("--worse", multiple=True, help="Guards for which the ratio holds. [default: all]")
@click.option(
    "--arm-noise",
    default=0.0,
    type=_NOT_NEGATIVE,
    help="How much the canary's rate wanders against stable's (coefficient of variation).",
)
@click.option(
    "--common-noise", default=0.0, type=_NOT_NEGATIVE, help="How much both wander together."
)
@click.option(
    "--noise-seconds", default=0.0, type=_NOT_NEGATIVE, help="Memory of the noise. [default: none]"
)
@click.option(
    "--bursts", default=0.0, type=_NOT_NEGATIVE, help="Bursts of errors in both arms, an hour."
)
@click.option("--gaps", default=0.0, type=_SHARE, help="Share of scrapes that fail.")
@click.option(
    "--blackout",
    default=0.0,
    type=_NOT_NEGATIVE,
    help="Seconds without any scrape in the middle of each stage.",
)
@click.option("--resets", default=0.0, type=_NOT_NEGATIVE, help="Restarts of each pod, an hour.")
@click.option("--pods", default=4, show_default=True, type=_COUNT, help="Pods in each arm.")
@click.option(
    "--interval", default=15.0, show_default=True, type=_POSITIVE, help="Seconds between scrapes."
)
@click.option("--runs", default=1000, show_default=True, type=_COUNT, help="Releases a line.")
@click.option("--seed", default="1", show_default=True, help="The same seed, the same result.")
@click.option(
    "--limit", type=_POSITIVE, help="Seconds until a release is held. [default: twice the plan]"
)
@click.option("--workers", default=0, type=click.IntRange(0), help="Processes. [default: cores]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def simulate(
    files: tuple[Path, ...],
    rollout: str | None,
    contracts: tuple[str, ...],
    ratios: tuple[float, ...],
    runs: int,
    seed: str,
    limit: float | None,
    workers: int,
    *,
    as_json: bool,
    **traffic: Any,
) -> None:
    """Try a contract on synthetic releases, with the code that decides in the cluster.

    FILES are manifests: a Rollout with what it refers to, or one plan and its contracts. A good
    release (ratio 1) should be promoted, a bad one rolled back; held ones waited for evidence.
    """
    from leadsman.cli.simulate import run
    from leadsman.simulation.traffic import Traffic

    code = run(
        files,
        Traffic(**traffic),
        runs,
        seed,
        ratios=ratios or (1.0, 1.5, 2.0),
        rollout=rollout,
        contracts=contracts,
        limit=limit,
        workers=workers,
        as_json=as_json,
    )
    raise SystemExit(code)


@main.command()
@_what_is_tried
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(
    files: tuple[Path, ...],
    rollout: str | None,
    contracts: tuple[str, ...],
    rps: float,
    errors: float,
    slow: float,
    *,
    as_json: bool,
) -> None:
    """Say what each stage can show, and how soon, with the traffic that there is.

    FILES are manifests as for simulate. Exit code 1 when no stage can show a guard's design ratio.
    """
    from leadsman.cli.plan import run

    code = run(files, rps, errors, slow, rollout=rollout, contracts=contracts, as_json=as_json)
    raise SystemExit(code)


@main.command()
@click.argument("source")
@click.option("-n", "--namespace", help="The Rollout's namespace, when asked by name.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write a chart of a guard's evidence (SVG); needs decision records.",
)
@click.option("--guard", help="Which guard to draw. [default: the first that gathers evidence]")
def explain(source: str, namespace: str | None, plot: Path | None, guard: str | None) -> None:
    """Say what was decided last, why, and what is awaited.

    SOURCE is a Rollout as YAML or JSON ("-" is standard input), a file or a directory of decision
    records, or the name of a Rollout that kubectl can find.
    """
    from leadsman.cli.explain import run

    raise SystemExit(run(source, namespace=namespace, plot=plot, guard=guard))
