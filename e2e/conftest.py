"""The cluster for everything below e2e/: found, or booted around a second start of pytest.

Every test has a Kubernetes namespace of its own, so that tests may run side by side (pytest-xdist);
what disturbs the shared cluster is marked `disruptive` and runs alone, afterwards (e2e/run.py).
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from e2e.cluster.backend import Backend, choose
from e2e.cluster.errors import MissingToolError
from e2e.cluster.session import attach, attached
from e2e.harness.api import Api
from e2e.harness.app import App, Place
from e2e.harness.installation import Installation
from e2e.harness.metrics import OwnPrometheus

SECONDS = 480
"""What a suite may take at the most; each of its waits has a shorter limit of its own."""

_REASON = pytest.StashKey[str]()
_APPS = pytest.StashKey[list[App]]()


def pytest_configure(config: pytest.Config) -> None:
    """Starts pytest again inside a cluster when there is none around this process."""
    config.stash[_REASON] = ""
    worker = hasattr(config, "workerinput")
    if worker or attached() or config.option.collectonly or config.option.help:
        return
    argv = [sys.executable, "-m", "pytest", *config.invocation_params.args]
    bed = os.environ.get("E2E_BED")
    how = ["exec", "--name", bed] if bed else ["run"]
    try:
        choose()
    except MissingToolError as error:
        config.stash[_REASON] = str(error)
        return
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    capture.stop_global_capturing()
    command = [sys.executable, "-m", "e2e.cluster", *how, "--", *argv]
    sys.stdout.flush()
    os._exit(subprocess.run(command, check=False).returncode)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Installs the operator of this checkout, once, before any worker starts."""
    config = session.config
    if not hasattr(config, "workerinput") and attached() and not config.option.collectonly:
        found = attach()
        api = _api(found)
        Installation(found, api).install()
        api.close()


def _api(found: Backend) -> Api:
    suite = found.kubeconfig.with_name("kubeconfig-suite")
    return Api(suite if suite.exists() else found.kubeconfig)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real clusters take longer than unit tests."""
    for item in items:
        if "e2e" in item.path.parts and not any(item.iter_markers("timeout")):
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds what happened in the namespace to the report of a test that failed."""
    report = yield
    if report.failed and call.when == "call":
        for app in item.stash.get(_APPS, []):
            for title, text in app.diagnosis():
                report.sections.append((f"{title} of {app.namespace}", text))
            _keep(app, report)
    return report


def _keep(app: App, report: pytest.TestReport) -> None:
    """Writes a failure down at once: a run with many workers reports only at its end."""
    folder = app.place.cluster.kubeconfig.parent / "failures"
    folder.mkdir(exist_ok=True)
    parts = [f"{title}\n{text}\n" for title, text in report.sections]
    text = "\n".join([report.nodeid, report.longreprtext, *parts])
    (folder / f"{app.namespace}.txt").write_text(text)


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Backend:
    """The cluster around this process; without one the tests are skipped, and say why."""
    if pytestconfig.stash[_REASON]:
        pytest.skip(f"no real cluster: {pytestconfig.stash[_REASON]}")
    return attach()


@pytest.fixture(scope="session")
def place(cluster: Backend) -> Iterator[Place]:
    """The cluster with the operator of this checkout, ready."""
    api = _api(cluster)
    operator = Installation(cluster, api)
    operator.wait_ready()
    yield Place(cluster, api, operator)
    api.close()


@pytest.fixture
def operator(place: Place) -> Installation:
    """The operator, for suites that stop or kill it."""
    return place.operator


def namespace_of(request: pytest.FixtureRequest, suffix: str = "") -> str:
    """A name that tells the test and is new in every run."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).removeprefix("test-")
    unique = hashlib.sha256(f"{request.node.nodeid}{os.urandom(8).hex()}".encode()).hexdigest()[:5]
    return f"{name[:40].strip('-')}{suffix}-{unique}"


@pytest.fixture
def apps(place: Place, request: pytest.FixtureRequest) -> Iterator[Callable[[str], App]]:
    """Makes several applications, each in a namespace of its own, named by a suffix."""
    made: list[App] = request.node.stash.setdefault(_APPS, [])

    def make(suffix: str) -> App:
        made.append(App(place, namespace_of(request, f"-{suffix}" if suffix else "")))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def app(apps: Callable[[str], App]) -> App:
    """A namespace for the test's application; nothing is installed in it yet."""
    return apps("")


@pytest.fixture
def prometheus(app: App) -> Iterator[OwnPrometheus]:
    """A Prometheus for this test alone, which may stop it."""
    own = OwnPrometheus(app.api, app.namespace)
    own.install()
    yield own
    own.remove()
