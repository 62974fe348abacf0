"""Acknowledged transactions survive restarts, kill -9, a kill at every write of a block, full disks, damage."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.chain.embedded import EmbeddedChain, SimulatedClock, random_chain_id
from ledger.chain.errors import (
    ChainCorrupt,
    ChainExists,
    ChainLocked,
    ChainMissing,
    ChainStorageFailed,
    ChainUnreachable,
    TransactionRefused,
)
from ledger.chain.transactions import address_of, transaction_hash


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chain.sqlite"


@pytest.fixture
def create(path, relayer_key) -> Callable[..., EmbeddedChain]:
    return lambda **options: EmbeddedChain.create(path, random_chain_id(), address_of(relayer_key), **options)


def _in_a_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a forked process; return its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(99)
    return os.waitpid(child, 0)[1]


def test_reopened_chain_continues(create, path, sender_on, relayer_key, bytecode):
    with create(clock=SimulatedClock()) as chain:
        relayer = sender_on(chain, relayer_key)
        address = relayer.deploy(bytecode.counter)
        receipts = [relayer.send(address, b"before") for _ in range(3)]
        head, chain_id = chain.head(), chain.chain_id
    with EmbeddedChain.open(path, clock=SimulatedClock(head.timestamp + 100)) as chain:
        assert (chain.head(), chain.chain_id, chain.relayer) == (head, chain_id, address_of(relayer_key))
        assert [chain.receipt(receipt.tx_hash) for receipt in receipts] == receipts
        after = sender_on(chain, relayer_key).send(address, b"after")
        assert chain.storage(address, 0) == (4).to_bytes(32)
        assert chain.block(after.block_number).parent_hash == head.hash
        assert chain.block(after.block_number).timestamp == head.timestamp + 100
        chain.verify()


def test_acknowledged_transaction_is_mined_after_reopening(create, path, sender_on, relayer_key):
    with create(background=False) as chain:
        relayer = sender_on(chain, relayer_key)
        sent = [chain.send(relayer.sign(relayer.address)) for _ in range(5)]
        assert chain.head().number == 0
    with EmbeddedChain.open(path, background=False) as chain:
        assert chain.nonce(relayer.address) == 5
        chain.mine()
        assert all(chain.receipt(tx_hash).succeeded for tx_hash in sent)
        assert chain.mine() is None


def test_death_at_any_write_of_a_block_loses_nothing(create, path, sender_on, relayer_key, bytecode):
    clock = SimulatedClock()
    with create(clock=clock) as chain:
        address = sender_on(chain, relayer_key).deploy(bytecode.counter)
        before = chain.head()

    def die_at(write: int) -> None:
        chain = EmbeddedChain.open(path, clock=clock, background=False)
        left = [write]

        def count(statement: str) -> None:
            del statement
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        chain._store._writer.set_trace_callback(count)
        chain.mine()
        os._exit(0)

    with EmbeddedChain.open(path, clock=clock, background=False) as chain:
        relayer = sender_on(chain, relayer_key)
        acknowledged = [chain.send(relayer.sign(address, b"kept")) for _ in range(3)]
    statuses = [0]
    while not statuses or not os.WIFEXITED(statuses[-1]) or len(statuses) == 1:
        statuses.append(_in_a_child(lambda: die_at(len(statuses) - 1)))
        with EmbeddedChain.open(path, clock=clock, background=False) as chain:
            mined = [chain.receipt(tx_hash) is not None for tx_hash in acknowledged]
            assert all(mined) or chain.head() == before
            assert all(mined) or not any(mined)
            assert chain.nonce(relayer.address) == 4
    deaths = statuses[1:-1]
    assert len(deaths) > 15, "a block has many writes, and each was a death"
    assert all(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL for status in deaths)
    assert os.WEXITSTATUS(statuses[-1]) == 0
    with EmbeddedChain.open(path, clock=clock, background=False) as chain:
        chain.mine()
        assert [chain.receipt(tx_hash).succeeded for tx_hash in acknowledged] == [True] * 3
        assert chain.storage(address, 0) == (3).to_bytes(32)
        chain.verify()


def test_partially_written_block_is_discarded(create, path, tmp_path, sender_on, relayer_key, bytecode):
    """The file after each write of a commit: cut anywhere, the block is complete or missing."""
    clock = SimulatedClock()
    told, tell = os.pipe()

    def mine_and_die() -> None:
        chain = create(clock=clock, background=False)
        relayer = sender_on(chain, relayer_key)
        sent = [chain.send(relayer.sign(None, bytecode.counter)) for _ in range(3)]
        wal = path.with_name(path.name + "-wal")
        before = wal.stat().st_size
        chain.mine()
        os.write(tell, json.dumps([sent, before, wal.stat().st_size]).encode())
        os.kill(os.getpid(), signal.SIGKILL)

    _in_a_child(mine_and_die)
    sent, acknowledged, committed = json.loads(os.read(told, 10_000))
    cuts = [*range(acknowledged, committed, 2060), committed]
    assert len(cuts) > 10
    for cut in cuts:
        copy = tmp_path / f"cut-{cut}.sqlite"
        shutil.copy(path, copy)
        shutil.copy(path.with_name(path.name + "-wal"), copy.with_name(copy.name + "-wal"))
        os.truncate(copy.with_name(copy.name + "-wal"), cut)
        with EmbeddedChain.open(copy, clock=clock, background=False) as chain:
            assert chain.head().number == (1 if cut == committed else 0)
            chain.mine()
            assert [chain.receipt(tx_hash).succeeded for tx_hash in sent] == [True] * 3
            assert chain.head().number == 1
            chain.verify()


@pytest.mark.needs("strace")
@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.drill)])
def test_death_at_system_calls_that_write_loses_nothing(step, create, path, sender_on, relayer_key, tmp_path):
    """SIGKILL at the n-th pwrite64 or fdatasync of a process that opens, mines and closes."""
    clock = SimulatedClock()
    with create(clock=clock, background=False) as chain:
        relayer = sender_on(chain, relayer_key)
        sent = [chain.send(relayer.sign(relayer.address)) for _ in range(3)]
    program = f"""
