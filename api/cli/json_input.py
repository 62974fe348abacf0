"""JSON on the command line: as text, or as ``@FILE``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from api.cli.failures import UsageError
from api.terminal.language import say


def json_object(text: str, option: str) -> dict[str, Any]:
    """A JSON object given as text or ``@FILE``."""
    return read_object(Path(text[1:]), option) if text.startswith("@") else _object(text, option)


def read_object(path: Path, option: str) -> dict[str, Any]:
    """A JSON object from a file."""
    from ledger.small_files import read_text

    try:
        return _object(read_text(path), option)
    except UnicodeDecodeError:
        raise UsageError(say("{option}: {path} is not UTF-8", option=option, path=path)) from None


def _object(text: str, option: str) -> dict[str, Any]:
    from ledger.audit.verify.strict import read_once

    try:
        value = read_once(text)
    except ValueError:
        raise UsageError(say("{option} is not JSON", option=option)) from None
    if not isinstance(value, dict):
        raise UsageError(say("{option} is a JSON object", option=option))
    return value


def listed(values: list[str] | None) -> list[str]:
    """Values of an option that may be repeated or separated by commas."""
    return [part.strip() for value in values or () for part in value.split(",") if part.strip()]


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """``name=value`` of a repeated option; UsageError if a name is given twice, because one value would be lost."""
    found: dict[str, str] = {}
    for text in texts:
        name, value = pair(text, option)
        if name in found:
            raise UsageError(say("{option} names {name} twice", option=option, name=name[:40]))
        found[name] = value
    return found


def pair(text: str, option: str) -> tuple[str, str]:
    """``name=value``."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise UsageError(say("{option} is written name=value, not {given!r}", option=option, given=text[:40]))
    return name.strip(), value.strip()
