"""Reorganisations: records of a lost block are undone by compensating entries, and acts are sent again."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel

from ledger import requests
from ledger.audit.formats.events import read_event
from ledger.audit.log.search import Query
from ledger.audit.log.writer import JobResult
from ledger.chain.errors import ChainUnreachable
from ledger.chain.rpc import RpcChain
from ledger.grants.uses_in_log import UsesInLog
from ledger.lost.holds import held_targets, register_log_facts
from ledger.outbox import ActNotifier
from ledger.projection import queries
from ledger.projection.rebuild import LogAhead, differences, rebuild
from ledger.store.engine import open_engine, reader
from ledger.store.tables.outbox import OutboxTransactionRow

ROOT = Path(__file__).resolve().parents[3]
KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
"""The first account of Foundry's public test mnemonic."""

pytestmark = pytest.mark.needs("anvil")

Rpc = Callable[..., Any]


@pytest.fixture
def anvil() -> Iterator[tuple[RpcChain, Rpc]]:
    """An independent node, and calls of methods that only development nodes have."""
    (binary,) = (ROOT / "contracts/node_modules/@foundry-rs").glob("anvil-*/bin/anvil")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([str(binary), "--port", str(port), "--silent"])

    def rpc(method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            document = json.load(answer)
        assert "error" not in document, document
        return document["result"]

    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                chain = RpcChain.discover(url)
                break
            except ChainUnreachable:
                assert time.monotonic() < deadline, "anvil does not come up"
                time.sleep(0.05)
        yield chain, rpc
    finally:
        process.terminate()
        process.wait(10)


def logged(city: Any, kind: str) -> list[Any]:
    return [read_event(hit.leaf) for hit in city.log.search(Query(type_prefix=kind), limit=500).hits]


def test_outbox_and_follower_work_on_anvil(make_city: Any, tools: Any, anvil: Any) -> None:
    chain, _ = anvil
    city = make_city(chain, KEY)
    city.follow()
    granted = city.grant(tools.AIR, 9)
    accepted = city.accept(granted)
    notifier = ActNotifier(city.engine)
    with city.relayer(notifier, poll_s=0.02), city.follower(notifier=notifier, poll_s=0.02):
        assert notifier.wait(accepted.id, 20).state == "recorded"
        revoked = city.accept(city.revocation(tools.grant_id(granted), "7:steward"))
        assert notifier.wait(revoked.id, 20).state == "recorded"
    with reader(city.engine).connect() as connection:
        grant = queries.grant(connection, tools.grant_id(granted))
    assert grant is not None
    assert grant.status == "revoked"


def test_lost_block_is_compensated_and_its_act_is_sent_again(
    make_city: Any, tools: Any, anvil: Any, tmp_path: Path
) -> None:
    chain, rpc = anvil
    city = make_city(chain, KEY)
    city.follow()
    before = rpc("evm_snapshot")
    kept = city.log.size
    draft = requests.Draft(
        uuid4(), 9, tools.AIR, "dpv:PublicBenefit", "a law", city.moment(), city.moment() + timedelta(days=9)
    )

    def ask(connection: Any) -> JobResult[None]:
        requests.submit(connection, draft, provider=7, actor="key-9", now=city.moment())
        return JobResult(None)

    def asked() -> Any:
        with reader(city.engine).connect() as connection:
            return requests.find_request(connection, draft.id)

    city.writer.submit(ask).result()
    granted = city.grant(tools.AIR, 9, request=str(draft.id))
    grant = tools.grant_id(granted)
    accepted = city.accept(granted)
    notifier = ActNotifier(city.engine)
    relayer, follower = city.relayer(notifier), city.follower(notifier=notifier)
    for _ in range(3):
        relayer.step()
        follower.step()
    first = notifier.find(accepted.id)
    assert first is not None
    assert first.state == "recorded"
    assert city.log.size == kept + 2
    assert (asked().state, asked().grant_id) == ("granted", grant)

    # The node drops the block and mines others instead.
    assert rpc("evm_revert", before)
    rpc("anvil_mine", hex(3))
    progress = follower.step()
    assert progress is not None
    assert progress.rolled_back
    (compensation,) = logged(city, "chain:reorg:reverted")
    assert compensation.facts["reverts"] == str(first.entry_id)
    assert compensation.grant == grant
    with reader(city.engine).connect() as connection:
        assert queries.grant(connection, grant) is None
    undone = notifier.find(accepted.id)
    assert undone is not None
    assert (undone.state, undone.entry_id) == ("submitted", None)
    assert (asked().state, asked().grant_id) == ("submitted", None)

    # The restarted relayer sends the same bytes again; the second entry is a separate one.
    relayer = city.relayer(notifier)
    for _ in range(3):
        relayer.step()
        while follower.step():
            pass
    again = notifier.find(accepted.id)
    assert again is not None
    assert again.state == "recorded"
    entries = logged(city, "chain:grant:granted")
    assert [entry.id for entry in entries] == [first.entry_id, again.entry_id]
    assert first.entry_id != again.entry_id
    assert (asked().state, asked().grant_id) == ("granted", grant)
    fresh = open_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    SQLModel.metadata.create_all(fresh)
    rebuild(chain, fresh, city.deployment)
    assert differences(city.engine, fresh) == []
    fresh.dispose()


def test_rebuild_keeps_revocations_of_a_replaced_block(make_city: Any, tools: Any, anvil: Any) -> None:
    """The chain's operator replaces the block of a revocation, and the rows are computed again."""
    chain, rpc = anvil
    city = make_city(chain, KEY)
    register_log_facts(city.engine, UsesInLog(city.log))
    granted = city.grant(tools.AIR, 9)
    grant = tools.grant_id(granted)
    city.must(granted)
    city.follow()
    before = rpc("evm_snapshot")
    city.must(city.revocation(grant, "7:steward"))
    city.follow()
    assert rpc("evm_revert", before)
    rpc("anvil_mine", hex(1))

    def status() -> Any:
        with reader(city.engine).connect() as connection:
            found = queries.grant(connection, grant)
            return found and found.status, held_targets(connection)

    with pytest.raises(LogAhead):
        rebuild(chain, city.engine, city.deployment)
    assert status() == ("revoked", {})
    city.follow()
    rebuild(chain, city.engine, city.deployment)
    assert status() == ("active", {"grant": {grant: ""}})


def test_repeated_reorganisations_are_recorded(make_city: Any, tools: Any, anvil: Any) -> None:
    """Lost, mined again, lost again: each recording has its entry, and each loss its compensating entry."""
    chain, rpc = anvil
    city = make_city(chain, KEY)
    city.follow()
    granted = city.grant(tools.AIR, 9)
    accepted = city.accept(granted)
    notifier = ActNotifier(city.engine)
    follower = city.follower(notifier=notifier)
    for turn in range(3):
        before = rpc("evm_snapshot")
        relayer = city.relayer(notifier)
        for _ in range(3):
            relayer.step()
            while follower.step():
                pass
        record = notifier.find(accepted.id)
        assert record is not None
        assert record.state == "recorded"
        assert len(logged(city, "chain:grant:granted")) == turn + 1
        assert rpc("evm_revert", before)
        rpc("anvil_mine", hex(2))
        while follower.step():
            pass
        assert len(logged(city, "chain:reorg:reverted")) == turn + 1
    reverted = [entry.facts["reverts"] for entry in logged(city, "chain:reorg:reverted")]
    assert reverted == [str(entry.id) for entry in logged(city, "chain:grant:granted")]


def test_confirmations_hide_shallow_reorganisations(make_city: Any, tools: Any, anvil: Any) -> None:
    chain, rpc = anvil
    city = make_city(chain, KEY)
    follower = city.follower(confirmations=2)
    while follower.step():
        pass
    before = rpc("evm_snapshot")
    city.must(city.grant(tools.AIR, 9))
    rpc("anvil_mine", hex(1))
    while follower.step():
        pass
    rpc("evm_revert", before)
    rpc("anvil_mine", hex(4))
    while follower.step():
        pass
    assert logged(city, "chain:reorg") == []
    assert logged(city, "chain:grant") == []


def test_a_transaction_that_stays_unmined_is_signed_again_with_a_higher_fee(
    make_city: Any, tools: Any, anvil: Any
) -> None:
    chain, rpc = anvil
    city = make_city(chain, KEY)
    city.follow()
    accepted = city.accept(city.grant(tools.AIR, 9))
    rpc("evm_setAutomine", False)
    notifier = ActNotifier(city.engine)
    relayer, follower = city.relayer(notifier, stuck_after_s=0.0), city.follower(notifier=notifier)
    for _ in range(3):
        relayer.step()
    rpc("evm_mine")
    for _ in range(2):
        relayer.step()
        follower.step()
    record = notifier.find(accepted.id)
    assert record is not None
    assert record.state == "recorded"
    assert len(logged(city, "chain:grant:granted")) == 1
    with reader(city.engine).connect() as connection:
        rows = connection.execute(
            select(OutboxTransactionRow.nonce, OutboxTransactionRow.fee, OutboxTransactionRow.open)
        ).all()
    assert len(rows) > 1
    assert len({row.nonce for row in rows}) == 1
    assert len({row.fee for row in rows}) == len(rows)
    assert not any(row.open for row in rows)
