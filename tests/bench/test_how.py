"""A figure says how it was taken, where its name alone would leave that open."""

from __future__ import annotations

from bench.figures import LIMITS, figure


def test_how_a_figure_was_taken_is_beside_it() -> None:
    key = "round_3400_breach_seconds"
    assert figure(key, [1.0]).as_json()["how"] == LIMITS[key].how


def test_a_figure_whose_name_says_it_all_has_no_how() -> None:
    assert "how" not in figure("rss_mib", [1.0]).as_json()


def test_what_counts_requests_says_what_it_leaves_out() -> None:
    for key in ("rollback_api_requests", "stage_api_requests", "idle_api_requests_per_minute"):
        assert "watches" in LIMITS[key].how
