"""The operator's entry: `python -m leadsman.shell.main`.

It reads the settings, connects, and runs the process. What is wrong with the settings or the
credentials ends the process with one line that says so, not with a traceback.
"""

from __future__ import annotations

import asyncio
import sys

import structlog

from leadsman import __version__
from leadsman.adapters.clock import SystemClock
from leadsman.adapters.kube import KubeApi
from leadsman.runtime.settings import Settings, SettingsError, load, unknown
from leadsman.runtime.telemetry import Telemetry, configure_logging
from leadsman.shell import memory
from leadsman.shell.engine import build
from leadsman.shell.process import Context, Process

log = structlog.get_logger(__name__)


async def run(settings: Settings) -> None:
    """Run the operator until it is told to end."""
    memory.small_buffers()
    telemetry = Telemetry()
    kube = await KubeApi.connect(settings.kubeconfig, observe=telemetry.requested)
    log.info("starting", version=__version__, namespaces=settings.namespaces or "all")
    await Process(Context(settings, kube, SystemClock(), telemetry), build).run()
    log.info("ended")


def main() -> int:
    """Run and return the exit code: 0 after a signal, 1 after a failure, 2 for bad settings."""
    try:
        settings = load()
    except SettingsError as wrong:
        sys.stderr.write(f"leadsman: {wrong}\n")
        return 2
    configure_logging(settings.log_level, settings.log_format)
    if names := unknown():
        log.warning("unknown settings are ignored", names=names)
    try:
        asyncio.run(run(settings))
    except Exception:
        log.exception("failed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
