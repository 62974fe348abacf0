"""A role or a database of PostgreSQL has settings of its own; the service overrides those that change the meaning
of stored values."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from ledger.store.engine import LOCK_TIMEOUT_S, open_engine, unavailable
from tests.simulators.postgres import ordinary_database

pytestmark = pytest.mark.needs("postgresql")

_OTHERS = {
    "client_encoding": "SQL_ASCII",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "extra_float_digits": "-15",
    "datestyle": "SQL, DMY",
    "bytea_output": "escape",
    "default_transaction_isolation": "serializable",
    "timezone": "Asia/Shanghai",
    "synchronous_commit": "off",
}


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_no_setting_of_a_role_changes_what_is_stored_and_read(postgres_server: str, encoding: str) -> None:
    with ordinary_database(postgres_server) as url:
        with psycopg.connect(url, autocommit=True) as own:  # A role may do this for itself.
            for setting, value in (_OTHERS | {"client_encoding": encoding}).items():
                own.execute(f"ALTER ROLE {make_url(url).username} SET {setting} = '{value}'")
        engine = open_engine(url)
        try:
            with engine.begin() as connection:
                values = {"note": "— 城市", "part": 0.1 + 0.2, "raw": b"\\\x00\xff", "none": None}
                row = connection.execute(
                    text(
                        r"SELECT CAST(:note AS text), CAST(CAST(:part AS float8) AS text), CAST(:raw AS bytea), '\101',"
                        " CAST(:none AS text) = NULL, CAST(DATE '2026-11-29' AS text),"
                        " current_setting('transaction_isolation'), current_setting('synchronous_commit')"
                    ),
                    values,
                ).one()
        finally:
            engine.dispose()
    assert tuple(row) == (
        "— 城市", "0.30000000000000004", b"\\\x00\xff", r"\101", None, "2026-11-29", "read committed", "on",
    )  # fmt: skip


def test_wait_for_a_locked_table_is_limited(postgres_server: str) -> None:
    with ordinary_database(postgres_server) as url, psycopg.connect(url) as other:
        for set_to, stands in (("0", f"{LOCK_TIMEOUT_S}s"), ("200ms", "200ms")):
            other.execute(f"ALTER ROLE {make_url(url).username} SET lock_timeout = '{set_to}'")
            other.commit()
            engine = open_engine(url)
            with engine.begin() as connection:
                assert connection.execute(text("SHOW lock_timeout")).scalar_one() == stands
                connection.execute(text("CREATE TABLE IF NOT EXISTS held (a int)"))
            engine.dispose()
        other.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
        engine = open_engine(url)
        with pytest.raises(DBAPIError) as refused, engine.connect() as connection:
            connection.execute(text("SELECT a FROM held"))
        assert unavailable(refused.value) is not None
        other.rollback()
        engine.dispose()
