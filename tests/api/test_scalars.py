"""The scalars: what is a duration, a share, a ratio, a latency, and what it is worth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from leadsman.api.types import (
    Duration,
    Latency,
    Margin,
    Percent,
    Ratio,
    parse_duration,
    parse_latency,
    parse_margin,
    parse_percent,
    parse_ratio,
)

GOOD = [
    (Duration, parse_duration, "30s", 30.0),
    (Duration, parse_duration, "1h30m", 5400.0),
    (Duration, parse_duration, "250ms", 0.25),
    (Duration, parse_duration, "1m1s1ms", 61.001),
    (Duration, parse_duration, "0s", 0.0),
    (Percent, parse_percent, "5%", 0.05),
    (Percent, parse_percent, "0.5%", 0.005),
    (Percent, parse_percent, "100%", 1.0),
    (Percent, parse_percent, "0%", 0.0),
    (Ratio, parse_ratio, "1.5", 1.5),
    (Latency, parse_latency, "250ms", 0.25),
    (Latency, parse_latency, "1.5s", 1.5),
    (Latency, parse_latency, "0.5ms", 0.0005),
    (Margin, parse_margin, "1ms", 0.001),
    (Margin, parse_margin, "0.5%", 0.005),
    (Margin, parse_margin, "0.02", 0.02),
    (Margin, parse_margin, "2s", 2.0),
]
BAD = [
    (Duration, parse_duration, text)
    for text in ("", "5", "s", "1.5h", "-1s", "1 s", "1d", "1s\n", "123456s", "1s2s3s4s5s")
]
BAD += [(Percent, parse_percent, text) for text in ("", "5", "101%", "-1%", ".5%", "5 %", "NaN%")]
BAD += [(Ratio, parse_ratio, text) for text in ("", "1,5", "-1", "1e3", "inf", "1.5x")]
BAD += [(Latency, parse_latency, text) for text in ("", "0ms", "0.0s", "250", "1m", "-1ms")]
BAD += [(Margin, parse_margin, text) for text in ("", "ms", "-1ms", "1h")]


@pytest.mark.parametrize(("kind", "parse", "text", "worth"), GOOD)
def test_a_right_text_is_accepted_and_worth_its_number(kind, parse, text, worth):
    assert TypeAdapter(kind).validate_python(text) == text
    assert parse(text) == pytest.approx(worth, rel=1e-12)


@pytest.mark.parametrize(("kind", "parse", "text"), BAD)
def test_a_wrong_text_is_refused_by_the_type_and_by_its_reader(kind, parse, text):
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(text)
    with pytest.raises(ValueError, match="not a"):
        parse(text)


@given(st.integers(0, 99999), st.integers(0, 59), st.integers(0, 59))
def test_the_parts_of_a_duration_add_up(hours, minutes, seconds):
    text = f"{hours}h{minutes}m{seconds}s"
    assert parse_duration(text) == hours * 3600 + minutes * 60 + seconds


@given(st.integers(0, 100_000_000))
def test_a_share_is_exact_to_the_last_digit_that_it_may_have(millionths):
    text = f"{millionths // 1_000_000}.{millionths % 1_000_000:06d}%"
    assert parse_percent(text) == millionths / 1e8
