"""Times in messages: Beijing time in Chinese, UTC in English. Documents for programs always have UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from languages.choice import Language
from languages.texts import Bilingual, bilingual, translated

_BEIJING = timezone(timedelta(hours=8))


def moment(instant: datetime, language: Language) -> str:
    """A time with its zone, in seconds: ``2027-01-15 08:00:00Z``, or ``2027-01-15 16:00:00（北京时间）``."""
    if language == "en":
        return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    return in_beijing(instant.replace(microsecond=0))


def in_beijing(instant: datetime) -> str:
    """A time in Chinese, in Beijing time, with the given precision."""
    try:
        there = instant.astimezone(_BEIJING)
    except OverflowError:  # in the last hours of Python's calendar
        return instant.isoformat(" ")
    return translated("{time} (Beijing time)", "zh", time=there.replace(tzinfo=None).isoformat(" "))


def in_both_zones(instant: datetime) -> Bilingual:
    """A time as a value of a message: UTC in English (``2027-01-15T08:00:00+00:00``), Beijing time in Chinese."""
    return bilingual(instant.astimezone(UTC).isoformat(), in_beijing(instant))


def read_in_beijing(text: str) -> str:
    """A time in UTC (``2027-01-15T08:00:00Z``) as Chinese text in Beijing time; any other text unchanged."""
    if not text.endswith("Z") or "T" not in text:
        return text
    try:
        return in_beijing(datetime.fromisoformat(text))
    except ValueError:
        return text
