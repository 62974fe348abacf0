"""Reading the stored log: heads, entries, proofs, tiles, searches.

Every proof built here is checked against the signed root before it is handed out, so a damaged tile shows as
`LogCorrupt` and never as a proof that fails at the auditor's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Table, bindparam, func, select

from ledger.audit.checkpoint import Head, SignedCheckpoint, read_checkpoint
from ledger.audit.errors import LogCorrupt, NoSuchEntry
from ledger.audit.events import Event, read_event
from ledger.audit.merkle import (
    HASH_SIZE,
    Node,
    ProofError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    peaks,
    root_at,
    verify_consistency,
    verify_inclusion,
)
from ledger.audit.receipts import Receipt
from ledger.audit.search import Page, Query, run_search
from ledger.audit.tiles import WIDTH, TileReader, entry_table
from ledger.store.engine import reader
from ledger.store.prepared import execute
from ledger.store.tables.audit import AuditCheckpoint, AuditKey, AuditState

state_table: Table = AuditState.__table__  # type: ignore[attr-defined]
key_table: Table = AuditKey.__table__  # type: ignore[attr-defined]
checkpoint_table: Table = AuditCheckpoint.__table__  # type: ignore[attr-defined]

# The two statements every append and every proof begins with are plain SQL: they cost a third that way.
READ_STATE = "SELECT size, root, frontier, note FROM audit_state WHERE id = 1"
_LOCK_STATE = READ_STATE + " FOR UPDATE"
_LEAF = "SELECT leaf_hash, leaf FROM audit_entry WHERE idx = {}"
_BY_IDS = "SELECT event_id, idx, leaf FROM audit_entry WHERE event_id "
_MOST_IDS = 1024
BY_IDS = select(entry_table.c.event_id, entry_table.c.idx, entry_table.c.leaf).where(
    entry_table.c.event_id.in_(bindparam("ids", expanding=True))
)
"""For callers who look for event ids inside a transaction of their own: parameter ``ids``, a list of bytes."""

_ENTRY = select(entry_table.c.idx, entry_table.c.leaf, entry_table.c.leaf_hash).where(
    entry_table.c.idx == bindparam("idx_")
)


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as stored: index, leaf bytes (empty when archived), leaf hash."""

    index: int
    leaf: bytes
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class State:
    """The state row: head, peaks from left to right, signed checkpoint."""

    size: int
    root: bytes
    frontier: tuple[bytes, ...]
    note: str

    @property
    def head(self) -> Head:
        return Head(self.size, self.root)


