"""Public, documented fakes of everything that Leadsman talks to, for its tests and for yours.

`FakeClock` owns time, `FakeKube` is a cluster with controllers, users and faults, `FakeMetrics`
answers what a Prometheus would have scraped from it, `FakeNotifier` keeps what was told.
"""

from leadsman.testing.clock import START, FakeClock
from leadsman.testing.fake_kube import (
    Behaviour,
    FakeKube,
    Faults,
    Killed,
    NotSettledError,
    Request,
    Traffic,
    Write,
)
from leadsman.testing.fake_kube.schemas import from_crd
from leadsman.testing.fake_metrics import FakeMetrics, MetricsFaults, Quality
from leadsman.testing.notifier import FakeNotifier, Told

__all__ = [
    "START",
    "Behaviour",
    "FakeClock",
    "FakeKube",
    "FakeMetrics",
    "FakeNotifier",
    "Faults",
    "Killed",
    "MetricsFaults",
    "NotSettledError",
    "Quality",
    "Request",
    "Told",
    "Traffic",
    "Write",
    "from_crd",
]
