"""The group of all commands. A command is one module, imported when it is asked for."""

from __future__ import annotations

from pathlib import Path

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
