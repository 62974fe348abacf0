"""The same on PostgreSQL: acts once, rows rebuilt alike, pages in order."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel

from ledger.audit.writer import JobResult
from ledger.outbox import ActBoard, pending_revocations
from ledger.projection import queries
from ledger.projection.commit import roll_back
from ledger.projection.rebuild import differences, rebuild
from ledger.store.engine import open_engine, reader

pytestmark = pytest.mark.needs("postgresql")


@pytest.fixture
def postgresql() -> Iterator[str]:
    """A cluster of our own on a unix socket, or a database on the server of CIVIC_TEST_POSTGRES."""
    given = os.environ.get("CIVIC_TEST_POSTGRES")
    if given:
        import psycopg

        with psycopg.connect(given, autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS projection WITH (FORCE)")
            connection.execute("CREATE DATABASE projection")
        before, _, after = given.partition("/postgres")
        yield f"{before}/projection{after}"
        return
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    home = Path(tempfile.mkdtemp(prefix="civic-pg-"))
    as_postgres = [] if os.getuid() else ["runuser", "-u", "postgres", "--"]
    if not os.getuid():
        os.chown(home, pwd.getpwnam("postgres").pw_uid, -1)

    def run(*command: object) -> None:
        subprocess.run([*as_postgres, *map(str, command)], check=True, stdout=subprocess.DEVNULL, cwd=home)

    control = (binaries / "pg_ctl", "-D", home / "data", "-w", "-l", home / "log")
    run(binaries / "initdb", "-D", home / "data", "-U", "civic", "-A", "trust", "-N")
    run(*control, "-o", f"-k {home} -c listen_addresses='' -c fsync=off", "start")
    try:
        yield f"postgresql://civic@/postgres?host={home}"
    finally:
        run(*control, "-m", "immediate", "stop")
        shutil.rmtree(home, ignore_errors=True)


def test_acts_rows_and_rebuild(make_city: Any, tools: Any, postgresql: str, tmp_path: Path) -> None:
    city = make_city(database_url=postgresql)
    city.follow()
    board = ActBoard(city.engine)
    granted = city.grant(tools.AIR, 9)
    grant = tools.grant_id(granted)
    with city.relayer(board) as relayer, city.follower(board=board):
        first = city.accept(granted)
        relayer.notify()
        assert board.wait(first.id, 20).state == "recorded"
        again = city.accept(granted)
        assert (again.id, again.state, again.created) == (first.id, "recorded", False)
    revocation = city.accept(city.revocation(grant, "7:steward"))
    with reader(city.engine).connect() as connection:
        assert pending_revocations(connection) == {grant}
    with city.relayer(board), city.follower(board=board):
        assert board.wait(revocation.id, 20).state == "recorded"

    fresh = open_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    SQLModel.metadata.create_all(fresh)
    rebuild(city.chain, fresh, city.deployment)
    assert differences(city.engine, fresh) == []
    rebuild(city.chain, city.engine, city.deployment)
    assert differences(city.engine, fresh) == []
    size = city.log.size

    def undo(connection: Any) -> JobResult[None]:
        block = city.chain.block(4)
        return JobResult(None, roll_back(connection, city.deployment.chain_id, block.number, block.hash))

    city.writer.submit(undo).result()
    assert city.log.size > size
    city.follow()
    assert differences(city.engine, fresh) == []
    fresh.dispose()
    with reader(city.engine).connect() as connection:
        whole = queries.events(connection, limit=500).items
        pages, after = [], None
        while True:
            page = queries.events(connection, limit=5, after=after)
            pages += page.items
            after = page.next
            if after is None:
                break
        assert tuple(pages) == whole
        assert queries.assets(connection, after="7.11").items[0].id == "7.12"
        assert queries.service_key(connection, 9, tools.service_key(9), city.moment()) is not None
