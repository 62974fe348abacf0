"""Going on with an interrupted check: which files of a bundle were re-hashed already, and to what.

A file of leaves is not hashed again while it and its file of hashes have the same length, time of change and inode as
when they were checked, and the hashes still lead to the same root. The record is the auditor's own: keep it where
nobody else writes, and leave it out for a check that trusts nothing.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ledger.small_files import read_small

_ROOT = re.compile(r"[0-9a-f]{64}", re.ASCII)


def put(path: Path, data: bytes) -> None:
    """Write a file of the record. A link in the place of the draft is not followed: the record may have come with the
    log, and would write where its maker pleases."""
    draft = path.with_name(path.name + ".part")
    draft.unlink(missing_ok=True)
    with draft.open("xb") as file:
        file.write(data)
    draft.replace(path)


class Resume:
    """The record of one bundle's check, in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done: dict[str, list[str]] = {}
        if not path.is_file():  # reading a pipe would not end
            return
        try:
            value = json.loads(read_small(path))
        except (OSError, ValueError, RecursionError):
            return  # no record, or a damaged one: everything is hashed again
        if isinstance(value, dict):
            self._done = {key: item for key, item in value.items() if _is_note(item)}

    def root_of(self, start: int, stamp: str) -> str | None:
        """The root to which the leaves from ``start`` on led, if their files are still the same."""
        found = self._done.get(str(start))
        return found[1] if found and found[0] == stamp else None

    def done(self, start: int, stamp: str, root: str) -> None:
        """Remember a checked file, at once."""
        self._done[str(start)] = [stamp, root]
        put(self._path, json.dumps(self._done).encode())


def _is_note(item: Any) -> bool:
    """Stamp and root of one file; anything else in the record is as if it were not there."""
    return (
        isinstance(item, list)
        and len(item) == 2
        and all(isinstance(text, str) for text in item)
        and _ROOT.fullmatch(item[1]) is not None
    )
