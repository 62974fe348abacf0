"""Rows of a local file as text, which its steward checks before signing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from access_policy.privacy.cells import quote
from access_policy.privacy.execution.engine import fetch, open_beside, physical_types
from access_policy.privacy.execution.inference import ROW, located
from access_policy.privacy.schema import AssetSchema
from access_policy.privacy.sql import Statement, read_file


def rows_as_text(
    path: str | Path,
    columns: Sequence[str],
    *,
    first: int,
    others: Collection[int] = (),
    missing: tuple[str, ...] = ("",),
) -> Mapping[int, tuple[str | None, ...]]:
    """The first rows and those with the numbers ``others`` (from 1), by number: the cells of these columns, None if missing.

    Raises SourceError.
    """
    real, file_format = located(path)
    with open_beside(str(real)) as connection:
        physical = physical_types(connection, str(real), file_format)
        statement = Statement()
        schema = AssetSchema((), missing_values=missing)
        reader = read_file(statement, str(real), file_format, schema, tuple(physical))
        cells = ", ".join(f"CAST({quote(name)} AS VARCHAR)" for name in columns)
        limit = statement.bind(first)
        also = ", ".join(str(int(number)) for number in others) or "NULL"
        numbered = f"SELECT row_number() OVER () AS {ROW}, * FROM {reader}"  # noqa: S608
        text = f"SELECT {ROW}, {cells} FROM ({numbered}) WHERE {ROW} <= {limit} OR {ROW} IN ({also})"  # noqa: S608
        found = fetch(connection, text, statement)
    return {
        number: tuple(None if one is None else str(one) for one in cells) for number, *cells in sorted(found)
    }