from ledger.chain.embedded import EmbeddedChain, SimulatedClock
with EmbeddedChain.open({str(path)!r}, clock=SimulatedClock({clock.now() + 5}), background=False) as chain:
    chain.mine()
"""
    deaths = 0
    for write in range(1, 1000, step):
        trace = [f"--inject=pwrite64,fdatasync:signal=SIGKILL:when={write}", "--trace=pwrite64,fdatasync"]
        with tempfile.TemporaryDirectory() as kept:
            shutil.copy(path, kept)
            command = ["strace", "-f", "-qq", "-o", os.devnull, *trace, sys.executable, "-c", program]
            status = subprocess.run(command, capture_output=True).returncode
            with EmbeddedChain.open(path, clock=clock, background=False) as chain:
                mined = [chain.receipt(tx_hash) is not None for tx_hash in sent]
                assert all(mined) or not any(mined)
                assert chain.nonce(relayer.address) == 3
                chain.verify()
            for beside in ("-wal", "-shm"):
                path.with_name(path.name + beside).unlink(missing_ok=True)
            shutil.copy(Path(kept) / path.name, path)
        if status == 0:
            break
        deaths += 1
    assert deaths * step > 8, "a block is several writes"


@pytest.mark.parametrize("rounds", [8, pytest.param(150, marks=pytest.mark.drill)])
def test_kill_9_under_load_loses_nothing_acknowledged(rounds, create, path, sender_on, relayer_key, bytecode):
    with create(clock=SimulatedClock()) as chain:
        address = sender_on(chain, relayer_key).deploy(bytecode.counter)
        newest = chain.head()
    dice = random.Random(20)
    acknowledged: list[str] = []
    for _ in range(rounds):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            chain = EmbeddedChain.open(path, clock=SimulatedClock(newest.timestamp + 1000))
            relayer = sender_on(chain, relayer_key)
            while True:
                os.write(writing, chain.send(relayer.sign(address, b"kept")).encode())
        os.close(writing)
        time.sleep(dice.uniform(0.02, 0.3))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reading) as told:
            text = told.read()
        later = SimulatedClock(newest.timestamp + 2000)
        acknowledged += [text[at : at + 66] for at in range(0, len(text) // 66 * 66, 66)]
        with EmbeddedChain.open(path, clock=later, background=False) as chain:
            while chain.mine():
                pass
            assert chain.head().number >= newest.number
            newest = chain.head()
    with EmbeddedChain.open(path, background=False) as chain:
        assert len(acknowledged) > 20
        assert all(chain.receipt(tx_hash).succeeded for tx_hash in acknowledged)
        assert int.from_bytes(chain.storage(address, 0)) >= len(acknowledged)
        chain.verify()


def test_after_a_failed_commit_the_next_transaction_works(create, sender_on, relayer_key, bytecode):
    with create(clock=SimulatedClock(), background=False) as chain:
        relayer = sender_on(chain, relayer_key)
        first = chain.send(relayer.sign(None, bytecode.counter))
        writer = chain._store._writer
        (pages,) = writer.execute("PRAGMA page_count").fetchone()
        writer.execute(f"PRAGMA max_page_count = {pages}")
        first = _send_until_the_disk_is_full(relayer, bytecode.counter) or first
        with pytest.raises(ChainStorageFailed):
            chain.mine()
        assert chain.head().number == 0
        assert chain.receipt(first) is None
        writer.execute("PRAGMA max_page_count = 100000")
        chain.mine()
        assert chain.receipt(first).succeeded
        second = chain.send(relayer.sign(None, bytecode.counter))
        chain.mine()
        assert chain.receipt(second).succeeded
        chain.verify()


def _send_until_the_disk_is_full(relayer, code: bytes) -> str | None:
    """The last acknowledged transaction."""
    acknowledged = None
    for _ in range(100):
        try:
            acknowledged = relayer.chain.send(relayer.sign(None, code))
        except ChainStorageFailed:
            return acknowledged
    raise AssertionError("the disk never filled up")


def test_the_background_miner_survives_a_full_disk(create, sender_on, relayer_key, bytecode):
    with create() as chain:
        relayer = sender_on(chain, relayer_key)
        address = relayer.deploy(bytecode.counter)
        writer = chain._store._writer
        raw = relayer.sign(address, os.urandom(4000))
        with chain._mining:
            tx_hash = chain.send(raw)
            (pages,) = writer.execute("PRAGMA page_count").fetchone()
            writer.execute(f"PRAGMA max_page_count = {pages}")
        time.sleep(1.2)
        assert chain.receipt(tx_hash) is None
        writer.execute("PRAGMA max_page_count = 100000")
        assert chain.wait(tx_hash, timeout=5).succeeded


@pytest.mark.parametrize("exchanged", [False, True])
def test_nothing_is_acknowledged_into_an_unlinked_file(
    exchanged, create, path, sender_on, relayer_key, bytecode
):
    """The commit would be lost with the process; see SQLite's documentation, howtocorrupt, 4."""
    aside = path.with_name("aside")
    with create(clock=SimulatedClock()) as chain:
        relayer = sender_on(chain, relayer_key)
        address = relayer.deploy(bytecode.counter)
        path.rename(aside)
        if exchanged:
            shutil.copy(aside, path)
        with pytest.raises(ChainStorageFailed):
            relayer.send(address, b"lost")
        if exchanged:
            path.unlink()
        aside.rename(path)
        relayer.send(address, b"kept")
        assert chain.storage(address, 0) == (1).to_bytes(32)


