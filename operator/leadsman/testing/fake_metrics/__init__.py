"""A metrics source in memory, fed by what the cluster in memory does with its traffic."""

from leadsman.testing.fake_metrics.series import Quality
from leadsman.testing.fake_metrics.source import FakeMetrics, MetricsFaults

__all__ = ["FakeMetrics", "MetricsFaults", "Quality"]
