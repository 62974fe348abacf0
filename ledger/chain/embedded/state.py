"""Accounts and storage after any block, read from the state trie without running the EVM."""

from __future__ import annotations

from dataclasses import dataclass

import rlp
from eth.abc import DatabaseAPI
from eth_hash.auto import keccak
from trie.hexary import HexaryTrie

from ledger.chain.embedded.rules import EMPTY_CODE_HASH, EMPTY_TRIE_ROOT


@dataclass(frozen=True, slots=True)
class Account:
    """An account in the state trie (Ethereum Yellow Paper, 4.1); the balance is in wei."""

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes


_ABSENT = Account(0, 0, EMPTY_TRIE_ROOT, EMPTY_CODE_HASH)


def account(database: DatabaseAPI, state_root: bytes, address: bytes) -> Account:
    """The account at ``address`` (20 bytes); empty when it does not exist."""
    encoded = HexaryTrie(database, state_root)[keccak(address)]
    if not encoded:
        return _ABSENT
    nonce, balance, storage_root, code_hash = rlp.decode(encoded)
    return Account(int.from_bytes(nonce), int.from_bytes(balance), storage_root, code_hash)


def storage(database: DatabaseAPI, state_root: bytes, address: bytes, slot: int) -> bytes:
    """The 32 bytes of a slot."""
    root = account(database, state_root, address).storage_root
    if root == EMPTY_TRIE_ROOT:
        return bytes(32)
    encoded = HexaryTrie(database, root)[keccak(slot.to_bytes(32))]
    if not encoded:
        return bytes(32)
    value: bytes = rlp.decode(encoded)
    return value.rjust(32, b"\x00")


def code(database: DatabaseAPI, state_root: bytes, address: bytes) -> bytes:
    """The bytecode at ``address``."""
    code_hash = account(database, state_root, address).code_hash
    return b"" if code_hash == EMPTY_CODE_HASH else bytes(database[code_hash])