class LogReader:
    """Reads a log. Every proof it builds is checked against the signed root before it is handed out."""

    def __init__(self, engine: Engine, *, cached_tiles: int = 256) -> None:
        self.engine = engine
        self._reading = reader(engine)
        self._tiles = TileReader(cached_tiles)

    # -- the head

    def state(self) -> State:
        """The head as last committed."""
        with self._reading.connect() as conn:
            return read_state(conn)

    @property
    def size(self) -> int:
        return self.state().size

    @property
    def root(self) -> bytes:
        return self.state().root

    def checkpoint(self) -> SignedCheckpoint:
        """The latest head, signed by the log alone. `published` answers heads that others signed too."""
        return read_checkpoint(self.state().note)

    def published(self, *, at_least: int = 0) -> SignedCheckpoint | None:
        """The latest head that was cosigned or anchored, of this size or more."""
        with self._reading.connect() as conn:
            note = conn.execute(
                select(checkpoint_table.c.note)
                .where(checkpoint_table.c.size >= at_least)
                .order_by(checkpoint_table.c.epoch.desc(), checkpoint_table.c.size.desc())
                .limit(1)
            ).scalar_one_or_none()
        return read_checkpoint(note) if note else None

    @property
    def pruned(self) -> int:
        """Entries before this index are archived: their hashes are here, their leaves are not."""
        with self._reading.connect() as conn:
            return int(conn.execute(select(state_table.c.pruned).where(state_table.c.id == 1)).scalar_one())

    def root_at(self, size: int) -> bytes:
        """The root of the first ``size`` entries."""
        with self._reading.connect() as conn:
            state = read_state(conn)
            _must_reach(state, size)
            return root_at(size, self._nodes(conn, state))

    # -- entries

    def entry(self, index: int) -> StoredEntry:
        """One entry; raises `NoSuchEntry`."""
        with self._reading.connect() as conn:
            row = conn.execute(_ENTRY, {"idx_": index}).one_or_none()
        if row is None:
            raise NoSuchEntry(f"there is no entry {index}")
        return StoredEntry(*row)

    def entries(self, start: int, limit: int = 1000) -> list[StoredEntry]:
        """Entries from ``start`` on, in order."""
        with self._reading.connect() as conn:
            rows = conn.execute(
                select(entry_table.c.idx, entry_table.c.leaf, entry_table.c.leaf_hash)
                .where(entry_table.c.idx >= start, entry_table.c.idx < start + limit)
                .order_by(entry_table.c.idx)
            )
            return [StoredEntry(*row) for row in rows]

    def leaf_hashes(self, start: int, limit: int) -> list[bytes]:
        """The leaf hashes of entries from ``start`` on, in order."""
        with self._reading.connect() as conn:
            state = read_state(conn)
            return self._tiles.hashes(conn, 0, start, max(0, min(limit, state.size - start)))

    def find(self, event_id: UUID) -> int | None:
        """The index of the entry with this event id."""
        with self._reading.connect() as conn:
            found = known_entries(conn, [event_id.bytes]).get(event_id.bytes)
        return found[0] if found else None

    def newest(self) -> float | None:
        """The latest time that an entry states, seconds since 1970; None for an empty log."""
        with self._reading.connect() as conn:
            latest = conn.execute(select(func.max(entry_table.c.time))).scalar_one()
        return None if latest is None else latest / 1_000_000

    def proven(self, event_id: UUID) -> Event | None:
        """The event of this id, once its leaf is proven to be in the tree; None when there is none, or it is archived."""
        index = self.find(event_id)
        if index is None:
            return None
        with self._reading.connect() as conn:
            state = read_state(conn)
            _, leaf = self._inclusion(conn, state, index, state.size)
            [(stored,)] = conn.execute(select(entry_table.c.leaf_hash).where(entry_table.c.idx == index))
        if not leaf:
            return None
        event = read_event(leaf)
        if leaf_hash(leaf) != bytes(stored) or event.id != event_id:
            raise LogCorrupt(f"entry {index} was changed", hint="run civic audit fsck")
        return event

    def search(self, query: Query, *, cursor: str | None = None, limit: int = 100) -> Page:
        """Entries that match, in order, a page at a time; each is what its leaf says, and its leaf is in the tree."""
        with self._reading.connect() as conn:
            page = run_search(conn, query, cursor, limit)
            state = read_state(conn)
            for hit in page.hits:
                self._inclusion(conn, state, hit.index, state.size)
            return page

    # -- proofs

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """The inclusion proof of an entry in the tree of ``size`` (default: the current one)."""
        with self._reading.connect() as conn:
            state = read_state(conn)
            return self._inclusion(conn, state, index, state.size if size is None else size)[0]

    def consistency(self, old_size: int, new_size: int | None = None) -> list[bytes]:
        """The proof that the tree of ``new_size`` (default: the current one) extends that of ``old_size``."""
        with self._reading.connect() as conn:
            state = read_state(conn)
            new = state.size if new_size is None else new_size
            _must_reach(state, new)
            node = self._nodes(conn, state)
            proof = consistency_proof(old_size, new, node)
            verify_consistency(old_size, new, root_at(old_size, node), root_at(new, node), proof)
            return proof

    def receipt(self, index: int, checkpoint: SignedCheckpoint | None = None) -> Receipt:
        """The receipt of a stored entry under ``checkpoint`` (default: the latest)."""
        with self._reading.connect() as conn:
            state = read_state(conn)
            signed = checkpoint or read_checkpoint(state.note)
            proof, leaf = self._inclusion(conn, state, index, signed.size, expected=signed.root)
            keys = _keys_of(conn, signed.checkpoint.origin, signed.size)
            return Receipt(index, leaf, tuple(proof), str(signed), None, tuple(keys if len(keys) > 1 else ()))

    def key_history(self, origin: str, size: int) -> list[dict[str, Any]]:
        """The keys of one epoch up to a size, as bundles and receipts carry them: vkey, from_size, handover."""
        with self._reading.connect() as conn:
            return _keys_of(conn, origin, size)

    def tile_bytes(self, level: int | str, n: int, width: int = WIDTH) -> bytes:
        """A resource of tlog-tiles: hash tile ``level``, or "entries" for an entry bundle.

        Raises LookupError for what the tree does not have. Serve hash tiles to anybody, entry bundles only to
        those entitled: they say who reads what.
        """
        with self._reading.connect() as conn:
            state = read_state(conn)
            if level != "entries":
                return self._tiles.tile(conn, int(level), n, width, state.size)
            if not 1 <= width <= min(WIDTH, state.size - n * WIDTH):
                raise LookupError(f"no entry bundle of width {width} at {n}")
            rows = conn.execute(
                select(entry_table.c.leaf)
                .where(entry_table.c.idx >= n * WIDTH, entry_table.c.idx < n * WIDTH + width)
                .order_by(entry_table.c.idx)
            )
            leaves = [bytes(row[0]) for row in rows]
        if not all(leaves):
            raise LookupError(f"the entries of bundle {n} are archived")
        return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)

    # -- inside

    def _inclusion(
        self, conn: Connection, state: State, index: int, size: int, expected: bytes | None = None
    ) -> tuple[list[bytes], bytes]:
        _must_reach(state, size)
        if not 0 <= index < size:
            raise NoSuchEntry(f"there is no entry {index} in the tree of size {size}")
        node = self._nodes(conn, state)
        mark = "?" if conn.dialect.name == "sqlite" else "%s"
        row = execute(conn, _LEAF.format(mark), (index,)).fetchone()
        if row is None:
            raise LogCorrupt(f"entry {index} is missing from the database")
        proof = inclusion_proof(index, size, node)
        root = expected or (state.root if size == state.size else root_at(size, node))
        try:
            verify_inclusion(root, size, index, bytes(row[0]), proof)
        except ProofError as error:
            self._tiles.forget()
            raise LogCorrupt(
                f"the stored tree does not prove entry {index}: {error}", hint="run civic audit fsck"
            ) from error
        return proof, bytes(row[1])

    def _nodes(self, conn: Connection, state: State) -> Node:
        below = self._tiles.nodes(conn, state.size)
        known = dict(zip(peaks(state.size), state.frontier, strict=True))

        def node(level: int, index: int) -> bytes:
            return known.get((level, index)) or below(level, index)

        return node


