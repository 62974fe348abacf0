"""``civic upgrade`` and every other command on a home of version 0.1, and on one of a later version."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import api.operator.upgrade
from api.runtime.home_lock import locked_home
from ledger.store.revisions import newest
from tests.api.cli.conftest import Run
from tests.api.cli.test_homes import OF_THE_LOG
from tests.simulators.version_0_1 import files_of, unpacked_home

OF_THE_DATABASE = (
    *OF_THE_LOG,
    ("audit", "rotate-vault"),
    ("audit", "archive", "{home}/audit-bundle.tar"),
    ("audit", "expire"),
)
"""Commands that open the home's database."""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked_home(tmp_path_factory.mktemp("unpacked"))


@pytest.fixture
def home(unpacked: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(unpacked, tmp_path / "city"))


def revision_in(home: Path) -> str:
    with sqlite3.connect(home / "ledger.sqlite") as database:
        return str(database.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def words_of(command: tuple[str, ...], home: Path) -> list[str]:
    return [*(word.format(new=home.parent / "new", home=home) for word in command), "--home", str(home)]


@pytest.mark.parametrize("command", OF_THE_DATABASE, ids=" ".join)
def test_a_home_of_version_0_1_is_refused_and_not_changed(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CIVIC_TIMESTAMP_URL", "http://127.0.0.1:9/tsr")
    monkeypatch.setenv("CIVIC_TIMESTAMP_ROOTS", str(home / "trust.json"))
    before, mode = files_of(home), (home / "civic.json").stat().st_mode
    done = run(*words_of(command, home), "--json")
    assert (done.code, done.error["code"]) == (1, "store.older")
    assert "civic upgrade" in done.error["hint"]
    assert files_of(home) == before
    assert (home / "civic.json").stat().st_mode == mode
    assert not (home.parent / "city.high-water").exists()


def in_chinese(*words: str) -> str:
    """All that a command says; a process has one language."""
    command = [sys.executable, "-m", "api.cli.main", "--lang", "zh", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


def test_refusal_and_upgrade_are_said_in_chinese_too(home: Path) -> None:
    refused = in_chinese("audit", "fsck", "--home", str(home))
    assert "store.older" in refused
    assert "数据库属于较早的版本" in refused
    assert "civic upgrade" in refused
    upgraded = in_chinese("upgrade", "--home", str(home))
    assert "已执行 1 项迁移" in upgraded
    assert "变更前" in upgraded
    assert "before" not in upgraded


@pytest.mark.parametrize("command", [*OF_THE_DATABASE, ("upgrade",)], ids=" ".join)
def test_a_home_of_a_later_version_is_refused_and_not_changed(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CIVIC_TIMESTAMP_URL", "http://127.0.0.1:9/tsr")
    monkeypatch.setenv("CIVIC_TIMESTAMP_ROOTS", str(home / "trust.json"))
    assert run("upgrade", "--home", home, "--json").code == 0
    with sqlite3.connect(home / "ledger.sqlite") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    before = files_of(home)
    done = run(*words_of(command, home), "--json")
    assert (done.code, done.error["code"]) == (1, "store.newer")
    assert files_of(home) == before


def test_the_upgrade_says_what_it_did_and_the_second_that_there_is_nothing_to_do(
    run: Run, home: Path
) -> None:
    first = run("upgrade", "--home", home, "--json").document
    assert (first["before"], first["after"], first["database"]) == ("0001", newest(), "ledger.sqlite")
    assert [one["revision"] for one in first["migrations"]] == [newest()]
    assert all(one["en"] and one["zh"] for one in first["migrations"])
    second = run("upgrade", "--home", home)
    assert second.code == 0
    assert "this version already" in second.out


def test_only_the_database_is_changed(run: Run, home: Path) -> None:
    before = files_of(home)
    assert run("upgrade", "--home", home).code == 0
    after = files_of(home)
    assert {name for name in before | after if before.get(name) != after.get(name)} == {"ledger.sqlite"}


def test_while_a_service_runs_nothing_is_upgraded(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.operator.upgrade, "WAIT_S", 0.2)
    before = files_of(home)
    with locked_home(home):
        done = run("upgrade", "--home", home, "--json")
    assert (done.code, done.error["code"]) == (1, "home.locked")
    assert files_of(home) == before


def test_two_concurrent_upgrades_both_succeed(home: Path) -> None:
    command = [sys.executable, "-m", "api.cli.main", "upgrade", "--home", str(home), "--json"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [json.loads(one.communicate(timeout=120)[0]) for one in both]
    assert sorted(len(one["migrations"]) for one in said) == [0, 1]
    assert revision_in(home) == newest()


def test_a_home_whose_tables_were_never_filled_is_upgraded_as_well(run: Run, home: Path) -> None:
    """A service that ended between making the tables and its first entry."""
    with sqlite3.connect(home / "ledger.sqlite") as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            database.execute(f'DELETE FROM "{name}"')
    database.close()
    (home / "log-high-water-1").unlink()
    assert run("audit", "fsck", "--home", home, "--json").error["code"] == "home.database-missing"
    assert run("upgrade", "--home", home, "--json").document["after"] == newest()


def test_a_home_without_a_database_has_nothing_to_upgrade(run: Run, home: Path) -> None:
    (home / "ledger.sqlite").unlink()
    done = run("upgrade", "--home", home, "--json")
    assert (done.code, done.error["code"]) == (1, "home.database-missing")
    assert not (home / "ledger.sqlite").exists()


def test_a_newly_made_home_is_of_the_newest_revision(run: Run, tmp_path: Path) -> None:
    """Made by the service that begins the log, with the tables and their revision in one transaction."""
    from api.operator.installation import initialise
    from api.operator.wiring import open_gateway
    from api.runtime.settings import Settings

    home = tmp_path / "new"
    initialise(Settings(home=home), "a passphrase", council=["0x" + "11" * 20], threshold=1, mode="demo")
    (home / "keys" / "demo-passphrase").write_text("a passphrase\n")
    with open_gateway(Settings(home=home), chores=False) as gateway:
        assert gateway.deployment.edition == 2
    assert revision_in(home) == newest()
    assert run("upgrade", "--home", home, "--json").document["migrations"] == []
