"""Decreasing times: an entry that states a much earlier time than an entry before it.

This does not prove tampering, because the tree orders the entries, not their times. But readers of the log should know
that the clock of the service was set back, and where. It is therefore a remark, not a finding.

Only entries with a time of the service's clock are compared. Entries about the chain state the time of a block, which
the service may read late, and so do the requests that an act answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

FALL_S = 180
"""The smallest decrease in seconds that is reported. An entry states the time of the decision and is written after the
data were read: up to 120 s for a scan, 20 s for the commit, and waiting times."""

MOST_REMARKS = 3

_END = re.compile(
    rb',"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z","type":"([a-z0-9_-]+:[a-z0-9_-]+):[a-z0-9_-]+","v":1\}$'
)
_LONGEST_END = 200
_FOREIGN = (b"chain:", b"gateway:request")


class Times:
    """Compares the times of the entries of a log while they are read."""

    def __init__(self) -> None:
        self._newest = b""
        self._newest_at = 0
        self.falls = 0
        self._remarks: list[str] = []

    def watch(self, first: int, leaves: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the same leaves (consecutive entries from index ``first`` on) and compare their times."""
        find = _END.search
        for entry, leaf in enumerate(leaves, first):
            found = find(leaf, max(0, len(leaf) - _LONGEST_END))
            if found is not None and not found[2].startswith(_FOREIGN):
                stated = found[1]
                if stated >= self._newest:
                    self._newest, self._newest_at = stated, entry
                else:
                    self._fell(entry, stated)
            yield leaf

    @property
    def remarks(self) -> list[str]:
        """One line for each of the first decreases (`MOST_REMARKS`), and one with the number of further ones."""
        more = self.falls - len(self._remarks)
        return [*self._remarks, *([f"times fall {more} more times"] if more else [])]

    def _fell(self, entry: int, stated: bytes) -> None:
        try:
            before, now = _moment(self._newest), _moment(stated)
        except ValueError:  # no such day: the entry is no event of ours
            return
        behind = (before - now).total_seconds()
        if behind <= FALL_S:
            return
        self.falls += 1
        if len(self._remarks) < MOST_REMARKS:
            self._remarks.append(
                f"times fall: entry {entry} states {stated.decode()}Z, {behind:.0f} s before entry {self._newest_at};"
                " the service's clock was set back, or one of the two is wrong"
            )
        self._newest, self._newest_at = stated, entry


def _moment(text: bytes) -> datetime:
    return datetime.fromisoformat(text.decode())
