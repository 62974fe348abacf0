"""SQLite keeps any value in any column: a value that the service did not write is refused when it is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select
from sqlmodel import SQLModel

from ledger.store.engine import open_engine, reader
from ledger.store.prepared import Prepared, fetched
from ledger.store.stored import StoreDamaged, made_of, misfits
from ledger.store.tables import table_of
from ledger.store.tables.audit import AuditSubject
from ledger.store.tables.calls import ChargeRow

CHARGES, SUBJECTS = table_of(ChargeRow), table_of(AuditSubject)
READS: dict[str, Callable[[Connection], Any]] = {
    "SQLAlchemy": lambda connection: connection.execute(select(CHARGES)).all(),
    "prepared": lambda connection: PREPARED.rows(connection),
    "one prepared": lambda connection: PREPARED.row(connection),
    "prepared, by name": lambda connection: PREPARED.mappings(connection),
    "plain": lambda connection: fetched(connection, "SELECT * FROM grant_charge", (), (str, int, int)),
}
PREPARED = Prepared(select(CHARGES))
WRITTEN = ("'0x1'", "1", "2")
OTHERS = [
    ("X'00'", "1", "2"),
    ("CAST(X'FF' AS TEXT)", "1", "2"),
    ("'0x1'", "'many'", "2"),
    ("'0x1'", "1.5", "2"),
    ("'0x1'", "X'01'", "2"),
    ("'0x1'", "1", "9e999"),
]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    SQLModel.metadata.create_all(made)
    yield made
    made.dispose()


def put(engine: Engine, *values: str) -> None:
    with sqlite3.connect(str(engine.url.database)) as file:
        file.execute(f"INSERT OR REPLACE INTO grant_charge VALUES ({', '.join(values)})")


@pytest.mark.parametrize("way", READS)
@pytest.mark.parametrize("values", OTHERS, ids=str)
def test_another_kind_is_refused(way: str, values: tuple[str, ...], engine: Engine) -> None:
    for place in (engine, reader(engine)):
        put(engine, *WRITTEN)
        with place.connect() as connection:
            assert READS[way](connection)
        with sqlite3.connect(str(engine.url.database)) as file:
            file.execute("DELETE FROM grant_charge")
        put(engine, *values)
        with place.connect() as connection, pytest.raises(StoreDamaged):
            READS[way](connection)
        with sqlite3.connect(str(engine.url.database)) as file:
            file.execute("DELETE FROM grant_charge")


def test_number_in_a_bytes_column_is_refused(engine: Engine) -> None:
    """`bytes(number)` would be that many zeros."""
    with sqlite3.connect(str(engine.url.database)) as file:
        file.execute("INSERT INTO audit_subject VALUES (X'01', 1000000000000)")
    with engine.connect() as connection:
        with pytest.raises(StoreDamaged):
            connection.execute(select(SUBJECTS.c.wrapped)).all()
        [named] = misfits(connection)
    assert "audit_subject" in named
    assert "wrapped" in named


def test_meaningless_value_is_reported_as_store_damaged() -> None:
    @made_of("seat")
    def word(number: int) -> str:
        return {1: "active"}[number]

    assert word(1) == "active"
    with pytest.raises(StoreDamaged, match="seat"):
        word(7)
