"""The tables of the database: SQLModel classes that describe rows, one module for each area."""

from __future__ import annotations

from sqlalchemy import Table
from sqlmodel import SQLModel


def table_of(row: type[SQLModel]) -> Table:
    """The table of a row class, for statements in SQLAlchemy's Core."""
    table: Table = row.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
    return table
