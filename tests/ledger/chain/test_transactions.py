"""Transactions signed here are the ones that eth-account signs."""

from __future__ import annotations

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.chain.errors import InvalidTransaction
from ledger.chain.transactions import (
    Fees,
    address_of,
    called,
    chain_of,
    contract_address,
    deploy_transaction,
    fees_of,
    nonce_of,
    sign_transaction,
    transaction_hash,
)

keys = st.integers(1, 2**255).map(lambda number: number.to_bytes(32))
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())


@settings(max_examples=60, deadline=None)
@given(
    key=keys,
    chain_id=st.integers(1, 2**52),
    nonce=st.integers(0, 2**40),
    to=addresses | st.none(),
    data=st.binary(max_size=300),
    gas=st.integers(21_000, 10**8),
    fee=st.integers(0, 10**18),
    value=st.integers(0, 2**90),
)
def test_the_bytes_are_those_of_eth_account(key, chain_id, nonce, to, data, gas, fee, value):
    fields = {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "data": data,
        "gas": gas,
        "maxFeePerGas": fee,
        "maxPriorityFeePerGas": fee // 3,
        "value": value,
    }
    if to is not None:
        fields["to"] = bytes.fromhex(to[2:])
    theirs = Account.sign_transaction(fields, key)
    ours = sign_transaction(key, chain_id, nonce, to, data, gas, Fees(fee, fee // 3), value=value)
    assert ours == bytes(theirs.raw_transaction)
    assert transaction_hash(ours) == "0x" + bytes(theirs.hash).hex()
    assert address_of(key) == Account.from_key(key).address
    assert chain_of(ours) == chain_id


@settings(max_examples=40, deadline=None)
@given(
    key=keys,
    chain_id=st.integers(1, 2**52),
    nonce=st.integers(0, 2**40),
    to=addresses | st.none(),
    data=st.binary(max_size=300),
    price=st.integers(0, 10**18),
)
def test_the_older_form_is_that_of_eth_account(key, chain_id, nonce, to, data, price):
    fields = {"chainId": chain_id, "nonce": nonce, "data": data, "gas": 50_000, "gasPrice": price, "value": 0}
    if to is not None:
        fields["to"] = bytes.fromhex(to[2:])
    theirs = Account.sign_transaction(fields, key)
    fees = Fees(price, legacy=True)
    ours = sign_transaction(key, chain_id, nonce, to, data, 50_000, fees)
    assert ours == bytes(theirs.raw_transaction)
    assert (chain_of(ours), nonce_of(ours), fees_of(ours)) == (chain_id, nonce, fees)
    called_to, called_data = called(ours)
    assert ((called_to or "").lower() or None, called_data) == (to, data)


@given(raw=st.binary(max_size=200))
def test_malformed_transaction_bytes_are_refused(raw):
    for read in (called, fees_of, nonce_of):
        with pytest.raises(InvalidTransaction):
            read(raw)


def test_an_address_is_known_before_the_deployment():
    """The example of Ethereum's documentation of CREATE: first contracts of a known account."""
    account = "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"
    assert contract_address(account, 0).lower() == "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"
    assert contract_address(account, 1).lower() == "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"
    raw, address = deploy_transaction(b"\x01" * 32, 5, 3, b"\x60\x00", 10**6, Fees(9), arguments=b"\x07")
    assert address == contract_address(address_of(b"\x01" * 32), 3)
    assert b"\x60\x00\x07" in raw


@pytest.mark.parametrize("raw", [b"", b"\x02", b"\xc0", b"\x02\xc0", b"\x80", b"{}", b"\x02\x80"])
def test_chain_id_of_a_malformed_transaction_is_not_guessed(raw):
    with pytest.raises(InvalidTransaction):
        chain_of(raw)


def test_a_legacy_transaction_without_a_chain_is_refused():
    fields = {"nonce": 0, "to": b"\x11" * 20, "gas": 21_000, "gasPrice": 1, "value": 0, "data": b""}
    replayable = Account.sign_transaction(fields, b"\x01" * 32)
    with pytest.raises(InvalidTransaction, match="no chain"):
        chain_of(bytes(replayable.raw_transaction))
    bound = Account.sign_transaction(fields | {"chainId": 77}, b"\x01" * 32)
    assert chain_of(bytes(bound.raw_transaction)) == 77
