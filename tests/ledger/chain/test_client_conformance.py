"""The behaviour of every ChainClient, on the embedded chain, on it over JSON-RPC, and on anvil."""

from __future__ import annotations

import pytest
from eth_hash.auto import keccak

from ledger.audit.outside.header_proof import header_proof
from ledger.chain.errors import (
    ContractReverted,
    InvalidTransaction,
    TransactionPending,
    TransactionRefused,
    UnknownBlock,
    WrongChain,
)
from ledger.chain.transactions import sign_transaction, transaction_hash


def _reason(text: str) -> bytes:
    padded = text.encode().ljust(-(-len(text) // 32) * 32, b"\x00")
    return bytes.fromhex("08c379a0") + (32).to_bytes(32) + len(text).to_bytes(32) + padded


def test_a_deployed_contract_has_code_and_answers_calls(funded, bytecode):
    address = funded.deploy(bytecode.counter)
    assert funded.chain.code(address) == bytecode.counter[12:]
    assert funded.chain.call(address, b"") == (1).to_bytes(32)
    assert funded.chain.code(funded.address) == b""


def test_blocks_are_linked_and_numbered(funded, bytecode):
    before = funded.chain.head()
    receipt = funded.send(funded.deploy(bytecode.counter))
    head = funded.chain.head()
    assert head.number == receipt.block_number == before.number + 2
    assert head.hash == receipt.block_hash
    assert head.parent_hash == funded.chain.block(head.number - 1).hash
    assert funded.chain.block(before.number) == before
    assert head.timestamp >= before.timestamp


def test_a_receipt_tells_the_outcome_and_the_events(funded, bytecode):
    address = funded.deploy(bytecode.counter)
    receipt = funded.send(address, b"hello")
    (log,) = receipt.logs
    assert receipt.succeeded
    assert receipt.contract_address is None
    assert receipt.revert_data is None
    assert 21_000 < receipt.gas_used < 100_000
    assert (log.address, log.data, log.log_index) == (address, b"hello", 0)
    assert log.topics == ("0x" + (1).to_bytes(32).hex(),)
    assert (log.tx_hash, log.block_hash) == (receipt.tx_hash, receipt.block_hash)
    assert funded.chain.receipt(receipt.tx_hash) == receipt


def test_logs_come_in_order_for_a_range_and_for_the_addresses_asked(funded, bytecode):
    first, second = funded.deploy(bytecode.counter), funded.deploy(bytecode.counter)
    receipts = [funded.send(to, bytes([n])) for n, to in enumerate([first, second, first, second])]
    start, end = receipts[0].block_number, receipts[-1].block_number
    logs = funded.chain.logs(0, end)
    assert [log.data for log in logs] == [bytes([n]) for n in range(4)]
    assert [log.data for log in funded.chain.logs(start + 1, end - 1)] == [b"\x01", b"\x02"]
    assert [log.data for log in funded.chain.logs(0, end, [second])] == [b"\x01", b"\x03"]
    assert funded.chain.logs(0, end, [first, second]) == logs
    assert funded.chain.logs(0, end, []) == []
    with pytest.raises(UnknownBlock):
        funded.chain.logs(0, end + 50)


def test_the_state_of_past_blocks_can_be_read(funded, bytecode):
    address = funded.deploy(bytecode.counter)
    blocks = [funded.send(address).block_number for _ in range(3)]
    assert [funded.chain.storage(address, 0, block) for block in blocks] == [
        n.to_bytes(32) for n in (1, 2, 3)
    ]
    assert funded.chain.storage(address, 0) == (3).to_bytes(32)
    assert funded.chain.storage(address, 99) == bytes(32)
    assert funded.chain.call(address, b"", blocks[0]) == (2).to_bytes(32)
    assert funded.chain.code(address, 0) == b""
    assert funded.chain.balance(funded.address, 0) > funded.chain.balance(funded.address)


def test_revert_reason_is_read_from_call_estimate_and_receipt(funded, bytecode):
    address = funded.deploy(bytecode.refuser)
    with pytest.raises(ContractReverted, match="no consent") as refused:
        funded.chain.call(address, _reason("no consent"))
    assert refused.value.data == _reason("no consent")
    with pytest.raises(ContractReverted) as refused:
        funded.chain.estimate_gas(address, b"\xde\xad\xbe\xef" + bytes(32), sender=funded.address)
    assert refused.value.data == b"\xde\xad\xbe\xef" + bytes(32)
    receipt = funded.send(address, _reason("no consent"))
    assert receipt.reverted
    assert receipt.logs == ()
    assert receipt.revert_data == _reason("no consent")


def test_estimated_gas_suffices(funded, bytecode):
    address = funded.deploy(bytecode.counter)
    gas = funded.chain.estimate_gas(address, b"x" * 500, sender=funded.address)
    receipt = funded.send(address, b"x" * 500, gas=gas)
    assert receipt.succeeded
    assert gas < 2 * receipt.gas_used
    assert funded.chain.estimate_gas(None, bytecode.counter, sender=funded.address) > 53_000


def test_the_same_bytes_sent_twice_are_mined_once(funded, bytecode):
    address = funded.deploy(bytecode.counter)
    raw = funded.sign(address)
    assert funded.chain.send(raw) == funded.chain.send(raw) == transaction_hash(raw)
    funded.chain.wait(transaction_hash(raw), timeout=15)
    assert funded.chain.send(raw) == transaction_hash(raw)
    assert funded.chain.call(address, b"") == (2).to_bytes(32)


def test_a_used_nonce_is_refused(funded, bytecode):
    address = funded.deploy(bytecode.counter)
    with pytest.raises(TransactionRefused):
        funded.chain.send(funded.sign(address, b"again", nonce=0))


def test_an_account_without_funds_is_refused(funded, bytecode, sender_on):
    stranger = sender_on(funded.chain, bytes.fromhex("77" * 32))
    with pytest.raises(TransactionRefused):
        funded.chain.send(stranger.sign(funded.address))


def test_bytes_that_are_no_transaction_are_refused(funded):
    signed = funded.sign(funded.address)
    for bad in (b"", b"\x00", b"junk", signed[:-1], signed + b"\x00", b"\x02\xc0", b"\x7f" + signed[1:]):
        with pytest.raises(InvalidTransaction):
            funded.chain.send(bad)


def test_a_transaction_for_another_chain_is_refused(funded):
    raw = sign_transaction(
        funded.key, funded.chain.chain_id + 1, 0, funded.address, b"", 21_000, funded.chain.fees()
    )
    with pytest.raises(WrongChain):
        funded.chain.send(raw)


def test_missing_objects_are_reported_as_missing(funded):
    unknown = "0x" + "ab" * 32
    assert funded.chain.receipt(unknown) is None
    with pytest.raises(TransactionPending):
        funded.chain.wait(unknown, timeout=0.1)
    with pytest.raises(UnknownBlock):
        funded.chain.block(10**6)
    with pytest.raises(UnknownBlock):
        funded.chain.storage(funded.address, 0, 10**6)
    with pytest.raises(UnknownBlock):
        funded.chain.call(funded.address, b"", 10**6)


def test_an_event_can_be_proved_from_a_blocks_hash(funded, bytecode):
    """The evidence of a block hashes to its hash, and its receipts to the root in it."""
    address = funded.deploy(bytecode.counter)
    receipt = funded.send(address, b"proved")
    evidence = funded.chain.evidence(receipt.block_number)
    proof = header_proof(evidence.block, evidence.receipts, 0, 0)
    assert "0x" + keccak(bytes.fromhex(proof["header"][2:])).hex() == receipt.block_hash
    assert b"proved" in b"".join(bytes.fromhex(node[2:]) for node in proof["nodes"])
    with pytest.raises(UnknownBlock):
        funded.chain.evidence(10**6)


def test_call_to_an_address_without_code_returns_nothing(funded):
    assert funded.chain.call("0x" + "12" * 20, b"") == b""


@pytest.mark.needs("anvil")
@pytest.mark.parametrize("data", [b"", b"\x00" * 500, b"\x01" * 500], ids=["no data", "zeros", "ones"])
def test_the_embedded_chain_counts_gas_as_others_do(
    data, embedded, relayer, anvil, sender_on, bytecode, anvil_key
):
    """Prague's rules, with the calldata floor of EIP-7623, on two independent implementations."""
    spent = []
    for sender in (relayer, sender_on(anvil, anvil_key)):
        counter, refuser = sender.deploy(bytecode.counter), sender.deploy(bytecode.refuser)
        outcomes = [sender.send(to, data) for to in (counter, counter, refuser, sender.address)]
        spent.append([(receipt.gas_used, receipt.status) for receipt in outcomes])
    assert spent[0] == spent[1]
