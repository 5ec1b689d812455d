"""Sources: what a MetricsSource object says is what its client does."""

from __future__ import annotations

import pytest

from leadsman.ports import Evaluator
from leadsman.runtime.sources import Sources
from leadsman.testing.clock import FakeClock


class Store:
    """Holds one MetricsSource."""

    def __init__(self, **spec):
        self.body = {
            "metadata": {"name": "default"},
            "spec": {"prometheus": {"address": "http://127.0.0.1:9090"}, **spec},
        }

    def source(self, name):
        return self.body if name == "default" else None


def opened(**spec):
    source = Sources(Store(**spec), FakeClock()).open("default")
    assert source is not None
    return source


async def test_queries_of_users_are_refused_unless_the_source_allows_them():
    source = opened()
    assert isinstance(source, Evaluator)
    answer = await source.evaluate("up", 5.0, 5.0)
    assert (answer.error, "promQL" in answer.detail) == ("Refused", True)


async def test_queries_of_users_are_asked_where_the_source_allows_them():
    source = opened(allowPromQL=True)
    answer = await source.evaluate("up", 5.0, 5.0)
    await source.close()
    # Loopback is refused as well, but for another reason: the query itself was not.
    assert "address" in answer.detail


def test_the_limits_are_the_objects():
    source = opened(limits={"series": 77, "queriesPerSecond": 9})
    assert (source.series_limit, source.queries_per_second) == (77, 9)


@pytest.mark.parametrize("name", ["other", ""])
def test_a_source_that_is_not_there_opens_as_nothing(name):
    assert Sources(Store(), FakeClock()).open(name) is None


def test_an_object_that_cannot_be_read_opens_as_nothing():
    assert Sources(Store(limits={"series": "many"}), FakeClock()).open("default") is None
