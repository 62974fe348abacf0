"""Every column of every table is changed by a person who can write the database: the detection is the one in
`docs/threat-model.md`."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Table
from sqlmodel import SQLModel

import ledger.store.tables.audit
import ledger.store.tables.calls
import ledger.store.tables.instance
import ledger.store.tables.outbox
import ledger.store.tables.projection
import ledger.store.tables.requests  # noqa: F401 - all tables
from api.cli.commands.audit_keeping import fsck
from api.demo.governing import AIR_POLICY, PENSION_CHECK
from api.demo.participants import ELDER_CARE, PLANNING
from api.runtime.settings import HomeError
from tests.simulators.city import open_city
from tests.simulators.edited_rows import another

PAGE = Path(__file__).parents[2] / "docs" / "threat-model.md"
NOBODY = "nobody"
LINE = re.compile(r"\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|")


def documented_codes() -> dict[str, str]:
    """By ``table.column``: the code with which `civic audit fsck` reports its change, or "nobody"."""
    text = PAGE.read_text().partition("## Whoever writes the database")[2]
    found: dict[str, str] = {}
    for table, columns, _, noticed in LINE.findall(text):
        if table not in SQLModel.metadata.tables:
            continue
        named = [column.name for column in SQLModel.metadata.tables[table].columns]
        chosen = re.findall(r"`(\w+)`", columns)
        if columns.strip() in ("all", "others"):
            chosen = [name for name in named if f"{table}.{name}" not in found]
        code = next(iter(re.findall(r"`((?:fsck|home)\.[a-z]+)`", noticed)), NOBODY)
        for name in chosen:
            assert f"{table}.{name}" not in found, f"{table}.{name} stands on the page twice"
            found[f"{table}.{name}"] = code
    return found


@pytest.fixture(scope="module")
def stopped(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a stopped city that was used before."""
    home = Path(shutil.copytree(founded, tmp_path_factory.mktemp("columns") / "city"))
    city = open_city(home)
    civic = city.of(PLANNING).civic
    air: dict[str, Any] = {"columns": ["pm25"], "limit": 1}
    civic.read(city.assets["air_quality"], AIR_POLICY, air, idempotency_key="the-first-key-of-all")
    one = {"columns": ["citizen_id"], "where": {"column": "citizen_id", "op": "eq", "value": "1001"}}
    city.of(ELDER_CARE).civic.read(city.assets["population_register"], PENSION_CHECK, one)
    city.service.stop()
    return home


def codes(home: Path) -> set[str]:
    try:
        said = fsck(home).document
    except HomeError as refused:
        return {refused.code}
    return {str(one["code"]) for one in said["damage"]}


@contextmanager
def changed(database: sqlite3.Connection, table: Table, column: Column[Any]) -> Iterator[None]:
    """Change this column of the newest row, and restore it afterwards."""
    names = [each.name for each in table.columns]
    quoted = ", ".join(f'"{name}"' for name in names)
    order = ", ".join(f'"{key.name}" DESC' for key in table.primary_key)
    rows = database.execute(f'SELECT {quoted} FROM "{table.name}" ORDER BY {order} LIMIT 1').fetchall()
    before = list(rows[0]) if rows else None
    after = list(before) if before else [another(None, each) for each in table.columns]
    if before:
        at = names.index(column.name)
        after[at] = another(before[at], column)
    keys = [names.index(key.name) for key in table.primary_key]

    def replace(old: list[Any] | None, new: list[Any] | None) -> None:
        if old:
            where = " AND ".join(f'"{names[key]}" = ?' for key in keys)
            database.execute(f'DELETE FROM "{table.name}" WHERE {where}', [old[key] for key in keys])
        if new:
            marks = ", ".join("?" * len(names))
            database.execute(f'INSERT INTO "{table.name}" ({quoted}) VALUES ({marks})', new)

    try:
        replace(before, after)
        yield
    finally:
        replace(after, before)


def test_the_page_names_every_column_once() -> None:
    every = {f"{t.name}.{c.name}" for t in SQLModel.metadata.tables.values() for c in t.columns}
    assert set(documented_codes()) == every


@pytest.mark.drill
@pytest.mark.parametrize("name", sorted(SQLModel.metadata.tables))
def test_fsck_reports_changed_columns_as_documented(name: str, stopped: Path) -> None:
    told, table = documented_codes(), SQLModel.metadata.tables[name]
    measured: dict[str, str] = {}
    with sqlite3.connect(stopped / "ledger.sqlite", isolation_level=None, timeout=30) as database:
        for column in table.columns:
            expected = told[f"{name}.{column.name}"]
            with changed(database, table, column):
                found = codes(stopped)
            measured[column.name] = expected if expected in found else ", ".join(sorted(found)) or NOBODY
        assert codes(stopped) == set(), "everything was put back"
    assert measured == {column.name: told[f"{name}.{column.name}"] for column in table.columns}, json.dumps(
        measured, indent=1
    )
