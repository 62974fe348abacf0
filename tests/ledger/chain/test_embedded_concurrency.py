"""Many threads on one embedded chain: senders, readers and the miner."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ledger.chain.errors import TransactionRefused
from ledger.chain.transactions import address_of, sign_transaction


def _fund(relayer, key: bytes) -> None:
    chain = relayer.chain
    nonce = chain.nonce(relayer.address)
    fees = chain.fees()
    raw = sign_transaction(
        relayer.key, chain.chain_id, nonce, address_of(key), b"", 21_000, fees, value=10**18
    )
    assert chain.wait(chain.send(raw)).succeeded


def test_concurrent_senders_and_readers_are_consistent(embedded, relayer, bytecode, sender_on):
    address = relayer.deploy(bytecode.counter)
    keys = [bytes([n]) * 32 for n in range(1, 5)]
    for key in keys:
        _fund(relayer, key)
    done = threading.Event()

    def send_thirty(key: bytes) -> list[str]:
        sender = sender_on(embedded, key)
        return [embedded.send(sender.sign(address, key[:1], nonce=n)) for n in range(30)]

    def read_until_done() -> int:
        """The chain that a thread sees only grows and is consistent."""
        seen = count = 0
        while not done.is_set():
            head = embedded.head()
            value = int.from_bytes(embedded.storage(address, 0, head.number))
            logs = embedded.logs(0, head.number, [address])
            assert seen <= value == len(logs) == int.from_bytes(embedded.call(address, b"", head.number)) - 1
            seen, count = value, count + 1
        return count

    with ThreadPoolExecutor(7) as pool:
        readers = [pool.submit(read_until_done) for _ in range(3)]
        sent = list(itertools.chain(*pool.map(send_thirty, keys)))
        receipts = [embedded.wait(tx_hash, 30) for tx_hash in sent]
        done.set()
        assert all(reader.result() > 0 for reader in readers)
    assert all(receipt.succeeded for receipt in receipts)
    assert embedded.storage(address, 0) == (120).to_bytes(32)
    logs = embedded.logs(0, embedded.head().number, [address])
    assert [int(log.topics[0], 16) for log in logs] == list(range(1, 121))
    assert [(log.block_number, log.log_index) for log in logs] == sorted(
        (log.block_number, log.log_index) for log in logs
    )
    embedded.verify()


def test_many_callers_wait_for_one_block(embedded, relayer):
    with ThreadPoolExecutor(20) as pool:
        with embedded._mining:
            tx_hash = embedded.send(relayer.sign(relayer.address))
            waiting = [pool.submit(embedded.wait, tx_hash, 10) for _ in range(20)]
        assert {future.result().block_number for future in waiting} == {1}


def test_one_of_two_with_the_same_nonce_is_refused(embedded, relayer):
    """Both threads signed with the same nonce: one transaction is acknowledged, the other must be signed
    again."""
    rivals = [relayer.sign(relayer.address, bytes([n]), nonce=0) for n in range(8)]

    def acknowledged(raw: bytes) -> bool:
        try:
            embedded.send(raw)
        except TransactionRefused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(acknowledged, rivals)) == 1
    with pytest.raises(TransactionRefused, match="nonce too low"):
        embedded.send(relayer.sign(relayer.address, b"late", nonce=0))
