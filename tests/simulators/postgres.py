"""A database of an ordinary role on a PostgreSQL server, as an operator gets one: no superuser."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg


@contextmanager
def ordinary_database(server: str) -> Iterator[str]:
    """The URL of a new database that belongs to a new role without any privilege; both are gone afterwards."""
    role = "r" + uuid.uuid4().hex
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
        conn.execute(f"CREATE DATABASE {role} OWNER {role}")
    before, _, after = server.partition("/postgres")
    place = before.partition("://")[2].rpartition("@")[2]
    try:
        yield f"postgresql://{role}:{role}@{place}/{role}{after}"
    finally:
        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute(f"DROP DATABASE IF EXISTS {role} WITH (FORCE)")
            conn.execute(f"DROP ROLE {role}")


def files_of(server: str) -> Iterator[bytes]:
    """Every file of the server's cluster: heap, indexes, write-ahead log. The server must be on this machine."""
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute("CHECKPOINT")
        row = conn.execute("SHOW data_directory").fetchone()
    assert row is not None
    for path in Path(row[0]).rglob("*"):
        with suppress(FileNotFoundError):  # the server removes files of its own meanwhile
            if path.is_file():
                yield path.read_bytes()
