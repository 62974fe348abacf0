"""Instants as their reader counts them: in Chinese by Beijing time, in English by UTC. Documents for programs have UTC always."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from languages.choice import Language
from languages.texts import Bilingual, bilingual, translated

_BEIJING = timezone(timedelta(hours=8))


def moment(instant: datetime, language: Language) -> str:
    """An instant with its zone, to the second: ``2027-01-15 08:00:00Z``, or ``2027-01-15 16:00:00（北京时间）``."""
    if language == "en":
        return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    return in_beijing(instant.replace(microsecond=0))


def in_beijing(instant: datetime) -> str:
    """An instant in Chinese, by Beijing time, as exactly as it is given."""
    try:
        there = instant.astimezone(_BEIJING)
    except OverflowError:  # in the last hours that the calendar of Python has
        return instant.isoformat(" ")
    return translated("{time} (Beijing time)", "zh", time=there.replace(tzinfo=None).isoformat(" "))


def in_both_zones(instant: datetime) -> Bilingual:
    """An instant as a value of a text: by UTC in English (``2027-01-15T08:00:00+00:00``), by Beijing time in Chinese."""
    return bilingual(instant.astimezone(UTC).isoformat(), in_beijing(instant))


def read_in_beijing(text: str) -> str:
    """A text as it is; an instant that is written by UTC (``2027-01-15T08:00:00Z``) in Chinese, by Beijing time."""
    if not text.endswith("Z") or "T" not in text:
        return text
    try:
        return in_beijing(datetime.fromisoformat(text))
    except ValueError:
        return text
