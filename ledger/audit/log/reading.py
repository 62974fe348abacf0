"""Reading the stored log: heads, entries, proofs, tiles, searches.

Every proof is checked against the signed root before it is returned. A damaged tile therefore raises `LogCorrupt` here
and never gives the auditor an invalid proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Select, bindparam, func, select

from ledger.audit.formats.checkpoint import SignedCheckpoint, read_checkpoint
from ledger.audit.formats.errors import LogCorrupt, NoSuchEntry
from ledger.audit.formats.events import Event, read_event
from ledger.audit.formats.merkle import (
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
from ledger.audit.formats.note import VerifierKey
from ledger.audit.log.heads import SignedHeads, State, read_state, state_table
from ledger.audit.log.search import Page, Query, run_search
from ledger.audit.log.tiles import WIDTH, TileReader, entry_table
from ledger.audit.verify.receipts import Receipt
from ledger.counts import counted
from ledger.store.engine import reader
from ledger.store.prepared import fetched
from ledger.store.tables import table_of
from ledger.store.tables.audit import AuditCheckpoint, AuditKey

key_table = table_of(AuditKey)
checkpoint_table = table_of(AuditCheckpoint)

_LEAF = "SELECT leaf_hash, leaf FROM audit_entry WHERE idx = {}"
_BY_IDS = "SELECT event_id, idx, leaf_hash, leaf FROM audit_entry WHERE event_id "
_KINDS = (bytes, int, bytes, bytes)
_MOST_IDS = 1024

_FSCK = "run civic audit fsck"
_LAST = 256
"""`LogReader.newest` reads the times of this many last entries; among earlier entries it uses the time column."""

ARCHIVED = "log:leaves:archived"
"""The type of the entry that states before which index the leaves are archived."""

_PROVABLE = select(entry_table.c.idx, entry_table.c.leaf_hash, entry_table.c.leaf, entry_table.c.event_id)

_ENTRY = select(entry_table.c.idx, entry_table.c.leaf, entry_table.c.leaf_hash).where(
    entry_table.c.idx == bindparam("idx_")
)


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as stored: index, leaf bytes (empty when archived), leaf hash."""

    index: int
    leaf: bytes
    leaf_hash: bytes


