"""One service for one database: a second one is refused, and a replaced one writes nothing more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlmodel import SQLModel

from ledger.audit.formats.checkpoint import Origin
from ledger.audit.formats.errors import LogUnavailable
from ledger.audit.formats.events import Event, new_event_id
from ledger.audit.formats.note import Signer
from ledger.audit.log.append import NewEntry
from ledger.audit.log.log import AuditLog
from ledger.audit.log.writer import GroupCommit
from ledger.store.engine import open_engine
from ledger.store.sole import Sole, StoreHeld, owner_of, sole

OWNER = ("a home", 31337, "0x" + "11" * 20)


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def open_again(database_url: str) -> Iterator[Callable[[], Engine]]:
    """The same database, as every process opens it."""
    opened: list[Engine] = []

    def once() -> Engine:
        opened.append(open_engine(database_url))
        return opened[-1]

    SQLModel.metadata.create_all(once())
    yield once
    for engine in opened:
        engine.dispose()


def test_a_second_service_is_refused_until_the_first_ends(open_again: Callable[[], Engine]) -> None:
    with sole(open_again()):
        for _ in range(2):
            with pytest.raises(StoreHeld), sole(open_again()):
                pass
    with sole(open_again()):
        pass


def test_the_first_claim_names_the_owner_and_every_one_is_a_new_term(
    open_again: Callable[[], Engine],
) -> None:
    assert owner_of(open_again()) is None
    for term in (1, 2, 3):
        with sole(open_again()) as held:
            held.claim(*OWNER)
        with open_again().connect() as connection:
            assert connection.execute(text("SELECT term FROM store_instance")).scalars().all() == [term]
    assert owner_of(open_again()) == OWNER


def test_two_names_of_one_sqlite_file_are_one_database(tmp_path: Path) -> None:
    real, other = tmp_path / "real.db", tmp_path / "name.db"
    other.symlink_to(real)
    with (
        sole(open_engine(f"sqlite:///{real}")),
        pytest.raises(StoreHeld),
        sole(open_engine(f"sqlite:///{other}")),
    ):
        pass


def cut(url: str) -> None:
    """Terminate the session that holds an advisory lock on the database."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )


def holders(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as conn:
        row = conn.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def entry() -> Callable[[], Any]:
    return lambda: NewEntry(Event(id=new_event_id(), type="test:entry:made", time=datetime.now(UTC)))


@pytest.mark.needs("postgresql")
def test_lost_session_is_restored_and_writing_continues(
    postgres_url: str, entry: Callable[[], NewEntry]
) -> None:
    engine = open_engine(postgres_url)
    SQLModel.metadata.create_all(engine)
    log = AuditLog.open(engine, signer())
    with sole(engine) as held:
        held.claim(*OWNER)
        with GroupCommit(engine, log, guard=held.must_hold) as writer:
            for _ in range(3):
                cut(postgres_url)
                until(lambda: holders(postgres_url) == 1)
                assert writer.append(entry()).result(20).indices
        held.must_have_held()
    until(lambda: holders(postgres_url) == 0)
    engine.dispose()


@pytest.mark.needs("postgresql")
def test_replaced_service_writes_nothing_more(postgres_url: str, entry: Callable[[], NewEntry]) -> None:
    engine, other = open_engine(postgres_url), open_engine(postgres_url)
    SQLModel.metadata.create_all(engine)
    log = AuditLog.open(engine, signer())
    told: list[str] = []
    with sole(engine) as held:
        held.claim(*OWNER)
        held.when_lost(lambda: told.append("ended"))
        with GroupCommit(engine, log, guard=held.must_hold) as writer:
            writer.append(entry()).result(20)
            second = taken_over(postgres_url, other)
            try:
                second.claim(*OWNER)
                with pytest.raises(LogUnavailable):
                    writer.append(entry()).result(20)
                until(lambda: told == ["ended"])
                with pytest.raises(StoreHeld):
                    held.must_have_held()
                assert log.size == 1
                with pytest.raises(LogUnavailable):
                    writer.append(entry()).result(20)
            finally:
                second.close()
    assert told == ["ended"]
    engine.dispose()
    other.dispose()


def taken_over(url: str, engine: Engine) -> Sole:
    """The database is locked at the moment in which the first session was lost."""
    second = Sole(engine)
    while True:
        cut(url)
        try:
            second.take()
        except StoreHeld:
            continue
        return second


def signer() -> Signer:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Signer(str(Origin(31337, "0x" + "ab" * 20)), Ed25519PrivateKey.generate())
