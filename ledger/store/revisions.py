"""The revision of a database's tables, and the migrations to the newest revision.

The database stores its revision in alembic's table. Opening a database of another revision is refused before any write. Only
``civic upgrade`` runs migrations, each in one transaction together with its revision. SQLite and PostgreSQL support table
definitions in transactions, so a killed process leaves a complete revision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import SQLModel

import ledger.store.tables.audit
import ledger.store.tables.calls
import ledger.store.tables.instance
import ledger.store.tables.outbox
import ledger.store.tables.projection
import ledger.store.tables.requests  # noqa: F401 - a new database gets every table
from languages.texts import Bilingual
from ledger.errors import LedgerError
from ledger.store.engine import unavailable
from ledger.store.foreign import must_be_ours
from ledger.store.tables.instance import REVISION

if TYPE_CHECKING:
    from alembic.script import Script, ScriptDirectory

FIRST = "0001"
"""The revision of a database that has tables and does not state a revision."""
NEXT_STEP = "stop the service, take a backup, and run: civic upgrade --home HOME"

_FOLDER = Path(__file__).with_name("migrations")
_MARK = "audit_state"
"""A table that every database has since version 0.1."""
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(1667856996, hashtext(current_schema()))")


class StoreOlder(LedgerError):
    """The tables are those of an earlier version of the program."""

    code = "store.older"


class StoreNewer(LedgerError):
    """The tables are those of a later version of the program."""

    code = "store.newer"


class StoreUnknown(LedgerError):
    """The tables are not those of the revision that the database states, or the stated revision is not valid."""

    code = "store.unknown"


@dataclass(frozen=True, slots=True)
class Migrated:
    """A migration that was run: its revision, and a description of its changes."""

    revision: str
    what: Bilingual


def newest() -> str:
    """The revision of this version of the program."""
    return max(path.name[1:5] for path in _FOLDER.glob("r[0-9][0-9][0-9][0-9]_*.py"))


def revision_of(connection: Connection) -> str | None:
    """The revision of a database; None without our tables. Raises `StoreUnknown` when it states several, or none although it
    should."""
    tables = inspect(connection)
    named: list[str] = []
    if tables.has_table(REVISION.name):
        if [one["name"] for one in tables.get_columns(REVISION.name)] != [REVISION.c.version_num.name]:
            raise StoreUnknown(
                f"the table {REVISION.name} is not the one that keeps a revision", hint=_RESTORE
            )
        named = [str(one) for one in connection.execute(select(REVISION.c.version_num)).scalars()]
    if len(named) > 1:
        raise StoreUnknown(
            f"the database names {len(named)} revisions: {', '.join(sorted(named))}", hint=_RESTORE
        )
    return named[0] if named else FIRST if tables.has_table(_MARK) else None


_RESTORE = "restore the database from a backup, or use the version of civic that made it"


def must_be_current(connection: Connection) -> None:
    """Raise `StoreOlder` or `StoreNewer` unless the database has the newest revision or no tables. Raises `StoreUnknown`
    when it states the newest revision but its tables differ."""
    found = revision_of(connection)
    if found is None:
        return
    if found == newest():
        views = inspect(
            connection
        ).get_view_names()  # a view in place of a table is reported by `store.foreign`
        _must_have(
            connection, {name: columns for name, columns in _shape_of_today().items() if name not in views}
        )
        return
    _must_be_a_number(found)
    if found < newest():
        raise StoreOlder(
            f"the database is of revision {found}, this version of civic works with {newest()}",
            hint=NEXT_STEP,
        )
    raise _newer(found)


def _newer(found: str) -> StoreNewer:
    return StoreNewer(
        f"the database is of revision {found}, this version of civic knows none after {newest()}",
        hint="use the version of civic that upgraded it, or a later one",
    )


def _must_be_a_number(found: str) -> None:
    if not (found.isascii() and found.isdigit() and len(found) == len(FIRST) and found >= FIRST):
        raise StoreUnknown(f"the database names the revision {found!r}, which cannot be", hint=_RESTORE)


def prepare(engine: Engine) -> None:
    """Create all tables and the revision in an empty database, in one transaction; otherwise `must_be_current`."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(_ONE_AT_A_TIME)
        if revision_of(connection) is not None:
            must_be_current(connection)
            return
        SQLModel.metadata.create_all(connection)
        REVISION.create(connection, checkfirst=True)
        connection.execute(REVISION.insert().values(version_num=newest()))


def upgrade(engine: Engine) -> Iterator[Migrated]:
    """Run the missing migrations, the oldest first; yields each after its commit.

    Raises `StoreNewer`, `StoreUnknown`, and `ForeignObject` for objects that would affect a migration. Committed migrations
    remain, and a new call continues after them.
    """
    scripts = _scripts()
    while True:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(_ONE_AT_A_TIME)
            script = _next(scripts, connection)
            if script is None:
                _must_have(connection, _shape_of_today())
                return
            must_be_ours(connection, definitions=False)
            _fit(scripts, script, connection)
            _must_have(connection, _shape_at(script.revision))
            if script.revision == newest():
                must_be_ours(connection)
        yield Migrated(script.revision, script.module.WHAT)


def _scripts() -> ScriptDirectory:
    from alembic.script import (
        ScriptDirectory,  # the import takes a third of a second, so it is done only for a migration
    )

    return ScriptDirectory(str(_FOLDER), version_locations=[str(_FOLDER)])


def _next(scripts: ScriptDirectory, connection: Connection) -> Script | None:
    """The next migration of the database; None at the newest revision."""
    found = revision_of(connection)
    if found is None:
        raise StoreUnknown("the database has no tables of ours", hint="civic serve makes them")
    _must_be_a_number(found)
    if found > newest():
        raise _newer(found)
    later = [one for one in scripts.walk_revisions() if one.revision > found]
    return min(later, key=lambda one: one.revision, default=None)


def _run(scripts: ScriptDirectory, script: Script, connection: Connection) -> None:
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    context = MigrationContext.configure(connection)
    with Operations.context(context):
        script.module.upgrade()
    context.stamp(scripts, script.revision)


def _fit(scripts: ScriptDirectory, script: Script, connection: Connection) -> None:
    """Run a migration; raises `StoreUnknown` when it does not fit the tables."""
    try:
        _run(scripts, script, connection)
    except SQLAlchemyError as failed:
        if unavailable(failed) is not None:
            raise
        reason = str(getattr(failed, "orig", None) or failed).splitlines()[:1]
        raise StoreUnknown(
            f"migration {script.revision} does not fit the tables: {' '.join(reason)}", hint=_RESTORE
        ) from failed


Shape = dict[str, dict[str, bool]]
"""Table -> column -> whether it may be null."""


def _must_have(connection: Connection, shape: Shape) -> None:
    """Raise `StoreUnknown` unless the tables have these columns."""
    found = _shape(connection)
    for table, columns in shape.items():
        for column, nullable in columns.items():
            if found.get(table, {}).get(column) is not nullable:
                raise StoreUnknown(
                    f"{table}.{column} is not as version 0.1 or a later one made it", hint=_RESTORE
                )


@cache
def _shape_of_today() -> Shape:
    """The shape that `prepare` creates, and that all migrations give."""
    return {
        table.name: {column.name: bool(column.nullable) for column in table.columns}
        for table in (*SQLModel.metadata.sorted_tables, REVISION)
    }


@cache
def _shape_at(revision: str) -> Shape:
    """The shape of a database after all migrations up to this revision."""
    engine = create_engine("sqlite://")
    scripts = _scripts()
    with engine.begin() as connection:
        for script in sorted(scripts.walk_revisions(), key=lambda one: one.revision):
            if script.revision <= revision:
                _run(scripts, script, connection)
        return _shape(connection)


def _shape(connection: Connection) -> Shape:
    return {
        name: {column["name"]: bool(column["nullable"]) for column in columns}
        for (_, name), columns in inspect(connection).get_multi_columns().items()
    }
