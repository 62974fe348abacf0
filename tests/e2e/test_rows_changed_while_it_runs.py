"""Rows of every table are changed, duplicated and deleted under a running service: no additional data are released,
nothing crashes, and docs/edited-rows.md says what detects it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import pytest
from sqlmodel import SQLModel

from tests.simulators.city import founded_home, open_city
from tests.simulators.edit_walk import Seen, page, settled, walked, write_page
from tests.simulators.edited_rows import EVERY, Database, Edit, edits_of
from tests.simulators.watched_city import WatchedCity

TABLES = SQLModel.metadata.tables
NAMES = sorted(TABLES, key=lambda name: (name == "grant_charge", name))
"""Charges come last, because a charge on top of a changed number remains, and fsck reports it from then
on."""
ENDS_IT = "store_instance"
"""Another term in it belongs to another service: on PostgreSQL this service stops and reports it
(`tests/ledger/store/test_sole.py`)."""
SETTLES_AFTER = 12
"""The number of changes after which everything must be restored."""
WRITES = "CIVIC_WRITE_EDITED_ROWS"
"""If it is set, the results are added to the page."""


@contextmanager
def watched_city(home: Path) -> Iterator[WatchedCity]:
    city = open_city(home)
    try:
        yield WatchedCity.open(city)
    finally:
        city.service.stop()


def sample(names: Sequence[str], sqlite: bool) -> list[Edit]:
    """Change every column of these tables at once; then, on SQLite, add or delete rows, or change one column
    in ways that only SQLite permits."""
    found = []
    for place, name in enumerate(names):
        found.append(Edit(name, "", EVERY))
        if sqlite:
            every = sorted(edits_of(TABLES[name], True), key=lambda one: crc32(str(one).encode()))
            found.append(next(one for one in every if (one.column == "") == (place % 2 == 0)))
    return found


def walk(watched: WatchedCity, database: Database, edits: Sequence[Edit], *, writes: bool = False) -> None:
    """Make each change, and after some of them check that everything is restored."""
    seen: list[Seen] = []
    faults: list[str] = []
    told = page()
    for place, edit in enumerate(edits):
        one = walked(watched, database, edit)
        if one is not None:
            seen.append(one)
            faults += [f"{edit}: {fault}" for fault in one.faults]
        if place % SETTLES_AFTER == SETTLES_AFTER - 1 or place == len(edits) - 1:
            left = settled(watched)
            faults += [f"after {edit}: {left}"] if left else []
            watched.crashes()
    if writes or os.environ.get(WRITES):
        write_page(seen)
    else:
        refusals = frozenset().union(*(line.call for line in told.values()))
        lacking = (
            told[one.edit.table].lacks(one, refusals) if one.edit.table in told else str(one.edit)
            for one in seen
        )
        faults += [line for line in lacking if line]
    assert not faults, "\n".join(faults)


def test_the_page_has_every_table() -> None:
    assert set(page()) == set(TABLES)


@pytest.fixture(scope="module")
def watched(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedCity]:
    with watched_city(Path(shutil.copytree(founded, tmp_path_factory.mktemp("watched") / "city"))) as found:
        yield found


@pytest.mark.timeout(900)
@pytest.mark.parametrize("half", [0, pytest.param(1, marks=pytest.mark.drill)])
def test_every_column_and_some_rows_of_every_table(half: int, watched: WatchedCity) -> None:
    names = NAMES[half::2]
    walk(watched, Database(watched.city.home / "ledger.sqlite"), sample(names, True))


@pytest.mark.drill
@pytest.mark.timeout(900)
@pytest.mark.needs("postgresql")
def test_every_column_of_every_table_on_postgresql(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIC_DATABASE_URL", postgres_url)
    with watched_city(founded_home(tmp_path / "city")) as watched:
        walk(watched, Database(postgres_url), sample([name for name in NAMES if name != ENDS_IT], False))


@pytest.mark.drill
@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_change_of_every_table(name: str, founded: Path, tmp_path: Path) -> None:
    with watched_city(Path(shutil.copytree(founded, tmp_path / "city"))) as watched:
        walk(
            watched, Database(watched.city.home / "ledger.sqlite"), edits_of(TABLES[name], True), writes=True
        )


@pytest.mark.drill
@pytest.mark.needs("postgresql")
def test_every_change_of_every_table_on_postgresql(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVIC_DATABASE_URL", postgres_url)
    with watched_city(founded_home(tmp_path / "city")) as watched:
        edits = [edit for name in NAMES if name != ENDS_IT for edit in edits_of(TABLES[name], False)]
        walk(watched, Database(postgres_url), edits, writes=True)
