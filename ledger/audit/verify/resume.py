"""The record of an interrupted check: which files of a bundle were hashed already, and with which root.

A file of leaves is not hashed again if it and its file of hashes have the same length, time of change and inode as when
they were checked, and the hashes still give the same root. The auditor must keep the record where no one else can write.
A check without a record hashes everything.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ledger.small_files import read_small

_ROOT = re.compile(r"[0-9a-f]{64}", re.ASCII)


def put(path: Path, data: bytes) -> None:
    """Write a file of the record atomically.

    A symbolic link at the path of the temporary file is not followed: a record that came with the log could otherwise
    make this function write to any path.
    """
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
        if not path.is_file():  # reading a pipe would block
            return
        try:
            value = json.loads(read_small(path))
        except (OSError, ValueError, RecursionError):
            return  # without a valid record everything is hashed again
        if isinstance(value, dict):
            self._done = {key: item for key, item in value.items() if _is_note(item)}

    def root_of(self, start: int, stamp: str) -> str | None:
        """The recorded root (hex) of the leaves from ``start`` on; None when their files changed or were not checked."""
        found = self._done.get(str(start))
        return found[1] if found and found[0] == stamp else None

    def done(self, start: int, stamp: str, root: str) -> None:
        """Record a checked file, and write the record to disk."""
        self._done[str(start)] = [stamp, root]
        put(self._path, json.dumps(self._done).encode())


def _is_note(item: Any) -> bool:
    """Whether an item of the record is a stamp and a root; other items are ignored."""
    return (
        isinstance(item, list)
        and len(item) == 2
        and all(isinstance(text, str) for text in item)
        and _ROOT.fullmatch(item[1]) is not None
    )
