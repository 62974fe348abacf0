"""A file that stays open for long: whether its name still means the one that was opened.

What SQLite writes to a file without a name is lost with the last process that has it open, and a new connection opens what
has the name now beside the newest of the other: https://www.sqlite.org/howtocorrupt.html, 4.
"""

from __future__ import annotations

import os
from pathlib import Path

EXCHANGED = "was moved, removed or exchanged while the service runs"
PUT_BACK = "put the file back that was there, or stop the service before you restore another"


class SameFile:
    """The file that had a name when it was first looked at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity: tuple[int, int] | None = None

    def remember(self, *_: object) -> None:
        """Look at it, once."""
        if self._identity is None:
            self._identity = self._now()

    def exchanged(self) -> bool:
        """Whether it was looked at, and the name means another now or none."""
        return self._identity is not None and self._now() != self._identity

    def _now(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino
