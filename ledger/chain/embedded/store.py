"""The chain's file: an append-only key-value store and the queue of acknowledged transactions, in SQLite.

A mined block is stored in one SQLite transaction (write-ahead log, ``synchronous=FULL``) with its state, its receipts and
its removal from the queue. A 32-byte key is the Keccak-256 of its value and is checked on every read, so damage is
detected. An exclusive ``flock`` on a file beside it prevents a second process from opening the chain.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from eth_hash.auto import keccak

from ledger.chain.errors import (
    ChainCorrupt,
    ChainExists,
    ChainLocked,
    ChainMissing,
    ChainStorageFailed,
    ChainUnreachable,
)
from ledger.same_file import EXCHANGED, PUT_BACK, SameFile

APPLICATION_ID = 0x43495643
"""``CIVC`` in the file's header; it distinguishes the file from other SQLite databases."""

FORMAT = 1

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
CREATE TABLE chain (
    only INTEGER PRIMARY KEY CHECK (only = 1), chain_id INTEGER NOT NULL, relayer BLOB NOT NULL
) STRICT;
CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE queue (place INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, raw BLOB NOT NULL) STRICT;
CREATE TABLE revert (hash BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE refusal (hash BLOB PRIMARY KEY, reason TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Commit:
    """The writes of one block: state by key, transactions removed from the queue, revert data and refusals."""

    state: Mapping[bytes, bytes]
    mined: Sequence[bytes] = ()
    reverts: Mapping[bytes, bytes] | None = None
    refusals: Mapping[bytes, str] | None = None


class ChainStore:
    """One open chain file. Reads from any thread; writes one at a time."""

    def __init__(self, path: Path, lock: int | None, writer: sqlite3.Connection) -> None:
        self.path = path
        self._lock = lock
        self._writer = writer
        self._writing = threading.Lock()
        self._readers: deque[sqlite3.Connection] = deque()
        self._closed = False
        self._file = SameFile(path)
        self._file.remember()
        with self._reading() as connection:
            row = connection.execute("SELECT chain_id, relayer FROM chain").fetchone()
        if row is None:
            raise ChainCorrupt(f"{path} has no chain id", hint="restore the chain from a backup")
        self.chain_id: int = row[0]
        self.relayer: bytes = row[1]

    @classmethod
    def create(cls, path: Path, chain_id: int, relayer: bytes, genesis: Mapping[bytes, bytes]) -> ChainStore:
        """Create a file with its genesis; raises ``ChainExists``."""
        lock = _lock(path)
        try:
            if path.exists():
                raise ChainExists(
                    f"there already is a chain at {path}", hint="open it, or choose another path"
                )
            draft = path.with_name(path.name + ".new")
            for leftover in (
                draft,
                draft.with_name(draft.name + "-wal"),
                draft.with_name(draft.name + "-shm"),
            ):
                leftover.unlink(missing_ok=True)
            connection = _connect(draft)
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN")
            connection.execute("INSERT INTO chain VALUES (1, ?, ?)", (chain_id, relayer))
            connection.executemany("INSERT INTO state VALUES (?, ?)", genesis.items())
            connection.execute("COMMIT")
            connection.close()
            os.rename(draft, path)
            _sync_directory(path.parent)
            return cls(path, lock, _connect(path))
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def open(cls, path: Path, *, reading: bool = False) -> ChainStore:
        """Open a file; raises ``ChainMissing``, ``ChainLocked`` or ``ChainCorrupt``. With ``reading`` it is opened read-only,
        also while another process has it open, and new blocks are visible after their commit."""
        if not path.exists():
            raise ChainMissing(f"there is no chain at {path}", hint="run civic init, or name the right path")
        lock = None if reading else _lock(path)
        try:
            with _own_errors(path):
                writer = _connect(path)
                if writer.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                    raise ChainCorrupt(f"{path} is not a chain", hint="restore the chain from a backup")
                (found,) = writer.execute("PRAGMA user_version").fetchone()
                if found != FORMAT:
                    raise ChainCorrupt(
                        f"{path} has format {found}, this program reads {FORMAT}",
                        hint="use the version that wrote it",
                    )
                if reading:
                    writer.execute("PRAGMA query_only = ON")
                return cls(path, lock, writer)
        except BaseException:
            if lock is not None:
                os.close(lock)
            raise

    def close(self) -> None:
        """Close the file and release its lock."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            while self._readers:
                self._readers.pop().close()
            self._writer.close()
            if self._lock is not None:
                os.close(self._lock)

    def get(self, key: bytes) -> bytes | None:
        """The value of a key; None if missing. Raises ``ChainCorrupt`` when the value of a 32-byte key has another hash."""
        with self._reading() as connection:
            row = connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        value: bytes = row[0]
        if len(key) == 32 and keccak(value) != key:
            raise ChainCorrupt(
                f"{self.path}: the value of 0x{key.hex()} is damaged", hint="restore the chain from a backup"
            )
        return value

    def queue(self) -> list[bytes]:
        """The acknowledged transactions that are not mined, in the order of arrival."""
        with self._reading() as connection:
            return [raw for (raw,) in connection.execute("SELECT raw FROM queue ORDER BY place")]

    def enqueue(self, tx_hash: bytes, raw: bytes) -> None:
        """Store a transaction durably."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM refusal WHERE hash = ?", (tx_hash,))
            connection.execute("INSERT INTO queue (hash, raw) VALUES (?, ?)", (tx_hash, raw))

    def commit(self, commit: Commit) -> None:
        """Store a block durably, in one transaction."""
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", commit.state.items())
            connection.executemany("DELETE FROM queue WHERE hash = ?", [(done,) for done in commit.mined])
            connection.executemany("INSERT INTO revert VALUES (?, ?)", (commit.reverts or {}).items())
            refusals = commit.refusals or {}
            connection.executemany("INSERT OR REPLACE INTO refusal VALUES (?, ?)", refusals.items())
            connection.executemany("DELETE FROM queue WHERE hash = ?", [(refused,) for refused in refusals])

    def revert_data(self, tx_hash: bytes) -> bytes | None:
        """The revert data of a transaction; None without any."""
        with self._reading() as connection:
            row = connection.execute("SELECT data FROM revert WHERE hash = ?", (tx_hash,)).fetchone()
        return None if row is None else row[0]

    def refusal(self, tx_hash: bytes) -> str | None:
        """Why an acknowledged transaction was not mined; None otherwise."""
        with self._reading() as connection:
            row = connection.execute("SELECT reason FROM refusal WHERE hash = ?", (tx_hash,)).fetchone()
        return None if row is None else row[0]

    def snapshot(self, target: Path) -> None:
        """Write a consistent copy for a backup; the chain may be running."""
        with _own_errors(self.path):
            source = _connect(self.path)
            try:
                source.execute("VACUUM INTO ?", (str(target),))
            finally:
                source.close()
        with target.open("rb") as copy:
            os.fsync(copy.fileno())

    def pages_damaged(self) -> list[str]:
        """The faults that SQLite's integrity check finds; empty if there are none. It reads the whole file."""
        with self._reading() as connection:
            findings = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
        return [] if findings == ["ok"] else findings

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if self._closed:
            raise ChainUnreachable("the chain is closed", hint="open it again")
        try:
            connection = self._readers.pop()
        except IndexError:
            self._must_be_the_same()
            connection = _connect(self.path)
            connection.execute("PRAGMA query_only = ON")
        try:
            with _own_errors(self.path):
                yield connection
        except BaseException:
            connection.close()
            raise
        if self._closed:
            connection.close()
        else:
            self._readers.append(connection)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing:
            if self._closed:
                raise ChainUnreachable("the chain is closed", hint="open it again")
            self._must_be_the_same()
            with _own_errors(self.path):
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    self._writer.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.OperationalError):
                        self._writer.execute("ROLLBACK")
                    raise

    def _must_be_the_same(self) -> None:
        if self._file.exchanged():
            raise ChainStorageFailed(f"the chain {self.path} {EXCHANGED}", hint=PUT_BACK)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _lock(path: Path) -> int:
    """Lock a file beside the database exclusively: SQLite's own locks end with a transaction."""
    try:
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError as missing:
        raise ChainMissing(f"there is no directory {path.parent}", hint="create it first") from missing
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as taken:
        os.close(descriptor)
        raise ChainLocked(
            f"another process has the chain at {path} open",
            hint="stop it, or reach its chain with CIVIC_RPC_URL after civic chain serve",
        ) from taken
    return descriptor


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _own_errors(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as ``ChainCorrupt`` or ``ChainStorageFailed``."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise ChainCorrupt(
                f"{path} is damaged: {error}", hint="restore the chain from a backup"
            ) from error
        if code is not None and code & 0xFF == sqlite3.SQLITE_ERROR and "no such table" in str(error):
            raise ChainCorrupt(f"{path} is not a chain: {error}", hint="restore from a backup") from error
        raise ChainStorageFailed(
            f"{path}: {error}", hint="is the disk full? nothing acknowledged is lost"
        ) from error
