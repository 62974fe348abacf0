"""Signed transactions: EIP-1559 (type 2) encoding, signed with libsecp256k1.

eth-account does the same ten times slower; officers' keys are kept by ``ledger.chain.signers``, this module
serves the relayer, which signs many transactions a second and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import coincurve
import rlp
from eth_hash.auto import keccak
from eth_utils.address import to_canonical_address, to_checksum_address

from ledger.chain.client import Address, TxHash
from ledger.chain.errors import InvalidTransaction

_TYPE = b"\x02"


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei per gas: the most to pay, and the part of it that goes to the block's producer."""

    max_fee: int
    max_priority: int = 0


def sign_transaction(
    key: bytes,
    chain_id: int,
    nonce: int,
    to: Address | None,
    data: bytes,
    gas: int,
    fees: Fees,
    *,
    value: int = 0,
) -> bytes:
    """The raw bytes for ``ChainClient.send``; ``key`` is 32 bytes; without ``to`` it deploys ``data``."""
    fields: list[bytes | int | list[bytes]] = [
        chain_id,
        nonce,
        fees.max_priority,
        fees.max_fee,
        gas,
        b"" if to is None else bytes(to_canonical_address(to)),
        value,
        data,
        [],
    ]
    digest = keccak(_TYPE + rlp.encode(fields))
    signature = coincurve.PrivateKey(key).sign_recoverable(digest, hasher=None)
    parity, r, s = signature[64], int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    return _TYPE + bytes(rlp.encode([*fields, parity, r, s]))


def deploy_transaction(
    key: bytes, chain_id: int, nonce: int, bytecode: bytes, gas: int, fees: Fees, *, arguments: bytes = b""
) -> tuple[bytes, Address]:
    """A deployment and the address it will have. ``arguments``: ABI-encoded constructor arguments."""
    raw = sign_transaction(key, chain_id, nonce, None, bytecode + arguments, gas, fees)
    return raw, contract_address(address_of(key), nonce)


def transaction_hash(raw: bytes) -> TxHash:
    """The hash under which ``send`` and ``receipt`` know these bytes."""
    return "0x" + keccak(raw).hex()


def chain_of(raw: bytes) -> int:
    """The chain id that signed bytes name; ``InvalidTransaction`` when they are none, or name no chain."""
    try:
        if raw[:1] in (b"\x01", _TYPE):
            return int.from_bytes(rlp.decode(raw[1:])[0])
        v = int.from_bytes(rlp.decode(raw)[6])
    except (rlp.DecodingError, IndexError, TypeError) as error:
        raise InvalidTransaction(
            f"not a signed transaction: {error}", hint="send the raw signed bytes"
        ) from error
    if v < 35:
        raise InvalidTransaction("the transaction names no chain", hint="sign with a chain id (EIP-155)")
    return (v - 35) // 2


def address_of(key: bytes) -> Address:
    """The address of a 32-byte private key."""
    public = coincurve.PrivateKey(key).public_key.format(compressed=False)
    return str(to_checksum_address(keccak(public[1:])[12:]))


def contract_address(sender: Address, nonce: int) -> Address:
    """Where CREATE puts a contract: keccak(rlp([sender, nonce])), last 20 bytes."""
    return str(to_checksum_address(keccak(rlp.encode([to_canonical_address(sender), nonce]))[12:]))
