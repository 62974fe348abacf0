"""Detects that the path of a long-open file now names another file.

SQLite's writes to a deleted file are lost when the last process closes it, and a new connection opens the file that has the
path now: https://www.sqlite.org/howtocorrupt.html, 4.
"""

from __future__ import annotations

import os
from pathlib import Path

EXCHANGED = "was moved, removed or exchanged while the service runs"
PUT_BACK = "put the file back that was there, or stop the service before you restore another"


class SameFile:
    """The file that a path named at the first call of `remember`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity: tuple[int, int] | None = None

    def remember(self, *_: object) -> None:
        """Remember the file (device and inode) at the first call."""
        if self._identity is None:
            self._identity = self._now()

    def exchanged(self) -> bool:
        """Whether the path names another file than the remembered one, or none."""
        return self._identity is not None and self._now() != self._identity

    def _now(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino
