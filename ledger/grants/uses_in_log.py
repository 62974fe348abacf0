"""Facts from the log that protect against changed tables: the uses of each grant (a lower bound of its charges), the holds of
lost acts, the denials of undecided acts, and the relations between grants, assets and seats.

The log is read incrementally. Every leaf is hashed, and the hashes must give the stored root, which the log's key signed
(`LogReader.state_in`); changed, missing or inserted rows raise `LogCorrupt`. The facts are stored in a file of the home, so
that a start need not read the whole log.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection

from contracts.codes import FOREVER
from ledger.audit.formats.errors import LogCorrupt
from ledger.audit.formats.merkle import EMPTY_ROOT, HASH_SIZE, grow, leaf_hash
from ledger.audit.log.heads import State
from ledger.audit.log.reading import LogReader
from ledger.audit.verify.acts import REFUSED, TAKEN
from ledger.chain.limits import NOTHING
from ledger.lost.held_in_log import CHAIN, HELD, REVERTED, HeldInLog
from ledger.lost.lost_act import LostAct, args_of
from ledger.lost.relations_in_log import RelationsInLog
from ledger.lost.taken_in_log import TakenInLog
from ledger.releases import Charges
from ledger.store.prepared import fetched

DECIDED = "gateway:read:decided"
GRANTED = "chain:grant:granted"

_PERMIT = (b'"decision":"permit"', f'"type":"{DECIDED}"'.encode())
_ACTS = (f'"type":"{CHAIN}'.encode(), *(f'"type":"{kind}"'.encode() for kind in (HELD, TAKEN, REFUSED)))
_ENTRIES = "SELECT idx, leaf_hash, leaf FROM audit_entry WHERE idx >= {} AND idx < {} ORDER BY idx"
_PAGE = 4_096
KEPT_BLOCKS = 1_024
"""For how many of the newest blocks the ids of events' entries are kept; reorganisations are normally shorter."""


