"""Detection of database objects that the service did not create: triggers, rules, views in place of tables, policies, etc.

Such objects change the effect of the service's statements: a trigger may delete a revocation while it is written, an operator
may change which rows are equal. All definitions are therefore compared with the service's own before a write. Other tables
and plain indexes have no effect and are ignored.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Dialect, Table, UniqueConstraint, dialects, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlmodel import SQLModel

from ledger.errors import LedgerError
from ledger.store.prepared import execute
from ledger.store.tables.instance import REVISION

EVERY_S = 1.0
"""The greatest age in seconds of the last schema check at a commit on PostgreSQL."""
SHOWN = 5
"""The most objects that an error message names."""


class ForeignObject(LedgerError):
    """The database has objects that the service did not create and that change what it reads or writes."""

    code = "store.foreign-object"


class SchemaGuard:
    """Checks the schema in the writer's transactions: on SQLite in each, on PostgreSQL every `EVERY_S` seconds."""

    def __init__(self) -> None:
        self._looked = -EVERY_S
        self._good: object = None

    def __call__(self, connection: Connection) -> None:
        """Raise `ForeignObject` for objects that the service did not create."""
        if connection.dialect.name == "sqlite":
            rows = _master(connection)
            if rows != self._good:
                must_be_ours(connection)
                self._good = rows
        elif time.monotonic() - self._looked >= EVERY_S:
            must_be_ours(connection)
            self._looked = time.monotonic()


def must_be_ours(connection: Connection, *, definitions: bool = True) -> None:
    """Raise `ForeignObject` when `foreign_objects` finds objects."""
    found = foreign_objects(connection, definitions=definitions)
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise ForeignObject(
            f"the database has what the service did not make: {'; '.join(found[:SHOWN])}{more}",
            hint="find out who made it, remove it, and run civic audit fsck",
        )


def foreign_objects(connection: Connection, *, definitions: bool = True) -> list[str]:
    """Descriptions of the objects that differ from the service's own. Missing objects are not reported: their use fails.

    Without ``definitions`` only active objects such as triggers are checked, because tables of an earlier revision have other
    definitions.
    """
    if connection.dialect.name == "sqlite":
        return list(_in_sqlite(connection, definitions))
    return _in_postgresql(connection, definitions)


def _tables() -> dict[str, Table]:
    return {table.name: table for table in (*SQLModel.metadata.sorted_tables, REVISION)}


# --- SQLite stores the text of every definition, so the texts are compared

_WHOLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?[\"']?(\w+)[\"']? ?\((.*)\)", re.DOTALL)
_PLAIN_COLUMN = re.compile(r"\"?\w+\"? [A-Z]+(\(\d+\))?")
_PLAIN_INDEX = re.compile(r"CREATE INDEX (?:IF NOT EXISTS )?\"?\w+\"? ON \"?\w+\"? ?\((\"?\w+\"?(, )?)+\)")


def _in_sqlite(connection: Connection, definitions: bool) -> Iterator[str]:
    ours, indexes = _tables(), _indexes()
    for kind, name, table, sql in _master(connection):
        plain = " ".join(str(sql or "").split())
        if kind == "table" and name in ours:
            if definitions:
                yield from (f"table {name}: {one}" for one in _unlike(ours[name], plain))
        elif kind == "index" and table in ours and sql is not None:
            if definitions and plain not in indexes and not _PLAIN_INDEX.fullmatch(plain):
                yield f"index {name} on {table}"
        elif name in ours or (table in ours and kind != "index"):
            yield f"{kind} {name}" + (f" on {table}" if table != name else "")


