"""A chain behind RPC is restored from a backup and makes no blocks of its own. The operator states it, and the
service continues. Grants revoked in the missing blocks stay revoked."""

from __future__ import annotations

import io
import json
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from api.cli.main import main
from api.demo.city import City
from api.demo.governing import AIR_POLICY
from api.demo.participants import AUDIT, ENVIRONMENT, PASSPHRASE, PLANNING
from api.sdk.drafts import draft_revocation, sign_act
from api.sdk.errors import ServiceProblem
from ledger.chain.embedded import EmbeddedChain
from ledger.chain.embedded.serve import serve_chain
from tests.simulators.city import open_city


class Chain:
    """The chain of a home at one address, as ``civic chain serve`` serves it."""

    def __init__(self, home: Path) -> None:
        self.file, self.kept = home / "chain.sqlite", home.parent / "kept.sqlite"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.open()

    def open(self) -> None:
        self.chain = EmbeddedChain.open(self.file)
        self.server = serve_chain(self.chain, port=self.port)

    def close(self) -> None:
        self.server.close()
        self.chain.close()

    def back_up(self) -> None:
        with closing(sqlite3.connect(self.file)) as here, closing(sqlite3.connect(self.kept)) as there:
            here.backup(there)

    def restore(self) -> None:
        self.close()
        for one in self.file.parent.glob("chain.sqlite*"):
            if one.suffix != ".lock":
                one.unlink()
        self.kept.rename(self.file)
        self.open()


@pytest.fixture
def chain(home: Path) -> Iterator[Chain]:
    opened = Chain(home)
    yield opened
    opened.close()


def civic(*arguments: object, code: int = 0, **environment: str) -> dict[str, Any]:
    environment |= {"CIVIC_PASSPHRASE": PASSPHRASE}
    with patch.dict(os.environ, environment), redirect_stdout(io.StringIO()) as out:
        assert main([*map(str, arguments), "--json"]) == code, out.getvalue()
    document: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return document.get("error", document)


def until(what: Callable[[], object], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.1)


def revoke(city: City, grant: str) -> str:
    """The state of the act, or the code of its refusal."""
    signed = sign_act(draft_revocation(grant), city.trust, [city.of(ENVIRONMENT).secrets["steward"]])
    try:
        return str(city.of(ENVIRONMENT).civic.act(signed.type, signed.message, signed.signatures)["state"])
    except ServiceProblem as refused:
        return refused.code


def read(city: City) -> str:
    try:
        city.of(PLANNING).civic.read(city.assets["air_quality"], AIR_POLICY, {"limit": 1})
    except ServiceProblem as refused:
        return refused.reasons[0] if refused.reasons else refused.code
    return ""


def test_restored_chain_continues_and_revoked_grants_stay_revoked(home: Path, chain: Chain) -> None:
    city = open_city(home, CIVIC_RPC_URL=chain.url)
    try:
        assert read(city) == ""
        chain.back_up()
        old = chain.chain.head()
        assert revoke(city, city.grants["air-planning"]) == "recorded"
        assert read(city) == "grant.revoked"
        followed = city.of(AUDIT).civic.status()["chain"]["followed"]
        chain.restore()
        assert chain.chain.head() == old
        until(lambda: city.of(AUDIT).civic.status()["work"]["acts"] == "chain.went_back")
        assert revoke(city, city.grants["air-education"]) == "chain.went_back"
    finally:
        city.service.stop()

    asked: dict[str, str] = {"CIVIC_RPC_URL": chain.url}
    told = civic("chain", "restored", "--home", home, **asked)
    assert not told["done"]
    assert (told["block"], told["block_hash"], told["read"]) == (old.number, old.hash, followed)
    assert told["events"]["Revoked"] == 1
    refused = civic("chain", "restored", "--home", home, "--block", "0x" + "ab" * 32, code=1, **asked)
    assert refused["code"] == "chain.not_restored"
    done = civic("chain", "restored", "--home", home, "--block", told["block_hash"], **asked)
    assert done["done"]
    assert [one["event"] for one in done["held"]] == ["Revoked"]
    again = civic("chain", "restored", "--home", home, "--block", told["block_hash"], code=1, **asked)
    assert again["code"] == "chain.not_restored", "there is nothing to take back any more"

    city = open_city(home, CIVIC_RPC_URL=chain.url)
    try:
        assert read(city) == "grant.revoked", "held, or carried to the chain again: never alive"
        auditor = city.of(AUDIT).civic
        until(lambda: not auditor.status()["held"])
        assert read(city) == "grant.revoked"
        assert set(auditor.status()["work"].values()) == {None}
    finally:
        city.service.stop()
    with sqlite3.connect(f"file:{home / 'ledger.sqlite'}?mode=ro", uri=True) as database:
        leaves = [
            json.loads(leaf) for (leaf,) in database.execute("SELECT leaf FROM audit_entry ORDER BY idx")
        ]
    kinds = [leaf["type"] for leaf in leaves]
    stated = kinds.index("log:chain:restored")
    assert leaves[stated]["facts"]["block_hash"] == old.hash
    assert kinds[stated + 1] == "chain:reorg:reverted"
    assert kinds[:stated].count("chain:grant:revoked") == kinds[stated:].count("chain:grant:revoked") == 1
    assert civic("audit", "fsck", "--home", home, **asked)["ok"]