class UsesInLog:
    """Reads one log incrementally and holds the facts. Thread-safe."""

    def __init__(self, log: LogReader, file: Path | None = None, *, kept_blocks: int = KEPT_BLOCKS) -> None:
        self._log = log
        self._kept_blocks = kept_blocks
        self._file = file
        self._lock = threading.Lock()
        self._recalled = self._deep = False
        self._forget()
        self._recall()

    def follow(self, connection: Connection) -> None:
        """Read the entries appended since the last call. A connection with an older snapshot changes nothing. Raises
        `LogCorrupt`."""
        state = self._log.state_in(connection)
        if state.size <= self._size and not self._recalled and not self._deep:
            return
        with self._lock:
            try:
                self._read(connection, state)
            except LogCorrupt:
                if not self._recalled:
                    raise
                self._forget()  # the file is of another log: the one before a restore
                self._read(connection, state)
            if self._deep:
                self._taken.restore(self._whole(connection)._taken)
                self._deep = False

    def of(self, grants: Iterable[str]) -> dict[str, Charges]:
        """The uses of each of these grants; grants without uses are left out."""
        return {grant: self._uses[grant] for grant in grants if grant in self._uses}

    def every(self) -> dict[str, Charges]:
        """The uses of all grants with uses."""
        return dict(self._uses)

    def held(self) -> list[LostAct]:
        """The holds of lost acts that no later event has lifted."""
        return self._holds.held()

    def every_hold(self) -> list[LostAct]:
        """All holds, the lifted ones included."""
        return self._holds.every()

    @property
    def taken(self) -> TakenInLog:
        """The denials of accepted acts that are not decided yet."""
        return self._taken

    @property
    def relations(self) -> RelationsInLog:
        """The relations between seats, assets and grants."""
        return self._relations

    def reach(self, denied: Mapping[str, Iterable[str]]) -> frozenset[str]:
        """The grants that denials (targets by kind) affect, by the relations in the log."""
        with self._lock:
            return self._relations.reach(denied)

    def recorded_after(self, connection: Connection, block: int) -> list[UUID]:
        """The entries of events after block ``block`` that were not reverted, in the order of the log. For blocks before the
        newest `KEPT_BLOCKS` the whole log is read."""
        with self._lock:
            if block >= self._recent_since:
                return [UUID(entry) for entry, of in self._recent.items() if of > block]
        recent = self._whole(connection)._recent
        return [UUID(entry) for entry, of in recent.items() if of > block]

    @property
    def archived(self) -> int:
        """The number of entries at the front of the log whose leaves were archived when they were read."""
        return self._archived

    def below(self, grant: str) -> frozenset[str]:
        """All grants delegated from this grant, directly or indirectly."""
        found: set[str] = set()
        edge = {grant}
        while edge:
            edge = {child for one in edge for child in self._children.get(one, ())} - found
            found |= edge
        return frozenset(found)

    def keep(self) -> None:
        """Write the facts to the file."""
        if self._file is None:
            return
        with self._lock:
            if self._deep:
                return
            document = {
                "size": self._size,
                "root": self._root.hex(),
                "frontier": b"".join(self._frontier).hex(),
                "uses": {
                    grant: [charges.used, int(charges.first.timestamp() * 1_000_000)]
                    for grant, charges in self._uses.items()
                },
                "holds": self._holds.to_json(),
                "taken": self._taken.to_json(),
                "relations": self._relations.to_json(),
                "recent": [self._recent_since, self._recent],
                "archived": self._archived,
                "children": {grant: sorted(children) for grant, children in self._children.items()},
            }
        draft = self._file.with_name(self._file.name + ".part")
        draft.write_text(json.dumps(document))
        draft.replace(self._file)

    # -- inside

    def _whole(self, connection: Connection) -> UsesInLog:
        """The facts of the whole log, read again, with the entries of all blocks."""
        whole = UsesInLog(self._log, kept_blocks=FOREVER)
        whole.follow(connection)
        return whole

    def _forget(self) -> None:
        self._size, self._root = 0, EMPTY_ROOT
        self._frontier: tuple[bytes, ...] = ()
        self._uses: dict[str, Charges] = {}
        self._children: dict[str, set[str]] = {}
        self._holds, self._taken, self._relations = HeldInLog(), TakenInLog(), RelationsInLog()
        self._recent: dict[str, int] = {}
        self._recent_since = 0
        self._deep = False
        """Whether an event was reverted that is older than the kept blocks, so that the acts that it decided are missing."""
        self._archived = 0
        self._recalled = False

    def _recall(self) -> None:
        """Read the facts from the file; an unreadable file is ignored."""
        try:
            document = json.loads(self._file.read_bytes()) if self._file else {}
            raw = bytes.fromhex(document["frontier"])
            uses = {
                str(grant): Charges(int(used), datetime.fromtimestamp(first / 1_000_000, UTC))
                for grant, (used, first) in document["uses"].items()
            }
            children = {str(grant): set(map(str, below)) for grant, below in document["children"].items()}
            holds = HeldInLog.from_json(document["holds"])
            relations = RelationsInLog.from_json(document["relations"])
            archived, since = int(document["archived"]), int(document["recent"][0])
            recent = {str(entry): int(block) for entry, block in document["recent"][1].items()}
            taken = TakenInLog.from_json(document["taken"], recent)
            size, root = int(document["size"]), bytes.fromhex(document["root"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return
        self._size, self._root, self._uses, self._children = size, root, uses, children
        self._holds, self._taken, self._relations, self._archived = holds, taken, relations, archived
        self._recent, self._recent_since = recent, since
        self._frontier = tuple(raw[at : at + HASH_SIZE] for at in range(0, len(raw), HASH_SIZE))
        self._recalled = True

    def _read(self, connection: Connection, state: State) -> None:
        """Read the entries up to the head, after checking that they are those of the tree."""
        size, frontier, root = self._size, self._frontier, self._root
        if size > state.size and not self._recalled:
            return
        if size > state.size or len(frontier) != size.bit_count():
            raise LogCorrupt("what was counted is not of this log")
        events: list[dict[str, Any]] = []
        pruned = self._log.pruned_in(connection) if size < state.size else 0
        archived = self._archived
        while size < state.size:
            hashes = []
            for index, stored, leaf in _rows(connection, size, min(size + _PAGE, state.size)):
                if (leaf and leaf_hash(leaf) != stored) or (not leaf and index >= pruned):
                    raise LogCorrupt(f"entry {index} was changed", hint="run civic audit fsck")
                hashes.append(stored)
                archived += not leaf
                if (_PERMIT[0] in leaf and _PERMIT[1] in leaf) or any(kind in leaf for kind in _ACTS):
                    events.append(orjson.loads(leaf))
            if not hashes:
                raise LogCorrupt(f"entry {size} is missing", hint="run civic audit fsck")
            growth = grow(size, frontier, hashes)
            size, frontier, root = growth.size, growth.frontier, growth.root
        if (size, root) != (state.size, state.root):
            raise LogCorrupt("the stored entries do not lead to the stored head", hint="run civic audit fsck")
        for event in events:
            self._take(event)
            self._holds.take(event)
            self._taken.take(event)
        self._size, self._frontier, self._root, self._recalled = size, frontier, root, False
        self._archived = archived

    def _take(self, event: dict[str, Any]) -> None:
        facts = event.get("facts", {})
        if event["type"] == REVERTED:
            undone = str(facts.get("reverts"))
            self._relations.revert(undone)
            self._deep |= self._recent.pop(undone, None) is None and self._recent_since > 0
        elif event["type"].startswith(CHAIN) and "event" in facts:
            self._relations.take(str(facts["event"]), args_of(facts), str(event["id"]))
            self._keep_recent(str(event["id"]), int(facts["block"]))
        grant = event.get("grant")
        if grant is None:
            return
        if event["type"] == GRANTED:
            parent = str(facts.get("arg.parent", NOTHING))
            if parent != NOTHING:
                self._children.setdefault(parent, set()).add(grant)
        elif event["type"] == DECIDED and event.get("decision") == "permit":
            before = self._uses.get(grant)
            first = datetime.fromisoformat(event["time"]) if before is None else before.first
            self._uses[grant] = Charges(1 + (before.used if before else 0), first)

    def _keep_recent(self, entry: str, block: int) -> None:
        self._recent[entry] = block
        since = block - self._kept_blocks
        for oldest in list(islice(self._recent, 2)):
            if self._recent[oldest] <= since:
                self._recent_since = max(self._recent_since, self._recent.pop(oldest))
                self._taken.settle(oldest)


def uses_in_log(connection: Connection, log: LogReader) -> dict[str, Charges]:
    """The uses of all grants, from the whole log. Raises `LogCorrupt`."""
    counted = UsesInLog(log)
    counted.follow(connection)
    return counted.every()


def _rows(connection: Connection, start: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    yield from fetched(connection, _ENTRIES.format(mark, mark), (start, end), (int, bytes, bytes))