class LogReader:
    """Reads a log. Every proof is checked against the signed root before it is returned.

    ``keys`` are the log's keys; their name is the origin. A stored head that none of them signed raises `LogCorrupt`.
    Without keys the signature of the stored head is not checked: the caller must compare it with another source.
    """

    def __init__(self, engine: Engine, *, keys: Sequence[VerifierKey] = (), cached_tiles: int = 256) -> None:
        self.engine = engine
        self._reading = reader(engine)
        self._tiles = TileReader(cached_tiles)
        self._signed = SignedHeads(keys)

    # -- the head

    def state(self) -> State:
        """The last committed head."""
        with self._reading.connect() as conn:
            return self.state_in(conn)

    def state_in(self, conn: Connection, *, lock: bool = False) -> State:
        """The head in this transaction; with ``lock`` its row is locked for update. Raises `LogCorrupt` when the log did
        not sign it."""
        state = read_state(conn, lock=lock)
        self._signed.require(state)
        return state

    @property
    def size(self) -> int:
        return self.state().size

    @property
    def root(self) -> bytes:
        return self.state().root

    def checkpoint(self) -> SignedCheckpoint:
        """The latest head with the log's signature. `published` returns heads that may have cosignatures."""
        return read_checkpoint(self.state().note)

    def published(self, *, at_least: int = 0) -> SignedCheckpoint | None:
        """The latest published head (cosigned, anchored or timestamped) of at least this size; None without one."""
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
        """The number of archived entries at the front of the log: their hashes are stored, their leaves are not."""
        with self._reading.connect() as conn:
            self.state_in(conn)
            return self.pruned_in(conn)

    def pruned_in(self, conn: Connection) -> int:
        """`pruned` in a transaction that has read its head. Raises `LogCorrupt` unless an entry states the archiving."""
        before = conn.execute(select(state_table.c.pruned).where(state_table.c.id == 1)).scalar_one()
        if not before:
            return 0
        entries = _PROVABLE.where(entry_table.c.type == ARCHIVED).order_by(entry_table.c.idx.desc()).limit(1)
        if not any(event.facts.get("before") == before for event in _events(conn, entries)):
            raise LogCorrupt(
                f"no entry tells that {counted(before, 'entry was', 'entries were')} archived", hint=_FSCK
            )
        return int(before)

    def root_at(self, size: int) -> bytes:
        """The root of the first ``size`` entries."""
        with self._reading.connect() as conn:
            state = self.state_in(conn)
            _must_reach(state, size)
            return root_at(size, self._nodes(conn, state))

    # -- entries

    def entry(self, index: int) -> StoredEntry:
        """The entry at this index; raises `NoSuchEntry`."""
        with self._reading.connect() as conn:
            return self.entry_in(conn, index)

    def entry_in(self, conn: Connection, index: int) -> StoredEntry:
        """`entry` in this transaction."""
        row = conn.execute(_ENTRY, {"idx_": index}).one_or_none()
        if row is None:
            raise NoSuchEntry(f"there is no entry {index}")
        return StoredEntry(*row)

    def entries(self, start: int, limit: int = 1000) -> list[StoredEntry]:
        """At most ``limit`` entries from index ``start`` on, in order."""
        with self._reading.connect() as conn:
            rows = conn.execute(
                select(entry_table.c.idx, entry_table.c.leaf, entry_table.c.leaf_hash)
                .where(entry_table.c.idx >= start, entry_table.c.idx < start + limit)
                .order_by(entry_table.c.idx)
            )
            return [StoredEntry(*row) for row in rows]

    def leaf_hashes(self, start: int, limit: int) -> list[bytes]:
        """The leaf hashes of at most ``limit`` entries from index ``start`` on, in order."""
        with self._reading.connect() as conn:
            state = self.state_in(conn)
            return self._tiles.hashes(conn, 0, start, max(0, min(limit, state.size - start)))

    def find(self, event_id: UUID) -> int | None:
        """The index of the entry with this event id, proven to be in the tree; None without one."""
        with self._reading.connect() as conn:
            return self.find_in(conn, event_id)

    def find_in(self, conn: Connection, event_id: UUID) -> int | None:
        """`find` in this transaction."""
        found = self._known_in(conn, event_id)
        return found[0] if found else None

    def newest(self) -> float | None:
        """The latest time of an entry (POSIX seconds); None for an empty log. Raises `LogCorrupt` when the time column
        of that entry is not the time in its leaf."""
        with self._reading.connect() as conn:
            state = self.state_in(conn)
            last = _PROVABLE.where(entry_table.c.idx >= state.size - _LAST)
            latest = _PROVABLE.order_by(entry_table.c.time.desc()).limit(1)
            stated = conn.execute(select(func.max(entry_table.c.time))).scalar_one()
            found = [event.microseconds for event in (*_events(conn, last), *_events(conn, latest))]
        if found and stated != max(found):
            raise LogCorrupt("the times of entries are not those that their leaves state", hint=_FSCK)
        return max(found) / 1_000_000 if found else None

    def proven(self, event_id: UUID) -> Event | None:
        """The event with this id, its leaf proven to be in the tree; None without one, or when it is archived."""
        with self._reading.connect() as conn:
            return self.proven_in(conn, event_id)

    def proven_in(self, conn: Connection, event_id: UUID) -> Event | None:
        """`proven` in this transaction."""
        found = self._known_in(conn, event_id)
        return read_event(found[1]) if found and found[1] else None

    def _known_in(self, conn: Connection, event_id: UUID) -> tuple[int, bytes] | None:
        self.state_in(conn)
        return known_entries(conn, [event_id.bytes]).get(event_id.bytes)

    def search(self, query: Query, *, cursor: str | None = None, limit: int = 100) -> Page:
        """One page of the entries that match, in order. The columns of each agree with its leaf, and the leaf is proven
        to be in the tree. Raises `LogCorrupt` otherwise, and the errors of `run_search`."""
        with self._reading.connect() as conn:
            return self.search_in(conn, query, cursor=cursor, limit=limit)

    def search_in(
        self, conn: Connection, query: Query, *, cursor: str | None = None, limit: int = 100
    ) -> Page:
        """`search` in this transaction."""
        page = run_search(conn, query, cursor, limit)
        state = self.state_in(conn)
        for hit in page.hits:
            self._inclusion(conn, state, hit.index, state.size)
        return page

    # -- proofs

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """The inclusion proof of an entry in the tree of ``size`` (default: the current one), as hashes of 32 bytes."""
        with self._reading.connect() as conn:
            state = self.state_in(conn)
            return self._inclusion(conn, state, index, state.size if size is None else size)[0]

    def consistency(self, old_size: int, new_size: int | None = None) -> list[bytes]:
        """The proof that the tree of ``new_size`` (default: the current one) extends that of ``old_size``."""
        with self._reading.connect() as conn:
            state = self.state_in(conn)
            new = state.size if new_size is None else new_size
            _must_reach(state, new)
            node = self._nodes(conn, state)
            proof = consistency_proof(old_size, new, node)
            verify_consistency(old_size, new, root_at(old_size, node), root_at(new, node), proof)
            return proof

    def receipt(self, index: int, checkpoint: SignedCheckpoint | None = None) -> Receipt:
        """The receipt of a stored entry under ``checkpoint`` (default: the latest)."""
        with self._reading.connect() as conn:
            state = self.state_in(conn)
            signed = checkpoint or read_checkpoint(state.note)
            proof, leaf = self._inclusion(conn, state, index, signed.size, expected=signed.root)
            keys = _keys_of(conn, signed.checkpoint.origin, signed.size)
            return Receipt(index, leaf, tuple(proof), str(signed), None, tuple(keys if len(keys) > 1 else ()))

    def key_history(self, origin: str, size: int) -> list[dict[str, Any]]:
        """The keys of one epoch up to a size, in the form of bundles and receipts: vkey, from_size, handover."""
        with self._reading.connect() as conn:
            return _keys_of(conn, origin, size)

    def tile_bytes(self, level: int | str, n: int, width: int = WIDTH) -> bytes:
        """The bytes of a tlog-tiles resource: a hash tile of ``level``, or with "entries" an entry bundle.

        Raises LookupError for a tile that the tree does not have. Hash tiles are public; entry bundles show who reads
        which data, so serve them to authorised callers only.
        """
        with self._reading.connect() as conn:
            state = self.state_in(conn)
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
        rows = fetched(conn, _LEAF.format(mark), (index,), (bytes, bytes))
        if not rows:
            raise LogCorrupt(f"entry {index} is missing from the database")
        proof = inclusion_proof(index, size, node)
        root = expected or (state.root if size == state.size else root_at(size, node))
        try:
            verify_inclusion(root, size, index, rows[0][0], proof)
        except ProofError as error:
            self._tiles.forget()
            raise LogCorrupt(
                f"the stored tree does not prove entry {index}: {error}", hint="run civic audit fsck"
            ) from error
        return proof, bytes(rows[0][1])

    def _nodes(self, conn: Connection, state: State) -> Node:
        return _nodes_of(self._tiles, conn, state)


