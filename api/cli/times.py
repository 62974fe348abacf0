"""Instants and durations on the command line. Every instant is UTC or names its zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from api.cli.failures import UsageError
from api.terminal.language import language, say
from languages.moments import moment

_DURATION = re.compile(
    r"P(?=[\dT])(?:(\d{1,5})W)?(?:(\d{1,5})D)?(?:T(?=\d)(?:(\d{1,5})H)?(?:(\d{1,5})M)?(?:(\d{1,9})S)?)?",
    re.ASCII,
)
_SHORT = re.compile(r"(\d{1,6})(w|d|h|m|s)", re.ASCII)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def duration(text: str) -> timedelta:
    """``P30D``, ``PT1H``, or short ``30d``, ``1h``."""
    if short := _SHORT.fullmatch(text):
        return timedelta(**{_UNITS[short[2]]: int(short[1])})
    if found := _DURATION.fullmatch(text):
        weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    raise UsageError(
        say("not a duration: {given!r}", given=text[:40]),
        hint=say("write P30D, PT1H, 30d or 1h"),
    )


def instant(text: str, now: datetime | None = None) -> datetime:
    """Parse ``2027-01-01`` (midnight UTC), an instant with its zone, or a duration from now. Whole seconds, UTC."""
    return exact_instant(text, now).replace(microsecond=0)


def exact_instant(text: str, now: datetime | None = None) -> datetime:
    """As `instant`, to the microsecond, as in entries of the log."""
    try:
        if _SHORT.fullmatch(text) or _DURATION.fullmatch(text):
            return (now or datetime.now(UTC)) + duration(text)
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            say("not an instant: {given!r}", given=text[:40]),
            hint=say("write 2027-01-01, 2027-01-01T08:00:00+08:00, or a duration from now such as P90D"),
        ) from None
    if moment.tzinfo is None:
        if len(text) != 10:
            raise UsageError(
                say("the instant {given!r} needs its zone", given=text),
                hint=say("such as Z or +08:00"),
            )
        moment = moment.replace(tzinfo=UTC)
    return moment


def optional_instant(text: str) -> datetime | None:
    """None for an empty text."""
    return instant(text) if text else None


def unix_text(seconds: object) -> str:
    """Unix seconds in words; the largest value of the field means no end."""
    if not isinstance(seconds, int) or seconds == 0:
        return ""
    if seconds >= (1 << 40) - 1:
        return say("no end")
    return moment(datetime.fromtimestamp(seconds, UTC), language())
