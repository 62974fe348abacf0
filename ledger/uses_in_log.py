"""Uses of grants as the log tells them: the number below which no charge may be, whatever the table of charges says.

The log is read on from where it was last read. Every leaf is hashed, and the hashes must lead to the stored root, which
the log's key signed: a row that was changed, cut off or put in is `LogCorrupt`, not a smaller number. What was counted is
kept in a file of the home, so that a start need not read the whole log; without the file it does.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, select

from ledger.audit.errors import LogCorrupt
from ledger.audit.merkle import EMPTY_ROOT, HASH_SIZE, grow, leaf_hash
from ledger.audit.reading import State, read_state, state_table
from ledger.releases import Charges
from ledger.store.prepared import execute

DECIDED = "gateway:read:decided"
GRANTED = "chain:grant:granted"

_PERMIT = (b'"decision":"permit"', f'"type":"{DECIDED}"'.encode())
_GRANT = f'"type":"{GRANTED}"'.encode()
_ENTRIES = "SELECT idx, leaf_hash, leaf FROM audit_entry WHERE idx >= {} AND idx < {} ORDER BY idx"
_PAGE = 4_096
_NO_PARENT = "0x" + "00" * 32


class UsesInLog:
    """Follows one log. Thread-safe."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._forget()
        self._recall()

    def follow(self, connection: Connection) -> None:
        """Read what was appended since; a connection whose snapshot is older than what was read changes nothing. Raises
        `LogCorrupt`."""
        state = read_state(connection)
        if state.size <= self._size and not self._recalled:
            return
        with self._lock:
            try:
                self._read(connection, state)
            except LogCorrupt:
                if not self._recalled:
                    raise
                self._forget()  # what was written down is of another log: that before a restore
                self._read(connection, state)

    def of(self, grants: Iterable[str]) -> dict[str, Charges]:
        """The uses of each of these grants; grants never used are absent."""
        return {grant: self._uses[grant] for grant in grants if grant in self._uses}

    def every(self) -> dict[str, Charges]:
        """The uses of every grant that was used."""
        return dict(self._uses)

    def below(self, grant: str) -> frozenset[str]:
        """Every grant that was delegated from this one, directly or through others."""
        found: set[str] = set()
        edge = {grant}
        while edge:
            edge = {child for one in edge for child in self._children.get(one, ())} - found
            found |= edge
        return frozenset(found)

    def keep(self) -> None:
        """Write down what was counted."""
        if self._file is None:
            return
        with self._lock:
            document = {
                "size": self._size,
                "root": self._root.hex(),
                "frontier": b"".join(self._frontier).hex(),
                "uses": {
                    grant: [charges.used, int(charges.first.timestamp() * 1_000_000)]
                    for grant, charges in self._uses.items()
                },
                "children": {grant: sorted(children) for grant, children in self._children.items()},
            }
        draft = self._file.with_name(self._file.name + ".part")
        draft.write_text(json.dumps(document))
        draft.replace(self._file)

    # -- inside

    def _forget(self) -> None:
        self._size, self._root = 0, EMPTY_ROOT
        self._frontier: tuple[bytes, ...] = ()
        self._uses: dict[str, Charges] = {}
        self._children: dict[str, set[str]] = {}
        self._recalled = False

    def _recall(self) -> None:
        """Take over what was written down; as if there were nothing when it cannot be read."""
        try:
            document = json.loads(self._file.read_bytes()) if self._file else {}
            raw = bytes.fromhex(document["frontier"])
            uses = {
                str(grant): Charges(int(used), datetime.fromtimestamp(first / 1_000_000, UTC))
                for grant, (used, first) in document["uses"].items()
            }
            children = {str(grant): set(map(str, below)) for grant, below in document["children"].items()}
            size, root = int(document["size"]), bytes.fromhex(document["root"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return
        self._size, self._root, self._uses, self._children = size, root, uses, children
        self._frontier = tuple(raw[at : at + HASH_SIZE] for at in range(0, len(raw), HASH_SIZE))
        self._recalled = True

    def _read(self, connection: Connection, state: State) -> None:
        """Count the entries up to the head, once it is sure that they are those of the tree."""
        size, frontier, root = self._size, self._frontier, self._root
        if size > state.size and not self._recalled:
            return
        if size > state.size or len(frontier) != size.bit_count():
            raise LogCorrupt("what was counted is not of this log")
        told: list[dict[str, Any]] = []
        while size < state.size:
            hashes = []
            for index, stored, leaf in _rows(connection, size, min(size + _PAGE, state.size)):
                if (leaf and leaf_hash(leaf) != stored) or (not leaf and index >= _pruned(connection)):
                    raise LogCorrupt(f"entry {index} was changed", hint="run civic audit fsck")
                hashes.append(stored)
                if _GRANT in leaf or (_PERMIT[0] in leaf and _PERMIT[1] in leaf):
                    told.append(orjson.loads(leaf))
            if not hashes:
                raise LogCorrupt(f"entry {size} is missing", hint="run civic audit fsck")
            growth = grow(size, frontier, hashes)
            size, frontier, root = growth.size, growth.frontier, growth.root
        if (size, root) != (state.size, state.root):
            raise LogCorrupt("the stored entries do not lead to the stored head", hint="run civic audit fsck")
        for event in told:
            self._take(event)
        self._size, self._frontier, self._root, self._recalled = size, frontier, root, False

    def _take(self, event: dict[str, Any]) -> None:
        grant = event.get("grant")
        if grant is None:
            return
        if event["type"] == GRANTED:
            parent = str(event.get("facts", {}).get("arg.parent", _NO_PARENT))
            if parent != _NO_PARENT:
                self._children.setdefault(parent, set()).add(grant)
        elif event["type"] == DECIDED and event.get("decision") == "permit":
            before = self._uses.get(grant)
            first = datetime.fromisoformat(event["time"]) if before is None else before.first
            self._uses[grant] = Charges(1 + (before.used if before else 0), first)


def uses_in_log(connection: Connection) -> dict[str, Charges]:
    """The uses of every grant by the whole log, read from its beginning. Raises `LogCorrupt`."""
    counted = UsesInLog()
    counted.follow(connection)
    return counted.every()


def _rows(connection: Connection, start: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    for index, stored, leaf in execute(connection, _ENTRIES.format(mark, mark), (start, end)).fetchall():
        yield int(index), bytes(stored), bytes(leaf)


def _pruned(connection: Connection) -> int:
    return int(connection.execute(select(state_table.c.pruned).where(state_table.c.id == 1)).scalar_one())
