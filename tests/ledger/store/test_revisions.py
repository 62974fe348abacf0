"""A database records its revision, is refused with another one, and is migrated completely or not at all."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, event, inspect, text
from sqlmodel import SQLModel

from ledger.store import revisions
from ledger.store.engine import open_engine
from ledger.store.foreign import ForeignObject, foreign_objects
from ledger.store.revisions import StoreNewer, StoreOlder, StoreUnknown
from tests.simulators.version_0_1 import database_in_the_home, restore_postgresql

Opened = Callable[[], Engine]


@pytest.fixture
def opened(database_url: str) -> Iterator[Opened]:
    """The same database, as every process opens it."""
    engines: list[Engine] = []

    def once() -> Engine:
        engines.append(open_engine(database_url))
        return engines[-1]

    yield once
    for engine in engines:
        engine.dispose()


@pytest.fixture
def old(database_url: str, tmp_path: Path, opened: Opened) -> Engine:
    """The database of version 0.1."""
    if database_url.startswith("sqlite"):
        (tmp_path / "ledger.db").write_bytes(database_in_the_home())
    else:
        restore_postgresql(database_url)
    return opened()


def shape(engine: Engine) -> dict[str, Any]:
    """The reflected tables, without the order of columns."""
    tables = inspect(engine)
    return {
        name: {
            "columns": {
                one["name"]: (str(one["type"]), one["nullable"], one["default"])
                for one in tables.get_columns(name)
            },
            "key": tables.get_pk_constraint(name)["constrained_columns"],
            "unique": sorted(one["column_names"] for one in tables.get_unique_constraints(name)),
            "indexes": {
                one["name"]: (
                    one["column_names"],
                    bool(one["unique"]),
                    sorted((key, str(value)) for key, value in one.get("dialect_options", {}).items()),
                )
                for one in tables.get_indexes(name)
            },
        }
        for name in tables.get_table_names()
    }


def rows(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    with engine.connect() as connection:
        return {
            name: sorted(
                (tuple(row) for row in connection.execute(text(f'SELECT * FROM "{name}"'))), key=repr
            )
            for name in inspect(engine).get_table_names()
        }


def departed(connection: Connection, metadata: MetaData = SQLModel.metadata) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return revisions.revision_of(connection)


def name_revision(engine: Engine, *names: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
        for name in names:
            connection.execute(text("INSERT INTO alembic_version VALUES (:name)"), {"name": name})


def emptied_of_tables(engine: Engine) -> None:
    with engine.begin() as connection:
        for name in inspect(connection).get_table_names():
            connection.execute(text(f'DROP TABLE "{name}"'))


def test_a_new_database_is_the_one_that_all_migrations_make(old: Engine) -> None:
    list(revisions.upgrade(old))
    migrated = shape(old)
    emptied_of_tables(old)
    revisions.prepare(old)
    assert shape(old) == migrated
    assert revision(old) == revisions.newest()


def test_no_table_is_changed_without_a_migration(old: Engine) -> None:
    """Fails if a table class differs from the result of the migrations: write a migration
    (docs/upgrading.md)."""
    list(revisions.upgrade(old))
    with old.connect() as connection:
        assert departed(connection) == []


def test_comparison_detects_a_column_without_a_migration(old: Engine) -> None:
    list(revisions.upgrade(old))
    changed = MetaData()
    for table in SQLModel.metadata.sorted_tables:
        table.to_metadata(changed)
    changed.tables["document"].append_column(Column("pages", Integer))
    with old.connect() as connection:
        [(what, _, table, column)] = departed(connection, changed)
    assert (what, table, column.name) == ("add_column", "document", "pages")


def test_an_older_database_is_refused_and_not_changed(old: Engine) -> None:
    before = shape(old), rows(old)
    with old.connect() as connection, pytest.raises(StoreOlder) as refused:
        revisions.must_be_current(connection)
    assert refused.value.code == "store.older"
    assert "civic upgrade" in refused.value.hint
    with pytest.raises(StoreOlder):
        revisions.prepare(old)
    assert (shape(old), rows(old)) == before


@pytest.mark.parametrize(
    ("names", "refusal"),
    [
        (["9999"], StoreNewer),
        (["0003b"], StoreUnknown),
        (["0000"], StoreUnknown),
        (["0001", "0002"], StoreUnknown),
    ],
    ids=str,
)
def test_newer_or_impossible_revision_is_refused_unchanged(
    opened: Opened, names: list[str], refusal: type[Exception]
) -> None:
    engine = opened()
    revisions.prepare(engine)
    name_revision(engine, *names)
    before = shape(engine), rows(engine)
    with engine.connect() as connection, pytest.raises(refusal):
        revisions.must_be_current(connection)
    with pytest.raises(refusal):
        revisions.prepare(engine)
    with pytest.raises(refusal):
        list(revisions.upgrade(engine))
    assert (shape(engine), rows(engine)) == before


def test_the_upgrade_keeps_every_row_and_fills_what_cannot_be_empty(old: Engine) -> None:
    before = rows(old)
    assert revision(old) == "0001"
    assert [one.revision for one in revisions.upgrade(old)] == ["0002"]
    after = rows(old)
    changed = {"admission", "council", "release", "sharing_grant", "log_head", "outbox_act"}
    assert {name: after[name] for name in before if name not in changed} == {
        name: found for name, found in before.items() if name not in changed
    }
    assert {name: len(after[name]) for name in changed} == {name: len(before[name]) for name in changed}
    with old.connect() as connection:
        epoch = connection.execute(text("SELECT epoch FROM council")).scalar_one()
        assert set(connection.execute(text("SELECT epoch FROM admission")).scalars()) == {epoch}
        assert connection.execute(text("SELECT freeze_at, hand_over_at FROM council")).one() == (0, 0)
        assert foreign_objects(connection) == []


def test_the_upgrade_runs_twice_and_then_does_nothing(old: Engine) -> None:
    list(revisions.upgrade(old))
    before = shape(old), rows(old)
    assert list(revisions.upgrade(old)) == []
    revisions.prepare(old)
    assert (shape(old), rows(old)) == before


def test_two_upgrades_at_once_run_each_migration_once(old: Engine, opened: Opened) -> None:
    done: list[str] = []
    together = threading.Barrier(2)

    def one(engine: Engine) -> None:
        together.wait()
        done.extend(step.revision for step in revisions.upgrade(engine))

    threads = [threading.Thread(target=one, args=(opened(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert done == ["0002"]
    with old.connect() as connection:
        assert departed(connection) == []


def test_two_services_that_start_at_once_make_the_tables_once(opened: Opened) -> None:
    failed: list[BaseException] = []

    def one(engine: Engine) -> None:
        try:
            revisions.prepare(engine)
        except BaseException as error:  # noqa: BLE001 - it is the assertion
            failed.append(error)

    threads = [threading.Thread(target=one, args=(opened(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert revision(opened()) == revisions.newest()


@pytest.mark.parametrize(
    "part",
    [
        ["CREATE TABLE store_instance (id INTEGER NOT NULL, home VARCHAR NOT NULL, chain_id BIGINT NOT NULL, "
         "ledger VARCHAR NOT NULL, term BIGINT NOT NULL, PRIMARY KEY (id))"],
        ["ALTER TABLE release ADD COLUMN version BIGINT"],
        ["ALTER TABLE council ADD COLUMN hand_over VARCHAR", "ALTER TABLE council DROP COLUMN snapshot_root"],
    ],
    ids=["a table", "a column", "some of the council's"],
)  # fmt: skip
def test_database_without_revision_keeps_its_rows(old: Engine, part: list[str]) -> None:
    """Versions without a recorded revision added tables and columns at their start."""
    with old.begin() as connection:
        for statement in part:
            connection.execute(text(statement))
    list(revisions.upgrade(old))
    with old.connect() as connection:
        assert [one for one in departed(connection) if "store_instance" not in repr(one)] == []
        assert foreign_objects(connection) == []


@pytest.mark.parametrize(
    "loss",
    [
        "ALTER TABLE release DROP COLUMN plan_hash",
        "DROP TABLE call_nonce",
        "CREATE TABLE lost_act (other TEXT)",
    ],
    ids=["column", "table", "another table in the way"],
)
def test_tables_that_no_version_made_are_refused_and_not_changed(old: Engine, loss: str) -> None:
    with old.begin() as connection:
        connection.execute(text(loss))
    before = shape(old), rows(old)
    with pytest.raises(StoreUnknown) as refused:
        list(revisions.upgrade(old))
    assert refused.value.code == "store.unknown"
    assert (shape(old), rows(old)) == before


@pytest.mark.parametrize("loss", ["ALTER TABLE council DROP COLUMN hand_over", "DROP TABLE grant_condition"])
def test_a_database_that_is_of_the_newest_revision_by_its_name_alone_is_refused(
    old: Engine, loss: str
) -> None:
    list(revisions.upgrade(old))
    with old.begin() as connection:
        connection.execute(text(loss))
    before = shape(old), rows(old)
    for asked in (lambda: list(revisions.upgrade(old)), lambda: revisions.prepare(old)):
        with pytest.raises(StoreUnknown, match=r"council\.hand_over|grant_condition\."):
            asked()
    assert (shape(old), rows(old)) == before


@pytest.mark.parametrize("row", ["VALUES (NULL)", "DEFAULT VALUES"], ids=["no revision", "another table"])
def test_a_table_of_the_revision_that_keeps_none_is_refused(old: Engine, row: str) -> None:
    column = "version_num" if row == "VALUES (NULL)" else "other"
    with old.begin() as connection:
        connection.execute(text(f"CREATE TABLE alembic_version ({column} VARCHAR(32))"))
        connection.execute(text(f"INSERT INTO alembic_version {row}"))
    before = shape(old), rows(old)
    for asked in (lambda: list(revisions.upgrade(old)), lambda: revisions.prepare(old)):
        with pytest.raises(StoreUnknown):
            asked()
    assert (shape(old), rows(old)) == before


def test_migration_is_refused_while_a_trigger_exists(old: Engine) -> None:
    """Rebuilding the table would also delete the foreign object, and with it the evidence."""
    planted = (
        ["CREATE TRIGGER planted AFTER UPDATE ON council BEGIN DELETE FROM sharing_grant; END"]
        if old.dialect.name == "sqlite"
        else [
            "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN DELETE FROM sharing_grant; RETURN NULL; END'",
            "CREATE TRIGGER planted AFTER UPDATE ON council EXECUTE FUNCTION planted()",
        ]
    )
    with old.begin() as connection:
        for statement in planted:
            connection.exec_driver_sql(statement)
    before = shape(old), rows(old)
    with pytest.raises(ForeignObject):
        list(revisions.upgrade(old))
    assert (shape(old), rows(old)) == before


Job = Callable[[Engine], object]


class _NotYet(Exception):
    """Raised at the commit, so that nothing is kept."""


def in_a_child(engine: Engine, job: Job, at: Callable[[int], None], at_commit: Callable[[int], None]) -> int:
    """Run a job in a separate process; return its exit status. ``at`` is called before and after every
    statement, ``at_commit`` before every commit, with their number."""
    engine.dispose()  # A connection shared by both processes would outlive the child.
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            done = 0

            def count(*_: object) -> None:
                nonlocal done
                done += 1
                at(done)

            event.listen(engine, "before_cursor_execute", count)
            event.listen(engine, "after_cursor_execute", count)
            event.listen(engine, "commit", lambda _: at_commit(done))
            job(engine)
            os._exit(0)
        os._exit(1)
    return os.waitpid(child, 0)[1]


def moments_of(engine: Engine, job: Job) -> int:
    """The number of moments, before and after statements, at which a job can be killed until it commits."""
    reading, writing = os.pipe()

    def tell(done: int) -> None:
        os.write(writing, str(done).encode())
        raise _NotYet

    in_a_child(engine, job, lambda _: None, tell)
    os.close(writing)
    with os.fdopen(reading) as told:
        return int(told.read())


def dies_at(engine: Engine, moment: int, job: Job) -> None:
    """Run a job in a process that is killed at its ``moment``; the one after the last is the commit."""

    def die(done: int) -> None:
        if done == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    status = in_a_child(engine, job, die, lambda done: die(done + 1))
    assert os.WIFSIGNALED(status), "it was killed"


def some(moments: int) -> list[int]:
    return sorted({1, moments // 2, moments * 3 // 4, moments, moments + 1})


def every(moments: int) -> list[int]:
    return list(range(1, moments + 2))


how_often = pytest.mark.parametrize(
    "choose", [some, pytest.param(every, marks=pytest.mark.drill)], ids=["some", "every"]
)


@how_often
def test_an_upgrade_that_is_killed_changes_nothing_and_is_run_again(
    old: Engine, opened: Opened, choose: Callable[[int], list[int]]
) -> None:
    before = shape(old), rows(old)
    old.dispose()
    revisions._shape_at("0002")  # Its own statements are not those of the database.

    def job(engine: Engine) -> object:
        return list(revisions.upgrade(engine))

    for moment in choose(moments_of(opened(), job)):
        dies_at(opened(), moment, job)
    engine = opened()
    assert (shape(engine), rows(engine)) == before
    job(engine)
    with engine.connect() as connection:
        assert departed(connection) == []


@how_often
def test_a_service_that_is_killed_while_it_makes_the_tables_leaves_none(
    opened: Opened, choose: Callable[[int], list[int]]
) -> None:
    for moment in choose(moments_of(opened(), revisions.prepare)):
        dies_at(opened(), moment, revisions.prepare)
    engine = opened()
    assert shape(engine) == {}
    revisions.prepare(engine)
    with engine.connect() as connection:
        assert departed(connection) == []


def test_each_migration_follows_the_one_before_and_says_what_it_does_in_both_languages() -> None:
    scripts = sorted(revisions._scripts().walk_revisions(), key=lambda one: one.revision)
    before = None
    for number, script in enumerate(scripts, 1):
        assert script.revision == f"{number:04}"
        assert script.down_revision == before
        assert Path(script.path).name.startswith(f"r{script.revision}_")
        assert script.module.WHAT.isascii()
        assert not script.module.WHAT.zh.isascii()
        before = script.revision
    assert before == revisions.newest()


def test_a_row_of_the_revision_cannot_be_watched_by_a_trigger(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    revisions.prepare(engine)
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        database.execute(
            "CREATE TRIGGER planted AFTER UPDATE ON alembic_version BEGIN DELETE FROM document; END"
        )
    with engine.connect() as connection:
        assert foreign_objects(connection) == ["trigger planted on alembic_version"]
    engine.dispose()
