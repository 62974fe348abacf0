"""Instants and durations as people write them: UTC, or with their zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cli.failures import UsageError
from api.cli.times import duration, instant, unix_text

NOW = datetime(2026, 11, 22, 4, 0, 0, 123, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2027-01-01", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01T08:00:00+08:00", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01T00:00:00Z", datetime(2027, 1, 1, tzinfo=UTC)),
        ("P30D", datetime(2026, 12, 22, 4, tzinfo=UTC)),
        ("PT1H30M", datetime(2026, 11, 22, 5, 30, tzinfo=UTC)),
        ("2d", datetime(2026, 11, 24, 4, tzinfo=UTC)),
    ],
)
def test_an_instant_is_absolute_or_counted_from_now(written: str, meant: datetime) -> None:
    assert instant(written, NOW) == meant


@pytest.mark.parametrize(
    "written",
    [
        *("", "soon", "2027-01-01T00:00:00", "P", "PT", "30", "-1d", "P1Y", "2027-13-01"),
        *("999999w", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00"),
    ],
)
def test_ambiguous_times_are_refused(written: str) -> None:
    with pytest.raises(UsageError):
        instant(written, NOW)


@given(st.integers(0, 99_999), st.integers(0, 99_999), st.integers(0, 99_999))
def test_durations_add_up(days: int, hours: int, seconds: int) -> None:
    assert duration(f"P{days}DT{hours}H{seconds}S") == timedelta(days=days, hours=hours, seconds=seconds)


@given(st.text(max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        moment = instant(text, NOW)
    except UsageError:
        return
    assert moment.tzinfo is UTC
    assert moment.microsecond == 0


def test_largest_time_means_no_end() -> None:
    assert unix_text((1 << 40) - 1) == "no end"
    assert unix_text(0) == ""
    assert unix_text(1_800_000_000) == "2027-01-15 08:00:00Z"
