"""Signed transactions: the EIP-1559 (type 2) encoding, and the EIP-155 encoding for chains without a base fee. They are
signed with libsecp256k1.

eth-account takes ten times as long, and the relayer signs many transactions a second. Officers' signatures are made in
``ledger.chain.signers``.
"""

from __future__ import annotations

import coincurve
import rlp
from eth_hash.auto import keccak
from eth_utils.address import to_canonical_address, to_checksum_address

from ledger.chain.client import Address, Fees, TxHash
from ledger.chain.errors import InvalidTransaction

_TYPE = b"\x02"


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
    """The raw bytes for ``ChainClient.send``. ``key`` is 32 bytes, ``value`` in wei; without ``to`` it deploys ``data``."""
    if fees.legacy:
        return _sign_legacy(key, chain_id, [nonce, fees.max_fee, gas, _address(to), value, data])
    fields: list[bytes | int | list[bytes]] = [
        chain_id,
        nonce,
        fees.max_priority,
        fees.max_fee,
        gas,
        _address(to),
        value,
        data,
        [],
    ]
    digest = keccak(_TYPE + rlp.encode(fields))
    signature = coincurve.PrivateKey(key).sign_recoverable(digest, hasher=None)
    parity, r, s = signature[64], int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    return _TYPE + bytes(rlp.encode([*fields, parity, r, s]))


def _sign_legacy(key: bytes, chain_id: int, fields: list[bytes | int]) -> bytes:
    digest = keccak(rlp.encode([*fields, chain_id, 0, 0]))
    signature = coincurve.PrivateKey(key).sign_recoverable(digest, hasher=None)
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    return bytes(rlp.encode([*fields, 35 + 2 * chain_id + signature[64], r, s]))


def _address(to: Address | None) -> bytes:
    return b"" if to is None else bytes(to_canonical_address(to))


def deploy_transaction(
    key: bytes, chain_id: int, nonce: int, bytecode: bytes, gas: int, fees: Fees, *, arguments: bytes = b""
) -> tuple[bytes, Address]:
    """A signed deployment, and the address of the new contract. ``arguments`` are the ABI-encoded constructor arguments."""
    raw = sign_transaction(key, chain_id, nonce, None, bytecode + arguments, gas, fees)
    return raw, contract_address(address_of(key), nonce)


def transaction_hash(raw: bytes) -> TxHash:
    """The transaction hash of signed bytes, as ``send`` returns and ``receipt`` takes it."""
    return "0x" + keccak(raw).hex()


def called(raw: bytes) -> tuple[Address | None, bytes]:
    """The destination and the data of a transaction of `sign_transaction`; raises `InvalidTransaction` for other bytes."""
    fields = _fields(raw)
    to, data = (fields[5], fields[7]) if raw[:1] == _TYPE else (fields[3], fields[5])
    try:
        return (str(to_checksum_address(to)) if to else None), data
    except ValueError as error:
        raise InvalidTransaction(f"not a signed transaction: {error}") from error


def fees_of(raw: bytes) -> Fees:
    """The fees of a transaction of `sign_transaction`; raises `InvalidTransaction` for other bytes."""
    fields = _fields(raw)
    if raw[:1] == _TYPE:
        return Fees(int.from_bytes(fields[3]), int.from_bytes(fields[2]))
    return Fees(int.from_bytes(fields[1]), legacy=True)


def nonce_of(raw: bytes) -> int:
    """The nonce of a transaction of `sign_transaction`; raises `InvalidTransaction` for other bytes."""
    return int.from_bytes(_fields(raw)[1 if raw[:1] == _TYPE else 0])


def _fields(raw: bytes) -> list[bytes]:
    """The fields of a transaction, each as its bytes."""
    typed = raw[:1] == _TYPE
    try:
        found = rlp.decode(raw[1:] if typed else raw)
        if not isinstance(found, list | tuple) or len(found) != (12 if typed else 9):
            raise InvalidTransaction("not a signed transaction of type 2 or of the older form")
        return [b"" if isinstance(one, list | tuple) else bytes(one) for one in found]
    except (rlp.DecodingError, TypeError, ValueError) as error:
        raise InvalidTransaction(f"not a signed transaction: {error}") from error


def chain_of(raw: bytes) -> int:
    """The chain id of a signed transaction; raises ``InvalidTransaction`` for other bytes, or without a chain id."""
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
    """The address of a contract made by CREATE: the last 20 bytes of keccak(rlp([sender, nonce]))."""
    return str(to_checksum_address(keccak(rlp.encode([to_canonical_address(sender), nonce]))[12:]))
