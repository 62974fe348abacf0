"""The vault's secret is exchanged completely: after a kill at any step, the next opening finishes it and loses
nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlmodel import SQLModel

import ledger.store.tables.audit
from api.operator.vault import Vault, open_vault, open_vault_and_forget, read_vault, request_rotation
from api.protocol.errors import KeystoreError
from api.protocol.keystore import create_key, key_info, open_secp256k1
from api.runtime.settings import Home
from ledger.audit.log.openings import Opening, OpeningVault, VaultKeyWrong, commit
from ledger.store.engine import open_engine

PASSPHRASE = "correct horse"
PERSONS = [f"person {number}" for number in range(5)]
FILES_AFTER = ["vault.json"]

assert ledger.store.tables.audit


def database(home: Path) -> Engine:
    return open_engine(f"sqlite:///{home / 'ledger.sqlite'}")


def made(path: Path) -> Home:
    return Home(path, "demo", 1, {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A home's keys and database with an opening about each person."""
    home = tmp_path / "home"
    create_key(home / "keys" / "vault.json", "vault", PASSPHRASE, label="vault", demo=True)
    engine = database(home)
    SQLModel.metadata.create_all(engine)
    vault = read_vault(home / "keys" / "vault.json", PASSPHRASE).openings()
    with engine.begin() as conn:
        vault.store(conn, [(i, [commit("q", person, person)]) for i, person in enumerate(PERSONS)])
    engine.dispose()
    return home


def opened(home: Path) -> tuple[Vault, list[dict[str, Opening]]]:
    engine = database(home)
    try:
        vault = open_vault(made(home), PASSPHRASE, engine)
        with engine.connect() as conn:
            return vault, [vault.openings().openings(conn, i) for i in range(len(PERSONS))]
    finally:
        engine.dispose()


def forgotten(home: Path) -> int:
    engine = database(home)
    try:
        return open_vault_and_forget(made(home), PASSPHRASE, engine)
    finally:
        engine.dispose()


def says(openings: list[dict[str, Opening]]) -> list[Any]:
    return [found["q"].value for found in openings]


def key_files(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "keys").iterdir())


def test_rotation_exchanges_the_secret_and_keeps_index_and_pseudonyms(folder: Path) -> None:
    file = folder / "keys" / "vault.json"
    before, bytes_before = read_vault(file, PASSPHRASE), file.read_bytes()
    request_rotation(made(folder))
    after, openings = opened(folder)
    assert says(openings) == PERSONS
    assert after.secret != before.secret
    assert (after.index, after.pseudonyms) == (before.index, before.pseudonyms)
    assert key_files(folder) == FILES_AFTER
    assert bytes_before not in b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert read_vault(file, PASSPHRASE) == after
    assert open_secp256k1(file, PASSPHRASE) == after.secret
    assert key_info(file).demo
    assert os.stat(file).st_mode & 0o077 == 0
    with database(folder).connect() as conn, pytest.raises(VaultKeyWrong):
        before.openings().openings(conn, 0)


def test_rotating_again_and_again_keeps_everything(folder: Path) -> None:
    secrets = set()
    for _ in range(4):
        request_rotation(made(folder))
        vault, openings = opened(folder)
        assert says(openings) == PERSONS
        secrets.add(vault.secret)
    assert len(secrets) == 4


def test_a_vault_whose_kept_keys_were_changed_is_refused(folder: Path) -> None:
    request_rotation(made(folder))
    opened(folder)
    file = folder / "keys" / "vault.json"
    kept = key_info(file).kept
    for forged in ("00" + kept[2:], kept[:-2], "zz"):
        file.write_text(file.read_text().replace(kept, forged))
        with pytest.raises(KeystoreError):
            read_vault(file, PASSPHRASE)
        file.write_text(file.read_text().replace(forged, kept))


def killed_at(step: int, home: Path) -> bool:
    """Rotate in a child that dies before its step number ``step`` on the home's files; whether it died."""
    child = os.fork()
    if child == 0:
        _die_at(step, home)
        engine = database(home)
        event.listen(engine, "commit", lambda _: sys.audit("open", str(home), "", 0))
        open_vault(made(home), PASSPHRASE, engine)
        engine.dispose()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def _die_at(step: int, home: Path) -> None:
    left = iter(range(step, -1, -1))

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name != "open" and not name.startswith("os."):
            return
        if str(home) in str(arguments[:2]) and next(left) == 0:
            os._exit(9)

    sys.addaudithook(hook)


def test_rotation_killed_at_any_step_loses_nothing_and_removes_the_old_key(
    folder: Path, tmp_path: Path
) -> None:
    before = read_vault(folder / "keys" / "vault.json", PASSPHRASE)
    old = (folder / "keys" / "vault.json").read_bytes()
    request_rotation(made(folder))
    for step in _steps():
        home = Path(shutil.copytree(folder, tmp_path / f"killed-{step}"))
        died = killed_at(step, home)
        vault, openings = opened(home)
        assert says(openings) == PERSONS, step
        assert vault.secret != before.secret, step
        assert (vault.index, vault.pseudonyms) == (before.index, before.pseudonyms), step
        assert key_files(home) == FILES_AFTER, step
        for path in home.rglob("*"):
            assert not path.is_file() or old not in path.read_bytes(), (step, path)
        if not died:
            break
    assert step > 15, "every file that is written, renamed or removed is a step"


def test_killed_at_every_step_of_finishing_too(folder: Path, tmp_path: Path) -> None:
    request_rotation(made(folder))
    for step in _steps():
        home = Path(shutil.copytree(folder, tmp_path / f"twice-{step}"))
        died = killed_at(step, home)
        killed_at(step // 2 + 1, home)
        _, openings = opened(home)
        assert says(openings) == PERSONS, step
        assert key_files(home) == FILES_AFTER, step
        if not died:
            break


def test_a_database_older_than_the_vault_is_reported(folder: Path, tmp_path: Path) -> None:
    older = Path(shutil.copy(folder / "ledger.sqlite", tmp_path / "older.sqlite"))
    request_rotation(made(folder))
    opened(folder)
    for file in folder.glob("ledger.sqlite*"):
        file.unlink()
    shutil.copy(older, folder / "ledger.sqlite")
    with pytest.raises(VaultKeyWrong, match="does not open"):
        opened(folder)
    engine = database(folder)
    vault = read_vault(folder / "keys" / "vault.json", PASSPHRASE).openings()
    with engine.begin() as conn:
        conn.execute(text("DELETE FROM audit_subject WHERE tag = :tag"), {"tag": vault.tag(PERSONS[0])})
        conn.execute(text("DELETE FROM audit_opening WHERE tag = :tag"), {"tag": vault.tag(PERSONS[0])})
        vault.store(conn, [(0, [commit("q", PERSONS[0], PERSONS[0])])])
    engine.dispose()
    assert forgotten(folder) == len(PERSONS) - 1
    assert forgotten(folder) == 0
    _, openings = opened(folder)
    assert [[one.value for one in found.values()] for found in openings] == [[PERSONS[0]], [], [], [], []]


def _steps() -> Iterator[int]:
    yield from range(200)


def test_the_index_of_a_vault_that_was_never_rotated_is_the_one_of_before() -> None:
    vault = OpeningVault(bytes(32))
    assert OpeningVault(bytes(32), index_key=vault.index_key).tag("x") == vault.tag("x")
