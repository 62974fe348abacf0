"""A person who can write the database creates objects in it that change what the service's statements do: this is
refused."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.cli.commands.audit_keeping import fsck
from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import PLANNING
from api.demo.process import ServiceProcess
from api.sdk.errors import ServiceProblem
from ledger.store.foreign import EVERY_S
from tests.simulators.city import founded_home, open_city
from tests.simulators.postgres import cluster, ordinary_database

CODE = "store.foreign-object"
Execute = Callable[[str], None]


def read(city: City) -> str:
    """The code of a refused read; empty if it returned data."""
    asked: dict[str, Any] = {"columns": ["pm25"], "limit": 1}
    try:
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, asked)
    except ServiceProblem as refused:
        return str(refused.code)
    return ""


def codes_of_fsck(home: Path) -> set[str]:
    return {str(one["code"]) for one in fsck(home).document["damage"]}


def rebuilt(table: str, old: str, new: str) -> tuple[str, ...]:
    """SQLite: create the table again with one change in its definition and the same rows."""
    return (f"REBUILD {table}", old, new)


SQLITE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a trigger deletes revocations as they are written": (
        ("CREATE TRIGGER t AFTER INSERT ON outbox_denial BEGIN DELETE FROM outbox_denial; END",),
        ("DROP TRIGGER t",),
    ),
    "a trigger ignores rows before they are written": (
        ("CREATE TRIGGER t BEFORE INSERT ON release BEGIN SELECT raise(IGNORE); END",),
        ("DROP TRIGGER t",),
    ),
    "a view in the place of a table": (
        (
            "ALTER TABLE lost_act RENAME TO kept",
            "CREATE VIEW lost_act AS SELECT * FROM kept WHERE 0",
        ),
        ("DROP VIEW lost_act", "ALTER TABLE kept RENAME TO lost_act"),
    ),
    "a unique index over an expression": (
        ("CREATE UNIQUE INDEX i ON call_nonce (abs(expires), nonce)",),
        ("DROP INDEX i",),
    ),
    "a generated column": (
        ("ALTER TABLE outbox_denial ADD COLUMN g INTEGER GENERATED ALWAYS AS (1) VIRTUAL",),
        ("ALTER TABLE outbox_denial DROP COLUMN g",),
    ),
    "a column with a default": (
        ("ALTER TABLE outbox_denial ADD COLUMN g INTEGER DEFAULT 7",),
        ("ALTER TABLE outbox_denial DROP COLUMN g",),
    ),
    "a key that ignores": (
        rebuilt(
            "call_nonce", "PRIMARY KEY (key_id, nonce)", "PRIMARY KEY (key_id, nonce) ON CONFLICT IGNORE"
        ),
        rebuilt("call_nonce", " ON CONFLICT IGNORE", ""),
    ),
    "a column that compares otherwise": (
        rebuilt("call_nonce", "nonce VARCHAR NOT NULL", "nonce VARCHAR COLLATE NOCASE NOT NULL"),
        rebuilt("call_nonce", " COLLATE NOCASE", ""),
    ),
    "no key": (
        rebuilt("grant_charge", ", \n\tPRIMARY KEY (grant_id)", ""),
        rebuilt("grant_charge", "first BIGINT NOT NULL", "first BIGINT NOT NULL, \n\tPRIMARY KEY (grant_id)"),
    ),
}


def in_sqlite(home: Path, statements: tuple[str, ...]) -> None:
    with closing(sqlite3.connect(home / "ledger.sqlite", timeout=30, isolation_level=None)) as database:
        if not statements[0].startswith("REBUILD"):
            for statement in statements:
                database.execute(statement)
            return
        table, old, new = statements[0].split()[1], *statements[1:]
        [(sql,)] = database.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchall()
        changed = sql.replace(old, new)
        assert changed != sql
        database.execute("BEGIN IMMEDIATE")
        rest = database.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type = 'index' AND sql IS NOT NULL",
            (table,),
        ).fetchall()
        database.execute(f"CREATE TABLE planted AS SELECT * FROM {table}")
        database.execute(f"DROP TABLE {table}")
        database.execute(changed)
        database.execute(f"INSERT INTO {table} SELECT * FROM planted")
        database.execute("DROP TABLE planted")
        for (index,) in rest:
            database.execute(index)
        database.execute("COMMIT")


@pytest.mark.parametrize("name", SQLITE)
def test_nothing_is_released_while_a_foreign_object_is_in_sqlite(name: str, shared_city: City) -> None:
    plant, remove = SQLITE[name]
    assert read(shared_city) == ""
    in_sqlite(shared_city.home, plant)
    try:
        assert read(shared_city) == CODE
        assert "fsck.foreign" in codes_of_fsck(shared_city.home)
    finally:
        in_sqlite(shared_city.home, remove)
    assert read(shared_city) == ""
    assert "fsck.foreign" not in codes_of_fsck(shared_city.home)


def test_no_service_starts_on_a_foreign_object(city: City) -> None:
    plant, remove = next(iter(SQLITE.values()))
    city.service.stop()
    in_sqlite(city.home, plant)
    with pytest.raises(Exception, match=CODE):  # The demo's process reports only the service's output.
        ServiceProcess(city.home)
    in_sqlite(city.home, remove)
    city.service = ServiceProcess(city.home)


def test_harmless_foreign_objects_are_ignored(shared_city: City) -> None:
    made = (
        "CREATE TABLE of_others (x INTEGER DEFAULT 1)",
        "CREATE INDEX faster ON release (asset, version)",
        "ALTER TABLE lost_act ADD COLUMN later VARCHAR",
        "ANALYZE",
    )
    in_sqlite(shared_city.home, made)
    assert read(shared_city) == ""
    assert "fsck.foreign" not in codes_of_fsck(shared_city.home)


LIES = "CREATE FUNCTION {0} RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false'"
POSTGRESQL: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "trigger": (
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "CREATE TRIGGER t BEFORE INSERT ON outbox_denial FOR EACH ROW EXECUTE FUNCTION f()",
        ),
        ("DROP FUNCTION f CASCADE",),
    ),
    "rule": (
        ("CREATE RULE r AS ON INSERT TO outbox_denial DO INSTEAD NOTHING",),
        ("DROP RULE r ON outbox_denial",),
    ),
    "view": (
        (
            "ALTER TABLE lost_act RENAME TO kept",
            "CREATE VIEW lost_act AS SELECT * FROM kept WHERE false",
        ),
        ("DROP VIEW lost_act", "ALTER TABLE kept RENAME TO lost_act"),
    ),
    "row-level security": (
        (
            "ALTER TABLE outbox_denial ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE outbox_denial FORCE ROW LEVEL SECURITY",
        ),
        (
            "ALTER TABLE outbox_denial NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE outbox_denial DISABLE ROW LEVEL SECURITY",
        ),
    ),
    "policy": (
        ("CREATE POLICY p ON outbox_denial USING (false)",),
        ("DROP POLICY p ON outbox_denial",),
    ),
    "inheritance": (
        ("CREATE TABLE child () INHERITS (grant_charge)",),
        ("DROP TABLE child",),
    ),
    "unlogged": (
        ("ALTER TABLE grant_charge SET UNLOGGED",),
        ("ALTER TABLE grant_charge SET LOGGED",),
    ),
    "domain": (
        ("CREATE DOMAIN d AS varchar", "ALTER TABLE lost_act ALTER COLUMN kind TYPE d"),
        ("ALTER TABLE lost_act ALTER COLUMN kind TYPE varchar", "DROP DOMAIN d"),
    ),
    "default": (
        ("ALTER TABLE grant_charge ALTER COLUMN used SET DEFAULT 0",),
        ("ALTER TABLE grant_charge ALTER COLUMN used DROP DEFAULT",),
    ),
    "generated column": (
        ("ALTER TABLE grant_charge ADD COLUMN g bigint GENERATED ALWAYS AS (used) STORED",),
        ("ALTER TABLE grant_charge DROP COLUMN g",),
    ),
    "check": (
        ("ALTER TABLE grant_charge ADD CONSTRAINT c CHECK (used >= 0)",),
        ("ALTER TABLE grant_charge DROP CONSTRAINT c",),
    ),
    "expression index": (
        ("CREATE INDEX i ON grant_charge (abs(used))",),
        ("DROP INDEX i",),
    ),
    "operator": (
        (
            LIES.format("lie(varchar, varchar)"),
            "CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = lie)",
        ),
        ("DROP FUNCTION lie CASCADE",),
    ),
    "operators that hide the others": (
        (
            LIES.format("lie(oid, regnamespace)"),
            "CREATE OPERATOR = (LEFTARG = oid, RIGHTARG = regnamespace, FUNCTION = lie)",
        ),
        ("DROP FUNCTION lie CASCADE",),
    ),
    "function": (
        (LIES.format("hashtext(varchar)"),),
        ("DROP FUNCTION hashtext(varchar)",),
    ),
    "cast": (
        (
            "CREATE TYPE mood AS ENUM ('x')",
            LIES.format("cast_it(mood)"),
            "CREATE CAST (mood AS boolean) WITH FUNCTION cast_it AS IMPLICIT",
        ),
        ("DROP TYPE mood CASCADE",),
    ),
}


@pytest.fixture(scope="module")
def on_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, Execute]]:
    home: Path = tmp_path_factory.mktemp("planted") / "city"
    with cluster() as server, ordinary_database(server.url) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIVIC_DATABASE_URL", url)
        founded_home(home)
        city = open_city(home)
        with psycopg.connect(url, autocommit=True) as intruder:
            try:
                yield city, lambda statement: [intruder.execute(statement), None][1]
            finally:
                city.service.stop()


@pytest.mark.drill
@pytest.mark.needs("postgresql")
@pytest.mark.parametrize("name", POSTGRESQL)
def test_nothing_is_released_while_a_foreign_object_is_in_postgresql(
    name: str, on_postgresql: tuple[City, Execute]
) -> None:
    (city, execute), (plant, remove) = on_postgresql, POSTGRESQL[name]
    assert until(city, "") == ""
    for statement in plant:
        execute(statement)
    try:
        # A comparison operator for which nothing is equal hides every caller: refused before anything is
        # written.
        refused = "signature.unknown-key" if name == "operator" else CODE
        assert until(city, refused) == refused
        assert "fsck.foreign" in codes_of_fsck(city.home)
    finally:
        for statement in remove:
            execute(statement)
    assert until(city, "") == ""
    assert "fsck.foreign" not in codes_of_fsck(city.home)


@pytest.mark.needs("postgresql")
def test_tables_in_an_earlier_search_path_schema_are_ignored(on_postgresql: tuple[City, Execute]) -> None:
    """The role's own schema precedes ``public``, so a table there would replace the service's."""
    city, execute = on_postgresql
    used = city.of(PLANNING).civic.grant(city.grants["air-planning"])["used"]
    execute("DO $$ BEGIN EXECUTE format('CREATE SCHEMA %I', current_user); END $$")
    execute("CREATE TABLE grant_charge (LIKE public.grant_charge INCLUDING ALL)")
    try:
        assert until(city, "") == ""
        execute("TABLE grant_charge")
        assert city.of(PLANNING).civic.grant(city.grants["air-planning"])["used"] > used
        assert "fsck.foreign" not in codes_of_fsck(city.home)
    finally:
        execute("DROP TABLE grant_charge")
        execute("DO $$ BEGIN EXECUTE format('DROP SCHEMA %I', current_user); END $$")


def until(city: City, code: str) -> str:
    """Read until this is the answer, at most for two intervals of the schema check; return the last
    answer."""
    end = time.monotonic() + 2 * EVERY_S
    while (said := read(city)) != code and time.monotonic() < end:
        time.sleep(0.1)
    return said
