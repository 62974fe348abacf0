"""The fixtures of version 0.1: a home, and a database on PostgreSQL with its home
(``tests/fixtures/version_0_1``)."""

from __future__ import annotations

import hashlib
import lzma
import tarfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import psycopg

from api.operator.homes import recorded_database
from api.runtime.settings import read_home

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "version_0_1"


def unpacked_home(to: Path, *, on_postgresql: bool = False) -> Path:
    """The home of version 0.1, in a new directory ``to/home``."""
    name = "home_on_postgresql.tar.xz" if on_postgresql else "home.tar.xz"
    with tarfile.open(FIXTURES / name) as archive:
        archive.extractall(to, filter="data")
    return to / "home"


@cache
def database_in_the_home() -> bytes:
    """The SQLite file of the home."""
    with tarfile.open(FIXTURES / "home.tar.xz") as archive:
        file = archive.extractfile("home/ledger.sqlite")
        assert file is not None
        return file.read()


@cache
def _dump() -> bytes:
    return lzma.decompress((FIXTURES / "postgresql.sql.xz").read_bytes())


def restore_postgresql(url: str) -> None:
    """Load the dump into an empty database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_dump())


def home_on_postgresql(to: Path, url: str) -> Path:
    """The home whose log is in the database at ``url``. Version 0.1 did not record the database; here it is
    recorded."""
    restore_postgresql(url)
    home = unpacked_home(to, on_postgresql=True)
    replace(read_home(home), database=recorded_database(url, home)).write()
    return home


def files_of(home: Path) -> dict[str, str]:
    """The SHA-256 of every file of a home, except locks and the files of SQLite that exist while a database
    is open."""
    beside = (".lock", "-wal", "-shm")
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file() and not path.name.endswith(beside)
    }
