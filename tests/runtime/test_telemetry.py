"""Metrics have bounded labels; logs never hold what passed through memory."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from leadsman.runtime.telemetry import Telemetry, configure_logging


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_what_happens_is_counted() -> None:
    telemetry = Telemetry()
    telemetry.decided("breach")
    telemetry.requested("patch", "httproutes", 200, 0.004)
    telemetry.requested("watch", "pods", 200, 290.0)
    telemetry.reconciled(("ns", "a"), 0.1, well=False)
    telemetry.event_dropped()
    telemetry.gauge("leadsman_watches", "Watches.", lambda: 7)
    text = telemetry.render().decode()
    for line in (
        'leadsman_decisions_total{policy="breach"} 1.0',
        'leadsman_api_requests_total{code="200",resource="httproutes",verb="patch"} 1.0',
        'leadsman_api_request_seconds_count{verb="patch"} 1.0',
        "leadsman_reconcile_failures_total 1.0",
        "leadsman_events_dropped_total 1.0",
        "leadsman_watches 7.0",
    ):
        assert line in text
    assert 'leadsman_api_request_seconds_count{verb="watch"}' not in text
    assert "ns" not in text.split("leadsman_reconcile_seconds")[1].split("process_")[0]


def test_two_processes_in_one_do_not_share_metrics() -> None:
    first, second = Telemetry(), Telemetry()
    first.decided("rest")
    assert 'policy="rest"' not in second.render().decode()


def test_logs_are_json_lines_without_local_variables(
    restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("info", "json")
    try:
        secret = "hunter2"  # noqa: F841 - it must not be shown
        raise ValueError("told")
    except ValueError:
        structlog.get_logger("leadsman.test").exception("failed", name="shop")
    (line,) = capsys.readouterr().err.strip().splitlines()
    told = json.loads(line)
    assert (told["event"], told["name"], told["level"]) == ("failed", "shop", "error")
    assert "ValueError: told" in told["exception"]
    assert "hunter2" not in line


def test_libraries_that_speak_of_each_event_are_quiet(
    restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("info", "console")
    logging.getLogger("kopf.objects").info("Handler succeeded.")
    logging.getLogger("kopf.objects").warning("Something is wrong.")
    structlog.get_logger("leadsman.test").debug("detail")
    shown = capsys.readouterr().err
    assert "Handler succeeded" not in shown
    assert "detail" not in shown
    assert "Something is wrong." in shown