def read_state(conn: Connection, *, lock: bool = False) -> State:
    """The state row in this transaction, locked for update if asked."""
    row = execute(conn, _LOCK_STATE if lock else READ_STATE).fetchone()
    if row is None:
        raise LogCorrupt("the log has not been created", hint="open it once with AuditLog.open")
    raw = bytes(row[2])
    size: int = row[0]
    frontier = tuple(raw[i : i + HASH_SIZE] for i in range(0, len(raw), HASH_SIZE))
    if len(frontier) != size.bit_count():
        raise LogCorrupt("the stored peaks do not fit the stored size")
    return State(size, bytes(row[1]), frontier, row[3])


def known_entries(conn: Connection, ids: Sequence[bytes]) -> dict[bytes, tuple[int, bytes]]:
    """Those of these event ids that are in the log: id -> (index, leaf)."""
    found: dict[bytes, tuple[int, bytes]] = {}
    for at in range(0, len(ids), _MOST_IDS):
        some = list(ids[at : at + _MOST_IDS])
        if conn.dialect.name == "sqlite":
            some += some[-1:] * (
                (1 << (len(some) - 1).bit_length()) - len(some)
            )  # few shapes, cached statements
            found_rows = execute(conn, _BY_IDS + f"IN ({','.join('?' * len(some))})", some)
        else:
            found_rows = execute(conn, _BY_IDS + "= ANY(%s)", (some,))
        for row in found_rows:
            found[bytes(row[0])] = (row[1], bytes(row[2]))
    return found


def _must_reach(state: State, size: int) -> None:
    if not 0 <= size <= state.size:
        raise NoSuchEntry(f"the log has {state.size} entries, {size} were asked for")


def _keys_of(conn: Connection, origin: str, size: int) -> list[dict[str, Any]]:
    epoch = int(origin.rpartition("/")[2])
    rows = conn.execute(
        select(key_table.c.vkey, key_table.c.from_size, key_table.c.handover)
        .where(key_table.c.epoch == epoch, key_table.c.from_size <= size)
        # a log may change its key while it is empty: the key without a handover is the first
        .order_by(key_table.c.from_size, key_table.c.handover != "")
    ).mappings()
    return [dict(row) for row in rows]
