"""JSON that a person gives on the command line: as text, or as ``@FILE``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from api.cli.failures import UsageError
from api.cli.language import say


def json_object(text: str, option: str) -> dict[str, Any]:
    """A JSON object given as text or ``@FILE``."""
    return read_object(Path(text[1:]), option) if text.startswith("@") else _object(text, option)


def read_object(path: Path, option: str) -> dict[str, Any]:
    """A JSON object from a file."""
    try:
        return _object(path.read_text("utf-8"), option)
    except UnicodeDecodeError:
        raise UsageError(say(f"{option}: {path} is not UTF-8", f"{option}：{path} 不是 UTF-8")) from None


def _object(text: str, option: str) -> dict[str, Any]:
    from ledger.audit.verify.strict import read_once

    try:
        value = read_once(text)
    except ValueError:
        raise UsageError(say(f"{option} is not JSON", f"{option} 不是 JSON")) from None
    if not isinstance(value, dict):
        raise UsageError(say(f"{option} is a JSON object", f"{option} 应为 JSON 对象"))
    return value


def listed(values: list[str] | None) -> list[str]:
    """Values of an option that may be repeated or separated by commas."""
    return [part.strip() for value in values or () for part in value.split(",") if part.strip()]


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """``name=value`` of a repeated option; UsageError when a name is given twice, since one value would be lost."""
    found: dict[str, str] = {}
    for text in texts:
        name, value = pair(text, option)
        if name in found:
            raise UsageError(say(f"{option} names {name[:40]} twice", f"{option} 两次指定 {name[:40]}"))
        found[name] = value
    return found


def pair(text: str, option: str) -> tuple[str, str]:
    """``name=value``."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise UsageError(
            say(
                f"{option} is written name=value, not {text[:40]!r}",
                f"{option} 写作 名称=值，而非 {text[:40]!r}",
            )
        )
    return name.strip(), value.strip()