def _master(connection: Connection) -> list[tuple[str, str, str, str | None]]:
    found = execute(connection, "SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    return [tuple(row) for row in found]


def _indexes() -> set[str]:
    made = (index for table in _tables().values() for index in table.indexes)
    return {" ".join(str(CreateIndex(index).compile(dialect=sqlite.dialect())).split()) for index in made}


def _unlike(table: Table, sql: str) -> Iterator[str]:
    """The definitions in a table that differ from ours, and our missing keys. The order of columns is ignored."""
    own = _definitions(" ".join(str(CreateTable(table).compile(dialect=sqlite.dialect())).split()))
    found = _definitions(sql)
    if own is None or found is None:
        yield "another definition"
        return
    yield from (one for one in found if one not in own and not _PLAIN_COLUMN.fullmatch(one))
    yield from (f"without {one}" for one in own if one.startswith(("PRIMARY", "UNIQUE")) and one not in found)


def _definitions(sql: str) -> list[str] | None:
    whole = _WHOLE.fullmatch(sql)
    if whole is None:
        return None
    parts, depth = [""], 0
    for letter in whole[2]:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


# --- PostgreSQL: the catalogue is read

_POSTGRESQL: Dialect = dialects.registry.load("postgresql")()
_TYPES = {"VARCHAR": "character varying", "BYTEA": "bytea"}
_SAME = re.compile(r"::\w+|[()\s]")
"""The parts that PostgreSQL adds when it prints a condition."""

_OF_TABLES = """
WITH ours AS (
  SELECT oid, relname::text AS name, relkind, relpersistence, relrowsecurity FROM pg_catalog.pg_class
  WHERE relnamespace = CAST(:schema AS regnamespace) AND relname = ANY(CAST(:names AS text[]))
    AND relkind NOT IN ('i', 'I')
)
SELECT name, 'it is no ordinary table' FROM ours WHERE relkind <> 'r' OR relpersistence <> 'p'
UNION ALL SELECT name, 'row-level security' FROM ours WHERE relrowsecurity
UNION ALL SELECT name, 'inheritance' FROM ours JOIN pg_catalog.pg_inherits ON oid IN (inhparent, inhrelid)
UNION ALL SELECT name, 'trigger ' || tgname FROM ours JOIN pg_catalog.pg_trigger t ON tgrelid = ours.oid WHERE NOT tgisinternal
UNION ALL SELECT name, 'rule ' || rulename FROM ours JOIN pg_catalog.pg_rewrite ON ev_class = ours.oid
UNION ALL SELECT name, 'policy ' || polname FROM ours JOIN pg_catalog.pg_policy ON polrelid = ours.oid
UNION ALL SELECT name, 'constraint ' || conname FROM ours JOIN pg_catalog.pg_constraint c ON ours.oid IN (conrelid, confrelid)
  WHERE contype NOT IN ('p', 'u', 'n') OR condeferrable
"""
_COLUMNS = """
SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
  coalesce(pg_get_expr(d.adbin, d.adrelid), ''), a.attgenerated <> '' OR a.attidentity <> '',
  a.attcollation NOT IN (0, 100), t.typnamespace = 'pg_catalog'::regnamespace
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relname = ANY(CAST(:names AS text[]))
  AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
"""
_INDEXES = """
SELECT c.relname::text, i.relname::text, x.indisunique, x.indexprs IS NULL, coalesce(pg_get_expr(x.indpred, x.indrelid), ''),
  ARRAY(SELECT a.attname::text FROM unnest(x.indkey) WITH ORDINALITY AS k(number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number ORDER BY place),
  EXISTS (SELECT FROM unnest(x.indclass) AS k(class) JOIN pg_catalog.pg_opclass o ON o.oid = k.class
          WHERE o.opcnamespace <> 'pg_catalog'::regnamespace)
FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indrelid
JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relname = ANY(CAST(:names AS text[]))
"""
_IN_SCHEMA = """
SELECT 'function ' || proname FROM pg_catalog.pg_proc p WHERE pronamespace = CAST(:schema AS regnamespace)
  AND EXISTS (SELECT FROM pg_catalog.pg_proc b WHERE b.pronamespace = 'pg_catalog'::regnamespace AND b.proname = p.proname)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
UNION ALL SELECT 'operator ' || oprname FROM pg_catalog.pg_operator o WHERE oprnamespace = CAST(:schema AS regnamespace)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend WHERE classid = 'pg_operator'::regclass AND objid = o.oid AND deptype = 'e')
UNION ALL SELECT 'cast from ' || format_type(castsource, NULL) || ' to ' || format_type(casttarget, NULL)
  FROM pg_catalog.pg_cast c WHERE c.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend WHERE classid = 'pg_cast'::regclass AND objid = c.oid AND deptype = 'e')
"""


def _in_postgresql(connection: Connection, definitions: bool) -> list[str]:
    """Run the check with ``pg_catalog`` only in the search path, because a foreign operator could hide objects."""
    schema = connection.execute(
        text("SELECT pg_catalog.quote_ident(pg_catalog.current_schema())")
    ).scalar_one()
    seen = text("SELECT pg_catalog.set_config('search_path', :path, true)")
    connection.execute(seen, {"path": "pg_catalog, pg_temp"})
    found = list(_found(connection, schema, definitions))
    connection.execute(seen, {"path": f"{schema}, pg_temp"})
    return found


def _found(connection: Connection, schema: str, definitions: bool) -> Iterator[str]:
    ours = _tables()
    given = {"names": list(ours), "schema": schema}
    for table, what in connection.execute(text(_OF_TABLES), given):
        yield f"table {table}: {what}"
    if definitions:
        yield from _unlike_in_postgresql(connection, ours, given)
    yield from (str(what) for (what,) in connection.execute(text(_IN_SCHEMA), {"schema": schema}))


def _unlike_in_postgresql(
    connection: Connection, ours: dict[str, Table], given: dict[str, Any]
) -> Iterator[str]:
    for table, column, *found in connection.execute(text(_COLUMNS), given):
        if not _column_is_ours(ours[table], column, *found):
            yield f"table {table}: column {column}"
    present = {row[0] for row in connection.execute(text(_PRESENT), given)}
    missing = {(name, key) for name in present for key in _keys(ours[name])}
    for table, index, unique, plain, condition, columns, foreign in connection.execute(text(_INDEXES), given):
        is_key = unique and plain and not condition and tuple(columns) in _keys(ours[table])
        fits = not condition or _condition_is_ours(ours[table], index, condition)
        if foreign or not plain or not fits or unique != is_key:
            yield f"index {index} on {table}"
        elif is_key:
            missing.discard((table, tuple(columns)))
    yield from (f"table {name}: without the key {', '.join(key)}" for name, key in sorted(missing))


_PRESENT = """
SELECT relname::text FROM pg_catalog.pg_class
WHERE relnamespace = CAST(:schema AS regnamespace) AND relkind = 'r' AND relname = ANY(CAST(:names AS text[]))
"""


def _column_is_ours(
    table: Table,
    name: str,
    type_: str,
    not_null: bool,
    default: str,
    made: bool,
    collated: bool,
    builtin: bool,
) -> bool:
    if made or collated or not builtin:
        return False
    column = table.columns.get(name)
    if column is None:  # of another version
        return not (not_null or default)
    own = str(column.type.compile(dialect=_POSTGRESQL))
    kind, length = own.partition("(")[0], "".join(own.partition("(")[1:])
    counted = rf"nextval\('([\w\"]+\.)?{table.name}_{name}_seq'::regclass\)"
    return (
        type_ == _TYPES.get(kind, kind.lower()) + length
        and not_null == (not column.nullable)
        and (not default or (column is table.autoincrement_column and bool(re.fullmatch(counted, default))))
    )


def _keys(table: Table) -> set[tuple[str, ...]]:
    unique = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    return {tuple(column.name for column in key.columns) for key in (table.primary_key, *unique)}


def _condition_is_ours(table: Table, index: str, condition: str) -> bool:
    for one in table.indexes:
        own: Any = one.dialect_options["postgresql"]["where"]
        if one.name == index and own is not None:
            written = str(own.compile(dialect=_POSTGRESQL, compile_kwargs={"literal_binds": True}))
            return _SAME.sub("", written.replace(f"{table.name}.", "")) == _SAME.sub("", condition)
    return False
