"""A database belongs to one home, and one service at a time; a copied home does not share it."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from api.operator.gateway import Gateway
from api.operator.homes import ChainOlder, HomeContradicted
from api.operator.installation import initialise
from api.operator.wiring import open_gateway
from api.protocol.keystore import open_secp256k1
from api.runtime.settings import Settings, read_home
from ledger.chain.transactions import address_of, sign_transaction
from ledger.projection.commit import read_cursor
from ledger.store.engine import StoreLinked
from ledger.store.sole import StoreHeld
from tests.api.cli.conftest import Run

PASSPHRASE = "a demo's passphrase is public"


def made(path: Path) -> Path:
    initialise(Settings(home=path), PASSPHRASE, council=["0x" + "11" * 20], threshold=1, mode="demo")
    (path / "keys" / "demo-passphrase").write_text(PASSPHRASE + "\n")
    return path


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("fresh") / "city")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database outside of every home, named by the environment."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'shared.sqlite'}"
    else:
        url = str(request.getfixturevalue("postgres_url"))
    monkeypatch.setenv("CIVIC_DATABASE_URL", url)
    return url


@pytest.fixture
def home(fresh: Path, tmp_path: Path, elsewhere: str) -> Path:
    """A home whose service ran once on the database."""
    copy = Path(shutil.copytree(fresh, tmp_path / "city"))
    with open_gateway(Settings(home=copy), chores=False) as gateway:
        must_follow(gateway, gateway.chain.head().number)
    return copy


def test_a_copied_home_does_not_serve_beside_the_first(home: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(home, tmp_path / "copy"))
    with open_gateway(Settings(home=home), chores=False) as gateway:
        size = gateway.log.size
        with pytest.raises(StoreHeld), open_gateway(Settings(home=copy), chores=False):
            pass
        assert gateway.log.size == size


def test_a_copy_with_an_older_chain_does_not_undo_what_the_database_followed(
    run: Run, home: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(home, tmp_path / "copy"))
    with open_gateway(Settings(home=home), chores=False) as gateway:
        must_follow(gateway, mine(gateway))
    with pytest.raises(ChainOlder), open_gateway(Settings(home=copy), chores=False):
        pass
    with open_gateway(Settings(home=home), chores=False) as gateway:
        size = gateway.log.size
    said = run("home", "move", "--home", copy, "--older-chain", "--json")
    assert said.code == 0, said.out
    with open_gateway(Settings(home=copy), chores=False) as gateway:
        assert gateway.log.size >= size


def test_two_homes_with_two_names_of_one_file_are_refused(run: Run, fresh: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(fresh, tmp_path / "city"))
    with open_gateway(Settings(home=home), chores=False):
        pass
    copy = Path(shutil.copytree(home, tmp_path / "copy"))
    second = copy / "ledger.sqlite"

    def link() -> None:
        second.unlink()
        os.link(home / "ledger.sqlite", second)

    with open_gateway(Settings(home=home), chores=False) as gateway:
        size = gateway.log.size
        link()  # while it runs
        with pytest.raises(StoreLinked), open_gateway(Settings(home=copy), chores=False):
            pass
        refused = run("audit", "fsck", "--home", copy, "--json")
        assert (refused.code, refused.error["code"]) == (1, "store.linked")
        assert gateway.log.size == size
    with pytest.raises(StoreLinked), open_gateway(Settings(home=home), chores=False):
        pass
    second.unlink()
    with open_gateway(Settings(home=home), chores=False) as gateway:
        assert gateway.log.size >= size


def test_another_home_is_refused_by_every_command(run: Run, home: Path, tmp_path: Path) -> None:
    other = made(tmp_path / "other")
    with pytest.raises(HomeContradicted), open_gateway(Settings(home=other), chores=False):
        pass
    for command in (("audit", "fsck"), ("audit", "publish", "--to", tmp_path / "to"), ("home", "move")):
        refused = run(*command, "--home", other, "--json")
        assert (refused.code, refused.error["code"]) == (1, "home.contradicted"), command
    for command in (("audit", "rotate-vault"), ("audit", "erase", *_PERSON)):
        refused = run(*command, "--home", other, "--json")
        assert (refused.code, refused.error["code"]) == (1, "home.contradicted"), command
    with open_gateway(Settings(home=home), chores=False):
        pass


_PERSON = ("--asset", "7.1", "--subject", "x", "--officer", "0x" + "11" * 20)


def test_commands_that_need_the_service_stopped_are_refused_from_a_copy(
    run: Run, home: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(home, tmp_path / "copy"))
    with open_gateway(Settings(home=home), chores=False):
        for command in (("audit", "rotate-vault"), ("audit", "erase", *_PERSON), ("home", "move")):
            refused = run(*command, "--home", copy, "--json")
            assert (refused.code, refused.error["code"]) == (1, "store.held"), command


def test_a_home_of_an_earlier_version_gets_its_identity_once(home: Path) -> None:
    document = json.loads((home / "civic.json").read_text())
    identity = document.pop("id")
    assert len(identity) == 32
    (home / "civic.json").write_text(json.dumps(document))
    with open_gateway(Settings(home=home), chores=False):
        pass
    assert read_home(home).id == identity, "the database knows it"


def must_follow(gateway: Gateway, block: int) -> None:
    """Wait until the database has followed the chain to this block."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with gateway.reading.connect() as connection:
            cursor = read_cursor(connection)
        if cursor is not None and cursor.block_number >= block:
            return
        time.sleep(0.05)
    raise AssertionError(f"block {block} was not followed")


def mine(gateway: Gateway) -> int:
    """One more block, by a transaction of the relayer to itself; its number."""
    chain = gateway.chain
    secret = open_secp256k1(gateway.home.keys / "relayer.json", PASSPHRASE)
    sender = address_of(secret)
    fees, nonce = chain.fees(), chain.nonce(sender)
    sent = chain.send(sign_transaction(secret, chain.chain_id, nonce, sender, b"", 100_000, fees))
    return chain.wait(sent, 30.0).block_number
