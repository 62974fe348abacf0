"""A database of an earlier version gets the columns that came later.

Only columns that may be empty are ever added: what an earlier version wrote stays as it was.
"""

from __future__ import annotations

from sqlalchemy import Engine, inspect, text
from sqlalchemy.schema import CreateColumn
from sqlmodel import SQLModel

from ledger.errors import LedgerError


class StoreTooOld(LedgerError):
    """A table lacks a column that cannot be empty."""

    code = "store.version"


def add_missing_columns(engine: Engine) -> list[str]:
    """Add to every table the columns it lacks; their names, ``table.column``. StoreTooOld when one cannot be empty."""
    added = []
    with engine.begin() as connection:
        found = inspect(connection)
        for table in SQLModel.metadata.sorted_tables:
            present = {column["name"] for column in found.get_columns(table.name)}
            for column in table.columns:
                if column.name in present:
                    continue
                if not column.nullable:
                    raise StoreTooOld(
                        f"the table {table.name} lacks the column {column.name}",
                        hint="use the version of civic that made this database",
                    )
                described = CreateColumn(column).compile(engine)
                quoted = engine.dialect.identifier_preparer.format_table(table)
                connection.execute(text(f"ALTER TABLE {quoted} ADD COLUMN {described}"))
                added.append(f"{table.name}.{column.name}")
    return added