def test_a_second_opener_is_refused(create, path):
    with create():
        with pytest.raises(ChainLocked):
            EmbeddedChain.open(path)
        assert os.WEXITSTATUS(_in_a_child(lambda: _exit_7_when_locked(path))) == 7
    EmbeddedChain.open(path).close()


def _exit_7_when_locked(path: Path) -> None:
    try:
        EmbeddedChain.open(path)
    except ChainLocked:
        os._exit(7)


def test_a_genesis_is_never_written_over_a_chain(create):
    create().close()
    with pytest.raises(ChainExists):
        create()


def test_unfinished_genesis_does_not_prevent_a_start(create, path):
    path.with_name(path.name + ".new").write_bytes(b"half a genesis")
    with create() as chain:
        assert chain.head().number == 0


def test_chain_damaged_while_running_stops_with_a_code(create, path, sender_on, relayer_key, bytecode):
    with create(clock=SimulatedClock()) as chain:
        relayer = sender_on(chain, relayer_key)
        address = relayer.deploy(bytecode.counter)
        waiting = relayer.sign(address)
        _sql(path, "UPDATE state SET value = zeroblob(8) WHERE length(key) = 32")
        with pytest.raises(ChainCorrupt):
            chain.code(address)
        with pytest.raises(ChainCorrupt):
            chain.send(waiting)


