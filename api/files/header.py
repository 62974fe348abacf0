"""Checks the column names in the first record. A name that a schema cannot have is refused, not corrected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from api.files.errors import FileError

LONGEST_NAME = 128
MOST_COLUMNS = 1_000
"""The limits of a schema (`access_policy.privacy.query`)."""
RESERVED = "civic:"


def check_header(path: Path, names: Sequence[str], places: Sequence[str], line: int | None) -> None:
    """Raise FileError for the first invalid name. ``places`` are the positions of the names: column or cell."""
    if len(names) > MOST_COLUMNS:
        raise FileError(
            "file.header", path, f"at most {MOST_COLUMNS} columns are read, not {len(names)}", line=line
        )
    seen: dict[str, str] = {}
    for name, place in zip(names, places, strict=True):
        why = _fault(name)
        if not why and (other := seen.get(name.casefold())):
            why = f"has the same name as {other}, or one that differs only by case"
        if why:
            raise FileError("file.header", path, f"{place} {why}", line=line)
        seen[name.casefold()] = place


def _fault(name: str) -> str:
    if not name.strip():
        return "has no name"
    if name != name.strip():
        return "has a name that starts or ends with a blank"
    if len(name) > LONGEST_NAME:
        return f"has a name of {len(name)} characters, at most {LONGEST_NAME} are allowed"
    if not name.isprintable():
        return "has a name with a line break or a control character"
    return f"has a name that starts with {RESERVED}" if name.casefold().startswith(RESERVED) else ""
