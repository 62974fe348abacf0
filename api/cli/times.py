"""Instants and durations as people write them on the command line. Everything is UTC or names its zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from api.cli.failures import UsageError
from api.cli.language import say

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
        say(f"not a duration: {text[:40]!r}", f"不是时长：{text[:40]!r}"),
        hint=say("write P30D, PT1H, 30d or 1h", "请写作 P30D、PT1H、30d 或 1h"),
    )


def instant(text: str, now: datetime | None = None) -> datetime:
    """``2027-01-01`` (midnight UTC), an instant with its zone, or a duration from now. Whole seconds, UTC."""
    return exact_instant(text, now).replace(microsecond=0)


def exact_instant(text: str, now: datetime | None = None) -> datetime:
    """The same to the microsecond, as entries of the log tell time."""
    if _SHORT.fullmatch(text) or _DURATION.fullmatch(text):
        return (now or datetime.now(UTC)) + duration(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            say(f"not an instant: {text[:40]!r}", f"不是时刻：{text[:40]!r}"),
            hint=say(
                "write 2027-01-01, 2027-01-01T08:00:00+08:00, or a duration from now such as P90D",
                "请写作 2027-01-01、2027-01-01T08:00:00+08:00，或自现在起的时长如 P90D",
            ),
        ) from None
    if moment.tzinfo is None:
        if len(text) != 10:
            raise UsageError(
                say(f"the instant {text!r} needs its zone", f"时刻 {text!r} 缺少时区"),
                hint=say("such as Z or +08:00", "例如 Z 或 +08:00"),
            )
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def optional_instant(text: str) -> datetime | None:
    """None for an empty text."""
    return instant(text) if text else None


def unix_text(seconds: object) -> str:
    """Unix seconds as people read them; the far end of the field means no end."""
    if not isinstance(seconds, int) or seconds == 0:
        return ""
    if seconds >= (1 << 40) - 1:
        return say("no end", "无期限")
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
