"""Times that fall: an entry that states a much earlier time than one before it.

Nobody's tampering is proven by that, since entries keep their order by the tree and not by their time. But whoever reads
the log should know that the clock of the service was set back, and where. So it is a remark, not a finding.

Entries are looked at whose time is the service's own. Those about the chain state the time of a block, also when the
service hears of it late, and so do the requests that an act answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

FALL_S = 180
"""An entry states when its call was decided, and is written when the data are drawn: up to 120 s for a scan, 20 s for
the commit, and the waits before them."""

MOST_TOLD = 3

_END = re.compile(
    rb',"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z","type":"([a-z0-9_-]+:[a-z0-9_-]+):[a-z0-9_-]+","v":1\}$'
)
_LONGEST_END = 200
_FOREIGN = (b"chain:", b"gateway:request")


class Times:
    """Watches the entries of a log as they go by."""

    def __init__(self) -> None:
        self._newest = b""
        self._newest_at = 0
        self.falls = 0
        self._told: list[str] = []

    def watch(self, first: int, leaves: Iterable[bytes]) -> Iterator[bytes]:
        """The same leaves, from entry ``first`` on."""
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
        """A line for each of the first falls, and one for how many more there are."""
        more = self.falls - len(self._told)
        return [*self._told, *([f"times fall {more} more times"] if more else [])]

    def _fell(self, entry: int, stated: bytes) -> None:
        try:
            before, now = _moment(self._newest), _moment(stated)
        except ValueError:  # no such day: the entry is no event of ours
            return
        behind = (before - now).total_seconds()
        if behind <= FALL_S:
            return
        self.falls += 1
        if len(self._told) < MOST_TOLD:
            self._told.append(
                f"times fall: entry {entry} states {stated.decode()}Z, {behind:.0f} s before entry {self._newest_at};"
                " the service's clock was set back, or one of the two is wrong"
            )
        self._newest, self._newest_at = stated, entry


def _moment(text: bytes) -> datetime:
    return datetime.fromisoformat(text.decode())
