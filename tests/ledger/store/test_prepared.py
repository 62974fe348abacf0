"""Statements that run directly on the driver have the same results, errors and transactions as
SQLAlchemy's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, bindparam, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError
from sqlmodel import SQLModel

from ledger import releases
from ledger.store.engine import open_engine, reader
from ledger.store.prepared import Prepared, among, execute, values_of
from ledger.store.tables.calls import ChargeRow

CHARGES = ChargeRow.__table__  # type: ignore[attr-defined]
INSERT = Prepared(insert(CHARGES))
USED = Prepared(select(CHARGES.c.used).where(CHARGES.c.grant_id == bindparam("grant")))
SEVERAL = Prepared(
    lambda dialect: (
        select(CHARGES.c.grant_id)
        .where(among(dialect, CHARGES.c.grant_id, "grants"))
        .order_by(CHARGES.c.grant_id)
    )
)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = open_engine(database_url)
    SQLModel.metadata.create_all(opened)
    yield opened
    opened.dispose()


def test_uncommitted_statements_are_rolled_back(engine: Engine) -> None:
    with engine.connect() as connection:
        INSERT.run(connection, grant_id="a", used=3, first=0)
        assert USED.row(connection, grant="a") == (3,)
    with engine.connect() as connection:
        assert USED.row(connection, grant="a") is None


def test_rows_come_by_place_and_by_name(engine: Engine) -> None:
    with engine.begin() as connection:
        assert INSERT.run(connection, grant_id="a", used=3, first=0) == 1
        assert USED.rows(connection, grant="a") == [(3,)]
        assert USED.mappings(connection, grant="a") == [{"used": 3}]


@pytest.mark.parametrize("asked", [[], ["a"], ["a", "c", "no such"], ['a"]', "b'"]])
def test_one_parameter_holds_any_number_of_texts(engine: Engine, asked: list[str]) -> None:
    with engine.begin() as connection:
        for grant in ("a", "b", "c"):
            INSERT.run(connection, grant_id=grant, used=1, first=0)
        found = [row[0] for row in SEVERAL.rows(connection, grants=values_of(connection, asked))]
    assert found == sorted({"a", "b", "c"} & set(asked))


def test_errors_are_those_of_sqlalchemy_and_quote_no_value(engine: Engine) -> None:
    with engine.begin() as connection:
        INSERT.run(connection, grant_id="citizen-4711", used=1, first=0)
    with engine.connect() as connection, pytest.raises(IntegrityError) as refused:
        INSERT.run(connection, grant_id="citizen-4711", used=1, first=0)
    if engine.dialect.name == "sqlite":  # PostgreSQL's own message names the key
        assert "citizen-4711" not in str(refused.value)
    wrong = OperationalError if engine.dialect.name == "sqlite" else ProgrammingError
    with engine.connect() as connection, pytest.raises(wrong):
        execute(connection, "SELECT nothing FROM nowhere")


def test_a_reader_writes_nothing(engine: Engine) -> None:
    with reader(engine).connect() as connection, pytest.raises(DBAPIError):
        INSERT.run(connection, grant_id="a", used=1, first=0)


def test_a_reader_sees_one_moment(engine: Engine) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    with reader(engine).connect() as before:
        assert not releases.nonce_used(before, "7:ab", "n" * 16)
        with engine.begin() as connection:
            releases.claim_nonce(connection, "7:ab", "n" * 16, now, timedelta(minutes=2))
        assert not releases.nonce_used(before, "7:ab", "n" * 16)
    with reader(engine).connect() as after:
        assert releases.nonce_used(after, "7:ab", "n" * 16)