def test_unminable_transaction_is_dropped_and_reported(create, path, sender_on, relayer_key):
    """A transaction with a used nonce, as an older version might have accepted it."""
    with create(background=False, clock=SimulatedClock()) as chain:
        relayer = sender_on(chain, relayer_key)
        good = chain.send(relayer.sign(relayer.address))
        bad = relayer.sign(relayer.address, b"never", nonce=0)
        chain._store.enqueue(bytes.fromhex(transaction_hash(bad)[2:]), bad)
    with EmbeddedChain.open(path, clock=SimulatedClock(time.time() + 60)) as chain:
        assert chain.wait(good, 5).succeeded
        with pytest.raises(TransactionRefused, match="was dropped"):
            chain.wait(transaction_hash(bad), 5)
        assert sender_on(chain, relayer_key).send("0x" + "12" * 20).succeeded
    with EmbeddedChain.open(path, background=False) as chain, pytest.raises(TransactionRefused):
        chain.wait(transaction_hash(bad), 0)


def test_a_missing_chain_is_named_as_that(path):
    with pytest.raises(ChainMissing):
        EmbeddedChain.open(path)
    with pytest.raises(ChainMissing):
        EmbeddedChain.open(path / "deeper" / "chain.sqlite")


def test_closed_chain_refuses_with_a_code(create, relayer_key, sender_on):
    chain = create()
    raw = sender_on(chain, relayer_key).sign("0x" + "12" * 20)
    chain.close()
    chain.close()
    for use in (chain.head, lambda: chain.send(raw), lambda: chain.wait("0x" + "00" * 32, 1)):
        with pytest.raises(ChainUnreachable):
            use()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"not a database, but long enough to be looked at " * 100),
        lambda path: path.write_bytes(b""),
        lambda path: os.truncate(path, path.stat().st_size // 2),
        lambda path: _sql(path, "DROP TABLE state"),
        lambda path: _sql(path, "DELETE FROM chain"),
        lambda path: _sql(path, "PRAGMA application_id = 1"),
        lambda path: _sql(path, "PRAGMA user_version = 99"),
        lambda path: _sql(path, "DELETE FROM state WHERE key = CAST('v1:canonical_head_hash' AS BLOB)"),
        lambda path: _sql(path, "DELETE FROM state WHERE key = CAST('block-number-to-hash:0' AS BLOB)"),
    ],
    ids=["text", "empty", "half", "no state", "no id", "other file", "other format", "no head", "no genesis"],
)
def test_a_damaged_file_is_refused(damage, create, path, sender_on, relayer_key, bytecode):
    with create(clock=SimulatedClock()) as chain:
        sender_on(chain, relayer_key).deploy(bytecode.counter)
    damage(path)
    with pytest.raises(ChainCorrupt), EmbeddedChain.open(path, background=False) as chain:
        chain.verify()


def test_every_changed_value_is_noticed(create, path, sender_on, relayer_key, bytecode):
    """Each value of the file with one bit changed: it is refused, never accepted."""
    with create(clock=SimulatedClock()) as chain:
        relayer = sender_on(chain, relayer_key)
        address = relayer.deploy(bytecode.counter)
        relayer.send(address)
    content_addressed = "SELECT key FROM state WHERE length(key) = 32 AND length(value) > 0"
    keys = [key for (key,) in _sql(path, content_addressed)]
    assert len(keys) > 15
    for key in keys:
        ((original,),) = _sql(path, "SELECT value FROM state WHERE key = ?", key)
        changed = bytes([original[0] ^ 1]) + original[1:]
        _sql(path, "UPDATE state SET value = ? WHERE key = ?", changed, key)
        with pytest.raises(ChainCorrupt):
            _read_everything(path, address)
        _sql(path, "UPDATE state SET value = ? WHERE key = ?", original, key)
    _read_everything(path, address)


def _read_everything(path: Path, address: str) -> None:
    with EmbeddedChain.open(path, background=False) as chain:
        chain.verify()
        for number in range(chain.head().number + 1):
            chain.storage(address, 0, number)
            chain.code(address, number)
            chain.balance("0x" + "00" * 20, number)


def test_snapshot_of_a_running_chain_can_be_opened(create, tmp_path, sender_on, relayer_key, bytecode):
    with create(clock=SimulatedClock()) as chain:
        address = sender_on(chain, relayer_key).deploy(bytecode.counter)
        chain.snapshot(tmp_path / "copy.sqlite")
        head = chain.head()
    with EmbeddedChain.open(tmp_path / "copy.sqlite", clock=SimulatedClock()) as copy:
        assert copy.head() == head
        assert sender_on(copy, relayer_key).send(address).succeeded


def _sql(path: Path, statement: str, *parameters: bytes) -> list[tuple]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(statement, parameters).fetchall()
    finally:
        connection.close()
