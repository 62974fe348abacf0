"""A database of an earlier version goes on: what came later is added, empty."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import SQLModel

import ledger.store.tables.calls  # noqa: F401 - registers its tables
from ledger import releases
from ledger.releases import Release
from ledger.store.engine import open_engine
from ledger.store.upgrade import StoreTooOld, add_missing_columns

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OLD = Release(
    "r-1", "k", "key-1", "", 7, "7.1", "0xg", "p", "read", "h", "json", "done", "e-1", NOW, NOW, 1, 2, "d"
)


def test_columns_that_came_later_are_added_and_empty(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    SQLModel.metadata.create_all(engine)
    assert add_missing_columns(engine) == []
    with engine.begin() as connection:
        releases.open_release(connection, OLD)
        for name in ("version", "metadata_hash"):
            connection.exec_driver_sql(f"ALTER TABLE release DROP COLUMN {name}")
    assert add_missing_columns(engine) == ["release.version", "release.metadata_hash"]
    with engine.begin() as connection:
        assert releases.get(connection, "r-1") == OLD


def test_a_column_that_cannot_be_empty_is_not_made_up(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    SQLModel.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE release DROP COLUMN plan_hash")
    with pytest.raises(StoreTooOld):
        add_missing_columns(engine)
