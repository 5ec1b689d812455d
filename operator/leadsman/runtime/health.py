"""One small HTTP server for the probes and the metrics.

`/healthz` fails when the process cannot help itself any more (the scheduler's time keeper is gone,
a pass hangs): then the kubelet restarts it, and since status is the only memory, nothing is lost.
A metrics source or an API server that is down is no reason to restart, so it never fails a probe.
`/readyz` is true once everything was listed for the first time.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from leadsman.runtime.telemetry import CONTENT_TYPE

Check = Callable[[], str]
"""Returns "" when well, else a short sentence that says what is wrong."""


class Health:
    """Serves `/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, metrics: Callable[[], bytes]) -> None:
        """`metrics` renders the Prometheus text format."""
        self._metrics = metrics
        self._live: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}
        self._runner: web.AppRunner | None = None
        self.port = 0
        """The port that is served, once started."""

    def live(self, name: str, check: Check) -> None:
        """Add a condition of life: when it fails the process is to be restarted."""
        self._live[name] = check

    def ready(self, name: str, check: Check) -> None:
        """Add a condition of readiness."""
        self._ready[name] = check

    def problems(self) -> dict[str, str]:
        """What fails the probe of life, by name."""
        return {name: said for name, check in self._live.items() if (said := _ask(check))}

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._render),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _healthz(self, _: web.Request) -> web.Response:
        return _answer(self.problems())

    async def _readyz(self, _: web.Request) -> web.Response:
        checks = {**self._live, **self._ready}
        return _answer({name: said for name, check in checks.items() if (said := _ask(check))})

    async def _render(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": CONTENT_TYPE})


def _ask(check: Check) -> str:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a check that cannot answer is a failing one
        return type(error).__name__


def _answer(problems: dict[str, str]) -> web.Response:
    if not problems:
        return web.Response(text="ok\n")
    lines = "".join(f"{name}: {said}\n" for name, said in sorted(problems.items()))
    return web.Response(status=503, text=lines)
