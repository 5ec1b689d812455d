"""Command line of the test clusters (see e2e/README.md)."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from e2e.cluster import bare, beds, namespace, session
from e2e.cluster.errors import BedError
from e2e.cluster.operator_image import operator_image


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build and fetch everything into the cache")
    commands.add_parser("list", help="the beds that are up")
    about = {
        "up": "boot a bed that keeps running",
        "down": "end a bed and remove its files",
        "info": "addresses and files of a bed, as JSON",
    }
    for name, text in about.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--name", default="dev")
    commands.add_parser("operator-image", help="make the operator's image; prints the archive")
    load = commands.add_parser("load", help="load images into a bed (the operator's by default)")
    load.add_argument("--name", default="dev")
    load.add_argument("tar", nargs="*", type=Path)
    inside = commands.add_parser("exec", help="run a command inside a running bed")
    inside.add_argument("--name", default="dev")
    inside.add_argument("argv", nargs=argparse.REMAINDER)
    once = commands.add_parser("run", help="boot a bed, run a command inside, end it")
    once.add_argument("--name", help="its logs are kept under this name")
    once.add_argument("argv", nargs=argparse.REMAINDER)
    return parser


def _usage(name: str) -> str:
    option = "" if name == "dev" else f" --name {name}"
    base = "python -m e2e.cluster"
    return (
        f"the bed {name!r} is up\n"
        f"  {base} exec{option} -- kubectl get pods -A\n"
        f"  {base} exec{option} -- curl -H 'Host: shop.example.com' http://10.78.0.1:8000/\n"
        f"  {base} exec{option} -- bash          (a shell inside; KUBECONFIG and PATH are set)\n"
        f"  {base} down{option}"
    )


def _internal(argv: Sequence[str]) -> int | None:
    """The steps that the other commands call in new processes; None when it is none of them."""
    match list(argv):
        case ["_init", "--", *rest]:
            return namespace.init(rest)
        case ["_serve", name]:
            return beds.serve(name)
        case ["_run", name, cwd, "--", *rest]:
            return beds.run_here(name, cwd, rest)
    return None


def _command(given: argparse.Namespace) -> int:
    argv = getattr(given, "argv", [])
    if argv and argv[0] == "--":
        argv = argv[1:]
    if given.command in {"exec", "run"} and not argv:
        raise BedError(f"{given.command}: name a command after `--`")
    match given.command:
        case "build":
            bare.prepare()
        case "up":
            told = beds.up(given.name)
            print(_usage(given.name))
            print(f"  boot seconds: {told.boot_seconds}")
        case "info":
            print(json.dumps(asdict(beds.info(given.name)), indent=1))
        case "exec":
            return beds.enter(given.name, argv)
        case "run":
            return session.run(given.name or f"run-{os.getpid()}", argv, given.name is not None)
        case "down":
            beds.down(given.name)
        case "operator-image":
            print(operator_image(beds.ROOT))
        case "load":
            for tar in given.tar or [operator_image(beds.ROOT)]:
                beds.load(given.name, tar)
        case "list":
            print("\n".join(beds.names()))
    return 0


def main(argv: Sequence[str]) -> int:
    """Runs one command; the exit code."""
    try:
        code = _internal(argv)
        return _command(_parser().parse_args(argv)) if code is None else code
    except BedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