def known_entries(conn: Connection, ids: Sequence[bytes]) -> dict[bytes, tuple[int, bytes]]:
    """Those of these event ids (16 bytes) that are in the log: id -> (index, leaf).

    The caller has checked the signature of the state row in this transaction. Each leaf is proven to be in the tree and
    to have this id: a forged id column would otherwise prevent an event from being appended. Raises `LogCorrupt`.
    """
    found: dict[bytes, tuple[int, bytes]] = {}
    for at in range(0, len(ids), _MOST_IDS):
        some = list(ids[at : at + _MOST_IDS])
        if conn.dialect.name == "sqlite":
            some += some[-1:] * (
                (1 << (len(some) - 1).bit_length()) - len(some)
            )  # few shapes, cached statements
            found_rows = fetched(conn, _BY_IDS + f"IN ({','.join('?' * len(some))})", some, _KINDS)
        else:
            found_rows = fetched(conn, _BY_IDS + "= ANY(%s)", (some,), _KINDS)
        for row in found_rows:
            found[bytes(row[0])] = (int(row[1]), bytes(row[3]))
        if found_rows:
            _must_be_in_tree(
                conn, [(int(row[1]), bytes(row[2]), bytes(row[3]), bytes(row[0])) for row in found_rows]
            )
    return found


def _events(conn: Connection, query: Select[Any]) -> list[Event]:
    """The events of these entries, proven to be in the tree; archived entries are left out."""
    rows = [
        (int(index), bytes(stored), bytes(leaf), bytes(identity))
        for index, stored, leaf, identity in conn.execute(query)
        if leaf
    ]
    _must_be_in_tree(conn, rows)
    return [read_event(leaf) for _, _, leaf, _ in rows]


def _must_be_in_tree(conn: Connection, rows: Sequence[tuple[int, bytes, bytes, bytes]]) -> None:
    """Raise `LogCorrupt` unless each (index, leaf hash, leaf, event id) is an entry of the log. The leaf may be empty
    (archived)."""
    state = read_state(conn)
    node = _nodes_of(TileReader(), conn, state)
    for index, stored, leaf, identity in rows:
        try:
            proof = inclusion_proof(index, state.size, node)
            verify_inclusion(state.root, state.size, index, stored, proof)
        except ProofError as error:
            raise LogCorrupt(f"the stored tree does not prove entry {index}: {error}", hint=_FSCK) from error
        if leaf and (leaf_hash(leaf) != stored or read_event(leaf).id.bytes != identity):
            raise LogCorrupt(f"entry {index} was changed", hint=_FSCK)


def _nodes_of(tiles: TileReader, conn: Connection, state: State) -> Node:
    below = tiles.nodes(conn, state.size)
    known = dict(zip(peaks(state.size), state.frontier, strict=True))

    def node(level: int, index: int) -> bytes:
        return known.get((level, index)) or below(level, index)

    return node


def _must_reach(state: State, size: int) -> None:
    if not 0 <= size <= state.size:
        raise NoSuchEntry(f"the log has {counted(state.size, 'entry', 'entries')}; asked for: {size}")


def _keys_of(conn: Connection, origin: str, size: int) -> list[dict[str, Any]]:
    epoch = int(origin.rpartition("/")[2])
    rows = conn.execute(
        select(key_table.c.vkey, key_table.c.from_size, key_table.c.handover)
        .where(key_table.c.epoch == epoch, key_table.c.from_size <= size)
        # A log may change its key while it is empty. Then two keys have size 0, and the first has no handover.
        .order_by(key_table.c.from_size, key_table.c.handover != "")
    ).mappings()
    return [dict(row) for row in rows]
