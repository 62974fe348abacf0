"""Copies several SQLite files as they were at one moment, while other processes write them.

Each file is locked for writing, then a read transaction is begun on each, then the locks are released: nothing was committed
between the beginnings, so the read transactions show one moment of all files. Writers wait for milliseconds. The copies are
made later, from the read transactions (SQLite's online backup: https://www.sqlite.org/backup.html). They are what a process
that is killed at that moment leaves on the disk.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from ledger.errors import LedgerError

WAIT_S = 30.0
"""How long a lock is waited for."""
_PAGES = 2048
"""Pages that are copied between two reports of progress."""

Copied = Callable[[int], None]
"""Is called with the bytes that were copied since the last call."""


class MomentUnavailable(LedgerError):
    """A file cannot be locked, read or copied."""

    code = "store.copy"


class FrozenFile:
    """One SQLite file at one moment: a read transaction that shows it."""

    def __init__(self, path: Path, reading: sqlite3.Connection) -> None:
        self.path = path
        self._reading = reading
        pages, size = (_number(reading, f"PRAGMA {name}") for name in ("page_count", "page_size"))
        self.size = pages * size
        """Bytes of the copy."""
        self._page = size

    def copy_to(self, target: Path, copied: Copied = lambda _: None) -> None:
        """Write a new file, for its owner alone, and sync it. Raises `MomentUnavailable`, also when the disk is full."""
        left = [self.size]

        def report(_status: int, remaining: int, _total: int) -> None:
            copied(left[0] - remaining * self._page)
            left[0] = remaining * self._page

        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with _failing(self.path, target), closing(sqlite3.connect(target, isolation_level=None)) as writing:
            writing.execute("PRAGMA synchronous = OFF")  # it is synced once, at the end
            self._reading.backup(writing, pages=_PAGES, progress=report)
            writing.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
        with target.open("rb") as file:
            os.fsync(file.fileno())


@contextmanager
def at_one_moment(
    paths: Sequence[Path], then: Callable[[], None] = lambda: None
) -> Iterator[list[FrozenFile]]:
    """The files at one moment; ``then`` is called at that moment, while no other process can commit. Raises `MomentUnavailable`."""
    with ExitStack() as stack:
        reading = [stack.enter_context(_opened(path)) for path in paths]
        with ExitStack() as locks:
            for path in paths:
                lock = locks.enter_context(_opened(path))
                with _failing(path):
                    lock.execute("BEGIN IMMEDIATE")
                locks.callback(lock.execute, "ROLLBACK")
            frozen = []
            for path, connection in zip(paths, reading, strict=True):
                with _failing(path):
                    connection.execute("BEGIN")
                    frozen.append(FrozenFile(path, connection))
            then()
        yield frozen


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with (
        _failing(path),
        closing(
            sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=WAIT_S
            )
        ) as connection,
    ):
        yield connection


def _number(connection: sqlite3.Connection, statement: str) -> int:
    return int(connection.execute(statement).fetchone()[0])


@contextmanager
def _failing(path: Path, target: Path | None = None) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as failed:
        place = path if target is None else target
        raise MomentUnavailable(
            f"{path} cannot be copied: {failed}",
            hint=f"is there room where {place} is, and may it be written?",
        ) from failed
