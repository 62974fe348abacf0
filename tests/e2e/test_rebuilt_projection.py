"""One command repairs the rows of the projection that fsck reports as changed."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from api.cli.main import main
from api.demo.participants import PASSPHRASE


def civic(*arguments: object, code: int = 0) -> dict[str, Any]:
    with patch.dict(os.environ, {"CIVIC_PASSPHRASE": PASSPHRASE}), redirect_stdout(io.StringIO()) as out:
        assert main([*map(str, arguments), "--json"]) == code, out.getvalue()
    document: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return document


def test_rebuild_restores_deleted_rows_without_new_entries(home: Path) -> None:
    civic("chain", "rebuild", "--home", home)  # The projection of this home may not include its last block.
    before = civic("audit", "fsck", "--home", home)
    with closing(sqlite3.connect(home / "ledger.sqlite")) as database, database:
        assert database.execute("DELETE FROM admission").rowcount
    damaged = civic("audit", "fsck", "--home", home, code=1)
    assert {one["code"] for one in damaged["damage"]} == {"fsck.projection"}
    assert civic("chain", "rebuild", "--home", home)["events"]
    assert civic("audit", "fsck", "--home", home) == before
