"""The log: signed, tamper-evident entries are appended to tables in SQLite or PostgreSQL.

An append locks the state row, checks that the stored head extends the last known head (or the high-water mark),
writes entries and full tiles, signs the new head, and updates the state by compare-and-swap. All steps run in the
caller's transaction. Several processes may append; the lock of the state row orders them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from sqlalchemy import Connection, Engine, insert, select

from ledger.audit.formats.checkpoint import Head, read_checkpoint, sign_checkpoint
from ledger.audit.formats.errors import KeyNotCurrent, LogCorrupt, RollbackDetected
from ledger.audit.formats.merkle import EMPTY_ROOT, Growth, grow, root_at
from ledger.audit.formats.note import Signer, VerifierKey, b64
from ledger.audit.log.append import Appended, NewEntry, PreparedEntry
from ledger.audit.log.heads import READ_STATE, State, read_state, state_table
from ledger.audit.log.highwater import HighWaterMark
from ledger.audit.log.openings import OpeningVault
from ledger.audit.log.reading import LogReader, key_table, known_entries
from ledger.audit.log.rows import insert_rows
from ledger.audit.log.tiles import WIDTH, build_tile, entry_table, tile_table
from ledger.counts import counted
from ledger.store.prepared import execute

_SWAP_STATE = (
    "UPDATE audit_state SET size = {0}, root = {0}, frontier = {0}, note = {0}"
    " WHERE id = 1 AND size = {0} AND root = {0}"
)


class AuditLog(LogReader):
    """A log with its signing key. A process uses one instance, from one thread, to append."""

    def __init__(
        self,
        engine: Engine,
        signer: Signer,
        *,
        highwater: HighWaterMark | None = None,
        vault: OpeningVault | None = None,
        cached_tiles: int = 256,
    ) -> None:
        super().__init__(engine, keys=[signer.key], cached_tiles=cached_tiles)
        self.signer = signer
        self.highwater = highwater
        self.vault = vault
        self._seen = Head(0, EMPTY_ROOT)
        self._signature = f"\n— {signer.key.name} {b64(signer.key.key_id)[:5]}"
        self._edges: list[list[bytes]] = []
        self._edges_at: Head | None = None

    @classmethod
    def open(
        cls,
        engine: Engine,
        signer: Signer,
        *,
        highwater: HighWaterMark | None = None,
        vault: OpeningVault | None = None,
        anchored: Head | None = None,
    ) -> Self:
        """Open the log; create it when the tables are empty.

        ``signer.key.name`` is the origin. ``anchored`` is the head on the chain. Raises `RollbackDetected` when the
        database does not contain this head or that of the high-water mark, and `LogCorrupt` or `KeyNotCurrent` as
        `verify_head`.
        """
        log = cls(engine, signer, highwater=highwater, vault=vault)
        with engine.begin() as conn:
            log._create(conn)
        log.verify_head(anchored)
        return log

    @property
    def origin(self) -> str:
        return self.signer.key.name

    @property
    def epoch(self) -> int:
        return int(self.origin.rpartition("/")[2])

    def verifier_keys(self) -> list[VerifierKey]:
        """Every key with which this log was signed, the current one last."""
        with self._reading.connect() as conn:
            rows = conn.execute(
                select(key_table.c.vkey).order_by(key_table.c.epoch, key_table.c.from_size)
            ).scalars()
            found = [VerifierKey.parse(text) for text in rows]
        return [key for key in found if key != self.signer.key] + [self.signer.key]

    def verify_head(self, anchored: Head | None = None) -> Head:
        """Check the stored head against its peaks, its signature, the high-water mark and the chain; return it.

        Raises `LogCorrupt`, `RollbackDetected` or `KeyNotCurrent`. The writer calls this again after a failed commit.
        """
        self._tiles.forget()
        self._edges_at = None
        mine = [key for key in self.verifier_keys() if key.name == self.origin]
        with self._reading.connect() as conn:
            self._must_be_current(read_state(conn))
            state = self.state_in(conn)
            mark = self.highwater.read(mine) if self.highwater else None
            for name, head in (
                ("high-water mark", mark.checkpoint.head if mark else None),
                ("chain", anchored),
            ):
                if head is not None:
                    self._must_extend(conn, state, head, name)
            self._seen = state.head
        if self.highwater and (mark is None or mark.size < state.size):
            self.highwater.raise_to(read_checkpoint(state.note))
        return state.head

    def require(self, head: Head, source: str) -> None:
        """Raise `RollbackDetected` unless the stored log contains this head. ``source`` names its origin in messages,
        such as "chain"."""
        with self._reading.connect() as conn:
            self._must_extend(conn, self.state_in(conn), head, source)

    # -- appending

    def append(self, conn: Connection, entries: Sequence[NewEntry | PreparedEntry]) -> Appended:
        """Append in the caller's transaction. Call `committed` only after the transaction has committed.

        An entry whose event id is already in the log is not appended again; the result has its first index.
        """
        return self.append_to(conn, self.lock(conn), entries)

    def lock(self, conn: Connection) -> State:
        """Lock the state row for this transaction. Check that the log signed it and that it extends the last known head.

        Raises `LogCorrupt`, `RollbackDetected` or `KeyNotCurrent`.
        """
        state = read_state(conn, lock=conn.dialect.name != "sqlite")
        self._must_be_current(state)
        self._signed.require(state)
        if state.head != self._seen:
            self._must_extend(conn, state, self._seen, "head last seen")
            self._seen = state.head
        return state

    def append_to(
        self, conn: Connection, state: State, entries: Sequence[NewEntry | PreparedEntry]
    ) -> Appended:
        """`append` to the state that `lock` returned in the same transaction."""
        prepared = [e if isinstance(e, PreparedEntry) else PreparedEntry.of(e) for e in entries]
        known = known_entries(conn, [entry.event_id for entry in prepared if not entry.fresh])
        fresh: list[PreparedEntry] = []
        indices: list[int] = []
        leaves: list[bytes] = []
        for entry in prepared:
            first = known.get(entry.event_id)
            if first is None:
                first = known[entry.event_id] = (state.size + len(fresh), entry.leaf)
                fresh.append(entry)
            indices.append(first[0])
            leaves.append(first[1])
        if not fresh:
            growth = Growth(state.size, state.size, state.root, state.frontier, ())
            return Appended(growth, read_checkpoint(state.note), tuple(indices), tuple(leaves))
        growth = grow(state.size, state.frontier, [entry.hash for entry in fresh])
        insert_rows(conn, entry_table, [e.row(i) for i, e in enumerate(fresh, state.size)])
        self._write_tiles(conn, state, growth)
        if self.vault and any(entry.openings for entry in fresh):
            self.vault.store(conn, [(state.size + i, e.openings) for i, e in enumerate(fresh) if e.openings])
        signed = sign_checkpoint(self.signer, growth.size, growth.root)
        self._swap(conn, state, growth, str(signed))
        self._signed.remember(State(growth.size, growth.root, growth.frontier, str(signed)))
        return Appended(growth, signed, tuple(indices), tuple(leaves))

    def committed(self, appended: Appended) -> None:
        """Remember the new head after its transaction has committed, and store it as the high-water mark."""
        if appended.growth.size == appended.growth.old_size:
            return
        self._seen = Head(appended.growth.size, appended.growth.root)
        if self.highwater:
            self.highwater.raise_to(appended.signed)

    # -- inside

    def _create(self, conn: Connection) -> None:
        if conn.exec_driver_sql(READ_STATE).one_or_none() is not None:
            return
        note = str(sign_checkpoint(self.signer, 0, EMPTY_ROOT))
        conn.execute(
            insert(state_table), {"id": 1, "size": 0, "root": EMPTY_ROOT, "frontier": b"", "note": note}
        )
        row = {"vkey": str(self.signer.key), "epoch": self.epoch, "from_size": 0, "handover": ""}
        conn.execute(insert(key_table), row)

    def _write_tiles(self, conn: Connection, state: State, growth: Growth) -> None:
        if self._edges_at != state.head:
            self._edges = self._load_edges(conn, state.size)
        self._edges_at = None
        first, hashes = growth.rows[0]
        carried = hashes[state.size - first :]
        full: list[tuple[Any, ...]] = []
        level = 0
        while carried:
            if level == len(self._edges):
                self._edges.append([])
            edge = self._edges[level]
            edge.extend(carried)
            number = (state.size >> (8 * level)) // WIDTH
            carried = []
            for at in range(0, len(edge) - WIDTH + 1, WIDTH):
                root, data = build_tile(edge[at : at + WIDTH])
                full.append((level, number + at // WIDTH, root, data))
                carried.append(root)
            del edge[: len(carried) * WIDTH]
            level += 1
        insert_rows(conn, tile_table, full)
        self._edges_at = Head(growth.size, growth.root)

    def _load_edges(self, conn: Connection, size: int) -> list[list[bytes]]:
        edges = []
        level = 0
        while size >> (8 * level):
            at_level = size >> (8 * level)
            width = at_level % WIDTH
            edges.append(self._tiles.hashes(conn, level, at_level - width, width) if width else [])
            level += 1
        return edges

    def _swap(self, conn: Connection, state: State, growth: Growth, note: str) -> None:
        swapped = execute(
            conn,
            _SWAP_STATE.format("?" if conn.dialect.name == "sqlite" else "%s"),
            (growth.size, growth.root, b"".join(growth.frontier), note, state.size, state.root),
        )
        if swapped.rowcount != 1:
            raise LogCorrupt("another writer moved the log although it was locked")

    def _must_be_current(self, state: State) -> None:
        if self._signature not in state.note:
            raise KeyNotCurrent(
                "the log is signed with another key than this one",
                hint="the key was rotated, or a new epoch opened: use the present key",
            )

    def _must_extend(self, conn: Connection, state: State, head: Head, source: str) -> None:
        if head.size > state.size:
            raise RollbackDetected(
                f"the {source} stands at size {head.size}, the database only at {state.size}",
                hint="an older backup was restored, or entries were cut off; see docs/audit.md, new epoch",
            )
        if root_at(head.size, self._nodes(conn, state)) != head.root:
            raise RollbackDetected(
                f"the database's first {counted(head.size, 'entry is not that', 'entries are not those')} of the {source}",
                hint="the log was rewritten, or a fork restored; compare with a witness's copy",
            )
