"""The edits of rows detect whether the service has written the changed rows again meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlmodel import SQLModel, create_engine

from tests.simulators.edited_rows import Database, Edit, Row, edited

TABLE = SQLModel.metadata.tables["log_head"]
HEAD: Row = {
    "origin": "city", "operator": 1, "quorum": 0, "epoch": 0, "size": 7, "root": "0x11", "time": 900,
    "block_number": 3, "tx_hash": "0x22", "successor": None, "proven": None,
}  # fmt: skip
NEXT = HEAD | {"size": 9, "root": "0x33", "time": 950, "block_number": 4}


@pytest.fixture
def database(tmp_path: Path) -> Database:
    engine = create_engine(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    SQLModel.metadata.create_all(engine)
    engine.dispose()
    found = Database(tmp_path / "rows.sqlite")
    found.replace(TABLE, lambda rows: ([], [HEAD]))
    return found


@pytest.mark.parametrize(
    ("kind", "written", "mended"),
    [
        ("zero", [NEXT], True),
        ("zero", [HEAD], True),
        ("zero", [HEAD | {"size": 9, "time": 0}], False),
        ("zero", None, False),
        ("deleted", None, False),
        ("deleted", [NEXT], True),
        ("copied", None, False),
        ("copied", [HEAD], True),
    ],
)
def test_change_counts_as_undone_when_nothing_of_it_remains(
    database: Database, kind: str, written: list[Row] | None, mended: bool
) -> None:
    """Regression: the next anchor writes the head's row again with another time, which was counted as an
    unnoticed change."""
    with edited(database, Edit("log_head", "time" if kind == "zero" else "", kind), TABLE) as change:
        if written is not None:
            database.replace(TABLE, lambda rows: (rows, written))
    assert change.mended is mended
    assert database.rows(TABLE) == (
        [NEXT] if written == [NEXT] else [HEAD | {"size": (written or [HEAD])[0]["size"]}]
    )
