"""A private PostgreSQL server that can be stopped and started, with databases of roles that are not
superusers."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url


class Cluster:
    """A PostgreSQL server on a unix socket in a directory of its own."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self.url = f"postgresql://civic@/postgres?host={home}"
        self._run("initdb", "-D", str(home / "data"), "-U", "civic", "-A", "trust", "-N")

    def start(self) -> None:
        options = f"-k {self._home} -c listen_addresses='' -c fsync=off -c max_connections=60 -c shared_buffers=64MB"
        self._control("-l", str(self._home / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._control("-m", mode, "stop")

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._home / "data"), "-w", *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        if not os.getuid():
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._home)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running server, removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="civic-pg-"))
    try:
        if not os.getuid():
            os.chown(home, pwd.getpwnam("postgres").pw_uid, -1)
        made = Cluster(home)
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def ordinary_database(server: str) -> Iterator[str]:
    """The URL of a new database that belongs to a new role without privileges; both are removed
    afterwards."""
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


@contextmanager
def copied_database(server: str, url: str) -> Iterator[str]:
    """The URL of a copy of an unused database, of the same role; removed afterwards."""
    name, original = "c" + uuid.uuid4().hex, make_url(url)
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {original.database} OWNER {original.username}")
    try:
        yield original.set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def files_of(server: str) -> Iterator[bytes]:
    """Every file of the server's cluster: heap, indexes, write-ahead log. The server must be on this machine."""
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute("CHECKPOINT")
        row = conn.execute("SHOW data_directory").fetchone()
    assert row is not None
    for path in Path(row[0]).rglob("*"):
        with suppress(FileNotFoundError):  # The server removes its own files meanwhile.
            if path.is_file():
                yield path.read_bytes()


def base_backup(server: str, to: Path) -> list[bytes]:
    """Every file of a physical backup taken now, including the write-ahead log."""
    program = str(sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_basebackup"))[-1])
    subprocess.run(
        [program, "--dbname", server, "--pgdata", str(to), "--wal-method", "fetch", "--checkpoint", "fast"],
        check=True,
        capture_output=True,
    )
    return [path.read_bytes() for path in to.rglob("*") if path.is_file()]
